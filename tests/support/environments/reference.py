"""The reference itself, pyspacer with scikit-learn 1.5.2, in an environment of its own.

It stays in `.cache/` of the checkout between runs. Torch is left out: storage, messages, training
and classification of features need none.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from tests.support.checkout import CHECKOUT

CACHE = CHECKOUT / ".cache" / "reference"
#: the newest, and the one that CoralNet pins; from 0.14 a message names a trainer by its class
Version = Literal["0.14.0", "0.13.0"]
#: what of what it asks for is needed; the last versions that know Python 3.10
REST = ["scikit-learn==1.5.2", "numpy==2.2.6", "scipy==1.15.3", "Pillow==11.3.0", "boto3==1.40.61"]
#: seconds; installing waits for a package index
INSTALL_S = 600
PROGRAM = """
import json, sys
def answer(args):
{body}
result = json.dumps(answer(json.loads(sys.stdin.read())))
sys.stdout.write(chr(10) + result)
"""


def run_reference(body: str, args: Any = None, version: Version = "0.14.0") -> Any:
    """What a function computes in the reference's environment.

    Parameters
    ----------
    body
        Its lines, indented. It gets `args` and returns something that JSON can hold.
    args
        Something that JSON can hold.
    """
    # settings of this process, and of this checkout's own, are not the reference's
    hidden = ("SPACER_", "PYTHON", "DJANGO_")
    done = subprocess.run(
        [reference_python(version), "-c", PROGRAM.format(body=body)],
        input=json.dumps(args),
        env={name: value for name, value in os.environ.items() if not name.startswith(hidden)},
        cwd=CACHE,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    assert done.returncode == 0, f"the reference ended with {done.returncode}:\n{done.stderr}"
    # it may have printed before
    return json.loads(done.stdout.splitlines()[-1])


@lru_cache(maxsize=2)
def reference_python(version: Version = "0.14.0") -> Path:
    """The Python of the reference's environment, which is made where there is none yet."""
    reference = f"pyspacer=={version}"
    wanted = f"{sys.version_info[:2]} {reference} {REST}"
    folder = CACHE / hashlib.sha256(wanted.encode()).hexdigest()[:12]
    python, ready = folder / "bin" / "python", folder / "ready"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", folder])
            install = [python, "-m", "pip", "install", "--quiet", "--no-compile"]
            _run([*install, "--no-deps", reference])
            _run([*install, *REST])
            # last: an interrupted set-up is done again
            ready.touch()
    return python


def reference_packages(version: Version = "0.14.0") -> Path:
    """The folder in which the reference and what it needs are installed."""
    (found,) = reference_python(version).parents[1].glob("lib/python*/site-packages")
    return found


def _run(command: list[Any]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
