"""An extractor without a network, for tests and for trying out a deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spacer_tasks.exceptions import MessageError
from spacer_tasks.extractors.base import Extractor
from spacer_tasks.extractors.files.weights import ExtractorFile

#: numbers of a vector; a message could otherwise ask for all memory
MAX_DIM = 2**16


class DummyExtractor(Extractor):
    """Vectors of uniform random numbers in [0, 1).

    They depend on the patch's pixels and nothing else: the generator is seeded with a hash of
    them. So the same image and point give the same vector in every process, and another patch
    gives an unrelated one; the vectors say nothing about what the patch shows.
    """

    option_names: ClassVar[frozenset[str]] = frozenset({"feature_dim"})

    def __init__(
        self, name: str, files: Mapping[str, ExtractorFile], feature_dim: int = 4096
    ) -> None:
        whole = isinstance(feature_dim, int) and not isinstance(feature_dim, bool)
        if not whole or not 1 <= feature_dim <= MAX_DIM:
            raise MessageError(
                f"extractor {name}: feature_dim is {str(feature_dim)[:40]!r}; expected an integer"
                f" from 1 to {MAX_DIM}"
            )
        super().__init__(name, files, feature_dim=feature_dim)
        self._feature_dim = feature_dim

    @property
    def feature_dim(self) -> int:
        return self._feature_dim

    def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors = np.empty((len(patches), self._feature_dim), dtype=np.float32)
        for vector, patch in zip(vectors, patches, strict=True):
            digest = hashlib.blake2b(patch.tobytes(), digest_size=16).digest()
            np.random.default_rng(int.from_bytes(digest, "big")).random(
                dtype=np.float32, out=vector
            )
        return vectors
