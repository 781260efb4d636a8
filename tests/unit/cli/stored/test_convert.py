"""`spacer-tasks convert`: classifiers of a folder between formats, each conversion checked."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spacer_tasks import storage
from spacer_tasks.classifiers import Classifier, conversion
from spacer_tasks.classifiers.codec import decoded, encoded, format_of
from spacer_tasks.classifiers.conversion import convert_all, difference
from spacer_tasks.classifiers.conversion_plan import plan_conversion
from spacer_tasks.classifiers.model import Layer
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import StorageUnavailableError
from spacer_tasks.storage.filesystem import FilesystemStorage
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.command_line import Ran, run
from tests.support.files.older_pickles import in_protocol

FIXTURES = FIXTURES_FOLDER / "pyspacer"
KINDS = ["int_lr", "int_mlp", "str_lr", "str_mlp"]
OLDER = "older/0.17.1/bytes_lr_2.pkl"


@pytest.fixture(autouse=True)
def in_a_folder(
    settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bucket_like() -> Path:
    """What lies where CoralNet keeps its classifiers."""
    folder = Path("classifiers")
    folder.mkdir()
    for number, kind in enumerate(KINDS):
        shutil.copy(FIXTURES / f"{kind}.pkl", folder / f"{number}.model")
        shutil.copy(FIXTURES / f"{kind}.valresult.json", folder / f"{number}.valresult")
    (folder / "old").mkdir()
    shutil.copy(FIXTURES / OLDER, folder / "old" / "4.model")
    return folder


def at(path: Path | str) -> DataLocation:
    return DataLocation(storage_type="filesystem", key=str(Path(path).resolve()))


def convert(*arguments: str, to: str = "spacer") -> Ran:
    return run("convert", *arguments, "--to", to)


def files(folder: str) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def rows_of(path: str) -> dict[str, dict[str, str]]:
    """The rows of a report, by the name of their source."""
    with Path(path).open(newline="") as stream:
        return {Path(row["source"]).name: row for row in csv.DictReader(stream)}


def classifier(name: str) -> Classifier:
    data = (FIXTURES / f"{name}.pkl").read_bytes()
    return decoded(data, name)


def nudged(some: Classifier, by: float) -> Classifier:
    """A classifier that answers otherwise."""
    *rest, last = some.layers
    layers = (*rest, Layer(last.weight, last.bias + by * np.arange(len(last.bias))))
    return Classifier(
        some.clf_type, layers, some.output, some.calibration_a, some.calibration_b, some.classes
    )


def test_a_folder_goes_to_our_format_and_back_with_equal_probabilities(bucket_like: Path) -> None:
    ran = convert("classifiers", "ours", "--report", "report.csv")
    assert ran.code == 0, ran.err
    assert "5 to spacer, in ours: 2 LR of 24 dimensions, 1 LR of 8 dimensions, 2 MLP" in ran.out
    assert "skipped     4, not a classifier: 0.valresult, 1.valresult, 2.val" in ran.out
    assert set(files("ours")) == {"0.model", "1.model", "2.model", "3.model", "old/4.model"}
    assert {format_of(data) for data in files("ours").values()} == {"spacer"}
    rows = rows_of("report.csv")
    assert len(rows) == 9
    assert rows["1.model"]["source"] == str(Path("classifiers/1.model").resolve())
    assert rows["1.model"]["target"] == str(Path("ours/1.model").resolve())
    row = {name: rows["1.model"][name] for name in list(rows["1.model"])[2:7]}
    assert list(row.values()) == ["converted", "pyspacer", "MLP", "4", "24"]
    assert float(rows["1.model"]["largest_difference"]) <= 1e-6
    assert float(rows["1.model"]["seconds"]) > 0
    assert [rows["0.valresult"][name] for name in ("outcome", "format", "reason")] == [
        *("skipped", "", "not a classifier: JSON")
    ]

    assert convert("ours", "theirs", to="pyspacer").code == 0
    assert {format_of(data) for data in files("theirs").values()} == {"pyspacer"}
    for number, kind in enumerate(KINDS):
        back = decoded(files("theirs")[f"{number}.model"], kind)
        assert back.classes == classifier(kind).classes
        apart = difference(classifier(kind), back)
        assert apart is not None
        assert apart <= 1e-6


def test_bad_files_are_listed_and_the_rest_is_converted(bucket_like: Path) -> None:
    whole = (bucket_like / "0.model").read_bytes()
    (bucket_like / "5.model").write_bytes(whole[: len(whole) // 2])
    (bucket_like / "6.model").write_bytes(b"")
    (bucket_like / "7.model").write_bytes(encoded(classifier("int_lr"), "spacer", "")[:-8])
    ran = convert("classifiers", "ours", "--match", "*.model", "-o", "report.csv")
    assert ran.code == 1
    lines = ran.err.splitlines()
    assert "3 failures:" in lines
    assert any(line.startswith("  5.model: a damaged pickle at byte") for line in lines)
    assert "  6.model: an empty file, expected a classifier" in lines
    assert any(line.startswith("  7.model: a damaged classifier file") for line in lines)
    assert len(files("ours")) == 5
    assert [rows_of("report.csv")[f"{i}.model"]["outcome"] for i in (4, 5, 6, 7)] == [
        *("converted", "failed", "failed", "failed")
    ]


OTHERS = {
    "a.jpg": (b"\xff\xd8\xff\xe0", "a JPEG"),
    "a.jpg.featurevector": (b"PK\x03\x04\x14\0", "a zip archive, as feature files are"),
    "a.feats": (b"[[0.5, 1.0]]", "JSON"),
    "points.csv": ("Name,Row,Column,Label\nä.jpg,1,2,coral\n".encode(), "a text"),
    "error.html": (b"<html>404</html>", "a text"),
}
#: what could be a classifier, by its name or its content, and is not taken
SUSPECTS = {
    "5.model": (b"<html>404</html>", "a text"),
    "6.pkl": (b"[1, 2]", "JSON"),
    "7.safetensors": (len(b"{}").to_bytes(8, "little") + b"{}", "a safetensors file of something"),
    "8.MODEL": (b"\xff\xd8\xff\xe0", "a JPEG"),
    "labels": (pickle.dumps([1, 2], 4), "a pickle of something else"),
    "9.gz": (b"\x1f\x8b\x08\0", "a file compressed by gzip"),
    # as Python 2 wrote it, without its first letter
    "beta": (b"copy_reg\n_reconstructor\np0\n(csklearn.calibration\n", "a text"),
    "unknown": (b"\0\1\2\3", "4 bytes that start with b'"),
}


def test_files_that_say_that_they_are_something_else_are_told_of_and_let_pass(
    bucket_like: Path,
) -> None:
    for name, (data, _) in OTHERS.items():
        (bucket_like / name).write_bytes(data)
    ran = convert("classifiers", "ours", "-o", "report.csv")
    assert ran.code == 0
    rows = rows_of("report.csv")
    for name, (_, kind) in OTHERS.items():
        assert (rows[name]["outcome"], rows[name]["reason"]) == (
            *("skipped", f"not a classifier: {kind}"),
        )
    assert "skipped     9, not a classifier: 0.valresult," in ran.out
    assert "; a.jpg (a JPEG); error.html, points.csv (a text)" in ran.out


def test_what_might_be_a_classifier_and_is_not_taken_is_an_error_with_the_reason(
    bucket_like: Path,
) -> None:
    for name, (data, _) in SUSPECTS.items():
        (bucket_like / name).write_bytes(data)
    ran = convert("classifiers", "ours", "-o", "report.csv")
    assert ran.code == 1
    assert f"{len(SUSPECTS)} failures:" in ran.err
    for name, (_, found) in SUSPECTS.items():
        assert f"  {name}: {found}" in ran.err
    assert ran.err.count("expected a classifier file of spacer-tasks") == len(SUSPECTS)
    assert len(files("ours")) == 5


def test_a_file_that_is_named_by_itself_must_be_a_classifier() -> None:
    Path("points.csv").write_text("Name,Row,Column\n")
    ran = convert("points.csv", "ours/")
    assert ran.code == 1
    assert "points.csv: a text, expected a classifier file" in ran.err


def test_a_folder_without_classifiers_is_an_error(bucket_like: Path) -> None:
    ran = convert("classifiers", "ours", "--match", "*.valresult")
    assert ran.code == 1
    assert "classifiers: no classifier among 4 files" in ran.err


def test_more_files_than_a_line_lists_are_all_in_the_report(bucket_like: Path) -> None:
    for number in range(20):
        (bucket_like / f"{number}.txt").write_text("notes")
    ran = convert("classifiers", "ours", "-o", "report.csv")
    assert ran.code == 0
    assert "and 12 more (a text) (--report names all)" in ran.out
    assert len(rows_of("report.csv")) == 29


@pytest.mark.parametrize("protocol", [0, 1])
def test_the_oldest_classifiers_are_converted(protocol: int) -> None:
    """As Python 2 pickled where nobody asked for another protocol."""
    data = in_protocol((FIXTURES / OLDER).read_bytes(), protocol)
    Path("beta.model").write_bytes(data)
    ran = convert("beta.model", "ours/")
    assert ran.code == 0, ran.err
    apart = difference(decoded(data, ""), decoded(files("ours")["beta.model"], ""))
    assert apart is not None
    assert apart <= 1e-6


def test_a_second_run_takes_up_where_the_first_stopped(bucket_like: Path) -> None:
    convert("classifiers", "ours", "--match", "?.model")
    before = {path: path.stat().st_mtime_ns for path in Path("ours").iterdir()}
    Path("ours/2.model").unlink()
    ran = convert("classifiers", "ours")
    assert ran.code == 0
    assert "converted      2 to spacer, in ours" in ran.out
    assert "already there  3 in ours" in ran.out
    kept = [path for path in before if path.name != "2.model"]
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)


def test_a_target_that_is_no_equal_conversion_is_replaced_only_when_asked(
    bucket_like: Path,
) -> None:
    Path("ours").mkdir()
    other = encoded(nudged(classifier("int_lr"), 1.0), "spacer", "")
    there = {
        "0.model": other,
        "1.model": b"something",
        "2.model": other[:-5],
        "3.model": (bucket_like / "3.model").read_bytes(),
    }
    for name, data in there.items():
        Path("ours", name).write_bytes(data)
    ran = convert("classifiers", "ours", "--match", "?.model")
    assert ran.code == 1
    assert "4 failures:" in ran.err
    assert "0.model: there is another classifier; it is replaced with --overwrite only" in ran.err
    assert "1.model: there is something other than a classifier of format spacer" in ran.err
    assert "2.model: there is a damaged classifier" in ran.err
    assert "3.model: there is something other than a classifier of format spacer" in ran.err
    assert files("ours") == there
    assert convert("classifiers", "ours", "--match", "?.model", "--overwrite").code == 0
    replaced = decoded(files("ours")["0.model"], "")
    assert difference(replaced, classifier("int_lr")) == pytest.approx(0, abs=1e-12)


class TestASourceIsNeverReplaced:
    @pytest.fixture(autouse=True)
    def sources(self, bucket_like: Path) -> Any:
        before = files("classifiers")
        yield
        after = files("classifiers")
        assert {name: after[name] for name in before} == before

    def test_where_the_folder_is_its_own_target(self) -> None:
        for target in ("classifiers", "classifiers/", "other/../classifiers"):
            ran = convert("classifiers", target, "--overwrite")
            assert ran.code == 2
            assert "would replace what they are made from" in ran.err
        ran = convert("classifiers/0.model", "classifiers/0.model", "--overwrite")
        assert ran.code == 2

    def test_where_the_target_is_a_link_to_it(self) -> None:
        Path("link").symlink_to("classifiers")
        ran = convert("classifiers", "link", "--overwrite", "--match", "*.model")
        assert ran.code == 2
        Path("others").mkdir()
        Path("others/4.model").symlink_to("../classifiers/old/4.model")
        shutil.copy("classifiers/0.model", "others/0.model")
        Path("linked").mkdir()
        Path("linked/4.model").symlink_to("../classifiers/old/4.model")
        ran = convert("others", "linked", "--overwrite")
        assert ran.code == 1
        assert "  4.model: would be replaced by its own conversion" in ran.err

    def test_where_a_suffix_tells_them_apart(self) -> None:
        again = ("classifiers", "classifiers", "--suffix", ".safetensors", "--overwrite")
        assert convert(*again, "--match", "*.model").code == 0
        assert "old/4.safetensors" in files("classifiers")
        # now the conversions are there to be converted too, and other files have their names
        ran = convert(*again, "-o", "report.csv")
        assert ran.code == 0, ran.err
        rows = rows_of("report.csv")
        assert [rows[f"0.{end}"]["outcome"] for end in ("model", "safetensors", "valresult")] == [
            *("already there", "already there", "skipped")
        ]

    def test_where_it_is_the_target_of_another(self) -> None:
        data = encoded(nudged(classifier("int_lr"), 1.0), "spacer", "")
        Path("classifiers/0.old").write_bytes(data)
        where = ("classifiers", "classifiers", "--suffix", ".model", "--overwrite")
        ran = convert(*where, "--match", "0.*", to="pyspacer")
        assert ran.code == 1
        assert "  0.old: " in ran.err
        assert "there is another classifier, and is itself to be converted" in ran.err
        assert "already there  1" in ran.out
        assert Path("classifiers/0.old").read_bytes() == data


def test_two_files_for_one_target_are_both_left(bucket_like: Path) -> None:
    shutil.copy(bucket_like / "0.model", bucket_like / "0.backup")
    ran = convert("classifiers", "ours", "--match", "0.[mb]*", "--suffix", ".c")
    assert ran.code == 1
    assert ran.err.count("/ours/0.c would be the conversion of") == 2
    assert not Path("ours").exists()


def test_conversions_below_their_sources_are_no_sources(bucket_like: Path) -> None:
    for outcome in ("converted", "already there"):
        ran = convert("classifiers", "classifiers/new", "--match", "*.model")
        assert ran.code == 0
        assert ran.out.startswith("files ")
        assert "5 in classifiers" in ran.out
        assert outcome in ran.out
    assert len(files("classifiers/new")) == 5


def test_one_classifier_goes_to_a_file_or_into_a_folder() -> None:
    source = str(FIXTURES / "str_mlp.pkl")
    assert convert(source, "a.safetensors").code == 0
    assert convert(source, "folder/").code == 0
    assert convert(source, "folder", "--suffix", ".model").code == 0
    assert set(files(".")) == {"a.safetensors", "folder/str_mlp.pkl", "folder/str_mlp.model"}
    assert format_of(Path("a.safetensors").read_bytes()) == "spacer"


def test_a_dry_run_checks_everything_and_writes_nothing(bucket_like: Path) -> None:
    (bucket_like / "5.model").write_bytes((bucket_like / "0.model").read_bytes()[:2000])
    before = files(".")
    ran = convert("classifiers", "ours", "--dry-run")
    assert ran.code == 1
    assert "would convert  5 to spacer, in ours" in ran.out
    assert "5.model: a damaged pickle" in ran.err
    assert files(".") == before


def test_what_the_reference_has_no_form_for_is_a_failure() -> None:
    some = classifier("int_lr")
    mixed = [*some.classes[:-1], "a text"]
    other = Classifier(
        some.clf_type, some.layers, some.output, some.calibration_a, some.calibration_b, mixed
    )
    Path("mixed.safetensors").write_bytes(encoded(other, "spacer", ""))
    ran = convert("mixed.safetensors", "theirs/", to="pyspacer")
    assert ran.code == 1
    assert "no classifier with integers and texts as labels" in ran.err
    assert not Path("theirs").exists()


def test_a_conversion_with_other_probabilities_is_not_stored(
    bucket_like: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(some: Classifier, *rest: Any) -> bytes:
        return encoded(nudged(some, 1.0), *rest)

    monkeypatch.setattr(conversion, "encoded", wrong)
    ran = convert("classifiers", "ours", "--match", "?.model")
    assert ran.code == 1
    assert ran.err.count("not converted: its probabilities would change by") == 4
    assert not Path("ours").exists()


def test_a_target_that_reads_back_otherwise_is_removed(
    bucket_like: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FilesystemStorage.store

    def damaging(self: FilesystemStorage, key: str, data: bytes) -> None:
        store(self, key, data[:-1] + b"\0" if key.endswith("2.model") else data)

    monkeypatch.setattr(FilesystemStorage, "store", damaging)
    ran = convert("classifiers", "ours", "--match", "?.model")
    assert ran.code == 1
    assert "2.model: read back, it is not what was written; removed again" in ran.err
    assert set(files("ours")) == {"0.model", "1.model", "3.model"}


def test_a_bug_in_one_file_does_not_stop_the_others(
    bucket_like: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(data: bytes, name: str) -> Classifier:
        if name.endswith("2.model"):
            raise RuntimeError("never thought of")
        return decoded(data, name)

    monkeypatch.setattr(conversion, "decoded", failing)
    ran = convert("classifiers", "ours", "--match", "?.model")
    assert ran.code == 1
    assert "  2.model: RuntimeError: never thought of" in ran.err
    assert len(files("ours")) == 3
    assert "Traceback" in caplog.text


def test_an_outage_ends_the_run_with_its_report_and_one_failure_does_not(
    bucket_like: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = storage.load
    away = {"2.model"}

    def sometimes(loc: DataLocation) -> bytes:
        if loc.filename in away and "classifiers" in loc.key:
            raise StorageUnavailableError(f"{loc}: away")
        return load(loc)

    monkeypatch.setattr(storage, "load", sometimes)
    ran = convert("classifiers", "ours", "--match", "?.model", "--threads", "1")
    assert ran.code == 1
    assert "  2.model: away" in ran.err
    assert len(files("ours")) == 3
    away |= {"0.model", "1.model", "3.model"}
    ran = convert("classifiers", "ours", "--match", "*.model", "--threads", "1", "-o", "r.csv")
    assert ran.code == 2
    assert "stored; the same command again goes on from there" in ran.err
    assert "failed" in {row["outcome"] for row in rows_of("r.csv").values()}


def test_an_interrupted_run_tells_how_to_go_on_and_writes_its_report(
    bucket_like: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = decoded

    def interrupted(data: bytes, name: str) -> Classifier:
        if name.endswith("classifiers/2.model"):
            raise KeyboardInterrupt
        return decode(data, name)

    monkeypatch.setattr(conversion, "decoded", interrupted)
    arguments = ("classifiers", "ours", "--match", "?.model", "--threads", "1")
    ran = convert(*arguments, "-o", "report.csv")
    assert ran.code == 130
    assert "stored; the same command again goes on from there" in ran.err
    assert "2.model" not in rows_of("report.csv")
    monkeypatch.setattr(conversion, "decoded", decode)
    assert convert(*arguments).code == 0
    assert len(files("ours")) == 4


def test_nothing_is_begun_after_the_caller_stops(bucket_like: Path) -> None:
    rows = convert_all(plan_conversion(at("classifiers"), at("ours")), "spacer", threads=1)
    assert next(rows).outcome in ("converted", "skipped")
    rows.close()
    assert len(files("ours")) < 5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nowhere", "ours"), "nowhere"),
        (("classifiers", "ours", "--match", "*.x"), "no files that match '*.x'"),
        (("classifiers", "https://host/x"), "nothing can be written to a url location"),
        (("classifiers", "ours", "--suffix", "model"), "expected a dot"),
    ],
)
def test_what_cannot_begin(bucket_like: Path, arguments: tuple[str, ...], text: str) -> None:
    ran = convert(*arguments)
    assert ran.code == 2
    assert text in ran.err
    assert not Path("ours").exists()


def test_the_first_bytes_tell_a_classifier_from_other_files() -> None:
    for kind in KINDS:
        pickled = (FIXTURES / f"{kind}.pkl").read_bytes()
        assert format_of(pickled) == "pyspacer"
        assert format_of(encoded(decoded(pickled, kind), "spacer", kind)) == "spacer"
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    weights = len(header).to_bytes(8, "little") + header
    for other in (b"", b"\x80", b"\x80\x04}.", b"12345678{}", b'{"scores": [1]}', weights):
        assert format_of(other) is None
