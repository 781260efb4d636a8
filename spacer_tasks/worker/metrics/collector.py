"""The metrics, as Prometheus takes them.

Counts are kept where things happen (`concurrency/device_counts.py`) and read here when somebody
asks: work never waits for a metric, and what counts needs no metrics library.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from spacer_tasks.concurrency import device_counts
from spacer_tasks.concurrency.device_counts import Histogram
from spacer_tasks.version import __version__
from spacer_tasks.worker.metrics.card import Card


class WorkerCollector(Collector):
    """Of one worker process.

    Parameters
    ----------
    pool
        Its pool.
    device
        Where its networks run, such as `cuda:0`; None for a pool that runs none.
    card
        The card, where that is one.
    """

    def __init__(self, pool: str, device: str | None = None, card: Card | None = None) -> None:
        self._pool, self._device, self._card = pool, device, card

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        info = {"pool": self._pool, "device": self._device or "", "version": __version__}
        yield InfoMetricFamily("spacer_worker", "What this worker is", info)
        if self._device is not None:
            yield from self._of_passes(self._device)
        if self._device is not None and self._card is not None:
            yield from self._of_card(self._device, self._card)

    def _of_passes(self, device: str) -> Iterator[Metric]:
        counts = device_counts.so_far()
        for name, text, found in (
            ("pass_seconds", "Passes of networks on a GPU, by their time", counts.pass_s),
            ("pass_patches", "Passes on a GPU, by their patches", counts.pass_patches),
        ):
            family = HistogramMetricFamily(f"spacer_gpu_{name}", text, labels=["device"])
            family.add_metric([device], _buckets(found), found.total)
            yield family
        for name, text, count in (
            ("spacer_gpu_failed_passes", "Passes on a GPU that failed", counts.failed_passes),
            (
                "spacer_float32_again_patches",
                "Patches that were not finite in 16 bits and computed again in float32",
                counts.patches_again,
            ),
        ):
            counter = CounterMetricFamily(name, text, labels=["device"])
            counter.add_metric([device], count)
            yield counter

    def _of_card(self, device: str, card: Card) -> Iterator[Metric]:
        reading = card.read()
        answers = GaugeMetricFamily(
            "spacer_gpu_nvml_up",
            "Whether the card could be asked (1) or not (0)",
            labels=["device"],
        )
        answers.add_metric([device], reading is not None)
        yield answers
        if reading is None:
            return
        for name, text, value in (
            ("busy_ratio", "Share of time in which any process used the card", reading.busy),
            (
                "memory_used_bytes",
                "Memory of the card in use, of all processes",
                reading.memory_used,
            ),
            ("memory_total_bytes", "Memory of the card", reading.memory_total),
            ("temperature_celsius", "Temperature of the card", reading.temperature),
        ):
            if value is not None:
                gauge = GaugeMetricFamily(f"spacer_gpu_{name}", text, labels=["device"])
                gauge.add_metric([device], value)
                yield gauge


def _buckets(found: Histogram) -> list[tuple[str, float]]:
    """How many values were not above each bound, and in all."""
    buckets, so_far = [], 0
    for bound, count in zip((*found.bounds, float("inf")), found.counts, strict=True):
        so_far += count
        buckets.append((_as_text(bound), float(so_far)))
    return buckets


def _as_text(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)
