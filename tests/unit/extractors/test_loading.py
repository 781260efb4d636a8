"""Extractors by name: what may be asked for, one load per process, the dummy."""

from __future__ import annotations

import gc
import hashlib
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spacer_tasks import registry, storage
from spacer_tasks.concurrency import device_watch
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import (
    ConfigError,
    DeviceLostError,
    FeaturesNotFiniteError,
    HashMismatchError,
    MessageError,
    ObjectNotFoundError,
    UnknownExtractorError,
)
from spacer_tasks.extractors import Extractor, load_extractor, loading
from spacer_tasks.extractors.runtime import cuda_network
from spacer_tasks.messages.specs import ExtractorSpec
from tests.support.files.file_server import FileServer
from tests.support.simulated_cuda import simulate

PHOTO = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
POINTS = [(0, 0), (150, 200), (299, 399), (10, 390)]

#: an installed package with an extractor of its own, which counts how often it is made
PLUGIN = """
import time
import numpy as np
from spacer_tasks.extractors import Extractor, Options

made = []

class Scale(Options):
    scale: float = 1.0

class Mean(Extractor):
    options_type = Scale
    file_keys = {"net": "any bytes"}
    feature_dim = 3

    def __init__(self, name, files, options):
        super().__init__(name, files, options)
        time.sleep(0.05)
        made.append(files["net"].data)

    def forward(self, patches):
        return patches.mean(axis=(1, 2), dtype=np.float32) * self.options.scale

class Named(Extractor):
    option_names = {"bias", "power"}
    feature_dim = 3

    def __init__(self, name, files, bias=0.5, power=1):
        super().__init__(name, files, bias=float(bias), power=power)
        self.bias = float(bias)

    def forward(self, patches):
        return patches.mean(axis=(1, 2), dtype=np.float32) + np.float32(self.bias)

class Raises(Mean):
    file_keys = {}
    def __init__(self, name, files, options):
        raise KeyError("layer 7")

class Exits(Raises):
    def __init__(self, name, files, options):
        raise SystemExit("no licence")
"""
#: of its entry points
OTHERS = ("Absent", "Exits", "Named", "Raises", "made")


@pytest.fixture(autouse=True)
def nothing_loaded() -> Iterator[None]:
    loading.forget_extractors()
    yield
    loading.forget_extractors()


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package's module, installed for this test."""
    info = tmp_path / "site" / "reef_nets-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: reef-nets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[spacer_tasks.extractors]\nreef_nets.Mean = reef_nets:Mean\n"
        + "".join(f"{name} = reef_nets:{name}\n" for name in OTHERS)
        + "spacer_tasks.extractors.VGG16CaffeExtractor = reef_nets:Mean\n"
    )
    (info.parent / "reef_nets.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(info.parent))
    registry._registered.cache_clear()
    import reef_nets  # type: ignore[import-not-found]

    yield reef_nets
    del sys.modules["reef_nets"]
    registry._registered.cache_clear()


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.pt"
    path.write_bytes(b"weights")
    return path


def spec_of(class_path: str, *, files: dict[str, Path] | None = None, **rest: Any) -> ExtractorSpec:
    locations = {
        key: DataLocation(storage_type="filesystem", key=str(path))
        for key, path in (files or {}).items()
    }
    return ExtractorSpec(class_path=class_path, data_locations=locations, **rest)


@pytest.mark.usefixtures("plugin")
def test_options_can_be_stated_by_their_names_alone() -> None:
    usual, other = load_extractor(spec_of("Named")), load_extractor(spec_of("Named", bias=2))
    assert usual.identity["options"] == {"bias": 0.5, "power": 1}
    assert other.identity["options"] == {"bias": 2.0, "power": 1}
    patches = np.zeros((1, 4, 4, 3), np.uint8)
    assert (usual.forward(patches) == 0.5).all()
    assert (other.forward(patches) == 2).all()
    with pytest.raises(MessageError, match="unknown option size; its options are: bias, power"):
        load_extractor(spec_of("Named", size=1))
    # its own checks: what they raise names the extractor
    with pytest.raises(ConfigError, match="Named"):
        load_extractor(spec_of("Named", bias="no number"))


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "class_path",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "spacer_tasks.extractors.loading.load_extractor",
        "spacer_tasks.extractors.dummy:DummyExtractor",
        "spacer_tasks.training.MiniBatchTrainer",
        "",
    ],
)
def test_a_name_that_is_not_registered_is_refused_with_what_is(class_path: str) -> None:
    with pytest.raises(UnknownExtractorError) as caught:
        load_extractor(spec_of(class_path))
    assert repr(class_path) in str(caught.value)
    assert "spacer_tasks.extractors.EfficientNetExtractor" in str(caught.value)


