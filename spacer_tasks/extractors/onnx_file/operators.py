"""The operators that networks are taken with, and what their inputs may depend on.

All are of ONNX's own domain, without graphs inside, without files, random numbers or texts. The
size of what each gives follows from the sizes of what it takes, or from numbers that are in the
file: none of them makes a photo's pixels into a size.
"""

from __future__ import annotations

#: inputs that say how large the output is, of operators that make much out of little; all inputs
#: where -1
SIZE_INPUTS: dict[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Pad": (1,),
    "Range": (-1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Tile": (1, 2),
}
#: what they give depends on the size of the input, not on what is in it
OF_SIZES = frozenset({"Shape", "Size"})
OPERATORS = frozenset(
    [
        *SIZE_INPUTS,
        *OF_SIZES,
        *("Abs", "Add", "And", "ArgMax", "Attention", "AveragePool", "BatchNormalization"),
        *("Cast", "CastLike", "Ceil", "Celu", "Clip", "Concat", "Constant", "Conv"),
        *("ConvTranspose", "Cos", "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Dropout"),
        *("Einsum", "Elu", "Equal", "Erf", "Exp", "Flatten", "Floor", "Gather", "GatherElements"),
        *("Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual"),
        *("GroupNormalization", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization"),
        *("LRN", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax"),
        *("LpNormalization", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mod", "Mul"),
        *("Neg", "Not", "Or", "PRelu", "Pow", "QuantizeLinear", "RMSNormalization"),
        *("Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean"),
        *("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "RotaryEmbedding"),
        *("Round", "Selu", "Sigmoid", "Sign", "Sin", "Softmax", "Softplus", "Softsign"),
        *("SpaceToDepth", "Sqrt", "Squeeze", "Sub", "Sum", "Swish", "Tanh", "Transpose"),
        *("Trilu", "Unsqueeze", "Where"),
    ]
)
#: attributes that are counts of pixels or channels, and the least that each may be; a runtime may
#: divide by them
LEAST = {
    "block_size": 1,
    "blocksize": 1,
    "dilations": 1,
    "group": 1,
    "kernel_shape": 1,
    "kv_num_heads": 1,
    "num_groups": 1,
    "num_heads": 1,
    "num_outputs": 1,
    "output_padding": 0,
    "output_shape": 1,
    "pads": 0,
    "size": 1,
    "strides": 1,
}
#: of these at most; of any other integer `MAX_INTEGER`
MAX_COUNT = 2**16
MAX_INTEGER = 2**31 - 1
