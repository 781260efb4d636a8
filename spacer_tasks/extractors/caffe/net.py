"""A net of Caffe's as a torch module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import BinaryIO

from torch import Tensor, nn

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.caffe.formats.definition import Definition, read_definition
from spacer_tasks.extractors.caffe.formats.text_format import MAX_BYTES
from spacer_tasks.extractors.caffe.formats.weights_file import WeightsFile
from spacer_tasks.extractors.caffe.layers import MAKERS, ReLU
from spacer_tasks.extractors.caffe.making import LayerWeights, Shape
from spacer_tasks.extractors.caffe.wiring import Step, Wiring, wire

#: numbers in the blobs of one image at one time: 0.5 GB. VGG16's are 6 million at most.
MAX_NUMBERS = 2**27


class CaffeNet(nn.Module):
    """The layers on the way to some blobs, run in their order in the phase TEST.

    It takes the net's one input, float32, in a batch of any size, and gives the blobs by name:
    each what the last layer that writes to it leaves there. Several threads may run it at once.

    Parameters
    ----------
    definition, weights
        Both files, read.
    blobs
        The names of the blobs to give; all where None.
    name
        Says which definition in errors.
    only_check
        Whether both files are checked and no weights are read; the net cannot be run then.

    Raises
    ------
    WeightsError
        A layer cannot be made, or its weights are not in the file; the text names the layer.
    """

    def __init__(
        self,
        definition: Definition,
        weights: WeightsFile,
        blobs: Sequence[str] | None = None,
        name: str = "the definition",
        *,
        only_check: bool = False,
    ) -> None:
        super().__init__()
        if len(definition.inputs) != 1:
            raise WeightsError(
                f"{name} has {len(definition.inputs)} inputs (`input`, or layers of the type"
                " Input), expected one"
            )
        wiring = wire(definition, name)
        unknown = sorted(set(blobs or ()) - set(wiring.values))
        if unknown:
            raise WeightsError(f"{name} has no blob {', '.join(unknown)}")
        self._outputs = {blob: wiring.values[blob] for blob in blobs or wiring.values}
        #: of one image
        self.input_shape: Shape = definition.inputs[0].shape[1:]
        shapes = self._make(wiring, weights, read=not only_check)
        #: of one image in each blob that it gives
        self.shapes = {blob: shapes[value] for blob, value in self._outputs.items()}
        self.eval()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The blobs by name, of a batch of shape (n, *input_shape)."""
        values: dict[int, Tensor] = {0: x}
        for module, (sources, target, last) in zip(self._modules_in_order, self._plan, strict=True):
            values[target] = module(*(values[source] for source in sources))
            for value in last:
                del values[value]
        return {blob: values[value] for blob, value in self._outputs.items()}

    def _make(self, wiring: Wiring, weights: WeightsFile, *, read: bool) -> dict[int, Shape]:
        """Make all layers, and keep the modules of those that are needed."""
        needed = wiring.needed_for(self._outputs)
        shapes: dict[int, Shape] = {0: self.input_shape}
        steps = []
        modules = []
        names: set[str] = set()
        for step in wiring.steps:
            is_needed = step.target in needed
            layer_weights = LayerWeights(
                step.layer, weights, read=is_needed and read, first=step.layer.name not in names
            )
            names.add(step.layer.name)
            made = MAKERS[step.layer.type](
                step.layer, [shapes[source] for source in step.sources], layer_weights
            )
            layer_weights.check_taken()
            if prod(made.shape) > MAX_NUMBERS:
                raise step.layer.error(f"its blob of shape {made.shape} is larger than any net's")
            shapes[step.target] = made.shape
            if is_needed:
                steps.append(step)
                modules.append(made.module)
        self._modules_in_order = nn.ModuleList(modules)
        self._plan = self._planned(steps, modules, shapes)
        return shapes

    def _planned(
        self, steps: Sequence[Step], modules: Sequence[nn.Module], shapes: Mapping[int, Shape]
    ) -> list[tuple[tuple[int, ...], int, list[int]]]:
        """Of each step the values that it reads, the one that it gives, and those it reads last."""
        kept = set(self._outputs.values())
        reads = Counter(source for step in steps for source in step.sources)
        last_read = {source: step.target for step in steps for source in step.sources}
        # the input is the caller's, and an identity gives what it was given
        fresh = {step.target for step in steps if step.layer.type != "Dropout"}
        plan = []
        live = prod(self.input_shape)
        for step, module in zip(steps, modules, strict=True):
            if isinstance(module, ReLU):
                (source,) = step.sources
                module.in_place = reads[source] == 1 and source in fresh and source not in kept
            live += prod(shapes[step.target])
            if live > MAX_NUMBERS:
                raise step.layer.error("the blobs of one image are larger than any net's")
            last = [v for v in set(step.sources) if last_read[v] == step.target and v not in kept]
            live -= sum(prod(shapes[value]) for value in last)
            plan.append((step.sources, step.target, last))
        return plan


def load_net(
    definition: BinaryIO,
    weights: BinaryIO,
    blobs: Sequence[str] | None = None,
    *,
    only_check: bool = False,
) -> CaffeNet:
    """The net of two open files: a `.prototxt` and a `.caffemodel`. Raises as `CaffeNet`.

    Parameters
    ----------
    blobs
        The names of the blobs that it gives; all where None.
    only_check
        Whether the weights are checked and not read.
    """
    name = "the definition (.prototxt)"
    return CaffeNet(
        read_definition(definition.read(MAX_BYTES + 1), name),
        WeightsFile(weights, "the weights file (.caffemodel)"),
        blobs,
        name,
        only_check=only_check,
    )
