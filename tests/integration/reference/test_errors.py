"""Jobs that fail name their error as the reference does, by its real answers to the same jobs.

On a real S3, on a web site of this machine, and in files.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.services import S3Server, free_ports
from spacer_tasks.exceptions import TransientError
from spacer_tasks.jobs.answers import failed_job
from spacer_tasks.operations import process_job
from spacer_tasks.results import TaskError
from tests.support.checkout import FIXTURES_FOLDER
from tests.support.environments.reference import Version, run_reference
from tests.support.s3.buckets import fresh_bucket
from tests.support.settings import forget_settings, settings_in_environment

FIXTURES = FIXTURES_FOLDER / "pyspacer"
REFERENCE = """
    import os, sys, types
    # a job imports the extractors, and those the network, which nothing here runs
    for name in ('torch', 'torch.nn', 'torch.nn.functional', 'torchvision'):
        sys.modules[name] = types.ModuleType(name)
    torch, nn = sys.modules['torch'], sys.modules['torch.nn']
    torch.nn, nn.functional = nn, sys.modules['torch.nn.functional']
    nn.Module = nn.Conv2d = type('NoTorchHere', (), {})
    sys.modules['torchvision'].transforms = None
    os.environ.update(args['env'])
    from spacer.messages import JobMsg
    from spacer.storage import URLStorage
    from spacer.tasks import process_job
    URLStorage.TIMEOUT = 1

    def last_line(job):
        return process_job(JobMsg.deserialize(job)).error_message.splitlines()[-1]

    return {name: last_line(job) for name, job in args['jobs'].items()}
"""
VERSIONS: list[Version] = ["0.13.0", "0.14.0"]
SITE = ["404", "410", "403", "500", "slow", "short"]
ELSEWHERE = ["no such host", "refused", "malformed"]
URLS = [*SITE, *ELSEWHERE]
CASES = [
    *(f"image at a URL, {name}" for name in URLS),
    *(f"features at a URL, {name}" for name in URLS),
    *("image not on S3", "features not on S3", "classifier not on S3", "no such bucket"),
    *("no file", "no image", "a point outside", "a point without features", "one class"),
    "features without points",
]


class Site(BaseHTTPRequestHandler):
    """Answers by what the path asks for, and only to GET."""

    released = threading.Event()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name == "slow":
            self.released.wait(20)
            return
        self.send_response(int(name) if name.isdigit() else 200)
        self.send_header("Content-Length", "100" if name == "short" else "0")
        self.end_headers()
        self.wfile.write(b"abc" if name == "short" else b"")


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    Site.released.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Site.released.set()
        server.shutdown()
        thread.join()


def jobs_of(site: str, bucket: str, folder: Path) -> dict[str, dict[str, Any]]:
    (refused,) = free_ports(1)
    urls = {name: f"{site}/{name}" for name in SITE} | {
        "no such host": "http://no.such.host.invalid/a.jpg",
        "refused": f"http://127.0.0.1:{refused}/a.jpg",
        "malformed": "not a url",
    }
    Image.new("RGB", (30, 20)).save(folder / "image.png")
    (folder / "text").write_text("no image")
    (folder / "old").write_text("[[1.0], [2.0]]")
    features = next(FIXTURES.glob("features_int/*.featurevector"))
    on_s3 = f"s3://{bucket}/nothing"

    def at(uri: str) -> dict[str, Any]:
        return DataLocation.parse(uri).model_dump()

    def extract(image: str, row: int = 1) -> dict[str, Any]:
        extractor = {
            "class_path": "spacer.extractors.base.DummyExtractor",
            "data_locations": {},
            "data_hashes": {},
        }
        message = {
            "job_token": "1",
            "extractor": extractor,
            "rowcols": [[row, 1]],
            "image_loc": at(image),
            "feature_loc": at(str(folder / "out")),
        }
        return {"task_name": "extract_features", "tasks": [message]}

    def classify(feature: str, classifier: str = str(FIXTURES / "int_lr.pkl")) -> dict[str, Any]:
        message = {
            "job_token": "1",
            "feature_loc": at(feature),
            "classifier_loc": at(classifier),
        }
        return {"task_name": "classify_features", "tasks": [message]}

    def train(feature: str, labels: list[Any]) -> dict[str, Any]:
        sets = {json.dumps(at(feature)): labels}
        message = {
            "job_token": "1",
            "trainer_name": "minibatch",
            "nbr_epochs": 1,
            "clf_type": "LR",
            "labels": dict.fromkeys(("train", "ref", "val"), sets),
            "previous_model_locs": [],
            "model_loc": at(str(folder / "out")),
            "valresult_loc": at(str(folder / "valresult")),
            "feature_cache_dir": "auto",
        }
        return {"task_name": "train_classifier", "tasks": [message]}

    two = [[0, 0, 1], [1, 1, 2]]
    return {
        **{f"image at a URL, {name}": extract(url) for name, url in urls.items()},
        **{f"features at a URL, {name}": classify(url) for name, url in urls.items()},
        "image not on S3": extract(on_s3),
        "features not on S3": classify(on_s3),
        "classifier not on S3": classify(str(features), on_s3),
        "no such bucket": extract("s3://no-such-bucket-here/a.jpg"),
        "no file": extract(str(folder / "nothing")),
        "no image": extract(str(folder / "text")),
        "a point outside": extract(str(folder / "image.png"), 20),
        "a point without features": train(str(features), two),
        "one class": train(str(features), two[:1]),
        "features without points": train(str(folder / "old"), two),
    }


@pytest.fixture(scope="module")
def answers(
    site: str, s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """The last lines of all jobs: of both versions of the reference, and ours."""
    env = {
        "AWS_ENDPOINT_URL": s3.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with (
        fresh_bucket(s3) as bucket,
        settings_in_environment("redis://not.asked", s3, bucket),
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        monkeypatch.setenv("SPACER_URL_TIMEOUT_S", "1")
        forget_settings()
        jobs = jobs_of(site, bucket, tmp_path_factory.mktemp("errors"))
        args = {"jobs": jobs, "env": env}
        theirs: dict[str, Any] = {
            version: run_reference(REFERENCE, args, version) for version in VERSIONS
        }
        return {**theirs, "ours": {name: our_last_line(job) for name, job in jobs.items()}}


def our_last_line(job: dict[str, Any]) -> str:
    try:
        answer = process_job(job)
    except TransientError as error:
        # what a task that was tried often enough comes back with
        kept = TaskError.of(error)
        answer = failed_job(job, kept.type, kept.message)
    assert not answer.ok
    return (answer.error_message or "").splitlines()[-1]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_a_job_that_fails_names_its_error_as_the_reference(
    case: str, version: str, answers: dict[str, dict[str, str]]
) -> None:
    theirs, ours = answers[version][case], answers["ours"][case]
    assert ours.partition(":")[0] == theirs.partition(":")[0]
