"""Files of extractors of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from spacer_tasks.compat.data_classes import DataLocation
from spacer_tasks.compat.exceptions import ConfigError, HashMismatchError
from spacer_tasks.compat.extractors import FeatureExtractor
from spacer_tasks.compat.extractors.torch_extractors import TorchExtractor
from spacer_tasks.compat.storage import clear_memory_storage, storage_factory


class Own(FeatureExtractor):
    DATA_LOCATION_KEYS = ["table"]  # noqa: RUF012 -- as users of the reference write it
    feature_dim = 1


class Flat(TorchExtractor):
    """A network that is as large as a patch has colours."""

    feature_dim = 3

    @classmethod
    def untrained_model(cls) -> torch.nn.Module:
        class Network(torch.nn.Linear):
            def extract_features(self, patches: torch.Tensor) -> Any:
                return self(patches.mean(dim=(2, 3)))

        return Network(3, 3)


@pytest.fixture(autouse=True)
def _memory() -> Iterator[None]:
    storage_factory("memory").store("table", BytesIO(b"content"))
    yield
    clear_memory_storage()


def test_a_file_that_is_missing_in_the_message_is_named() -> None:
    with pytest.raises(ValueError, match="table must be present in data_locations for Own"):
        Own({})


def test_a_file_is_checked_and_loaded_from_its_beginning(tmp_path: Path) -> None:
    right = hashlib.sha256(b"content").hexdigest()
    place = DataLocation("memory", "table")
    stream, remotely = Own({"table": place}, {"table": right}).load_datastream("table")
    assert (stream.read(), remotely) == (b"content", False)
    with pytest.raises(HashMismatchError, match="'table'"):
        Own({"table": place}, {"table": "1" * 64}).load_datastream("table")
    (tmp_path / "t").write_bytes(b"content")
    on_disk = DataLocation("filesystem", str(tmp_path / "t"))
    assert Own({"table": on_disk}).load_data_into_filesystem("table") == (on_disk.key, False)


def test_a_folder_for_files_from_afar_must_be_set() -> None:
    with pytest.raises(ConfigError, match="EXTRACTORS_CACHE_DIR"):
        Own({"table": DataLocation("url", "https://x.org/t")}).load_datastream("table")


def test_a_network_of_torch_s_computes_patches() -> None:
    extractor = Flat.untrained_instance()
    features, answer = extractor(Image.new("RGB", (300, 300), (255, 0, 0)), [(10, 10)] * 12)
    weights = Flat.load_weights(extractor.load_datastream("weights")[0])
    expected = weights(torch.tensor([1.0, 0, 0])).tolist()
    assert features.npoints == 12
    assert features[(10, 10)].tolist() == pytest.approx(expected, abs=1e-6)
    assert not answer.extractor_loaded_remotely
