"""What a classifier said of the validation set, in the reference's JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    field_validator,
    model_validator,
)

from spacer_tasks.data_classes.labels import LabelId
from spacer_tasks.data_classes.plain_values import plain


class ValResults(BaseModel):
    """What a classifier answered on the validation set: the reference's `valresult` JSON.

    `gt` and `est` are indices into `classes`; `scores` holds the highest probability of each
    point.
    """

    model_config = ConfigDict(extra="forbid")

    scores: Annotated[list[float], BeforeValidator(plain)]
    gt: Annotated[list[int], BeforeValidator(plain)]
    est: Annotated[list[int], BeforeValidator(plain)]
    classes: Annotated[list[LabelId], BeforeValidator(plain)]

    @field_validator("classes")
    @classmethod
    def _not_empty(cls, classes: list[LabelId]) -> list[LabelId]:
        if not classes:
            raise ValueError("classes is empty")
        return classes

    @model_validator(mode="after")
    def _consistent(self) -> ValResults:
        if not len(self.scores) == len(self.gt) == len(self.est):
            raise ValueError(
                f"scores, gt and est have {len(self.scores)}, {len(self.gt)} and {len(self.est)}"
                " entries; expected the same number"
            )
        for name in ("gt", "est"):
            indices: list[int] = getattr(self, name)
            if indices and not 0 <= min(indices) <= max(indices) < len(self.classes):
                raise ValueError(f"{name} has an index outside 0 to {len(self.classes) - 1}")
        return self
