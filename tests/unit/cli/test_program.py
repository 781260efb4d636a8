"""The program itself: help, version, settings, and what it says where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import spacer_tasks
from spacer_tasks.demo.services import free_ports
from tests.support.command_line import run

#: what a base install with the extra `cli` does not have
HEAVY = ("torch", "numpy", "sklearn", "scipy", "PIL", "safetensors", "threadpoolctl")
WITHOUT = """
import sys
missing = sys.argv.pop(1).split(",")
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from spacer_tasks.cli import main
sys.argv[0] = "spacer-tasks"
main()
"""


def run_without(missing: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command where some packages are not installed."""
    command = [sys.executable, "-c", WITHOUT, ",".join(missing), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(autouse=True)
def plain_settings(settings_changed: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SPACER_")]:
        monkeypatch.delenv(name)
    settings_changed()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> str:
    """A Redis URL where nothing listens."""
    url = f"redis://:secret@127.0.0.1:{free_ports(1)[0]}/0"
    monkeypatch.setenv("SPACER_BROKER_URL", url)
    settings_changed()
    return url


def test_the_version_is_printed() -> None:
    assert run("--version").out == f"spacer-tasks {spacer_tasks.__version__}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's alone")
def test_a_full_disk_under_what_is_printed_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "spacer_tasks.cli", "config"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 2
    assert "error: standard output: No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_pillow_s_own_warnings_are_not_printed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("P", (30, 20)).save(tmp_path / "photos/a.png", transparency=b"\1\2\3")
    command = [sys.executable, "-m", "spacer_tasks.cli", "points", "photos", "-o", "s.csv"]
    ran = subprocess.run(
        [*command, "--random", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0
    assert "Warning" not in ran.stderr


def test_help_lists_the_commands_and_each_has_its_own() -> None:
    listed = run("--help").out
    for command in (
        *(
            "points",
            "extract",
            "train",
            "cover",
            "classify",
            "submit",
            "status",
            "worker",
            "config",
            "demo",
            "clean",
        ),
    ):
        assert command in listed
        assert "Usage: spacer-tasks" in run(command, "--help").out
    assert "--dry-run" in run("convert", "--help").out
    for command in ("features", "scores"):
        assert "--tolerance" in run("verify", command, "--help").out
    for command in ("extract", "train", "classify", "batch"):
        assert "--wait" in run("submit", command, "--help").out


def test_config_prints_every_setting_with_secrets_hidden(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("SPACER_BROKER_URL", "redis://:hunter2@redis.example:6379/3")
    monkeypatch.setenv("SPACER_RESULTS_PREFIX", "s3://reef/spacer")
    settings_changed()
    ran = run("config")
    assert ran.code == 0
    assert "hunter2" not in ran.out
    assert "SPACER_BROKER_URL = redis://***@redis.example:6379/3\n" in ran.out
    assert "SPACER_AWS_SECRET_ACCESS_KEY = ***\n" in ran.out
    assert "SPACER_MAX_POINTS_PER_IMAGE = 1000  (default)\n    points of one image" in ran.out
    assert "full answers of tasks: s3://reef/spacer/answers/TASK_ID.json\n" in ran.out


def test_malformed_settings_are_named_and_nothing_else_is_printed(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_MAX_POINTS_PER_IMAGE", "many")
    monkeypatch.setenv("SPACER_NO_SUCH", "1")
    settings_changed()
    ran = run("config")
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: SPACER_")
    assert "SPACER_MAX_POINTS_PER_IMAGE (from the environment)" in ran.err
    assert "SPACER_NO_SUCH (from the environment): no such setting" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("command", [["status"], ["status", "some-task"]])
def test_a_redis_that_is_down_is_one_line(command: list[str], nobody: str) -> None:
    ran = run(*command)
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    assert line.startswith("error: Redis at redis://***@127.0.0.1:")
    assert "(SPACER_BROKER_URL) does not answer" in line


def test_a_result_backend_that_is_down_is_named(
    nobody: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_RESULT_BACKEND_URL", nobody.replace("/0", "/1"))
    settings_changed()
    assert "(SPACER_RESULT_BACKEND_URL) does not answer" in run("status").err


def test_a_broker_that_is_no_redis_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_BROKER_URL", "amqp://rabbit.example//")
    settings_changed()
    ran = run("status")
    assert ran.code == 2
    assert "not a Redis URL" in ran.err


def test_a_stored_answer_is_found_while_redis_is_down(
    nobody: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings_changed: Callable[[], None],
) -> None:
    from spacer_tasks.exceptions import ImageError
    from spacer_tasks.results import TaskError, store_answer

    monkeypatch.setenv("SPACER_RESULTS_PREFIX", str(tmp_path))
    settings_changed()
    store_answer("done", "spacer_tasks.train_classifier", "w", answer={"acc": 0.875})
    store_answer("bad", "spacer_tasks.extract_features", "w", error=TaskError.of(ImageError("a")))
    done, bad = run("status", "done"), run("status", "bad")
    assert (done.code, bad.code) == (0, 0)
    assert "does not answer" in done.err
    assert [line.split() for line in done.out.splitlines()] == [
        ["task", "done"],
        ["state", "SUCCEEDED"],
        ["acc", "0.875"],
    ]
    assert "ImageError: a" in bad.out


@pytest.mark.usefixtures("nobody")
def test_config_status_and_submit_need_no_worker_packages(tmp_path: Path) -> None:
    assert run_without(HEAVY, "config").returncode == 0
    (tmp_path / "a.jpg").write_bytes(b"a worker will look into it")
    points = tmp_path / "points.csv"
    points.write_text("Name,Row,Column\na.jpg,1,2\n")
    options = ["--points", str(points), "--features", str(tmp_path), "--extractor", "dummy"]
    ran = run_without(HEAVY, "submit", "extract", str(tmp_path), *options)
    assert ran.returncode == 2
    assert "error: Redis at redis://***@127.0.0.1:" in ran.stderr
    assert run_without(HEAVY, "status").stderr.startswith("error: Redis at redis://***@127.0.0.1:")


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    points = tmp_path / "points.csv"
    points.write_text("Name,Row,Column,Label\na.jpg,1,2,x\n")
    options = ["--points", str(points), "--features", str(tmp_path)]
    ran = run_without(HEAVY, "extract", str(tmp_path), *options, "--extractor", "dummy")
    assert ran.returncode == 2
    assert "is not installed: pip install 'spacer-tasks[worker]'" in ran.stderr
    train = ["train", *options, "--classifier", "c", "--report", "r.html"]
    assert "pip install 'spacer-tasks[cli]'" in run_without(("jinja2",), *train).stderr
    ran = run_without(("typer", "rich"), "config")
    assert ran.returncode == 1
    assert ran.stderr == (
        "error: the command line needs typer, which is not installed:"
        " pip install 'spacer-tasks[cli]'\n"
    )
