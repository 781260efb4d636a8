"""The classes and functions that the reference's classifier pickles name, and no others.

scikit-learn and numpy moved them over the years: old and new places of each are here.
"""

from __future__ import annotations

#: of linear classifiers; the loss does not matter once they are trained
_LOSSES = frozenset(
    {
        "Log", "Hinge", "SquaredHinge", "ModifiedHuber", "SquaredLoss", "SquaredError", "Huber",
        "EpsilonInsensitive", "SquaredEpsilonInsensitive",
    }
)  # fmt: skip
#: objects by module; the random generators come with networks
_OBJECTS = {
    "sklearn.calibration": frozenset(
        {"CalibratedClassifierCV", "_CalibratedClassifier", "_SigmoidCalibration"}
    ),
    "sklearn.linear_model.stochastic_gradient": frozenset({"SGDClassifier"}),
    "sklearn.linear_model._stochastic_gradient": frozenset({"SGDClassifier"}),
    "sklearn.linear_model.sgd_fast": _LOSSES,
    "sklearn.linear_model._sgd_fast": _LOSSES,
    "sklearn.neural_network.multilayer_perceptron": frozenset({"MLPClassifier"}),
    "sklearn.neural_network._multilayer_perceptron": frozenset({"MLPClassifier"}),
    "sklearn.neural_network._stochastic_optimizers": frozenset({"AdamOptimizer", "SGDOptimizer"}),
    "sklearn.preprocessing.label": frozenset({"LabelBinarizer", "LabelEncoder"}),
    "sklearn.preprocessing._label": frozenset({"LabelBinarizer", "LabelEncoder"}),
    "numpy.random": frozenset({"__RandomState_ctor"}),
    "numpy.random._pickle": frozenset({"__randomstate_ctor", "__bit_generator_ctor"}),
    "numpy.random._mt19937": frozenset({"MT19937"}),
    "numpy.random.bit_generator": frozenset({"SeedSequence", "__pyx_unpickle_SeedSequence"}),
}
#: what numpy's arrays and Python 3's bytes are made with, by what is made
_MAKERS = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy.core.numeric", "_frombuffer"): "filled array",
    ("numpy._core.numeric", "_frombuffer"): "filled array",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy._core.multiarray", "scalar"): "scalar",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "bytes",
    ("__builtin__", "bytes"): "no bytes",
    ("builtins", "bytes"): "no bytes",
}
#: what protocols 0 and 1 make their objects with; later ones have an instruction for it
_OLDER_MAKERS = {
    ("copy_reg", "_reconstructor"): "object",
    ("copyreg", "_reconstructor"): "object",
    ("__builtin__", "object"): "object's base",
    ("builtins", "object"): "object's base",
}


class KnownName:
    """A class or function that a pickle names. It is only a name: nothing can be done with it.

    Attributes
    ----------
    makes
        What a function or class of numpy or Python makes; None for the class of an object.
    """

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name
        self.makes = _MAKERS.get((module, name)) or _OLDER_MAKERS.get((module, name))


def known_name(module: str, name: str, *, older: bool = False) -> KnownName | None:
    """The class or function of this name, or None where no classifier's pickle has it.

    Parameters
    ----------
    older
        Whether the pickle is of protocol 0 or 1.
    """
    known = name in _OBJECTS.get(module, ()) or (module, name) in _MAKERS
    if known or (older and (module, name) in _OLDER_MAKERS):
        return KnownName(module, name)
    return None
