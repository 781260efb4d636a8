"""The benchmark of a GPU runs where there is none: it says so, or measures a CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu
from tests.support.checkout import CHECKOUT


def run(*arguments: str) -> str:
    # in a process of its own: it changes the settings
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without CUDA")
def test_without_a_gpu_it_says_so_and_ends_well() -> None:
    assert run() == "Not measured: this machine has no CUDA device.\n"


def test_on_a_cpu_it_measures_the_same_through_the_batcher() -> None:
    small = {"threads": 2, "batches": 1, "points": 1, "megapixels": 0.1, "seconds": 0, "repeats": 1}
    options = [f"--{name}={value}" for name, value in small.items()]
    shown = run("--device=cpu", "--merge", "--precisions", "float16", *options)
    lines = shown.splitlines()
    assert "Best rate of the plain network" in shown
    (row,) = [line for line in lines if line.startswith("| float16 |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    # what a CPU does not compute in
    assert cells[1] == "float32"
    assert float(cells[3]) > 0
    assert "images a second from bytes to vectors" in lines[-1]


def test_float32_s_truth_is_the_cpu_s_whatever_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    class Answers:
        def forward(self, patches: np.ndarray) -> np.ndarray:
            return np.ones((len(patches), 4), np.float32)

    def extractor_in(precision: str, device: str, weights: Path) -> Answers:
        asked.append((precision, device))
        return Answers()

    monkeypatch.setenv("SPACER_DEVICE", "cuda")
    monkeypatch.setattr(gpu, "extractor_in", extractor_in)
    assert gpu.truth(Path("weights.pt")).shape == (8, 4)
    assert asked == [("float32", "cpu")]