@pytest.mark.parametrize(
    "alias",
    ["dummy", "spacer.extractors.DummyExtractor", "spacer.extractors.base.DummyExtractor"],
)
def test_the_reference_s_class_paths_are_aliases(alias: str) -> None:
    ours = load_extractor(spec_of("spacer_tasks.extractors.DummyExtractor", feature_dim=5))
    assert load_extractor(spec_of(alias, feature_dim=5)) is ours


def test_an_installed_package_can_bring_an_extractor(plugin: Any, net: Path) -> None:
    extractor = load_extractor(spec_of("reef_nets.Mean", files={"net": net}, scale=2.0))
    grey = np.full((300, 300, 3), 7, dtype=np.uint8)
    np.testing.assert_array_equal(extractor.extract(grey, [(5, 5)]), [[14, 14, 14]])


# --- options and files -------------------------------------------------------------------------


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(
        MessageError, match="unknown option feature_dims; its options are: feature_dim"
    ):
        load_extractor(spec_of("dummy", feature_dims=5))


@pytest.mark.parametrize("value", [0, -1, 2.5, "5", True, None, 2**16 + 1, 10**12])
def test_a_feature_dim_that_is_no_positive_integer_is_refused(value: Any) -> None:
    with pytest.raises(MessageError, match=r"extractor dummy: option feature_dim: .* \(found "):
        load_extractor(spec_of("dummy", feature_dim=value))


def test_an_option_of_another_type_is_named_before_a_file_is_read(plugin: Any) -> None:
    spec = spec_of("reef_nets.Mean", files={"net": Path("/nowhere")}, scale="much")
    with pytest.raises(MessageError, match=r"option scale: .* \(found 'much'\)"):
        load_extractor(spec)


def test_a_missing_data_location_is_named() -> None:
    with pytest.raises(MessageError, match="data_locations lacks weights"):
        load_extractor(spec_of("efficientnet"))


def test_an_unknown_data_location_is_named(net: Path) -> None:
    with pytest.raises(MessageError, match="unknown data location weight; it takes weights"):
        load_extractor(spec_of("efficientnet", files={"weights": net, "weight": net}))


def test_a_hash_of_no_file_is_named(net: Path) -> None:
    spec = spec_of("efficientnet", files={"weights": net}, data_hashes={"weight": "00"})
    with pytest.raises(MessageError, match="unknown data hash weight;"):
        load_extractor(spec)


def test_a_file_that_is_not_there_is_named_and_taken_when_it_comes(plugin: Any, net: Path) -> None:
    net.unlink()
    spec = spec_of("reef_nets.Mean", files={"net": net})
    with pytest.raises(ObjectNotFoundError, match=r"net\.pt"):
        load_extractor(spec)
    net.write_bytes(b"weights")
    assert load_extractor(spec).feature_dim == 3


def test_a_wrong_hash_makes_no_extractor(plugin: Any, net: Path) -> None:
    spec = spec_of("reef_nets.Mean", files={"net": net}, data_hashes={"net": "00" * 32})
    with pytest.raises(HashMismatchError, match=r"net\.pt"):
        load_extractor(spec)
    assert plugin.made == []


# --- one load per process ----------------------------------------------------------------------


def test_threads_that_ask_at_once_share_one_load(plugin: Any, net: Path) -> None:
    spec = spec_of("reef_nets.Mean", files={"net": net})
    together = Barrier(8)

    def ask(_: int) -> object:
        together.wait()
        return load_extractor(spec)

    with ThreadPoolExecutor(8) as pool:
        extractors = list(pool.map(ask, range(8)))
    assert plugin.made == [b"weights"]
    assert all(extractor is extractors[0] for extractor in extractors)


def test_threads_that_wait_for_a_load_that_fails_get_its_error(plugin: Any, net: Path) -> None:
    spec = spec_of("reef_nets.Mean", files={"net": net}, data_hashes={"net": "00" * 32})
    together = Barrier(4)

    def ask(_: int) -> str:
        together.wait()
        with pytest.raises(HashMismatchError) as caught:
            load_extractor(spec)
        return str(caught.value)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1


