"""The simulation of workers that share cores and a card: its figures."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest

from benchmarks import busy_device
from benchmarks.busy_device import CARDS, PHOTOS, Device, measure

H200, LARGE, SMALL = CARDS["h200"], PHOTOS["large"], PHOTOS["small"]


def test_a_slow_machine_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = measure(4, 6, 2, SMALL, H200)
    passed = Device.__call__

    def slowly(self: Device, patches: Any) -> Any:
        time.sleep(random.uniform(0, 0.002))
        return passed(self, patches)

    monkeypatch.setattr(Device, "__call__", slowly)
    assert measure(4, 6, 2, SMALL, H200) == expected


def test_one_thread_takes_the_sum_of_its_waits() -> None:
    found = measure(16, 1, 1, LARGE, H200)
    image_s = (
        busy_device.DOWNLOAD_S
        + LARGE.locked_s
        + LARGE.decode_s
        + busy_device.WAIT_S
        + busy_device.POINTS * LARGE.cut_s
        + H200.call_s
        + busy_device.POINTS * H200.patch_s
        + busy_device.UPLOAD_S
    )
    # the waits vary about their means
    assert found.images == pytest.approx(1 / image_s, rel=0.1)
    assert found.patches == busy_device.POINTS


@pytest.mark.parametrize("processes", [1, 2])
def test_python_s_lock_bounds_one_process_and_not_two(processes: int) -> None:
    found = measure(16, 16, processes, SMALL, H200)
    assert found.images <= 1.05 * processes / SMALL.locked_s
    assert found.images >= 0.9 * processes / SMALL.locked_s


def test_no_share_is_more_than_all_there_is() -> None:
    for photo in PHOTOS.values():
        found = measure(4, 16, 2, photo, CARDS["2020"])
        for share in (found.cores, found.locks, found.device):
            # cores and locks by the means of what varies
            assert 0 < share < 1.03


def test_a_card_s_best_rate_is_of_many_patches() -> None:
    # docs/gpu.md: 9,052 patches a second, 256 at a time
    assert pytest.approx(9052, rel=0.02) == H200.best
    assert np.isclose(H200.best, 256 / (H200.call_s + 256 * H200.patch_s))
