"""An extractor without a network, for tests and for trying out a deployment."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, StrictInt

from spacer_tasks.extractors.base import Extractor, Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: numbers of a vector; a message could otherwise ask for all memory
MAX_DIM = 2**16


class DummyOptions(Options):
    """How long the vectors are."""

    feature_dim: Annotated[
        StrictInt, Field(ge=1, le=MAX_DIM, description="numbers of a vector")
    ] = 4096


class DummyExtractor(Extractor):
    """Vectors of uniform random numbers in [0, 1).

    They depend on the patch's pixels and nothing else: the generator is seeded with a hash of
    them. So the same image and point give the same vector in every process, and another patch
    gives an unrelated one; the vectors say nothing about what the patch shows.
    """

    options_type: ClassVar[type[Options]] = DummyOptions
    options: DummyOptions

    @property
    def feature_dim(self) -> int:
        return self.options.feature_dim

    def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        import numpy as np

        vectors = np.empty((len(patches), self.feature_dim), dtype=np.float32)
        for vector, patch in zip(vectors, patches, strict=True):
            digest = hashlib.blake2b(patch.tobytes(), digest_size=16).digest()
            np.random.default_rng(int.from_bytes(digest, "big")).random(
                dtype=np.float32, out=vector
            )
        return vectors
