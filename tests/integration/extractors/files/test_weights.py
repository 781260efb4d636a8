"""An extractor's files on a real S3 server: downloaded once, asked about seldom."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
import torch

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import BucketNotFoundError, ObjectNotFoundError
from spacer_tasks.extractors import Extractor, load_extractor, loading
from spacer_tasks.extractors.efficientnet.network import EfficientNetB0
from spacer_tasks.extractors.files.weights import load_file
from spacer_tasks.messages.specs import ExtractorSpec
from tests.support.files.caffemodels import FIXTURES


@pytest.fixture
def loc(
    settings_env: dict[str, str],
    bucket: str,
    tmp_path: Path,
    settings_changed: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> DataLocation:
    monkeypatch.setenv("SPACER_EXTRACTORS_CACHE_DIR", str(tmp_path))
    settings_changed()
    loc = DataLocation(storage_type="s3", bucket_name=bucket, key="nets/net.pt")
    storage.store(loc, b"weights")
    return loc


def test_a_file_on_s3_is_kept_until_it_is_replaced(loc: DataLocation) -> None:
    assert load_file(loc).downloaded
    assert not load_file(loc).downloaded
    storage.store(loc, b"newer weights")
    newer = load_file(loc)
    assert (newer.data, newer.downloaded) == (b"newer weights", True)


def test_the_same_key_in_another_bucket_is_another_file(loc: DataLocation) -> None:
    load_file(loc)
    with pytest.raises(BucketNotFoundError):
        load_file(loc.model_copy(update={"bucket_name": "no-such-bucket"}))
    with pytest.raises(ObjectNotFoundError):
        load_file(loc.model_copy(update={"key": "nets/other/net.pt"}))


def extractor_at(loc: DataLocation, **hashes: str) -> Extractor:
    return load_extractor(
        ExtractorSpec(
            class_path="efficientnet", data_locations={"weights": loc}, data_hashes=hashes
        )
    )


def weights_bytes(seed: int) -> bytes:
    torch.manual_seed(seed)
    stream = BytesIO()
    torch.save({"net": EfficientNetB0().state_dict()}, stream)
    return stream.getvalue()


@pytest.fixture
def nothing_loaded() -> Iterator[None]:
    loading.forget_extractors()
    yield
    loading.forget_extractors()


@pytest.mark.usefixtures("nothing_loaded")
def test_only_the_load_that_downloaded_says_so(loc: DataLocation) -> None:
    storage.store(loc, weights_bytes(1))
    assert extractor_at(loc).loaded_remotely
    loading.forget_extractors()
    assert not extractor_at(loc).loaded_remotely


@pytest.mark.usefixtures("nothing_loaded")
def test_a_replaced_network_is_taken_up_when_its_version_is_looked_up_again(
    loc: DataLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.store(loc, weights_bytes(1))
    older = extractor_at(loc)
    storage.store(loc, weights_bytes(2))
    assert extractor_at(loc) is older
    monkeypatch.setattr(loading, "RECHECK_S", 0.0)
    newer = extractor_at(loc)
    assert newer.identity != older.identity
    assert extractor_at(loc) is newer


@pytest.mark.usefixtures("nothing_loaded")
def test_with_a_hash_a_loaded_network_needs_no_storage(
    loc: DataLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = weights_bytes(1)
    storage.store(loc, data)
    digest = hashlib.sha256(data).hexdigest()
    loaded = extractor_at(loc, weights=digest)
    monkeypatch.setattr(loading, "RECHECK_S", 0.0)
    storage.delete(loc)
    assert extractor_at(loc, weights=digest) is loaded


@pytest.mark.usefixtures("nothing_loaded")
def test_files_that_are_opened_are_downloaded_once_too(loc: DataLocation, tmp_path: Path) -> None:
    files = {}
    for key, name in (("definition", "tiny_vgg16.prototxt"), ("weights", "tiny_vgg16.caffemodel")):
        files[key] = loc.model_copy(update={"key": f"nets/{name}"})
        storage.store(files[key], (FIXTURES / name).read_bytes())
    spec = ExtractorSpec(class_path="vgg16", data_locations=files)
    assert load_extractor(spec).loaded_remotely
    assert len(list(tmp_path.iterdir())) == 2
    loading.forget_extractors()
    again = load_extractor(spec)
    assert not again.loaded_remotely
    assert again.feature_dim == 96
