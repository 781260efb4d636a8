"""Each layer by itself: what it computes, and what it refuses by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spacer_tasks.exceptions import WeightsError
from spacer_tasks.extractors.caffe.net import CaffeNet, load_net
from tests.support.files.caffemodels import caffemodel, one_layer

Array = NDArray[Any]
RNG = np.random.default_rng(0)


def net_of(definition: str, layers: Mapping[str, Sequence[Array]] | None = None) -> CaffeNet:
    # a file of a net without weights has its layers all the same
    weights = caffemodel({"data": [], **(layers or {})})
    return load_net(BytesIO(definition.encode()), BytesIO(weights))


def computed(
    definition: str, batch: Array, layers: Mapping[str, Sequence[Array]] | None = None
) -> Array:
    with torch.inference_mode():
        out: Array = net_of(definition, layers)(torch.from_numpy(batch))["out"].numpy()
    return out


def numbers(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def assert_agree(found: Array, expected: Array) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))


# --- pooling: as Caffe's loops say it ------------------------------------------------------------


def pooled_as_caffe_does(
    x: Array, kernel: int, stride: int, pad: int, largest: bool
) -> Array | None:
    """Window by window; None where Caffe has no windows."""
    n, channels, *lengths = x.shape
    counts = [int(np.ceil((length + 2 * pad - kernel) / stride)) + 1 for length in lengths]
    if pad:
        counts = [
            count - ((count - 1) * stride >= length + pad)
            for count, length in zip(counts, lengths, strict=True)
        ]
    if min(counts) < 1:
        return None
    out = np.empty((n, channels, *counts), np.float32)
    for row, column in product(*map(range, counts)):
        starts = [row * stride - pad, column * stride - pad]
        ends = [min(s + kernel, length + pad) for s, length in zip(starts, lengths, strict=True)]
        size = (ends[0] - starts[0]) * (ends[1] - starts[1])
        (top, left), (bottom, right) = (
            [max(0, start) for start in starts],
            [min(end, length) for end, length in zip(ends, lengths, strict=True)],
        )
        window = x[:, :, top:bottom, left:right].reshape(n, channels, -1)
        if largest:
            lowest = np.finfo(np.float32).min
            out[:, :, row, column] = window.max(axis=2, initial=lowest)
        else:
            with np.errstate(invalid="ignore"):
                out[:, :, row, column] = window.sum(axis=2) / np.float32(size)
    return out


@pytest.mark.parametrize("largest", [True, False])
def test_windows_at_the_edges_are_caffe_s(largest: bool) -> None:
    x = numbers(2, 3, 7, 4)
    seen = 0
    for kernel, stride, pad in product(range(1, 10), range(1, 6), range(4)):
        if pad >= kernel:
            continue
        options = f"kernel_size: {kernel} stride: {stride} pad: {pad}"
        method = "MAX" if largest else "AVE"
        text = one_layer("Pooling", f"pooling_param {{ pool: {method} {options} }}", x.shape)
        expected = pooled_as_caffe_does(x, kernel, stride, pad, largest)
        if expected is None:
            with pytest.raises(WeightsError, match=r"layer it .*windows are larger than the 7 x 4"):
                net_of(text)
            continue
        assert_agree(computed(text, x), expected)
        seen += 1
    assert seen > 100


def test_rounding_down_and_rows_unlike_columns() -> None:
    x = numbers(1, 2, 8, 9)
    options = "pool: MAX kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 round_mode: FLOOR"
    found = computed(one_layer("Pooling", f"pooling_param {{ {options} }}", x.shape), x)
    assert found.shape == (1, 2, 3, 3)
    assert_agree(found[:, :, 2, 1], x[:, :, 4:7, 3:5].max(axis=(2, 3)))


def test_global_pooling_takes_the_whole_image() -> None:
    x = numbers(2, 3, 5, 6)
    for method, expected in (("MAX", x.max(axis=(2, 3))), ("AVE", x.mean(axis=(2, 3)))):
        options = f"pooling_param {{ pool: {method} global_pooling: true }}"
        assert_agree(computed(one_layer("Pooling", options), x), expected[:, :, None, None])


# --- layers with weights -------------------------------------------------------------------------


def test_convolution_with_groups_dilation_and_unlike_sides() -> None:
    x = numbers(2, 4, 9, 8)
    weight, bias = numbers(6, 2, 2, 3), numbers(6)
    options = (
        "convolution_param { num_output: 6 group: 2 kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1"
        " pad_w: 2 dilation: 1 dilation: 2 }"
    )
    found = computed(one_layer("Convolution", options, x.shape), x, {"it": [weight, bias]})
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (2, 2)))
    expected = np.empty((2, 6, 4, 8), np.float32)
    for out, row, column in product(range(6), range(4), range(8)):
        group = slice(0, 2) if out < 3 else slice(2, 4)
        window = padded[:, group, 2 * row : 2 * row + 2, column : column + 5 : 2]
        expected[:, out, row, column] = (window * weight[out]).sum(axis=(1, 2, 3)) + bias[out]
    assert_agree(found, expected)


def test_a_convolution_larger_than_the_image_by_less_than_its_stride_takes_zeros() -> None:
    x, weight = numbers(1, 1, 2, 5), numbers(1, 1, 3, 3)
    options = "convolution_param { num_output: 1 kernel_size: 3 stride: 2 bias_term: false }"
    found = computed(one_layer("Convolution", options, x.shape), x, {"it": [weight]})
    padded = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)))
    expected = [(padded[0, 0, :, c : c + 3] * weight[0, 0]).sum() for c in (0, 2)]
    assert_agree(found, np.array(expected, np.float32).reshape(1, 1, 1, 2))


@pytest.mark.parametrize(("axis", "rows"), [(1, (2,)), (2, (2, 3)), (-1, (2, 3, 5))])
@pytest.mark.parametrize("transposed", [True, False])
def test_inner_product_along_any_axis(axis: int, rows: tuple[int, ...], transposed: bool) -> None:
    x = numbers(2, 3, 5, 6)
    flat = x.reshape(*rows, -1)
    weight, bias = numbers(4, flat.shape[-1]), numbers(4)
    options = f"inner_product_param {{ num_output: 4 axis: {axis} transpose: {transposed} }}"
    layers = {"it": [weight.T if transposed else weight, bias]}
    assert_agree(computed(one_layer("InnerProduct", options), x, layers), flat @ weight.T + bias)


def test_batch_norm_divides_by_the_factor_that_its_sums_have() -> None:
    x, mean, variance = numbers(2, 3, 5, 6), numbers(3), np.abs(numbers(3)) + 1
    layers = {"it": [mean * 50, variance * 50, np.array([50.0])]}
    found = computed(one_layer("BatchNorm", "batch_norm_param { eps: 0.01 }"), x, layers)
    sides = (None, slice(None), None, None)
    assert_agree(found, (x - mean[sides]) / np.sqrt(variance[sides] + 0.01))
    # statistics of nothing
    found = computed(one_layer("BatchNorm"), x, {"it": [mean, variance, np.zeros(1)]})
    assert_agree(found, x / np.sqrt(np.float32(1e-5)))


@pytest.mark.parametrize(
    ("options", "shape", "view"),
    [
        ("", (3,), (3, 1, 1)),
        ("axis: 2 num_axes: 2", (5, 6), (5, 6)),
        ("axis: -3 num_axes: -1", (3, 5, 6), (3, 5, 6)),
        ("num_axes: 0", (), ()),
    ],
)
def test_scale_spreads_over_the_axes_that_are_not_its_own(
    options: str, shape: tuple[int, ...], view: tuple[int, ...]
) -> None:
    x, scale, bias = numbers(2, 3, 5, 6), numbers(*shape), numbers(*shape)
    text = one_layer("Scale", f"scale_param {{ {options} bias_term: true }}")
    found = computed(text, x, {"it": [scale, bias]})
    assert_agree(found, x * scale.reshape(view) + bias.reshape(view))


def test_scale_by_a_second_blob() -> None:
    text = """
        input: "data" input_shape { dim: 1 dim: 3 dim: 5 dim: 6 }
        layer { name: "squeeze" type: "Pooling" bottom: "data" top: "squeezed"
                pooling_param { pool: AVE global_pooling: true } }
        layer { name: "it" type: "Scale" bottom: "data" bottom: "squeezed" top: "out"
                scale_param { axis: 0 } }
    """
    with pytest.raises(WeightsError, match=r"layer it \(Scale\): its second blob scales"):
        net_of(text)
    flat = text.replace('top: "squeezed"', 'top: "s"').replace(
        'layer { name: "it"',
        'layer { name: "fc" type: "InnerProduct" bottom: "s" top: "squeezed"'
        ' inner_product_param { num_output: 3 } } layer { name: "it"',
    )
    x, weight, bias = numbers(2, 3, 5, 6), numbers(3, 3), numbers(3)
    gate = x.mean(axis=(2, 3)) @ weight.T + bias
    assert_agree(computed(flat, x, {"fc": [weight, bias]}), x * gate[:, :, None, None])


@pytest.mark.parametrize("shared", [True, False])
def test_prelu_has_a_slope_for_each_channel_or_one(shared: bool) -> None:
    x = numbers(2, 3, 5, 6)
    slopes = numbers() if shared else numbers(3)
    text = one_layer("PReLU", f"prelu_param {{ channel_shared: {shared} }}")
    assert_agree(
        computed(text, x, {"it": [slopes]}),
        np.where(x > 0, x, x * slopes.reshape(() if shared else (3, 1, 1))),
    )


# --- layers without weights ----------------------------------------------------------------------


def test_lrn_across_and_within_channels() -> None:
    x = numbers(2, 7, 5, 6)
    options = "local_size: 3 alpha: 0.3 beta: 0.6 k: 1.5"
    squares = np.pad(x**2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    sums = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    found = computed(one_layer("LRN", f"lrn_param {{ {options} }}", x.shape), x)
    assert_agree(found, x / (1.5 + 0.3 / 3 * sums) ** 0.6)
    options += " norm_region: WITHIN_CHANNEL"
    averages = pooled_as_caffe_does(x**2, 3, 1, 1, largest=False)
    assert averages is not None
    found = computed(one_layer("LRN", f"lrn_param {{ {options} }}", x.shape), x)
    assert_agree(found, x / (1 + 0.3 * averages) ** 0.6)


def test_an_lrn_over_more_channels_than_there_are() -> None:
    x = numbers(1, 2, 3, 3)
    found = computed(one_layer("LRN", "lrn_param { local_size: 9999 }", x.shape), x)
    assert_agree(found, x / (1 + (x**2).sum(axis=1, keepdims=True) / 9999) ** 0.75)


def test_who_read_a_blob_before_it_was_changed_in_place_keeps_what_it_read() -> None:
    text = """
        input: "data" input_shape { dim: 1 dim: 3 }
        layer { name: "double" type: "Eltwise" bottom: "data" bottom: "data" top: "a" }
        layer { name: "keep" type: "Dropout" bottom: "a" top: "before" }
        layer { name: "cut" type: "ReLU" bottom: "a" top: "a" }
        layer { name: "again" type: "Softmax" bottom: "a" top: "a" }
        layer { name: "out" type: "Concat" bottom: "before" bottom: "a" top: "out" }
    """
    x = np.array([[-1, 2, -3]], np.float32)
    after = np.exp([0, 4, 0]) / np.exp([0, 4, 0]).sum()
    with torch.inference_mode():
        found = net_of(text)(torch.from_numpy(x))
    assert_agree(found["out"].numpy(), np.array([[-2, 4, -6, *after]], np.float32))
    assert_agree(found["a"].numpy(), after[None].astype(np.float32))
    assert_agree(found["data"].numpy(), x)


# --- what is refused -----------------------------------------------------------------------------

WEIGHTS = {"it": [numbers(4, 3, 3, 3), numbers(4)]}
CONV = "convolution_param { num_output: 4 kernel_size: 3 }"


@pytest.mark.parametrize(
    ("layers", "fault"),
    [
        ({}, "its weights are missing in the weights file"),
        ({"it": []}, "has 0 blobs of weights for it, expected 2"),
        ({"it": [numbers(4, 3, 3, 3)]}, "has 1 blobs of weights for it, expected 2"),
        ({"it": [numbers(4, 3, 3, 2), numbers(4)]}, r"shape \(4, 3, 3, 2\) .* \(4, 3, 3, 3\)"),
        ({"it": [numbers(3, 4, 3, 3), numbers(4)]}, r"shape \(3, 4, 3, 3\) .* \(4, 3, 3, 3\)"),
        ({"it": [numbers(4, 3, 3, 3), numbers(5)]}, r"weights 1 have shape \(5,\) .* \(4,\)"),
        ({"it": [numbers(4, 3, 3, 3) * np.nan, numbers(4)]}, "weights 0 hold numbers that are not"),
        (
            {"it": [numbers(4, 3, 3, 3), np.full(4, np.inf)]},
            "weights 1 hold numbers that are not fin",
        ),
    ],
)
def test_weights_that_are_missing_or_do_not_fit(
    layers: dict[str, Sequence[Array]], fault: str
) -> None:
    with pytest.raises(WeightsError, match=rf"layer it \(Convolution\): .*{fault}"):
        net_of(one_layer("Convolution", CONV), layers)


def test_weights_of_layers_that_are_not_run_are_checked_too() -> None:
    text = one_layer("Convolution", CONV) + (
        'layer { name: "fc8" type: "InnerProduct" bottom: "out" top: "fc8"'
        " inner_product_param { num_output: 5 } }"
    )
    weights = BytesIO(caffemodel(WEIGHTS))
    with pytest.raises(WeightsError, match=r"layer fc8 \(InnerProduct\): its weights are missing"):
        load_net(BytesIO(text.encode()), weights, ["out"])


def test_weights_for_a_layer_that_has_none() -> None:
    with pytest.raises(WeightsError, match=r"layer it \(ReLU\): .* 1 blobs .* expected 0"):
        net_of(one_layer("ReLU"), {"it": [numbers(3)]})


@pytest.mark.parametrize(
    ("layer_type", "options", "fault"),
    [
        ("Deconvolution", CONV, "layers of the type Deconvolution are not known"),
        ("Python", "", "layers of the type Python are not known"),
        ("Convolution", "", "num_output is missing"),
        ("Convolution", "convolution_param { num_output: 4 }", "kernel_size is set 0 times"),
        ("Convolution", CONV.replace("}", "kernel_h: 2 kernel_w: 2 }"), "are both set"),
        ("Convolution", CONV.replace("}", "stride_h: 2 }"), "stride_h and stride_w only one"),
        ("Convolution", CONV.replace("}", "group: 2 }"), "3 channels to 4 are not 2 groups"),
        ("Convolution", CONV.replace("3", "9"), "larger than the 5 x 6 image"),
        ("Convolution", CONV.replace("}", "kernal: 2 }"), "no field kernal is known"),
        (
            "Convolution",
            CONV.replace("}", "stride: 0 }"),
            "stride .* is '0', expected an integer f",
        ),
        ("Convolution", CONV.replace("}", "pad: 99999 }"), "pad is 99999, more than"),
        ("Convolution", CONV.replace("}", "pad: 60000 }"), "its windows are larger than any net's"),
        ("Convolution", CONV.replace("}", "axis: 2 }"), "axis must be 1"),
        ("Pooling", "", "kernel_size is set 0 times"),
        ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "pool is STOCHASTIC"),
        ("Pooling", "pooling_param { pool: MEAN kernel_size: 2 }", "expected one of MAX, AVE"),
        ("Pooling", "pooling_param { kernel_size: 2 pad: 2 }", "is not less than the kernel"),
        ("Pooling", "pooling_param { global_pooling: true pad: 1 }", "no stride and no padding"),
        ("Pooling", "pooling_param { global_pooling: true kernel_size: 1 }", "no kernel size"),
        ("Pooling", "pooling_param { kernel_size: 65000 stride: 65000 }", "larger than any net's"),
        ("Pooling", 'top: "mask" pooling_param { kernel_size: 2 }', "it gives 2 blobs"),
        ("LRN", "lrn_param { local_size: 4 }", "local_size is 4, expected an odd number"),
        ("BatchNorm", "batch_norm_param { use_global_stats: false }", "variance of each batch"),
        ("BatchNorm", "phase: TRAIN", "variance of each batch"),
        ("Dropout", "phase: TRAIN", "its phase is TRAIN"),
        ("Scale", "scale_param { axis: 0 }", "axis 0 is that of the batch"),
        ("Scale", "scale_param { axis: 3 num_axes: 2 }", "num_axes 2 is more than its blob has"),
        ("Eltwise", "", "expected two or more of one shape"),
        ("Eltwise", 'bottom: "data" eltwise_param { coeff: 1 }', "1 coeff; a SUM takes one for"),
        ("Concat", "concat_param { axis: 0 }", "axis 0 is that of the batch"),
        ("Concat", "concat_param { axis: 7 }", "axis 7 is none of its blob, which has 4"),
        ("Softmax", "softmax_param { axis: -4 }", "axis 0 is that of the batch"),
        ("InnerProduct", "inner_product_param { num_output: 2 axis: 0 }", "axis 0 is that of the"),
        ("ReLU", 'bottom: "data"', "it takes 2 blobs, expected one"),
        ("ReLU", 'param { name: "w" } param { name: "w" }', None),
    ],
)
def test_a_layer_that_cannot_be_computed_is_named(
    layer_type: str, options: str, fault: str | None
) -> None:
    text = one_layer(layer_type, options)
    if fault is None:
        net_of(text)
        return
    with pytest.raises(WeightsError, match=rf"layer it \({layer_type}\).*: .*{fault}"):
        net_of(text, {"it": WEIGHTS["it"]} if layer_type == "Convolution" else None)


def test_layers_that_share_weights_are_refused() -> None:
    text = one_layer("InnerProduct", 'param { name: "w" } inner_product_param { num_output: 90 }')
    second = text.splitlines()[1].replace('"out"', '"more"').replace('"data"', '"out"')
    layers = {"it": [numbers(90, 90), numbers(90)]}
    with pytest.raises(WeightsError, match=r"layer second .* shares weights with another layer"):
        net_of(text + second.replace('"it"', '"second"'), layers)
