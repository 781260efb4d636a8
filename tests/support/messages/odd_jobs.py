"""Odd jobs, feature files and photos, whose answers are compared with the reference's.

Locations are names in one folder, in which who answers the jobs runs.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Job = dict[str, Any]
TOKENS: dict[str, Any] = {
    "an integer": 3,
    "a fraction": 1.5,
    "null": None,
    "a list": [1, {"a": 2}],
    "a dictionary": {"a": 1},
    "true": True,
    "empty": "",
    "two lines": "é\n",
}


def extraction(**fields: Any) -> Job:
    task = {
        "job_token": "1",
        "extractor": {
            "class_path": "spacer.extractors.base.DummyExtractor",
            "data_locations": {},
            "data_hashes": {},
            "feature_dim": 4,
        },
        "rowcols": [[1, 2]],
        "image_loc": at("ok.png"),
        "feature_loc": at("out.feats"),
        **fields,
    }
    return {"task_name": "extract_features", "tasks": [task]}


def extractor(**options: Any) -> Job:
    job = extraction()
    job["tasks"][0]["extractor"].update(options)
    return job


def classification(**fields: Any) -> Job:
    locations = {"feature_loc": at("0.npz"), "classifier_loc": at("linear.pkl")}
    return {"task_name": "classify_features", "tasks": [{"job_token": "1", **locations, **fields}]}


#: of each set of labels, and the file that it has unless a case says otherwise
SETS = {"train": "0.npz", "ref": "1.npz", "val": "2.npz"}


def points(*labels: Any) -> list[list[Any]]:
    """What the feature files have points for, with labels by turns."""
    return [[row, 2 * row, labels[row % len(labels)]] for row in range(8)]


def labelled(*labels: Any) -> Job:
    """A training whose sets have these labels by turns."""
    return training(None, **{name: {file: points(*labels)} for name, file in SETS.items()})


def training(first: list[Any] | None = None, **fields: Any) -> Job:
    """One over three images, `first` the first annotation of the train set's.

    `train`, `ref` and `val` among the fields are annotations by the name of a feature file.
    """
    sets: dict[str, Any] = {name: {file: points(1, 2)} for name, file in SETS.items()}
    if first:
        sets["train"] = {SETS["train"]: [first, *points(1, 2)[1:]]}
    sets |= {name: fields.pop(name) for name in SETS if name in fields}
    sets = {
        name: {json.dumps(at(file)): found for file, found in files.items()}
        for name, files in sets.items()
    }
    task = {
        "job_token": "1",
        "trainer": {"class_path": "spacer.train_classifier.MiniBatchTrainer"},
        "nbr_epochs": 1,
        "clf_type": "LR",
        "labels": sets,
        "previous_model_locs": [],
        "model_loc": at("out.model"),
        "valresult_loc": at("out.valresult"),
        "feature_cache_dir": "auto",
        **fields,
    }
    return {"task_name": "train_classifier", "tasks": [task]}


def at(name: str) -> Job:
    """In the folder in which both run."""
    return {"storage_type": "filesystem", "key": name, "bucket_name": None}


def feature_files(folder: Path) -> None:
    generator = np.random.default_rng(4)
    for number in range(3):
        rows = np.arange(8, dtype=np.uint16)
        vectors = generator.normal(size=(8, 5)).round(3) + number % 2
        stored: dict[str, Any] = {
            "meta": np.array([1, 8, 5]),
            "rows": rows,
            "cols": rows * 2,
            "feat": vectors,
        }
        with (folder / f"{number}.npz").open("wb") as file:
            np.savez(file, **stored)
    kinds: dict[str, dict[str, Any]] = {
        "float64": {},
        "float16": {"feat": vectors.astype(np.float16)},
        "integers": {"feat": (vectors * 9).astype(np.int32)},
        "by columns": {"feat": np.asfortranarray(vectors)},
        "the other byte order": {"feat": vectors.astype(">f4")},
        "rows of 64 bits": {"rows": rows.astype(np.int64)},
        "rows as floats": {"rows": rows.astype(float)},
        "more entries": {"other": rows},
        "rows below 0": {"rows": -rows.astype(np.int64)},
        "rows as truths": {"rows": rows > 3},
        "rows as texts": {"rows": rows.astype("U3")},
        "rows of two dimensions": {"rows": rows[:, np.newaxis]},
        "meta of more points": {"meta": np.array([1, 80, 5])},
        "meta of fewer numbers": {"meta": np.array([1, 8])},
        "meta as floats": {"meta": np.array([1.0, 8.0, 5.0])},
        "NaN": {"feat": np.where(rows[:, np.newaxis] == 7, np.nan, vectors)},
        "six numbers a point": {
            "feat": np.hstack([vectors, vectors[:, :1]]),
            "meta": np.array([1, 8, 6]),
        },
        "complex": {"feat": vectors.astype(np.complex64)},
        "texts": {"feat": vectors.astype("U8")},
        "without meta": {"meta": None},
        "without points": {"rows": rows[:0], "cols": rows[:0], "feat": vectors[:0]},
    }
    for name, changed in kinds.items():
        entries = {key: value for key, value in {**stored, **changed}.items() if value is not None}
        with (folder / f"{name}.f").open("wb") as file:
            np.savez_compressed(file, **entries)
    whole = (folder / "0.npz").read_bytes()
    texts = {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "a page": b"<html>no</html>",
        "in JSON": json.dumps(vectors.tolist()).encode(),
        "integers in JSON": b"[[1, 2, 3, 4, 5]]",
        "texts in JSON": b'[["1", "2", "3", "4", "5"]]',
        "null in JSON": b"null",
        "exponents in JSON": b"[[1e0, -0.0, 1E-3, 2.5e+1, 3]]",
        "white space around JSON": b"\n\t [[1, 2, 3, 4, 5]]\n\n",
        "flat in JSON": b"[1, 2, 3, 4, 5]",
        "points in JSON": json.dumps(
            {"point_features": [{"row": 1, "col": 2, "data": [1, 2, 3, 4, 5]}]}
        ).encode(),
        "uneven in JSON": b"[[1, 2, 3, 4, 5], [1, 2]]",
    }
    for name, data in texts.items():
        (folder / f"{name}.f").write_bytes(data)


def classifiers(folder: Path) -> None:
    """Files that are nearly one, of one that is there."""
    whole = (folder / "linear.pkl").read_bytes()
    nearly = {
        "with a tail": whole + b"tail",
        "twice": whole + whole,
        "without its last byte": whole[:-1],
        "compressed": gzip.compress(whole),
    }
    for name, data in nearly.items():
        (folder / f"{name}.pkl").write_bytes(data)


def images(folder: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (60, 80, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(folder / "ok.png")
    for kind in ("PPM", "TGA", "JPEG2000", "ICO"):
        image.save(folder / f"{kind}.i", kind)
    image.convert("1").save(folder / "fax.i", "TIFF", compression="group4")
    image.convert("P").save(folder / "BMP of 256 colours.i", "BMP")
    image.convert("LA").save(folder / "grey PNG with alpha.i", "PNG")
    image.convert("CMYK").save(folder / "CMYK TIFF.i", "TIFF")
    image.save(folder / "WEBP.i", "WEBP", lossless=True)
    for path in list(folder.glob("*.i")):
        if path.stem not in ("PPM", "TGA", "JPEG2000", "ICO"):
            data = path.read_bytes()
            (folder / f"{path.stem} cut.i").write_bytes(data[: len(data) // 2])


def jobs_over(folder: Path) -> dict[str, Job]:
    found = {
        **{f"token {name}": classification(job_token=token) for name, token in TOKENS.items()},
        "no tasks": {"task_name": "extract_features", "tasks": []},
        "points of numpy": extraction(rowcols=[[1, 2], [3, 4]]),
        "points as integral floats": extraction(rowcols=[[1.0, 2.0]]),
        "points as fractions": extraction(rowcols=[[1.5, 2]]),
        "points as texts": extraction(rowcols=[["1", "2"]]),
        "points as null": extraction(rowcols=[[None, 2]]),
        "a point far outside": extraction(rowcols=[[10**20, 2]]),
        "a point above": extraction(rowcols=[[-1, 2]]),
        "as many points as allowed": extraction(rowcols=[[1, 2]] * 1000),
        "a point too many": extraction(rowcols=[[1, 2]] * 1001),
        "a bucket beside a path": extraction(image_loc={**at("ok.png"), "bucket_name": "b"}),
        "no hashes": extractor(data_hashes=None),
        "no locations": extractor(data_locations=None),
        "no feature_dim": extractor(feature_dim=None),
        "features into a new folder": extraction(feature_loc=at("new/folder/f")),
        "features below a file": extraction(feature_loc=at("0.npz/f")),
        "no epochs": training(nbr_epochs=0),
        "epochs below 0": training(nbr_epochs=-1),
        "epochs as null": training(nbr_epochs=None),
        "a third kind of classifier": training(clf_type="SVM"),
        "previous as null": training(previous_model_locs=None),
        "previous that is not there": training(previous_model_locs=[at("nothing")]),
        "previous of other dimensions": training(previous_model_locs=[at("of six.pkl")]),
        "labels of two kinds": training([0, 0, "1"]),
        "an annotation without a label": training([0, 0]),
        "a label of one image alone": training([0, 0, 9]),
        "points twice and in no order": extraction(rowcols=[[5, 6], [1, 2], [5, 6], [59, 79]]),
        "a point below the last row": extraction(rowcols=[[60, 2]]),
        "a point of three numbers": extraction(rowcols=[[1, 2, 3]]),
        "rows below zero by sign alone": extraction(rowcols=[[-0.0, 2]]),
        "an image that is a folder": extraction(image_loc=at(".")),
        "an image asked for as a folder": extraction(image_loc=at("ok.png/")),
        "an image below an image": extraction(image_loc=at("ok.png/a")),
        "an image that memory does not have": extraction(
            image_loc={**at("none"), "storage_type": "memory"}
        ),
        "features over a folder": extraction(feature_loc=at(".")),
        "of two tasks the second fails": {
            "task_name": "extract_features",
            "tasks": [*extraction()["tasks"], *extraction(image_loc=at("none"))["tasks"]],
        },
        "a task of another job": {**classification(), "task_name": "extract_features"},
        "a job that does not exist": {**classification(), "task_name": "classify"},
        "points beside features": classification(rowcols=[[1, 2]]),
        "a model over a folder": training(model_loc=at(".")),
        "a train image without points and without a file": training(
            train={"0.npz": points(1, 2), "none.npz": []}
        ),
        "a first image without points": training(train={"1.npz": [], "0.npz": points(1, 2)}),
        "an image of the reference set without points": training(
            ref={"0.npz": [], "1.npz": points(1, 2)}
        ),
        "points twice with other labels": training(
            train={"0.npz": [*points(1, 2), [0, 0, 2], [0, 0, 1]]}
        ),
        "one image in all sets": training(None, **{name: {"0.npz": points(1, 2)} for name in SETS}),
        "a label that the reference set lacks": training(train={"0.npz": points(1, 2, 3)}),
        "a label that the train set lacks": training(ref={"1.npz": points(1, 2, 3)}),
        "a label of the validation set alone": training(val={"2.npz": points(1, 2, 9)}),
        "no label in the validation set that is known": training(val={"2.npz": points(9)}),
        "one label in the reference set": training(ref={"1.npz": points(1)}),
        "one label in the validation set": training(val={"2.npz": points(2)}),
        "no label in common": training(ref={"1.npz": points(3, 4)}),
        "no train image": training(train={}),
        "no image of the reference set": training(ref={}),
        "no validation image": training(val={}),
        "labels of zero and below": labelled(0, -1, 5),
        "large labels": labelled(2**40, 2**31, -(2**40)),
        "a label beyond 64 bits": labelled(2**63, 1, 2),
        "labels as texts of digits": labelled("1", "10", "9"),
        "labels with accents and blanks": labelled("é", "E\u0301", " a"),
        "an empty label": labelled("", "a"),
        "labels as truths": labelled(True, False),
        "a label that ends in a zero character": labelled("a\0", "a"),
        "a point that its file does not have": training([50, 50, 1]),
        "a row as text": training(["0", 0, 1]),
        "older features in a training": training(train={"in JSON.f": points(1, 2)}),
        "NaN that no point uses": training(train={"NaN.f": points(1, 2)[:7]}),
        "features of two dimensions": training(
            train={"0.npz": points(1, 2), "six numbers a point.f": points(1, 2)}
        ),
        "previous twice": training(previous_model_locs=[at("of two.pkl")] * 2),
        "previous of other labels": training(previous_model_locs=[at("texts.pkl")]),
        "epochs as a fraction": training(nbr_epochs=2.5),
        "epochs as text": training(nbr_epochs="2"),
        "a folder for the cache that is not there": training(feature_cache_dir="none/at/all"),
    }
    for path in sorted(folder.glob("*.pkl")):
        if path.stem != "of six":
            found[f"classifier {path.stem}"] = classification(classifier_loc=at(path.name))
    for path in sorted(folder.glob("*.f")):
        found[f"features {path.stem}"] = classification(feature_loc=at(path.name))
    for path in sorted(folder.glob("*.i")):
        found[f"image {path.stem}"] = extraction(image_loc=at(path.name))
    return found
