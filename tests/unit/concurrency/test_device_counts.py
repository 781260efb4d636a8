"""What is counted of the passes of networks."""

from __future__ import annotations

import pytest

from spacer_tasks.concurrency import device_counts
from spacer_tasks.concurrency.device_counts import Histogram, counted_pass, so_far


def test_a_value_counts_where_its_bound_is_and_beyond_all_in_the_last() -> None:
    found = Histogram((1.0, 10.0))
    for value in (0.5, 1.0, 2, 10, 11):
        found.add(value)
    assert found.counts == [2, 2, 1]
    assert found.total == 24.5


def test_passes_are_counted_with_their_patches_and_failed_ones_apart() -> None:
    before = so_far()
    with counted_pass(5):
        pass
    with pytest.raises(ValueError, match="simulated"), counted_pass(64):
        raise ValueError("simulated")
    after = so_far()
    assert after.failed_passes - before.failed_passes == 1
    assert after.pass_patches.total - before.pass_patches.total == 5
    assert sum(after.pass_s.counts) - sum(before.pass_s.counts) == 1
    device_counts.note_again(3)
    assert so_far().patches_again - after.patches_again == 3
    # a copy: what was read does not change
    assert sum(after.pass_s.counts) == sum(before.pass_s.counts) + 1