def test_other_options_or_another_file_are_another_extractor(
    plugin: Any, net: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pt"
    other.write_bytes(b"others")
    extractors = [
        load_extractor(spec_of("reef_nets.Mean", files={"net": net})),
        load_extractor(spec_of("reef_nets.Mean", files={"net": net}, scale=2.0)),
        load_extractor(spec_of("reef_nets.Mean", files={"net": other})),
    ]
    identities = [extractor.identity for extractor in extractors]
    assert all(identities.count(identity) == 1 for identity in identities)


def test_a_replaced_file_is_loaded_again(plugin: Any, net: Path) -> None:
    spec = spec_of("reef_nets.Mean", files={"net": net})
    older = load_extractor(spec)
    storage.store(spec.data_locations["net"], b"newer weights")
    newer = load_extractor(spec)
    assert plugin.made == [b"weights", b"newer weights"]
    assert newer.identity["files"] != older.identity["files"]


def test_a_file_behind_a_url_is_loaded_again_when_its_server_tells_that_it_was_replaced(
    plugin: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> None:
    """By its ETag, or else by its length: the page of differences says what is not noticed."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("SPACER_ALLOWED_URLS", "127.0.0.1")
    monkeypatch.setenv("SPACER_EXTRACTORS_CACHE_DIR", str(tmp_path / "kept"))
    settings_changed()
    monkeypatch.setattr(loading, "RECHECK_S", 0.0)
    with closing(FileServer()) as server:

        def loaded(path: str) -> Extractor:
            return load_extractor(spec_at(server.at(path)))

        for path, etag in (("/told", "from the content"), ("/not-told", None)):
            server.put(path, b"1st", etag)
            older = loaded(path)
            server.put(path, b"2nd", etag)
            assert (loaded(path) is older) == (etag is None)
            server.put(path, b"another length", etag)
            assert loaded(path) is not older
        loading.forget_extractors()
        server.put("/not-told", b"and anothr one", None)
        loaded("/not-told")
    # a file of which it is not known whether it was replaced is not kept on the disk either
    assert plugin.made[-1] == b"and anothr one"


def spec_at(loc: DataLocation) -> ExtractorSpec:
    return ExtractorSpec(class_path="reef_nets.Mean", data_locations={"net": loc})


def test_the_longest_unused_extractor_is_dropped_first() -> None:
    specs = [spec_of("dummy", feature_dim=n) for n in range(1, loading.MAX_LOADED + 2)]
    first, second = (load_extractor(spec) for spec in specs[:2])
    for spec in specs[2:-1]:
        load_extractor(spec)
    assert load_extractor(specs[0]) is first
    load_extractor(specs[-1])
    assert load_extractor(specs[0]) is first
    assert load_extractor(specs[1]) is not second


# --- the dummy ---------------------------------------------------------------------------------


def test_the_dummy_s_dimension_is_the_reference_s_by_default() -> None:
    assert load_extractor(spec_of("dummy")).feature_dim == 4096


def test_the_dummy_s_vectors_depend_on_the_patch_alone() -> None:
    dummy = load_extractor(spec_of("dummy", feature_dim=6))
    vectors = dummy.extract(PHOTO, POINTS)
    assert vectors.shape == (4, 6)
    assert vectors.dtype == np.float32
    assert len(np.unique(vectors, axis=0)) == 4
    loading.forget_extractors()
    again = load_extractor(spec_of("dummy", feature_dim=6))
    np.testing.assert_array_equal(again.extract(PHOTO, POINTS[::-1]), vectors[::-1])


def test_an_identity_says_name_options_and_files(plugin: Any, net: Path) -> None:
    assert load_extractor(spec_of("spacer.extractors.DummyExtractor")).identity == {
        "name": "spacer_tasks.extractors.DummyExtractor",
        "options": {"feature_dim": 4096},
        "files": {},
    }
    assert load_extractor(spec_of("reef_nets.Mean", files={"net": net})).identity == {
        "name": "reef_nets.Mean",
        "options": {"scale": 1.0},
        "files": {"net": hashlib.sha256(b"weights").hexdigest()},
    }


# --- extract -----------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [1, 9, 10, 11, 25])
def test_points_beyond_one_batch_keep_their_order(points: int) -> None:
    dummy = load_extractor(spec_of("dummy", feature_dim=2))
    rowcols = [(row * 7, row * 11) for row in range(points)]
    together = dummy.extract(PHOTO, rowcols)
    one_by_one = np.concatenate([dummy.extract(PHOTO, [point]) for point in rowcols])
    np.testing.assert_array_equal(together, one_by_one)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK"])
def test_an_image_is_taken_as_its_rgb_pixels(mode: str) -> None:
    dummy = load_extractor(spec_of("dummy", feature_dim=2))
    image = Image.fromarray(PHOTO).convert(mode)
    np.testing.assert_array_equal(
        dummy.extract(image, POINTS), dummy.extract(np.asarray(image.convert("RGB")), POINTS)
    )


def test_what_is_made_of_local_files_is_not_loaded_remotely(plugin: Any, net: Path) -> None:
    assert not load_extractor(spec_of("reef_nets.Mean", files={"net": net})).loaded_remotely


# --- what stays, and what is not given --------------------------------------------------------


def test_an_extractor_that_is_dropped_is_gone_at_once_and_its_memory_with_it() -> None:
    extractor = load_extractor(spec_of("dummy", feature_dim=3))
    extractor.merge_images()
    expected = extractor.forward(np.zeros((1, 224, 224, 3), np.uint8))
    black = np.zeros((300, 400, 3), np.uint8)
    np.testing.assert_array_equal(extractor.extract(black, [(150, 200)]), expected)
    here = weakref.ref(extractor)
    gc.disable()
    try:
        loading.forget_extractors()
        del extractor
        assert here() is None
    finally:
        gc.enable()


def test_memory_of_dropped_extractors_is_given_back_to_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released: list[int] = []
    kept = loading._LOADED._extractors
    monkeypatch.setattr(cuda_network, "release_memory", lambda: released.append(len(kept)))
    for count in range(1, loading.MAX_LOADED + 1):
        load_extractor(spec_of("dummy", feature_dim=count))
    assert released == []
    load_extractor(spec_of("dummy", feature_dim=count + 1))
    assert released == [loading.MAX_LOADED]


def test_a_device_that_fails_while_memory_is_given_back_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulate(monkeypatch)
    lost: list[str] = []
    monkeypatch.setattr(device_watch, "lose", lost.append)
    for count in range(1, loading.MAX_LOADED + 1):
        load_extractor(spec_of("dummy", feature_dim=count))

    def fails(*_: Any) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    with monkeypatch.context() as sick:
        sick.setattr(torch.cuda, "empty_cache", fails)
        sick.setattr(torch.cuda, "synchronize", fails)
        with pytest.raises(DeviceLostError, match="illegal memory access"):
            load_extractor(spec_of("dummy", feature_dim=99))
    assert lost
    # who comes later is not held up by the load that failed
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert load_extractor(spec_of("dummy", feature_dim=99)).feature_dim == 99


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_not_given(
    merged: bool, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = load_extractor(spec_of("dummy", feature_dim=3))
    extractor.computes_in("float16")
    vectors = np.array([[1, 2, value]], np.float32)
    monkeypatch.setattr(type(extractor), "forward", lambda _, patches: vectors)
    if merged:
        extractor.merge_images()
    with pytest.raises(FeaturesNotFiniteError, match="computed in float16 are not finite"):
        extractor.extract(PHOTO, POINTS[:1])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Absent", "reef_nets:Absent of reef-nets 1.0 cannot be imported: AttributeError"),
        ("Raises", "extractor Raises: reef_nets.Raises does not work, .*KeyError: 'layer 7'"),
        ("Exits", "extractor Exits: reef_nets.Exits does not work, .*SystemExit: no licence"),
        ("made", "extractor made: .* is registered, expected a subclass"),
        ("vgg16", "by .*reef-nets 1.0.*; uninstall all but one"),
    ],
)
def test_a_package_s_extractor_that_does_not_work_is_one_error_that_names_it(
    name: str, text: str, plugin: Any
) -> None:
    with pytest.raises(ConfigError, match=text):
        load_extractor(spec_of(name))


@pytest.mark.parametrize(
    ("stated", "text"),
    [({"file_keys": ("net",)}, "file_keys is a tuple"), ({"crop_size": 0}, "crop_size is 0")],
)
def test_a_class_that_states_nonsense_cannot_be_made(stated: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        type("Wrong", (Extractor,), stated)
