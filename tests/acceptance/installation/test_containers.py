"""The deployment in containers, as an operator starts it: built, run, and looked at from outside.

Needs a Docker engine that can build the images (some minutes the first time), and skips where
there is none. Where a build needs more than the Dockerfiles say, such as an index of one's own,
`TEST_COMPOSE_FILE` names a compose file to add.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import CHECKOUT

#: seconds for building the images where no layer of them is there yet
BUILD_S = 1800
#: seconds for anything else: workers that start, or a small job, on a busy machine
STEP_S = 300
#: tasks, twice as many as two workers take at once, and points of each: some seconds' work
QUEUED, QUEUED_POINTS = 8, 40
FLOWER_LOGIN = "operator:secret-of-the-test"


def why_no_engine() -> str | None:
    """Why there are no containers here, or None."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for command in ("docker info", "docker compose version"):
        asked = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        if asked.returncode:
            return f"`{command}` failed: {asked.stderr.strip()}"
    return None


@dataclass(frozen=True)
class Deployment:
    """One compose project of its own name, ports and passwords."""

    project: str
    files: list[Path]
    env: dict[str, str]

    def compose(self, *arguments: str, stdin: str | None = None, timeout: float = STEP_S) -> str:
        """What `docker compose` prints; its complaint is the failure's text."""
        command = ["docker", "compose", "--project-name", self.project]
        for file in self.files:
            command += ["--file", str(file)]
        done = subprocess.run(
            [*command, *arguments],
            cwd=CHECKOUT,
            env={**os.environ, **self.env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def python(self, script: str, *arguments: str) -> Any:
        """What a script in a client container prints, as JSON."""
        printed = self.compose(
            "run", "--rm", "--no-deps", "--no-TTY", "client", "python", "-", *arguments,
            stdin=script,
        )  # fmt: skip
        return json.loads(printed.splitlines()[-1])

    def flower(self, path: str) -> Any:
        """Flower's answer."""
        host_port = self.compose("port", "flower", "5555").strip()
        login = base64.b64encode(FLOWER_LOGIN.encode()).decode()
        request = urllib.request.Request(
            f"http://{host_port}{path}", headers={"Authorization": f"Basic {login}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def container_ids(self, service: str) -> list[str]:
        """The service's containers, stopped ones too, by their full ids."""
        return self.compose("ps", "--all", "--quiet", service).split()

    def start(self) -> None:
        """Bring everything up as the README says, and wait until all is healthy."""
        self.compose(
            "up", "--detach", "--wait", "--scale", "feature-worker=2",
            "--wait-timeout", str(STEP_S), timeout=BUILD_S,
        )  # fmt: skip


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    reason = why_no_engine()
    if reason:
        pytest.skip(reason)
    files = [CHECKOUT / "docker-compose.yml"]
    if extra := os.environ.get("TEST_COMPOSE_FILE"):
        files.append(Path(extra))
    one = Deployment(
        project=f"spacer-test-{uuid.uuid4().hex[:8]}",
        files=files,
        # port 0 is a free one
        env={"FLOWER_PORT": "0", "S3_PORT": "0", "FLOWER_BASIC_AUTH": FLOWER_LOGIN},
    )
    try:
        one.compose("build", timeout=BUILD_S)
        one.start()
        yield one
    finally:
        one.compose("--profile", "client", "down", "--volumes", "--timeout", "10")


def test_the_whole_job_runs_and_both_feature_workers_take_part(deployment: Deployment) -> None:
    printed = deployment.compose("run", "--rm", "--no-TTY", "client", "python", "deploy/smoke.py")
    answer = json.loads(printed.splitlines()[-1])

    assert (answer["images"], answer["extracted"], answer["classified"]) == (31, 30, 6)
    assert [name.rpartition("/")[2] for name in answer["failed"]] == ["bad.jpg"]
    # chance is a third
    assert answer["points_right"] >= 0.8 * answer["points_classified"]

    extracted_by = {
        task["worker"]
        for task in deployment.flower("/api/tasks?limit=1000").values()
        if task["name"] == "spacer_tasks.batch.extract"
    }
    containers = deployment.container_ids("feature-worker")
    assert extracted_by == {f"features@{container[:12]}" for container in containers}
    assert len(containers) == 2


def test_the_image_takes_the_command_of_the_reference_s_batch_jobs(deployment: Deployment) -> None:
    command = ["python3", "spacer/mailman.py", "env_job"]
    done = subprocess.run(
        ["docker", "run", "--rm", "spacer-tasks:cpu", *command],
        capture_output=True,
        text=True,
        timeout=STEP_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "error: JOB_MSG_LOC is not set: expected the JSON of a location\n"


def test_flower_lists_every_worker_with_its_queue_and_wants_a_password(
    deployment: Deployment,
) -> None:
    workers = deployment.flower("/api/workers?refresh=true")
    queues = [queue["name"] for worker in workers.values() for queue in worker["active_queues"]]
    of_features, of_training = ["features", "features.high"], ["training", "training.high"]
    assert sorted(queues) == sorted([*of_features, *of_features, *of_training, "classify"])

    host_port = deployment.compose("port", "flower", "5555").strip()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://{host_port}/api/workers", timeout=30)


def test_the_processes_are_not_root_and_cannot_write_to_their_image(
    deployment: Deployment,
) -> None:
    script = """
import os
try:
    open("/app/written", "w")
except OSError as error:
    refused = str(error)
print(__import__("json").dumps([os.getuid(), refused]))
"""
    uid, refused = deployment.python(script)
    assert uid != 0
    assert "Read-only file system" in refused


#: stops or continues the processes of a worker
SIGNAL = """
import os, pathlib, signal, sys
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    pid = int(path.parent.name)
    if pid != 1 and b"workers.trainer_worker" in path.read_bytes():
        os.kill(pid, getattr(signal, sys.argv[1]))
"""
HEALTH = ("exec", "--no-TTY", "trainer-worker", "python", "deploy/healthcheck.py")


def test_a_worker_that_does_not_answer_is_unhealthy(deployment: Deployment) -> None:
    signals = ("exec", "--no-TTY", "trainer-worker", "python", "-")
    deployment.compose(*HEALTH)
    deployment.compose(*signals, "SIGSTOP", stdin=SIGNAL)
    try:
        with pytest.raises(AssertionError, match=r"no worker .* answered within"):
            deployment.compose(*HEALTH)
    finally:
        deployment.compose(*signals, "SIGCONT", stdin=SIGNAL)
    deployment.compose(*HEALTH)


SEND = """
import json, sys, time
from deploy import smoke
from spacer_tasks.app import app
from spacer_tasks.results import results_location
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.tasks import extract_features

folder = results_location().joined("long", sys.argv[1])
smoke.store_photos(folder, 3)
extractor = smoke.network(folder)
points = [(r, c) for r in range(0, 440, 40) for c in range(0, 440, 40)][: int(sys.argv[2])]
sent = [
    extract_features.delay(
        {
            "job_token": "long",
            "extractor": extractor.model_dump(mode="json"),
            "rowcols": points,
            "image_loc": smoke.photo(folder, 0).model_dump(),
            "feature_loc": folder.joined(f"{i}.npz").model_dump(),
        }
    )
    for i in range(int(sys.argv[3]))
]
while all(result.state == "PENDING" for result in sent):
    time.sleep(0.05)
print(json.dumps([result.id for result in sent]))
"""

STATES = """
import json, sys
from spacer_tasks.app import app
print(json.dumps({id: app.AsyncResult(id).state for id in sys.argv[1:]}))
"""


def test_sigterm_lets_feature_workers_finish_the_tasks_in_hand(deployment: Deployment) -> None:
    ids = deployment.python(SEND, uuid.uuid4().hex, str(QUEUED_POINTS), str(QUEUED))
    deployment.compose("kill", "--signal", "SIGTERM", "feature-worker")
    for container in deployment.container_ids("feature-worker"):
        exit_code = subprocess.run(
            ["docker", "wait", container],
            capture_output=True,
            text=True,
            timeout=STEP_S,
            check=True,
        ).stdout
        assert exit_code.strip() == "0"

    states = deployment.python(STATES, *ids)
    # none was taken and not finished, and the stop did not wait for the whole queue
    assert set(states.values()) == {"SUCCESS", "PENDING"}

    deployment.start()
    wait_for = "import json, sys\nfrom spacer_tasks.app import app\n" + (
        f"[app.AsyncResult(id).get(timeout={STEP_S}) for id in sys.argv[1:]]\n"
        "print(json.dumps('all done'))\n"
    )
    assert deployment.python(wait_for, *ids) == "all done"


#: what a file of an image must not be or hold: settings, keys, the pip.conf of a build
SCAN = """
import json, os, re, sys
NAMES = {
    ".env", "secrets.json", "pip.conf", "id_rsa", "id_ed25519", ".netrc", ".pypirc",
    ".git-credentials",
}
KEY = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----[\\r\\n]+[A-Za-z0-9+/=\\r\\n]{64}"
    rb"|AKIA[0-9A-Z]{16}[^0-9A-Z]"
)
found = []
for folder, folders, names in os.walk("/"):
    if folder == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
    for name in names:
        path = os.path.join(folder, name)
        if name in NAMES or "/.aws/" in path or "/.ssh/" in path:
            found.append(path)
        elif os.path.isfile(path) and not os.path.islink(path) and os.path.getsize(path) < 2**22:
            try:
                with open(path, "rb") as stream:
                    if KEY.search(stream.read()):
                        found.append(path)
            except PermissionError:
                pass
print(json.dumps(found))
"""
#: keys that everybody knows: of libraries' own tests and examples
PUBLISHED = (
    r"/libgnutls\.so|/boto3/examples/|/botocore/data/.*/examples-1\.json$|/tornado/test/test\.key$"
)
#: parts of names of variables that hold secrets
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY(?!RING)|CREDENTIAL|BASIC_AUTH", re.IGNORECASE)


def docker(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["docker", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=STEP_S,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}:\n{done.stderr[-2000:]}"
    return done.stdout


def test_no_secret_is_in_an_image(deployment: Deployment) -> None:
    found = json.loads(
        docker(
            "run",
            "--rm",
            "--interactive",
            "--user",
            "0",
            "spacer-tasks:cpu",
            "python",
            "-",
            stdin=SCAN,
        )
    )
    assert [path for path in found if not re.search(PUBLISHED, path)] == []
    for image in ("spacer-tasks:cpu", "spacer-tasks:s3"):
        (inspected,) = json.loads(docker("image", "inspect", image))
        told = [
            line for line in inspected["Config"]["Env"] or [] if SECRET.search(line.split("=")[0])
        ]
        assert told == []
        history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
        for value in (FLOWER_LOGIN, "for-trials"):
            assert value not in history


SERVICES = ("redis", "s3", "feature-worker", "trainer-worker", "classify-worker", "flower")


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_rights_that_it_does_not_need(
    deployment: Deployment, service: str
) -> None:
    container, *_ = deployment.container_ids(service)
    (inspected,) = json.loads(docker("inspect", container))
    host = inspected["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    # compose puts the file of its keys into the S3 server, which is for trials
    assert host["ReadonlyRootfs"] is (service != "s3")
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["NetworkMode"] != "host"
    published = [each["HostIp"] for ports in host["PortBindings"].values() for each in ports]
    assert set(published) <= {"127.0.0.1"}
    # what its processes really have
    for line in docker("top", container, "-o", "uid,pid").splitlines()[1:]:
        uid, pid = line.split()
        assert uid != "0", f"process {pid} of {service} is root"
        status = Path("/proc", pid, "status").read_text()
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE), status


FOREIGN = """
import json, sys
from spacer_tasks.data_classes import DataLocation
from spacer_tasks.tasks import extract_features
told = []
for uri in sys.argv[1:]:
    message = {
        "job_token": "x", "extractor": {"class_path": "dummy"}, "rowcols": [[0, 0]],
        "image_loc": DataLocation.parse(uri).model_dump(),
        "feature_loc": DataLocation.parse("s3://spacer/x.npz").model_dump(),
    }
    try:
        extract_features.delay(message).get(timeout=200)
    except Exception as error:
        told.append(type(error).__name__)
print(json.dumps(told))
"""


def test_the_workers_take_only_this_deployment_s_bucket(deployment: Deployment) -> None:
    foreign = (
        "/etc/passwd",
        "/proc/self/environ",
        "s3://other/x",
        "http://example.org/x",
        "memory://x",
    )
    told = deployment.python(FOREIGN, *foreign, "s3://spacer/missing.png")
    refused = [
        "URLNotAllowedError" if "http" in each else "LocationNotAllowedError" for each in foreign
    ]
    assert told == [*refused, "S3ObjectNotFoundError"]
