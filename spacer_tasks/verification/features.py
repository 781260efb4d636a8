"""Stored features computed again from their images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spacer_tasks import storage
from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import UnknownExtractorError
from spacer_tasks.extractors import Extractor, Photo, check_points, load_extractor, read_photo
from spacer_tasks.extractors.loading import class_named
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.verification.checks import Check, NotVerifiableError, judged

#: what a feature file's name ends in: CoralNet's, and the command line's
SUFFIXES = (".featurevector", ".npz")
#: CoralNet keeps the features of `a.jpg` beside it, as `a.jpg.featurevector`
IMAGE_BESIDE = "{folder}/{name}"


@dataclass(frozen=True)
class FeatureVerifier:
    """Computes feature files of a folder again.

    Parameters
    ----------
    folder
        Where they are.
    spec
        The extractor; where None, the one that a file says it was computed by.
    image
        Where the image of a file is: `{name}` stands for the file's path below the folder without
        its suffix, `{folder}` for the folder. Where None, what the file says, or beside it.
    tolerance
        The relative L2 error of a vector above which a file differs.
    """

    folder: DataLocation
    spec: ExtractorSpec | None
    image: str | None
    tolerance: float

    def __call__(self, name: str, loc: DataLocation) -> Check:
        """Compute one file again.

        Raises
        ------
        NotVerifiableError
            It does not say enough, or was computed by another extractor.
        InputError
            The file or its image cannot be read or worked with.
        TransientError
            The storage did not answer.
        """
        features = ImageFeatures.from_bytes(storage.load(loc), str(loc))
        if not features.has_rowcols:
            raise NotVerifiableError(
                "of the old format without rows and columns: it is not known at which points it"
                " was computed"
            )
        extractor = load_extractor(self._spec_of(features))
        _check_comparable(features, extractor)
        image_loc = self._image_of(name, loc, features)
        photo = read_photo(storage.load(image_loc), str(image_loc))
        points = features.rowcols()
        height, width = photo.pixels.shape[:2]
        check_points(points, width, height, str(image_loc))
        errors = relative_errors(features.vectors, extractor.extract(photo.pixels, points))
        worst = int(errors.argmax())
        difference = float(errors[worst])
        outcome = judged(difference, self.tolerance)
        return Check(
            name,
            loc,
            outcome,
            points=len(points),
            difference=difference,
            worst=points[worst],
            computed_from=str(image_loc),
            by=extractor.identity["name"],
            note=_why(features, extractor, image_loc, photo) if outcome == "differs" else "",
        )

    def _spec_of(self, features: ImageFeatures) -> ExtractorSpec:
        if self.spec is not None:
            return self.spec
        said = _said_extractor(features)
        if said is None:
            raise NotVerifiableError(
                "it does not say which extractor computed it: give one (--weights, --extractor)"
            )
        try:
            taken = class_named(said["name"]).file_keys
        except UnknownExtractorError as error:
            raise NotVerifiableError(f"computed by another extractor: {error}") from None
        # those that come with a package need not be given
        files = {key: sha for key, sha in said["files"].items() if key in taken}
        if files:
            hashes = ", ".join(f"{key} with SHA-256 {sha}" for key, sha in files.items())
            raise NotVerifiableError(
                f"computed by {said['name']}, whose files must be given: {hashes}"
            )
        return ExtractorSpec(class_path=said["name"], **said["options"])

    def _image_of(self, name: str, loc: DataLocation, features: ImageFeatures) -> DataLocation:
        if self.image is None and features.origin.get("image"):
            return _location(str(features.origin["image"]))
        folder = str(self.folder).rstrip("/")
        if loc == self.folder:
            # a single file
            folder = folder.removesuffix(name).rstrip("/")
        stem = next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), None)
        if stem is None:
            stem = name.rpartition(".")[0] or name
        template = self.image or IMAGE_BESIDE
        # not `format`: names may hold braces
        text = template.replace("{folder}", folder).replace("{name}", stem)
        return _location(text)


def _location(text: str) -> DataLocation:
    try:
        return DataLocation.parse(text)
    except ValueError:
        raise NotVerifiableError(f"its image would be at {text!r}, which is no location") from None


def relative_errors(
    stored: NDArray[np.float32] | NDArray[np.float64], computed: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The relative L2 error of each vector against the stored one, shape (points,).

    Infinite where the stored one is zero and the other is not, or where its length is beyond
    float64.
    """
    expected = stored.astype(np.float64)
    with np.errstate(over="ignore"):
        apart = np.linalg.norm(computed.astype(np.float64) - expected, axis=1)
        lengths = np.linalg.norm(expected, axis=1)
    errors = np.full(len(apart), np.inf)
    np.divide(apart, lengths, out=errors, where=(lengths > 0) & np.isfinite(lengths))
    errors[apart == 0] = 0
    return errors


def _said_extractor(features: ImageFeatures) -> dict[str, Any] | None:
    """The extractor that a file says it was computed by, as `Extractor.identity`."""
    said = features.origin.get("extractor")
    if not isinstance(said, dict):
        return None
    kinds = {"name": str, "options": dict, "files": dict}
    return said if all(isinstance(said.get(key), kind) for key, kind in kinds.items()) else None


def _check_comparable(features: ImageFeatures, extractor: Extractor) -> None:
    said, own = _said_extractor(features), extractor.identity
    for key in ("name", "options"):
        if said is not None and said[key] != own[key]:
            raise NotVerifiableError(
                f"computed by an extractor with {key} {said[key]}, not {own[key]}"
            )
    if features.dimensions != extractor.feature_dim:
        raise NotVerifiableError(
            f"its vectors have {features.dimensions} dimensions, those of {own['name']} have"
            f" {extractor.feature_dim}: another extractor computed it"
        )


def _why(
    features: ImageFeatures, extractor: Extractor, image_loc: DataLocation, photo: Photo
) -> str:
    """What is known of why features differ."""
    said = _said_extractor(features)
    reasons = []
    if said is not None and said["files"] != extractor.identity["files"]:
        reasons.append("the extractor had other files")
    version = features.origin.get("image_version")
    if version and version != storage.version(image_loc):
        reasons.append("the image was replaced or copied since")
    if photo.incomplete:
        reasons.append(f"the image is incomplete: {photo.incomplete}")
    return "; ".join(reasons)
