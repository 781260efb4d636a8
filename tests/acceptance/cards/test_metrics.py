"""Workers' metrics, as Prometheus scrapes them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest
from prometheus_client.parser import text_string_to_metric_families

from spacer_tasks.demo.processes import process
from spacer_tasks.demo.services import free_ports
from tests.support.checkout import CHECKOUT
from tests.support.waiting import until
from tests.support.workers import START_S, StartWorker, run_worker, worker_starter

CARDS = {
    "PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests' / 'support' / 'simulated_cards'}",
    "SIMULATED_CARDS": "2",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture
def start_worker(queue: None, tmp_path: Path) -> Iterator[StartWorker]:
    with ExitStack() as stack:
        yield worker_starter(stack, tmp_path / "logs")


def scraped(port: int) -> dict[str, float]:
    with build_opener(ProxyHandler({})).open(
        f"http://127.0.0.1:{port}/metrics", timeout=20
    ) as page:
        text = page.read().decode()
    return {
        sample.name
        + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def answers(port: int) -> bool:
    try:
        return bool(scraped(port))
    except (URLError, OSError):
        return False


def test_each_of_several_workers_tells_of_its_own_card_at_its_own_port(
    queue: None, tmp_path: Path
) -> None:
    # two in a row
    ports = free_ports(2)[0]
    with process(
        [sys.executable, "-m", "workers.feature_worker", "--gpus=all", "--concurrency=1"],
        env={**os.environ, **CARDS, "SPACER_METRICS_PORT": str(ports)},
        cwd=CHECKOUT,
        log_path=tmp_path / "several.log",
        ready=lambda: answers(ports) and answers(ports + 1),
        ready_timeout_s=2 * START_S,
        stop_timeout_s=60,
    ) as several:
        first, second = scraped(ports), scraped(ports + 1)
        several.popen.terminate()
        assert several.popen.wait(60) == 0
    assert first["spacer_gpu_busy_ratio device=cuda:0"] == 0.1
    assert first["spacer_gpu_temperature_celsius device=cuda:0"] == 40
    assert second["spacer_gpu_busy_ratio device=cuda:1"] == 0.2
    assert second["spacer_gpu_memory_used_bytes device=cuda:1"] == 2**31
    assert first["spacer_gpu_pass_seconds_count device=cuda:0"] == 0
    assert first["process_resident_memory_bytes"] > 2**20


def test_a_trainer_worker_tells_of_its_process_and_of_no_card(start_worker: StartWorker) -> None:
    (port,) = free_ports(1)
    start_worker("trainer", SPACER_METRICS_PORT=str(port))
    until(lambda: answers(port), "metrics are served")
    found = scraped(port)
    (info,) = [name for name in found if name.startswith("spacer_worker_info")]
    assert "pool=training" in info
    assert found["process_cpu_seconds_total"] > 0
    assert not [name for name in found if "gpu" in name]
    # a second worker cannot have the same port, and says so in one line
    ended = run_worker("workers.trainer_worker", {"SPACER_METRICS_PORT": str(port)})
    assert ended.returncode == 1
    assert f"SPACER_METRICS_PORT is {port}: metrics cannot be served" in ended.stderr
    assert ended.stderr.count("\n") == 1
