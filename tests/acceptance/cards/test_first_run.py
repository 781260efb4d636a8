"""Those parts of a card's first run that look into networks run on a simulated card.

That says nothing of a real one, but that the parts fit the code that they look into.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.checkout import CHECKOUT
from tests.support.simulated_cuda import FAULTS

SIMULATED = CHECKOUT / "tests" / "support" / "simulated_cards"
#: as much as a CPU does in seconds
SMALL = """
from pathlib import Path
from benchmarks.card import agreement, failures, inputs, rates
inputs.WORK = agreement.WORK = Path({work!r})
agreement.PATCHES, agreement.EXACT, agreement.MAX_PATCHES = 6, 3, 3
agreement.CALLS, agreement.THREADS = 2, 2
failures.POINTS, failures.LOOK_S = [(300, 300)] * 2, 1
class Flat:
    def forward(self, patches):
        return patches.mean((1, 2))
agreement.vgg16 = lambda device="cuda": Flat()
"""


def run(work: Path, code: str, **env: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", SMALL.format(work=str(work)) + code],
        cwd=CHECKOUT,
        env={
            **os.environ,
            **env,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": f"{CHECKOUT}:{SIMULATED}",
            "SIMULATED_CARDS": "1",
            "SPACER_GPU_BATCH_PATCHES": "3",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_features_are_compared_by_lanes_graphs_threads_and_processes(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.ones((3, 1280), np.float32))
    shown = run(tmp_path, "agreement.compare()")
    for text in (
        *("lane 0, graphs", "lane 0, step by step", "lane 1, graphs", "lane 1, step by step"),
        *("both lanes: 0.0e+00; one by one:", "texture: GPU from the CPU's", "from float64"),
        *("2 calls of 2 threads: ", "the reference's 23: ", "VGG16, the sample: "),
        "from the process before: ",
    ):
        assert text in shown


def test_after_an_assertion_each_call_says_that_the_card_is_lost(tmp_path: Path) -> None:
    # the card dies at the assertion, which a CPU refuses as an index
    shown = run(
        tmp_path,
        "say = failures.outcome\n"
        "def outcome(name, call):\n"
        "    (Path({0!r}) / 'dead-0').touch() if name == 'the assertion' else None\n"
        "    return say(name, call)\n"
        "failures.outcome = outcome\n"
        "failures.assertion()".replace("{0!r}", repr(str(tmp_path))),
        **{FAULTS: str(tmp_path)},
    )
    for name in ("extract", "extract again", "load another"):
        assert f"- {name}: DeviceLostError < " in shown
    assert "lost: CUDA error: device-side assert triggered" in shown


def test_images_go_on_beside_a_lane_that_hangs(tmp_path: Path) -> None:
    assert "of 6 images done, " in run(tmp_path, "failures.hung()")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["nonsense"], "no part nonsense, expected about,"), (["--weights=none.pt", "about"], "none")],
)
def test_a_mistake_is_named(arguments: list[str], text: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.card", *arguments],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "PYTHONPATH": f"{CHECKOUT}:{SIMULATED}",
            "SIMULATED_CARDS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    assert text in ran.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without CUDA")
def test_without_a_card_it_says_so() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.card"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "Not measured: this machine has no CUDA device.\n"
