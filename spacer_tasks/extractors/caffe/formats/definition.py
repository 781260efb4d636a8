"""A net's definition (`.prototxt`): its inputs and layers as they run in the phase TEST.

What older formats say is put in the words of the current one: inputs in the header become what an
Input layer gives, and the types of `layers { type: CONVOLUTION }` (V1) the names of today. Field
names and numbers are those of Caffe's `caffe.proto`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.caffe.formats.fields import Fields
from spacer_tasks.extractors.caffe.formats.text_format import parse_text

#: layers and inputs of one net; the deepest nets in use have under 2000
MAX_LAYERS = 10_000
#: axes of a blob in Caffe (`kMaxBlobAxes`)
MAX_AXES = 32
TRAIN, TEST = "TRAIN", "TEST"
_PHASES = {TRAIN: 0, TEST: 1}
#: types of the format V1, by name: (number, the name of today)
V1_TYPES = {
    "NONE": (0, ""),
    "ACCURACY": (1, "Accuracy"),
    "BNLL": (2, "BNLL"),
    "CONCAT": (3, "Concat"),
    "CONVOLUTION": (4, "Convolution"),
    "DATA": (5, "Data"),
    "DROPOUT": (6, "Dropout"),
    "EUCLIDEAN_LOSS": (7, "EuclideanLoss"),
    "FLATTEN": (8, "Flatten"),
    "HDF5_DATA": (9, "HDF5Data"),
    "HDF5_OUTPUT": (10, "HDF5Output"),
    "IM2COL": (11, "Im2col"),
    "IMAGE_DATA": (12, "ImageData"),
    "INFOGAIN_LOSS": (13, "InfogainLoss"),
    "INNER_PRODUCT": (14, "InnerProduct"),
    "LRN": (15, "LRN"),
    "MULTINOMIAL_LOGISTIC_LOSS": (16, "MultinomialLogisticLoss"),
    "POOLING": (17, "Pooling"),
    "RELU": (18, "ReLU"),
    "SIGMOID": (19, "Sigmoid"),
    "SOFTMAX": (20, "Softmax"),
    "SOFTMAX_LOSS": (21, "SoftmaxWithLoss"),
    "SPLIT": (22, "Split"),
    "TANH": (23, "TanH"),
    "WINDOW_DATA": (24, "WindowData"),
    "ELTWISE": (25, "Eltwise"),
    "POWER": (26, "Power"),
    "SIGMOID_CROSS_ENTROPY_LOSS": (27, "SigmoidCrossEntropyLoss"),
    "HINGE_LOSS": (28, "HingeLoss"),
    "MEMORY_DATA": (29, "MemoryData"),
    "ARGMAX": (30, "ArgMax"),
    "THRESHOLD": (31, "Threshold"),
    "DUMMY_DATA": (32, "DummyData"),
    "SLICE": (33, "Slice"),
    "MVN": (34, "MVN"),
    "ABSVAL": (35, "AbsVal"),
    "SILENCE": (36, "Silence"),
    "CONTRASTIVE_LOSS": (37, "ContrastiveLoss"),
    "EXP": (38, "Exp"),
    "DECONVOLUTION": (39, "Deconvolution"),
}
#: layers that bring training data, measure or report: not on the way to any feature
IGNORED_TYPES = {
    "Accuracy",
    "ContrastiveLoss",
    "Data",
    "DummyData",
    "EuclideanLoss",
    "HDF5Data",
    "HDF5Output",
    "HingeLoss",
    "ImageData",
    "InfogainLoss",
    "MemoryData",
    "MultinomialLogisticLoss",
    "SigmoidCrossEntropyLoss",
    "Silence",
    "SoftmaxWithLoss",
    "WindowData",
}
#: of a layer, for training only
_TRAINING_FIELDS = (
    "loss_weight",
    "propagate_down",
    "blobs",
    "blobs_lr",
    "weight_decay",
    "blob_share_mode",
)
#: options of other types of layers, which a layer may have without effect
_OPTIONS = re.compile(r"[a-z0-9_]+_param")


@dataclass(frozen=True)
class Input:
    """A blob that is given: its name, and its shape with the batch size that the file says."""

    blob: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer that runs in the phase TEST. `options` is called with the name of its message."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    phase: str
    #: names of its weights, by which layers share them
    weights: tuple[str, ...]
    fields: Fields

    def options(self, name: str) -> Fields:
        """The layer's options, as `convolution_param`."""
        return self.fields.message(name)

    def error(self, text: str) -> WeightsError:
        """An error that names the layer."""
        return self.fields.error(text)


@dataclass(frozen=True)
class Definition:
    """Inputs and layers, in the order that they run in."""

    name: str
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]


