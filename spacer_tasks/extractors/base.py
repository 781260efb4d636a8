"""What every extractor is.

Its class says which files and options it takes, for the command line too. So this imports nothing
that computes: numpy comes with the first image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakMethod

from pydantic import BaseModel, ConfigDict, create_model

from spacer_tasks.config.settings import Precision, get_settings
from spacer_tasks.data_classes.labels import Point
from spacer_tasks.exceptions import FeaturesNotFiniteError
from spacer_tasks.extractors.files.weights import ExtractorFile, OpenedFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from spacer_tasks.extractors.runtime.micro_batcher import MicroBatcher


class Options(BaseModel):
    """The options of an extractor that takes none; those of others are its subclasses' fields.

    A field's type and bounds are checked where a message arrives, and its description is what
    `spacer-tasks extractors` says of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class Extractor(ABC):
    """Patches to feature vectors.

    A subclass states its options and files in the class attributes, and implements `feature_dim`
    and `forward`; `TorchExtractor` does that for a torch module. It is made by `load_extractor`,
    which checks options and files first. Several threads use one instance at once: `forward` must
    not change it.

    Parameters
    ----------
    name
        The name that it is registered under.
    files
        Its files, by the keys of `file_keys`. Only what is made of them should be kept.
    options
        Its options, of its `options_type`.
    """

    #: rows and columns of a patch; an option may set another on the instance
    crop_size: int = 224
    #: options that a message may give
    options_type: ClassVar[type[Options]] = Options
    #: in place of `options_type`: options by their names alone. Its `__init__` takes those that a
    #: message gives as keyword arguments, and hands all of them on to this class's
    option_names: ClassVar[Collection[str]] = ()
    #: keys that a message's `data_locations` must have, and what the file of each is
    file_keys: ClassVar[Mapping[str, str]] = {}
    #: those of them that are given open, not loaded: too large to be held beside what is made
    opened_keys: ClassVar[frozenset[str]] = frozenset()
    #: patches of one forward pass; as the reference, and memory stays small
    batch_size: int = 10

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        if "option_names" in vars(cls):
            fields: dict[str, Any] = dict.fromkeys(sorted(cls.option_names), (Any, None))
            cls.options_type = create_model(f"{cls.__name__}Options", __base__=Options, **fields)
        if not isinstance(cls.file_keys, Mapping):
            raise TypeError(
                f"{cls.__name__}.file_keys is a {type(cls.file_keys).__name__}, expected a dict:"
                " what each file is, by its key"
            )
        if not (isinstance(cls.crop_size, int) and cls.crop_size > 0):
            raise TypeError(
                f"{cls.__name__}.crop_size is {cls.crop_size!r}, expected a number of pixels"
            )

    def __init__(
        self,
        name: str,
        files: Mapping[str, ExtractorFile | OpenedFile],
        options: Options | None = None,
        **named: Any,
    ) -> None:
        self.name = name
        self.options: Any = options if options is not None else self.options_type(**named)
        #: JSON-ready: equal for two extractors if and only if they give the same features
        self.identity: dict[str, Any] = {
            "name": name,
            "options": self.options.model_dump(mode="json"),
            "files": {key: file.sha256 for key, file in sorted(files.items())},
        }
        #: whether a file had to be downloaded to make it; see `take_loaded_remotely`
        self.loaded_remotely = any(file.downloaded for file in files.values())
        self._batcher: MicroBatcher | None = None
        self._else_float32 = False

    @classmethod
    def made(
        cls, name: str, files: Mapping[str, ExtractorFile | OpenedFile], options: Options
    ) -> Extractor:
        """An extractor of this class, which takes its options in one of two ways."""
        if cls.option_names:
            return cls(name, files, **options.model_dump(exclude_unset=True))
        return cls(name, files, options)

    def computes_in(self, precision: Precision, *, else_float32: bool = False) -> None:
        """For a subclass's `__init__`: say what features are computed in.

        Parameters
        ----------
        else_float32
            Whether `forward` computes in float32 what is not finite in this precision.
        """
        self._else_float32 = else_float32
        # float32 is not said: files of before this could be chosen are in it
        if precision != "float32":
            self.identity["precision"] = precision

    def merge_images(self) -> None:
        """For a subclass's `__init__`, last: passes take patches of several images, of all threads.

        For a device that takes `batch_size` patches in little more time than a few, as a GPU does.
        """
        from spacer_tasks.extractors.runtime.micro_batcher import MicroBatcher

        wait_s = get_settings().gpu_batch_wait_ms / 1000
        # weakly, as who waits for a pass holds the extractor: one that is dropped leaves the
        # device's memory at once, not when cycles are looked for
        forward = WeakMethod(self.forward)

        def forward_of_the_living(patches: NDArray[np.uint8]) -> NDArray[np.float32]:
            method = forward()
            assert method is not None
            return method(patches)

        self._batcher = MicroBatcher(forward_of_the_living, self.batch_size, wait_s)

    def take_loaded_remotely(self) -> bool:
        """Whether a file was downloaded since this was last asked: the answer to the first image
        says so, later ones found the extractor loaded.
        """
        taken, self.loaded_remotely = self.loaded_remotely, False
        return taken

    @property
    @abstractmethod
    def feature_dim(self) -> int:
        """Numbers per feature vector."""

    @abstractmethod
    def forward(self, patches: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Feature vectors, float32 (n, feature_dim), of RGB patches, uint8 (n, size, size, 3)."""

    def extract(
        self, image: Image.Image | NDArray[np.uint8], rowcols: Sequence[Point]
    ) -> NDArray[np.float32]:
        """The feature vectors of an image's points, float32, shape (points, feature_dim), finite.

        Parameters
        ----------
        image
            RGB; as an array, uint8 of shape (height, width, 3).
        rowcols
            Points inside the image (see `check_points`).

        Raises
        ------
        FeaturesNotFiniteError
            The network gave numbers that no reader would take, in float32 too.
        """
        import numpy as np
        from PIL import Image

        from spacer_tasks.extractors.images.patches import cut_patches

        if isinstance(image, Image.Image):
            rgb = image if image.mode == "RGB" else image.convert("RGB")
            pixels: NDArray[np.uint8] = np.asarray(rgb)
        else:
            pixels = image
        vectors = np.empty((len(rowcols), self.feature_dim), dtype=np.float32)

        def cut(some: slice) -> NDArray[np.uint8]:
            return cut_patches(pixels, rowcols[some], self.crop_size)

        if self._batcher is not None:
            self._batcher.fill(vectors, cut)
        else:
            for start in range(0, len(rowcols), self.batch_size):
                batch = slice(start, start + self.batch_size)
                vectors[batch] = self.forward(cut(batch))
        finite: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
        if not finite.all():
            row, col = rowcols[int(finite.argmin())]
            precision = self.identity.get("precision", "float32")
            again = " and again in float32" if self._else_float32 else ""
            raise FeaturesNotFiniteError(
                f"{self.name}: features computed in {precision}{again} are not finite numbers, for"
                f" {len(finite) - finite.sum()} of {len(finite)} points, the first of them at row"
                f" {row}, column {col}; the weights are damaged, or not made for such photos"
            )
        return vectors

    def warm(self) -> None:
        """Run one full batch, so that the first image does not wait for kernels and memory."""
        import numpy as np

        self.forward(np.zeros((self.batch_size, self.crop_size, self.crop_size, 3), np.uint8))
