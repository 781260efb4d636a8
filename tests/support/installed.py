"""Virtual environments that installed this checkout's wheel, kept between runs in `.cache/`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from tests.support.checkout import CHECKOUT
from tests.support.reference_env import reference_packages

CACHE = CHECKOUT / ".cache" / "acceptance"
#: seconds; installing waits for a package index
INSTALL_S = 600
DJANGO = "Django>=4.2"
#: what CoralNet 1.31 pins, of what the base package meets there; Celery's last that takes its redis
CORALNET = ["Django==4.2.16", "redis==4.5.4", "celery==5.5.3", "boto3==1.34.162", "huey==2.5.2"]
NUMPY = "numpy==2.2.6"
#: settings of servers that nobody answers at
NOWHERE = {
    "SPACER_BROKER_URL": "redis://127.0.0.1:1/0",
    "SPACER_RESULTS_PREFIX": "s3://nowhere/results",
    "SPACER_S3_ENDPOINT_URL": "http://127.0.0.1:1",
    "SPACER_AWS_ACCESS_KEY_ID": "none",
    "SPACER_AWS_SECRET_ACCESS_KEY": "none",
}


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """What a command prints. A failure shows all that it said."""
    CACHE.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(part) for part in command],
        env=dict(env) if env is not None else clean_environment(),
        cwd=cwd or CACHE,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead Python back into the checkout."""
    hidden = ("SPACER_", "PYTHON", "VIRTUAL_ENV", "DJANGO_", "CELERY_")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def site_environment(settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What the tests' Django sites are told of their servers, and nothing of this checkout.

    Parameters
    ----------
    settings
        The SPACER_* settings of the servers.
    folder
        Where the site keeps its database.
    """
    names = ("RESULTS_PREFIX", "S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return {
        **clean_environment(),
        "REEF_DATABASE": str(folder / "db.sqlite3"),
        "REEF_REDIS_URL": settings["SPACER_BROKER_URL"],
        **{f"REEF_{name}": settings[f"SPACER_{name}"] for name in names},
    }


@lru_cache(maxsize=1)
def wheel() -> Path:
    """The wheel of the checkout as it is now."""
    sources = [*(CHECKOUT / "spacer_tasks").rglob("*"), CHECKOUT / "pyproject.toml"]
    folder = CACHE / f"wheel-{_digest(path for path in sources if '__pycache__' not in path.parts)}"
    python = _builder()
    with _alone():
        if not list(folder.glob("*.whl")):
            for older in CACHE.glob("wheel-*"):
                shutil.rmtree(older)
            run([python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, CHECKOUT])
    (built,) = folder.glob("*.whl")
    return built


@lru_cache(maxsize=1)
def base_python() -> Path:
    """The Python of an environment with the base package and Django, and nothing else."""
    return _environment("base", sys.executable, [str(wheel()), DJANGO])


def other_python(interpreter: str) -> Path:
    """The Python of an environment of another interpreter, with the base package alone."""
    return _environment("base", interpreter, [str(wheel())])


@lru_cache(maxsize=1)
def coralnet_python() -> Path:
    """The Python of an environment with CoralNet's pins and the reference, pyspacer 0.14.

    The reference, with its numpy and scikit-learn, is found in the environment that the tests of
    formats made of it: a second scikit-learn would take a minute to install.
    """
    python = _environment("coralnet", sys.executable, [str(wheel()), *CORALNET])
    (site_packages,) = python.parents[1].glob("lib/python*/site-packages")
    (site_packages / "reference.pth").write_text(str(reference_packages()))
    return python


def coralnet_python_of(interpreter: str) -> Path:
    """The same for another interpreter, without the reference."""
    return _environment("coralnet", interpreter, [str(wheel()), *CORALNET, NUMPY])


@lru_cache(maxsize=1)
def worker_environment() -> Path:
    """The folder of an environment that installed the wheel as `[worker]` users do.

    What the wheel needs is taken from the environment that the tests run in: another torch would
    be gigabytes. The checkout itself, which that environment may know of, is not found.
    """
    folder = CACHE / "worker"
    python = folder / "bin" / "python"
    builder, built = _builder(), wheel()
    with _alone():
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", "--without-pip", folder])
        install: list[str | Path] = [
            builder,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "-q",
            "--no-deps",
        ]
        run([*install, "--no-index", built])
        paths = [path for path in sys.path if path.endswith("-packages")]
        (site_packages,) = folder.glob("lib/python*/site-packages")
        # named there, a folder is searched, and its own .pth files (the checkout's) are not read
        (site_packages / "tests.pth").write_text("\n".join(paths))
    return folder


def _builder() -> Path:
    return _environment("build", sys.executable, [])


def _environment(kind: str, interpreter: str, packages: list[str]) -> Path:
    """The Python of an environment; only the wheel of the checkout is installed anew if it is
    there already."""
    version = run([interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    name = f"{kind}-{version}"
    folder = CACHE / f"{name}-{_digest([CHECKOUT / 'pyproject.toml'])}"
    python, installed = folder / "bin" / "python", folder / "installed"
    # compiling all of botocore takes longer than a test needs it
    install: list[str | Path] = [python, "-m", "pip", "install", "-q", "--no-compile"]
    wanted = " ".join(packages)
    with _alone():
        if not installed.exists():
            for older in CACHE.glob(f"{name}-*"):
                shutil.rmtree(older)
            run([interpreter, "-m", "venv", folder])
            if packages:
                run([*install, *packages])
        elif installed.read_text() != wanted:
            only_the_wheel = ["--no-deps", "--force-reinstall", packages[0]]
            run([*install, *only_the_wheel])
        installed.write_text(wanted)
    return python


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file():
            digest.update(str(path.relative_to(CHECKOUT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _alone() -> Iterator[None]:
    """Nobody else makes or changes an environment of this checkout meanwhile."""
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
