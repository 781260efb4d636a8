from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest

from spacer_tasks.data_classes.features import ImageFeatures
from spacer_tasks.exceptions import (
    FeatureFileError,
    RowColumnMismatchError,
    RowColumnMissingError,
)
from tests.support.checkout import FIXTURES_FOLDER

FIXTURES = FIXTURES_FOLDER / "pyspacer"
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)
FEATURES = ImageFeatures.of_points([(1, 2), (3, 4), (70000, 6)], VECTORS, {"image": "x"})


def test_a_stored_file_comes_back_equal() -> None:
    again = ImageFeatures.from_bytes(FEATURES.to_bytes(), "f")
    assert np.array_equal(again.vectors, VECTORS)
    assert again.rowcols() == [(1, 2), (3, 4), (70000, 6)]
    assert again.origin == {"image": "x"}


def test_the_reference_s_files_are_read() -> None:
    paths = sorted(FIXTURES.glob("features_int/*.featurevector"))
    assert paths
    for path in paths:
        features = ImageFeatures.from_bytes(path.read_bytes(), path.name)
        with np.load(path) as raw:
            assert np.array_equal(features.vectors, raw["feat"].astype(np.float32))
            assert features.rowcols() == list(
                zip(raw["rows"].tolist(), raw["cols"].tolist(), strict=True)
            )


def test_our_files_hold_what_the_reference_looks_for() -> None:
    small = ImageFeatures.of_points([(1, 2)], VECTORS[:1])
    with np.load(io.BytesIO(small.to_bytes())) as raw:
        assert raw["meta"].tolist() == [1, 1, 2]
        assert raw["rows"].dtype == np.uint16
        assert raw["feat"].shape == (1, 2)


def test_the_older_json_list_is_read_without_points() -> None:
    features = ImageFeatures.from_bytes(json.dumps([[1, 2], [3, 4]]).encode(), "old.json")
    assert features.vectors.tolist() == [[1, 2], [3, 4]]
    assert not features.has_rowcols
    with pytest.raises(RowColumnMissingError, match=r"old\.json"):
        features.indices_of([(1, 2)], "old.json")


def test_points_are_found_in_any_order_and_repeatedly() -> None:
    assert FEATURES.indices_of([(3, 4), (1, 2), (3, 4)], "f").tolist() == [1, 0, 1]


def test_a_point_that_is_not_there_is_named() -> None:
    with pytest.raises(RowColumnMismatchError, match=r"f: .*1 of 2 points.*\(9, 9\).*holds 3"):
        FEATURES.indices_of([(1, 2), (9, 9)], "f")


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


GOOD = {"meta": np.array([1, 1, 2]), "rows": np.array([1]), "cols": np.array([2])}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"nonsense",
        b"{}",
        b"[]",
        b"[[1, 2], [3]]",
        b"[" * 100_000,
        FEATURES.to_bytes()[:200],
        _npz(**GOOD),
        _npz(**GOOD, feat=np.zeros((2, 2))),
        _npz(**GOOD, feat=np.zeros(3)),
        _npz(**GOOD, feat=np.array([object()])),
        _npz(**GOOD, feat=np.array(["a"])),
        _npz(meta=np.array([]), feat=np.zeros((1, 2))),
        _npz(**{**GOOD, "rows": np.array([np.nan])}, feat=np.zeros((1, 2))),
        _npz(**{**GOOD, "cols": np.array([2**63], np.uint64)}, feat=np.zeros((1, 2))),
        _npz(**{**GOOD, "rows": np.array([1, 2])}, feat=np.zeros((1, 2))),
    ],
    ids=range(17),
)
def test_a_damaged_file_is_an_error_that_names_it(data: bytes) -> None:
    with pytest.raises(FeatureFileError, match=r"broken\.npz"):
        ImageFeatures.from_bytes(data, "broken.npz")


@pytest.mark.parametrize("meta", [[1, 2, 2], [1, 1, 3], [1, 0, 2], [1, 1], [1]])
def test_counts_that_disagree_with_the_vectors_are_a_damaged_file(meta: list[int]) -> None:
    data = _npz(**{**GOOD, "meta": np.array(meta)}, feat=np.zeros((1, 2)))
    with pytest.raises(FeatureFileError, match=r"f\.npz: .*meta says .* of shape \(1, 2\)"):
        ImageFeatures.from_bytes(data, "f.npz")


@pytest.mark.parametrize("number", [1e39, -1e300])
def test_numbers_too_large_for_float32_are_kept(number: float) -> None:
    vectors = np.array([[number, 0.1]])
    for data in (_npz(**GOOD, feat=vectors), json.dumps(vectors.tolist()).encode()):
        np.testing.assert_array_equal(ImageFeatures.from_bytes(data, "f").vectors, vectors)


