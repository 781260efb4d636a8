"""One run of the reference's tests, over the reference or over `spacer_tasks.compat`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Literal

from spacer_tasks.demo.services import S3Server
from tests.support.checkout import CHECKOUT
from tests.support.environments.reference import REST
from tests.support.s3.buckets import fresh_bucket

Side = Literal["reference", "compat"]
CACHE = CHECKOUT / ".cache" / "reference-suite"
#: the build for the torch of requirements.txt
TORCHVISION = "torchvision==0.28.0"
#: of the settings and of a site, which are not those of the tests
_OTHERS = ("SPACER_", "AWS_", "DJANGO_", "PYTHON")


def python_of(version: str) -> Path:
    """The interpreter of an environment with the reference, made at first use.

    Torch and torchvision are this project's versions of them: the reference's tests of networks
    make their own, and the builds that it asks for bring two gigabytes for cards.
    """
    folder = CACHE / f"pyspacer-{version}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        print(f"installing pyspacer {version} in an environment of its own…", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run(
            [*install, *REST, "pytest", f"torch=={metadata.version('torch')}"], check=True
        )
        subprocess.run([*install, "--no-deps", f"pyspacer=={version}", TORCHVISION], check=True)
        ready.touch()
    return python


def torchvision() -> Path:
    """A folder with it: the reference's tests of torch networks transform images by it."""
    folder = CACHE / TORCHVISION
    if not folder.exists():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        subprocess.run([*install, folder, TORCHVISION], check=True)
    return folder


def outcomes(
    side: Side, python: Path, tests: Path, s3: S3Server, options: list[str]
) -> dict[str, str]:
    """How each test ended: `passed`, `failed` or `skipped`, by its name below the folder.

    Parameters
    ----------
    python
        With pytest, and with the package that the side is about.
    tests
        The folder `tests` of the reference.
    options
        Of pytest.
    """
    with tempfile.TemporaryDirectory() as name, fresh_bucket(s3) as bucket:
        folder = Path(name)
        shutil.copytree(tests, folder / "theirs" / "tests")
        (folder / "theirs" / "__init__.py").touch()
        shutil.copy(Path(__file__).with_name("standing_in.py"), folder / "conftest.py")
        results = folder / "results.json"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        command: list[str | Path] = [
            python,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-q",
            "--tb=short",
            "-rf",
        ]
        command += ["--continue-on-collection-errors"]
        subprocess.run(
            [*command, "theirs/tests", *options],
            cwd=folder,
            env={
                **kept,
                "PYTHONDONTWRITEBYTECODE": "1",
                **({"PYTHONPATH": str(torchvision())} if side == "compat" else {}),
                "SUITE_SIDE": side,
                "SUITE_RESULTS": str(results),
                "SPACER_TEST_BUCKET": bucket,
                "SPACER_EXTRACTORS_CACHE_DIR": str(folder / "extractors"),
                "SPACER_AWS_ACCESS_KEY_ID": s3.access_key,
                "SPACER_AWS_SECRET_ACCESS_KEY": s3.secret_key,
                "SPACER_AWS_REGION": "us-east-1",
                # boto3's own, which the reference heeds, and this project's
                "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
                "SPACER_S3_ENDPOINT_URL": s3.endpoint_url,
            },
            check=False,
        )
        found: dict[str, str] = json.loads(results.read_text(encoding="utf-8"))
    return found
