"""Redis behind TLS with an authority and client certificates of one's own."""

from __future__ import annotations

import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trustme

from spacer_tasks import storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import process
from spacer_tasks.demo.services import S3Server
from tests.support.checkout import CHECKOUT
from tests.support.photos import DUMMY, photo
from tests.support.redis.configured import redis_with, redis_with_tls
from tests.support.s3.buckets import fresh_bucket
from tests.support.settings import settings_in_environment
from tests.support.workers import START_S

#: seconds for a small task on a busy machine
ANSWER_S = 120


@dataclass(frozen=True)
class Encrypted:
    """A Redis that takes TLS with a client certificate only."""

    port: int
    password: str
    folder: Path

    def url(self, authority: str = "ca.pem", client: str | None = "client.pem") -> str:
        options = {"ssl_cert_reqs": "CERT_REQUIRED", "ssl_ca_certs": self.folder / authority}
        if client is not None:
            options |= {
                "ssl_certfile": self.folder / client,
                "ssl_keyfile": self.folder / "key.pem",
            }
        return f"rediss://:{self.password}@127.0.0.1:{self.port}/0?{urlencode(options)}"


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    folder = tmp_path_factory.mktemp("tls")
    program = redis_with_tls(folder)
    if program is None:
        pytest.skip("there is no redis-server with TLS here (Debian: apt-get install redis-tools)")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    stranger.cert_pem.write_to_path(str(folder / "other-ca.pem"))
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("client@example.org")
    server.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    client.private_key_pem.write_to_path(str(folder / "key.pem"))
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    password = secrets.token_hex(16)

    def ready(port: int) -> bool:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(str(folder / "client.pem"), str(folder / "key.pem"))

        with (
            socket.create_connection(("127.0.0.1", port), timeout=2) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(f"AUTH {password}\r\n".encode())
            return connection.recv(5) == b"+OK\r\n"

    lines = [
        f"requirepass {password}",
        f"tls-cert-file {folder}/server.pem",
        f"tls-key-file {folder}/server.pem",
        f"tls-ca-cert-file {folder}/ca.pem",
        "tls-auth-clients yes",
    ]
    with redis_with(folder / "redis", lines, program, "tls-port", ready) as (port, _):
        yield Encrypted(port, password, folder)


@pytest.fixture(scope="module")
def place(encrypted: Encrypted, s3: S3Server) -> Iterator[str]:
    with fresh_bucket(s3) as bucket, settings_in_environment(encrypted.url(), s3, bucket):
        yield bucket


@pytest.fixture(scope="module")
def worker(place: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    with process(
        [sys.executable, "-m", "workers.feature_worker", "-c", "1"],
        env=dict(os.environ),
        cwd=CHECKOUT,
        log_path=log,
        ready=lambda: " ready." in log.read_text(),
        ready_timeout_s=START_S,
    ):
        yield log


USE = """
import json, sys, time
from spacer_tasks.coralnet import CeleryQueue
from spacer_tasks.tasks import extract_features
message = json.load(sys.stdin)
print(extract_features.delay(message).get(timeout=100)["task_id"])
queue = CeleryQueue()
queue.submit_job({"task_name": "extract_features", "tasks": [message]}, 7, "medium")
for _ in range(1000):
    returned, _ = queue.collect_jobs(queue.get_collectable_jobs())
    if returned:
        break
    time.sleep(0.1)
print(returned[0].ok)
"""


def use(url: str, message: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", USE],
        env={**os.environ, "SPACER_BROKER_URL": url},
        cwd=CHECKOUT,
        input=json.dumps(message),
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
        check=False,
    )


def extraction(bucket: str) -> dict[str, Any]:
    image = DataLocation.parse(f"s3://{bucket}/image.png")
    storage.store(image, photo("sand", 1))
    return {
        "job_token": "1",
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
        "feature_loc": DataLocation.parse(f"s3://{bucket}/features.npz").model_dump(),
    }


def test_callers_sites_and_workers_speak_through_it(
    encrypted: Encrypted, worker: Path, place: str
) -> None:
    done = use(encrypted.url(), extraction(place))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1] == "True"
    for text in (worker.read_text(), done.stdout, done.stderr):
        assert encrypted.password not in text


@pytest.mark.parametrize("wrong", ["another authority", "no certificate", "no TLS"])
def test_who_has_not_the_right_certificates_is_told_so(
    encrypted: Encrypted, place: str, wrong: str
) -> None:
    url = {
        "another authority": encrypted.url(authority="other-ca.pem"),
        "no certificate": encrypted.url(client=None),
        "no TLS": f"redis://:{encrypted.password}@127.0.0.1:{encrypted.port}/0",
    }[wrong]
    done = use(url, extraction(place))
    assert done.returncode != 0
    assert "BrokerUnavailableError" in done.stderr
    assert encrypted.password not in done.stdout + done.stderr
