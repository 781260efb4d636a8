"""Labels that a training was given and did not learn."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from spacer_tasks.data_classes.labels import LabelId


class LeftOutLabel(BaseModel):
    """A label, its points in each set, and why it was left out."""

    model_config = ConfigDict(extra="ignore")

    label: LabelId
    point_count: int
    reason: str


class LeftOut(BaseModel):
    """What the figures of a training do not speak of.

    `point_share` is the share of all labelled points whose labels were learned, from 0 to 1.
    """

    model_config = ConfigDict(extra="ignore")

    labels: list[LeftOutLabel]
    point_count: int
    point_share: float

    def text(self) -> str:
        """What was left out, in one line."""
        shown = ", ".join(
            f"{each.label} ({each.point_count}: {each.reason})" for each in self.labels
        )
        one = len(self.labels) == 1
        return (
            f"{len(self.labels)} label{'' if one else 's'} with {self.point_count:,} points"
            f" {'was' if one else 'were'} not learned: {shown}."
            f" The accuracy speaks of the labels of {self.point_share:.1%} of the labelled points"
        )

    def advice(self) -> str:
        """What to do, in one line."""
        return (
            "a label needs points in both the train and the ref set: give it more points on more"
            " photos (three at least), larger --ratios, --split-mode labels, or join it with"
            " another label"
        )


def left_out_labels(
    sets: Mapping[str, Mapping[LabelId, int]], learned: set[LabelId], counts: Mapping[LabelId, int]
) -> LeftOut | None:
    """The labels that are not learned; None where all are.

    Parameters
    ----------
    sets
        Points of each label, in each set.
    learned
        The labels that are kept.
    counts
        Points of each label before the split.
    """
    lost = {label: count for label, count in counts.items() if label not in learned and count}
    total = sum(counts.values())
    if not lost or not total:
        return None
    labels = []
    for label, count in sorted(lost.items(), key=lambda each: (-each[1], str(each[0]))):
        without = [name for name in ("train", "ref") if not sets.get(name, {}).get(label)]
        reason = f"none in {' and '.join(without)}" if without else "not accepted"
        labels.append(LeftOutLabel(label=label, point_count=count, reason=reason))
    points = sum(lost.values())
    return LeftOut(labels=labels, point_count=points, point_share=1 - points / total)
