"""Virtual environments that installed this checkout's wheel, kept between runs in `.cache/`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from tests.support.checkout import CHECKOUT
from tests.support.environments.reference import reference_packages

CACHE = CHECKOUT / ".cache" / "acceptance"
#: seconds; installing waits for a package index, and on a busy machine for the disk
INSTALL_S = 1200
DJANGO = "Django>=4.2"
#: what CoralNet 1.31 pins, of what the base package meets there; Celery's last that takes its redis
CORALNET = ["Django==4.2.16", "redis==4.5.4", "celery==5.5.3", "boto3==1.34.162", "huey==2.5.2"]
NUMPY = "numpy==2.2.6"
REQUIREMENTS = Path(__file__).parent / "coralnet_requirements.txt"
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
    folder = CACHE / f"wheel-{_sources()}"
    python = _builder()
    with _alone("wheel"):
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


def coralnet_server(interpreter: str, reference: str) -> Path:
    """The folder of an environment with all that CoralNet's servers have, and nothing of ours.

    It is for copying: what is installed into the folder itself would be there for the next test.

    Parameters
    ----------
    interpreter
        Whose own pip installs: the one that came with it.
    reference
        A requirement of the reference. It is installed without what it needs: torch takes minutes
        and decides nothing.
    """
    version = run([interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    name = f"server-{version}-{reference}"
    folder = CACHE / f"{name}-{_digest([REQUIREMENTS])}"
    ready = folder / "ready"
    with _alone(name):
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            run([interpreter, "-m", "venv", folder])
            python = folder / "bin" / "python"
            install: list[str | Path] = [python, "-m", "pip", "install", "-q", "--no-compile"]
            run([*install, "-r", REQUIREMENTS])
            run([*install, "--no-deps", reference])
            # last: an interrupted set-up is done again
            ready.touch()
    return folder


@lru_cache(maxsize=1)
def coralnet_server_with_wheel() -> Path:
    """The Python of such an environment with the wheel, by this interpreter."""
    folder = CACHE / f"beside-{_digest([REQUIREMENTS])}-{_sources()}"
    server = coralnet_server(sys.executable, "pyspacer==0.14.0")
    python, ready = folder / "bin" / "python", folder / "installed"
    with _alone("beside"):
        if not ready.exists():
            for older in CACHE.glob("beside-*/"):
                shutil.rmtree(older)
            shutil.copytree(server, folder, symlinks=True)
            run([python, "-m", "pip", "uninstall", "-q", "-y", "pyspacer"])
            run([python, "-m", "pip", "install", "-q", "--no-compile", f"{wheel()}[coralnet]"])
            ready.touch()
    return python


def install_commands() -> list[str]:
    """What the page on installing tells to type, each a line of a shell."""
    page = (CHECKOUT / "docs" / "install.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


def _versions() -> Path:
    """The versions of requirements.txt without the hashes, which a folder does not have."""
    written = CACHE / "versions.txt"
    written.parent.mkdir(parents=True, exist_ok=True)
    lines = (CHECKOUT / "requirements.txt").read_text().splitlines()
    pins = [line.rstrip(" \\") for line in lines if "==" in line and not line.startswith(" ")]
    written.write_text("\n".join([*pins, ""]))
    return written


@lru_cache(maxsize=1)
def worker_environment() -> Path:
    """The folder of an environment that ran the first of `install_commands` in the checkout.

    It was empty before, so this takes a minute or more the first time. What is installed then is
    kept: once the sources have changed, the command only replaces the package itself.
    """
    line = install_commands()[0]
    digest = _digest([CHECKOUT / "pyproject.toml", CHECKOUT / "requirements.txt"], line)
    folder = CACHE / f"worker-{digest}"
    env = {
        **activated(folder),
        # the versions of this process: they are in pip's cache by now
        "PIP_CONSTRAINT": str(_versions()),
        # compiling all of torch takes longer than the tests need it
        "PIP_NO_COMPILE": "1",
        "PIP_QUIET": "1",
    }
    sources, installed = _sources(), folder / "installed"
    with _alone("worker"):
        if not installed.exists():
            for older in CACHE.glob("worker-*"):
                shutil.rmtree(older)
            run([sys.executable, "-m", "venv", folder])
        # another test may use it: what is as it should be is left alone
        if not installed.exists() or installed.read_text() != sources:
            run(["sh", "-c", line], env=env, cwd=CHECKOUT)
            installed.write_text(sources)
    return folder


def activated(folder: Path) -> dict[str, str]:
    """As a shell that activated the environment, and nothing else of this checkout."""
    env = clean_environment()
    return {
        **env,
        "VIRTUAL_ENV": str(folder),
        "PATH": f"{folder / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}",
    }


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
    with _alone(name):
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


def _sources() -> str:
    """A digest of what the wheel is built from, as it is now."""
    found = [*(CHECKOUT / "spacer_tasks").rglob("*"), CHECKOUT / "pyproject.toml"]
    return _digest(path for path in found if "__pycache__" not in path.parts)


def _digest(paths: Iterable[Path], text: str = "") -> str:
    digest = hashlib.sha256(text.encode())
    for path in sorted(paths):
        if path.is_file():
            digest.update(str(path.relative_to(CHECKOUT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Nobody else makes or changes what has this name in `CACHE` meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