def read_definition(data: bytes, name: str) -> Definition:
    """The definition in a `.prototxt`; `name` says which file in errors.

    Raises
    ------
    WeightsError
        It is no definition of a net; the text names the line or the layer.
    """
    root = Fields(parse_text(data, name), name)
    root.ignore(("force_backward", "debug_info"))
    net_name = root.text("name", "")
    state = _state(root.message("state"))
    inputs = _header_inputs(root)
    current, older = root.messages("layer"), root.messages("layers")
    root.check_all_known()
    if current and older:
        raise root.error("it has both `layer` and `layers`, the current format and the one before")
    if len(current or older) + len(inputs) > MAX_LAYERS:
        raise root.error(f"it has more than {MAX_LAYERS} layers")
    layers = []
    for number, fields in enumerate(current or older):
        layer = _layer(fields, name, number, is_v1=bool(older))
        if not _included(fields, state) or layer.type in IGNORED_TYPES:
            continue
        if layer.type == "Input":
            inputs += _layer_inputs(layer)
            continue
        layers.append(layer)
    if not layers:
        raise root.error("it has no layers; expected a net's definition (.prototxt)")
    return Definition(net_name, tuple(inputs), tuple(layers))


def _layer(fields: Fields, name: str, number: int, *, is_v1: bool) -> Layer:
    if is_v1 and fields.has("layer"):
        raise fields.error(
            "it is in the format V0, from before 2014; Caffe's tool upgrade_net_proto_text makes a"
            " current one of it"
        )
    layer_name = fields.text("name", "")
    fields.where = f"{name}: layer {layer_name or number}"
    if is_v1:
        numbers = {v1: number for v1, (number, _) in V1_TYPES.items()}
        layer_type = V1_TYPES[fields.choice("type", numbers, "NONE")][1]
    else:
        layer_type = fields.text("type", "")
    if not layer_type:
        raise fields.error("type is missing")
    fields.where += f" ({layer_type})"
    fields.ignore((*_TRAINING_FIELDS, "include", "exclude"))
    weights = fields.texts("param") if is_v1 else _weight_names(fields)
    layer = Layer(
        layer_name,
        layer_type,
        tuple(fields.texts("bottom")),
        tuple(fields.texts("top")),
        fields.choice("phase", _PHASES, TEST),
        tuple(filter(None, weights)),
        fields,
    )
    fields.check_all_known(also=_OPTIONS)
    return layer


def _weight_names(fields: Fields) -> list[str]:
    names = []
    for param in fields.messages("param"):
        names.append(param.text("name", ""))
        param.ignore(("share_mode", "lr_mult", "decay_mult"))
        param.check_all_known()
    return names


# --- inputs ------------------------------------------------------------------------------------


def _header_inputs(root: Fields) -> list[Input]:
    """What the header says: `input` with `input_shape`, or with four `input_dim` each."""
    blobs = root.texts("input")
    shapes = [_shape(fields) for fields in root.messages("input_shape")]
    dims = root.integers("input_dim", least=1)
    if not shapes and len(dims) % 4 == 0:
        shapes = [tuple(dims[start : start + 4]) for start in range(0, len(dims), 4)]
    if len(shapes) != len(blobs):
        raise root.error(
            f"{len(blobs)} `input` with {len(shapes)} shapes; each needs `input_shape` or four"
            " `input_dim`"
        )
    return [Input(blob, shape) for blob, shape in zip(blobs, shapes, strict=True)]


def _layer_inputs(layer: Layer) -> list[Input]:
    options = layer.options("input_param")
    shapes = [_shape(fields) for fields in options.messages("shape")]
    options.check_all_known()
    if len(shapes) == 1:
        shapes *= len(layer.tops)
    if len(shapes) != len(layer.tops) or not shapes:
        raise layer.error(f"{len(layer.tops)} blobs with {len(shapes)} shapes")
    return [Input(blob, shape) for blob, shape in zip(layer.tops, shapes, strict=True)]


def _shape(fields: Fields) -> tuple[int, ...]:
    dims = fields.integers("dim", least=1)
    fields.check_all_known()
    if not 1 <= len(dims) <= MAX_AXES:
        raise fields.error(f"{len(dims)} dimensions, expected 1 to {MAX_AXES}")
    return tuple(dims)


# --- rules of phases ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    level: int
    stages: frozenset[str]


def _state(fields: Fields) -> _State:
    # whoever runs a net sets its phase; level and stages are the file's
    fields.ignore(("phase",))
    state = _State(fields.integer("level", 0, least=-(2**31)), frozenset(fields.texts("stage")))
    fields.check_all_known()
    return state


def _included(layer: Fields, state: _State) -> bool:
    """Whether a layer is in the net: it meets an include rule if it has any, or no exclude rule."""
    include = [_meets(rule, state) for rule in layer.messages("include")]
    exclude = [_meets(rule, state) for rule in layer.messages("exclude")]
    if include and exclude:
        raise layer.error("it has include and exclude rules; Caffe takes one kind")
    return any(include) if include else not any(exclude)


def _meets(rule: Fields, state: _State) -> bool:
    least = -(2**31)
    met = (
        rule.choice("phase", _PHASES, TEST) == TEST
        and rule.integer("min_level", state.level, least=least) <= state.level
        and rule.integer("max_level", state.level, least=least) >= state.level
    )
    met = met and set(rule.texts("stage")) <= state.stages
    met = met and not set(rule.texts("not_stage")) & state.stages
    rule.ignore(("min_level", "max_level", "stage", "not_stage"))
    rule.check_all_known()
    return met
