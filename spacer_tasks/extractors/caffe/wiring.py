"""Which layer reads what which layer wrote.

A layer that writes to a blob that it reads (in place) gives a new value under the old name: who
comes after it reads the new value, and whoever takes the blob from the net gets the last one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.caffe.formats.definition import Definition, Layer
from spacer_tasks.extractors.caffe.layers import IN_PLACE_TYPES, MAKERS


@dataclass(frozen=True)
class Step:
    """A layer, the numbers of the values that it reads, and that of the value that it gives."""

    layer: Layer
    sources: tuple[int, ...]
    target: int


@dataclass(frozen=True)
class Wiring:
    """Values are numbered: those of the net's inputs first, then one for each layer."""

    steps: tuple[Step, ...]
    #: the last value of each blob
    values: dict[str, int]

    def needed_for(self, blobs: Collection[str]) -> set[int]:
        """The values that some blobs are computed from, and their own."""
        needed = {self.values[blob] for blob in blobs}
        for step in reversed(self.steps):
            if step.target in needed:
                needed.update(step.sources)
        return needed


def wire(definition: Definition, name: str) -> Wiring:
    """How the layers of a net are wired; `name` says which file in errors.

    Raises
    ------
    WeightsError
        A layer is of an unknown type, reads what none before it wrote, or writes what another did.
    """
    values: dict[str, int] = {}
    for number, given in enumerate(definition.inputs):
        if given.blob in values:
            raise WeightsError(f"{name}: two inputs are named {given.blob}")
        values[given.blob] = number
    steps = []
    shared: set[str] = set()
    for target, layer in enumerate(definition.layers, start=len(values)):
        if layer.type not in MAKERS:
            raise layer.error(
                f"layers of the type {layer.type} are not known; known are"
                f" {', '.join(sorted(MAKERS))}"
            )
        if len(layer.tops) != 1:
            raise layer.error(f"it gives {len(layer.tops)} blobs, expected one")
        if shared & set(layer.weights):
            raise layer.error("it shares weights with another layer, which is not known here")
        shared.update(layer.weights)
        for bottom in layer.bottoms:
            if bottom not in values:
                raise layer.error(f"no layer or input before it gives its blob {bottom}")
        (top,) = layer.tops
        in_place = layer.bottoms[:1] == (top,)
        if top in values and not (in_place and layer.type in IN_PLACE_TYPES):
            raise layer.error(f"its blob {top} is already given by another layer or input")
        steps.append(Step(layer, tuple(values[bottom] for bottom in layer.bottoms), target))
        values[top] = target
    return Wiring(tuple(steps), values)
