"""A definition is read as Caffe reads it: its text, its inputs, what runs in the phase TEST."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.caffe.formats import definition as definition_module
from spacer_tasks.extractors.caffe.formats.definition import Definition, Layer, read_definition
from spacer_tasks.extractors.caffe.formats.text_format import Scalar, parse_text
from tests.support.files.caffemodels import FIXTURES

INPUT = 'input: "data" input_shape { dim: 1 dim: 3 }'
RELU = '\nlayer { name: "relu" type: "ReLU" bottom: "data" top: "out" %s }'


def read(text: str) -> Definition:
    return read_definition(text.encode(), "net.prototxt")


def plain(value: Any) -> Any:
    """A tree of the text format as lists and texts."""
    if isinstance(value, Scalar):
        return value.text
    return {name: [plain(each) for each in values] for name, values in value.items()}


# --- the text ------------------------------------------------------------------------------------


def test_every_way_to_write_a_value() -> None:
    text = r"""# a comment
        a: 1 a: -0x1F, a: [2, 3]; a: []
        b: 'one' "two" # beside each other
           ' "three" \n\x41\101\'\"'
        c { d: .5e-3f e < f: MAX > } c: { }
        c{d:1}c<>
    """
    assert plain(parse_text(text.encode(), "net")) == {
        "a": ["1", "-0x1F", "2", "3"],
        "b": ['onetwo "three" \nAA\'"'],
        "c": [{"d": [".5e-3f"], "e": [{"f": ["MAX"]}]}, {}, {"d": ["1"]}, {}],
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1\nb", "line 2: expected ':' or '{' after b, found the end"),
        ("a {\n b: 1", "line 2: expected a name or '}', found the end"),
        ("a { b: 1 >", "line 1: expected a name or '}', found >"),
        ("a < b: 1 }", "line 1: expected a name or '>', found }"),
        ("a: }", "line 1: expected a value, found }"),
        ("a: [1 2]", "line 1: expected ',' or ']', found 2"),
        ("a: [1,", "line 1: expected a value, found the end"),
        ("1: 2", "line 1: expected a name, found 1"),
        ("}", "line 1: expected a name, found }"),
        ("\n\na: 'open", 'line 3: "\'open" is not of a .prototxt'),
        ("a: \x00", "line 1: '\\x00' is not of a .prototxt"),
        ("a: " + 300 * "9", "line 1: 99999999999999999999… is too long"),
        ("a {" * 20, "line 1: messages are nested more than 16 deep, found {"),
        ("a: '\\xff'", "line 1: '\\xff' is not UTF-8"),
    ],
)
def test_what_is_not_in_the_text_format_is_told_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(WeightsError) as caught:
        parse_text(text.encode(), "net.prototxt")
    assert str(caught.value) == f"net.prototxt, {fault}"


def test_what_is_no_text_or_too_long() -> None:
    with pytest.raises(WeightsError, match=r"is not a text; expected a \.prototxt"):
        parse_text(b"\xff\xfe\x00", "net.prototxt")
    with pytest.raises(WeightsError, match="more than the 2097152 bytes"):
        parse_text(b"#" * (2**21 + 1), "net.prototxt")


def slope_of(layer: Layer) -> float:
    options = layer.options("relu_param")
    slope = options.number("negative_slope", 0)
    options.check_all_known()
    return slope


@pytest.mark.parametrize(
    ("option", "fault"),
    [
        ("negative_slope: '1'", "negative_slope in line 2 is '1', expected a number"),
        ("negative_slope: nan", "negative_slope in line 2 is 'nan', expected a number"),
        ("negative_slope: 1e999", "negative_slope in line 2 is '1e999', expected a finite number"),
        ("negative_slope: 1 negative_slope: 2", "negative_slope is set 2 times"),
        ("negative_slope { }", "negative_slope is a message, expected a value"),
        ("slope: 1", "no field slope is known"),
    ],
)
def test_an_option_that_is_none_is_told_with_its_layer(option: str, fault: str) -> None:
    layer = read(INPUT + RELU % f"relu_param {{ {option} }}").layers[0]
    with pytest.raises(WeightsError, match=r"layer relu \(ReLU\): relu_param: ") as caught:
        slope_of(layer)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"), [("12", 12), ("0x10", 16), ("010", 8), ("-3", -3), ("0", 0)]
)
def test_integers_are_written_as_in_c(written: str, value: int) -> None:
    layer = read(INPUT + RELU % f"relu_param {{ engine: {written} }}").layers[0]
    assert layer.options("relu_param").integer("engine", least=-5) == value


def test_a_choice_may_be_written_as_its_number() -> None:
    layer = read(INPUT + RELU % "relu_param { engine: 2 }").layers[0]
    choices = {"DEFAULT": 0, "CAFFE": 1, "CUDNN": 2}
    assert layer.options("relu_param").choice("engine", choices, "DEFAULT") == "CUDNN"


# --- inputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        'input: "data" input_dim: 10 input_dim: 3 input_dim: 8 input_dim: 9',
        'input: "data" input_shape { dim: 10 dim: 3 dim: 8 dim: 9 }',
        'input: "data" input_shape { dim: [10, 3, 8, 9] }',
        'layer { type: "Input" top: "data" input_param { shape { dim: [10, 3, 8, 9] } } }',
    ],
)
def test_an_input_is_in_the_header_or_a_layer(header: str) -> None:
    (given,) = read(header + RELU % "").inputs
    assert (given.blob, given.shape) == ("data", (10, 3, 8, 9))


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ('input: "data"', "1 `input` with 0 shapes"),
        ('input: "data" input_dim: 1 input_dim: 3', "1 `input` with 0 shapes"),
        (
            'input: "data" input_shape { dim: 0 }',
            "dim in line 1 is '0', expected an integer from 1",
        ),
        ('input: "data" input_shape { }', "0 dimensions, expected 1 to 32"),
        ('layer { name: "in" type: "Input" top: "data" }', "layer in (Input): 1 blobs with 0 shap"),
        (
            'input: "data" input_shape { dim: 9999999999 }',
            "expected an integer from 1 to 2147483647",
        ),
    ],
)
def test_an_input_without_a_shape(header: str, fault: str) -> None:
    with pytest.raises(WeightsError) as caught:
        read(header + RELU % "")
    assert fault in str(caught.value)


# --- what runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "runs"),
    [
        ("", True),
        ("include { phase: TEST }", True),
        ("include { phase: 1 }", True),
        ("include { phase: TRAIN }", False),
        ("include { phase: TRAIN } include { phase: TEST }", True),
        ("include { phase: TRAIN } include { min_level: 1 }", False),
        ("include { }", True),
        ("exclude { phase: TEST }", False),
        ("exclude { phase: TRAIN }", True),
        ("exclude { phase: TRAIN } exclude { }", False),
        ("include { min_level: 1 }", False),
        ("include { max_level: 0 }", True),
        ("include { max_level: -1 }", False),
        ('include { stage: "deploy" }', False),
        ('include { not_stage: "deploy" }', True),
        ('exclude { phase: TEST not_stage: "deploy" }', False),
    ],
)
def test_rules_say_whether_a_layer_runs(rules: str, runs: bool) -> None:
    other = 'layer { name: "other" type: "ReLU" bottom: "data" top: "b" }'
    names = [layer.name for layer in read(INPUT + RELU % rules + other).layers]
    assert names == (["relu"] if runs else []) + ["other"]


def test_the_file_s_state_counts_but_for_its_phase() -> None:
    state = 'state { phase: TRAIN level: 2 stage: "deploy" }'
    rules = 'include { phase: TEST min_level: 1 stage: "deploy" }'
    assert [layer.name for layer in read(state + INPUT + RELU % rules).layers] == ["relu"]


def test_include_and_exclude_rules_together_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"layer relu \(ReLU\): it has include and exclude"):
        read(INPUT + RELU % "include { } exclude { }")


def test_layers_for_data_and_losses_are_ignored() -> None:
    text = (
        INPUT
        + RELU % ""
        + "".join(
            f'layer {{ name: "{each}" type: "{each}" bottom: "nowhere" top: "data" {option} }}'
            for each, option in [
                ("Data", 'data_param { source: "db" backend: LMDB batch_size: 5 }'),
                ("SoftmaxWithLoss", "loss_weight: 1 loss_param { normalization: VALID }"),
                ("Accuracy", "accuracy_param { top_k: 5 }"),
            ]
        )
    )
    assert [layer.name for layer in read(text).layers] == ["relu"]


def test_older_types_have_the_names_of_today() -> None:
    text = (
        INPUT
        + """
        layers { name: "conv" type: CONVOLUTION bottom: "data" top: "a" blobs_lr: 1 param: "w"
                 weight_decay: 0 convolution_param { num_output: 1 kernel_size: 1 } }
        layers { name: "pool" type: 17 bottom: "a" top: "b" }
        layers { name: "loss" type: SOFTMAX_LOSS bottom: "b" bottom: "label" }
    """
    )
    found = [(layer.name, layer.type, layer.weights) for layer in read(text).layers]
    assert found == [("conv", "Convolution", ("w",)), ("pool", "Pooling", ())]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it has no layers"),
        (INPUT, "it has no layers"),
        (INPUT + 'layers { name: "a" type: "ReLU" }', "layer a: type in line 1 is 'ReLU', expec"),
        (
            INPUT + 'layers { name: "a" type: NEW }',
            "layer a: type in line 1 is 'NEW', expected one",
        ),
        (INPUT + 'layers { name: "a" }', "layer a: type is missing"),
        (
            INPUT + 'layer { name: "a" type: RELU }',
            "layer a: type in line 1 is 'RELU', expected a t",
        ),
        (INPUT + 'layer { bottom: "a" }', "layer 0: type is missing"),
        (INPUT + RELU % "bottoms: 'a'", "layer relu (ReLU): no field bottoms is known"),
        (INPUT + RELU % "" + "solver: 1", "no field solver is known"),
        (INPUT + RELU % "" + 'layers { name: "b" type: RELU }', "both `layer` and `layers`"),
        (INPUT + 'layers { layer { name: "a" type: "conv" } }', "upgrade_net_proto_text"),
        ("net: 'train.prototxt' base_lr: 0.1", "no field net is known"),
    ],
)
def test_what_is_no_definition(text: str, fault: str) -> None:
    with pytest.raises(WeightsError, match=r"net\.prototxt") as caught:
        read(text)
    assert fault in str(caught.value)


def test_a_net_of_too_many_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definition_module, "MAX_LAYERS", 2)
    with pytest.raises(WeightsError, match="more than 2 layers"):
        read(INPUT + RELU % "" + RELU % "")


def test_both_formats_of_a_net_say_the_same() -> None:
    current, older = (
        read_definition((FIXTURES / f"{name}.prototxt").read_bytes(), name)
        for name in ("tiny_vgg16", "tiny_vgg16_v1")
    )
    assert current.inputs == older.inputs
    assert [(layer.name, layer.type, layer.bottoms, layer.tops) for layer in current.layers] == [
        (layer.name, layer.type, layer.bottoms, layer.tops) for layer in older.layers
    ]
    assert len(current.layers) == 39