@pytest.mark.parametrize("origin", ["not json", "[1]", 3])
def test_an_entry_named_as_ours_by_another_program_is_passed_over(origin: Any) -> None:
    data = _npz(**GOOD, feat=np.zeros((1, 2)), origin=np.array(origin), more=np.arange(3))
    assert ImageFeatures.from_bytes(data, "f").origin == {}


def test_rows_as_floats_are_cut_to_integers_as_by_the_reference() -> None:
    data = _npz(**{**GOOD, "rows": np.array([1.9])}, feat=np.zeros((1, 2)))
    assert ImageFeatures.from_bytes(data, "f").rowcols() == [(1, 2)]


def test_a_number_that_changed_in_a_file_is_seen() -> None:
    data = bytearray(FEATURES.to_bytes())
    place = bytes(data).index(FEATURES.vectors.tobytes())
    data[place] ^= 1
    with pytest.raises(FeatureFileError, match=r"broken\.npz: .*feat\.npy.*checksum"):
        ImageFeatures.from_bytes(bytes(data), "broken.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_compressed_entries_are_read_or_refused_by_name(compression: int) -> None:
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(FEATURES.to_bytes())) as plain,
        zipfile.ZipFile(stream, "w", compression) as archive,
    ):
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
    if compression == zipfile.ZIP_BZIP2:
        with pytest.raises(FeatureFileError, match=r"f: .*meta\.npy.*compressed"):
            ImageFeatures.from_bytes(stream.getvalue(), "f")
    else:
        read = ImageFeatures.from_bytes(stream.getvalue(), "f")
        np.testing.assert_array_equal(read.vectors, FEATURES.vectors)


def test_vectors_stored_column_after_column_are_read() -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    points = np.arange(3)
    data = _npz(meta=np.array([1, 3, 2]), rows=points, cols=points, feat=np.asfortranarray(vectors))
    np.testing.assert_array_equal(ImageFeatures.from_bytes(data, "f").vectors, vectors)


def test_a_header_that_claims_too_much_takes_no_memory() -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 4096), }"
    header += b" " * (118 - len(header)) + b"\n"
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("feat.npy", body)
        for name, array in GOOD.items():
            part = io.BytesIO()
            np.save(part, array)
            archive.writestr(f"{name}.npy", part.getvalue())
    with pytest.raises(FeatureFileError):
        ImageFeatures.from_bytes(stream.getvalue(), "bomb.npz")


def test_a_file_says_in_a_line_that_its_image_was_incomplete() -> None:
    assert FEATURES.incomplete is None
    cut = ImageFeatures.of_points([(1, 2)], VECTORS[:1], {"incomplete": "cut short"})
    assert ImageFeatures.from_bytes(cut.to_bytes(), "f").incomplete == "cut short"


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        *[(value, None) for value in ("[1]", "3", '"x"', "null", '{"incomplete": 3}', "{}")],
        ('{"incomplete": ["a", "b"]}', None),
        ('{"incomplete": "  "}', None),
        # what others wrote forges no second line, and has an end
        ('{"incomplete": "cut\\nerror: \\u001b[31m"}', "cut error: [31m"),
        (json.dumps({"incomplete": "x" * 10_000}), "x" * 400),
    ],
)
def test_an_origin_that_others_wrote_is_no_more_than_it_is(
    origin: str, expected: str | None
) -> None:
    data = _npz(**GOOD, feat=VECTORS[:1], origin=np.array(origin))
    assert ImageFeatures.from_bytes(data, "f").incomplete == expected


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"null", "the JSON value null alone"),
        (b" null\n", "the JSON value null alone"),
        (b"5", "the JSON value 5 alone"),
        (b"true", "the JSON value true alone"),
        (b"NaN", "the JSON value NaN alone"),
        (b"[null]", "null where a number is expected"),
        (b"[[1.5, null], [2, 3]]", "null where a number is expected"),
        (b"[[1.5, NaN], [2, 3]]", "not finite"),
        (b'"vectors"', "it has texts or objects"),
        (b'[[1, "2"]]', "it has texts or objects"),
        (b'{"point_features": null}', "it has texts or objects"),
        (b'\x89PNG"', "not a feature file; expected"),
        (b'<html lang="en">', "not a feature file; expected"),
        (b"[1, 2]", r"vectors of shape \(2,\)"),
        (b"[[1, 2], [3]]", "a JSON list of vectors"),
        (b"", "a JSON list of vectors"),
    ],
)
def test_json_that_holds_no_vectors_says_what_it_holds(data: bytes, text: str) -> None:
    with pytest.raises(FeatureFileError, match=text):
        ImageFeatures.from_bytes(data, "photo.features")
