"""What a worker's metrics say, and what happens where they cannot be had."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from spacer_tasks.concurrency import device_counts
from spacer_tasks.concurrency.device_counts import DeviceCounts, counted_pass, note_again
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker.metrics.card import Card
from spacer_tasks.worker.metrics.collector import WorkerCollector
from spacer_tasks.worker.metrics.serving import serve
from tests.support.simulated_cards import pynvml


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_counts, "_counts", DeviceCounts())
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)


def shown(collector: WorkerCollector) -> dict[str, float]:
    """Samples by name and labels, as whoever scrapes them reads them."""
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    return {
        sample.name
        + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_passes_are_told_by_their_patches_and_time() -> None:
    for patches in (8, 64, 64, 300):
        with counted_pass(patches):
            pass
    with pytest.raises(MemoryError), counted_pass(64):
        raise MemoryError
    note_again(3)
    found = shown(WorkerCollector("features", "cuda:1"))
    of = " device=cuda:1"
    assert found[f"spacer_gpu_pass_patches_sum{of}"] == 436
    assert found[f"spacer_gpu_pass_patches_count{of}"] == 4
    assert [
        found[f"spacer_gpu_pass_patches_bucket{of} le={le}"] for le in ("4.0", "8.0", "64.0")
    ] == [0, 1, 3]
    assert found[f"spacer_gpu_pass_patches_bucket{of} le=+Inf"] == 4
    assert found[f"spacer_gpu_pass_seconds_count{of}"] == 4
    assert found[f"spacer_gpu_failed_passes_total{of}"] == 1
    assert found[f"spacer_float32_again_patches_total{of}"] == 3


def test_a_card_says_its_use_memory_and_temperature() -> None:
    found = shown(WorkerCollector("features", "cuda:0", Card("simulated-0")))
    of = " device=cuda:0"
    assert found[f"spacer_gpu_nvml_up{of}"] == 1
    assert found[f"spacer_gpu_busy_ratio{of}"] == 0.1
    assert found[f"spacer_gpu_memory_used_bytes{of}"] == 2**30
    assert found[f"spacer_gpu_memory_total_bytes{of}"] == 2**34
    assert found[f"spacer_gpu_temperature_celsius{of}"] == 40


def test_what_a_card_does_not_say_is_left_out() -> None:
    found = shown(WorkerCollector("features", "cuda:1", Card("simulated-1")))
    assert found["spacer_gpu_busy_ratio device=cuda:1"] == 0.2
    assert not [name for name in found if "temperature" in name]


@pytest.mark.parametrize("uuid", ["other-0", "MIG-other"])
def test_a_card_that_cannot_be_asked_is_said_once(
    uuid: str, caplog: pytest.LogCaptureFixture
) -> None:
    collector = WorkerCollector("features", "cuda:0", Card(uuid))
    for _ in range(3):
        found = shown(collector)
        assert found["spacer_gpu_nvml_up device=cuda:0"] == 0
        assert not [name for name in found if "busy" in name]
    assert caplog.text.count("no metrics of the card's use") == 1


def test_without_nvidia_s_package_the_rest_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = shown(WorkerCollector("features", "cuda:0", Card("simulated-0")))
    assert found["spacer_gpu_nvml_up device=cuda:0"] == 0
    assert "spacer_gpu_pass_seconds_count device=cuda:0" in found
    assert "no metrics of the card's use" in caplog.text


def test_a_pool_without_a_network_tells_what_it_is() -> None:
    assert [name.partition(" ")[0] for name in shown(WorkerCollector("training"))] == [
        "spacer_worker_info"
    ]


@pytest.fixture
def choose(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> Callable[[str], None]:
    def chosen(port: str) -> None:
        monkeypatch.setenv("SPACER_METRICS_PORT", port)
        settings_changed()

    return chosen


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_it_is_off_by_default_and_for_this_host_alone(settings_changed: Callable[[], None]) -> None:
    settings_changed()
    assert serve("training") is None
    assert get_settings().metrics_host == "127.0.0.1"


def test_a_port_that_is_taken_is_a_config_error(choose: Any, taken: int) -> None:
    choose(str(taken))
    with pytest.raises(ConfigError, match=f"SPACER_METRICS_PORT is {taken}: .*Address already"):
        serve("training")


def test_an_address_of_another_host_is_a_config_error(
    choose: Any, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACER_METRICS_HOST", "192.0.2.1")
    choose(str(taken))
    with pytest.raises(ConfigError, match=r"cannot be served at 192\.0\.2\.1"):
        serve("training")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_what_is_no_port_is_refused(port: str, choose: Any) -> None:
    choose(port)
    with pytest.raises(ConfigError, match="SPACER_METRICS_PORT"):
        serve("training")


def test_a_library_that_is_not_there_is_a_config_error(
    choose: Any, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    choose(str(taken))
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match="install spacer-tasks"):
        serve("training")
