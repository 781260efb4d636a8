"""Other Pythons of this machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def interpreter_of(version: str) -> str | None:
    """A Python of this version, also one that pyenv installed without making it the default."""
    pyenv = Path.home() / ".pyenv" / "versions"
    first = shutil.which(f"python{version}")
    found = [Path(first)] if first else []
    found += sorted(pyenv.glob(f"{version}*/bin/python"))
    probe = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for candidate in found:
        # pyenv puts names on the path for which it then says that there is no such version
        answer = subprocess.run(
            [candidate, "-c", probe], capture_output=True, text=True, check=False
        )
        if answer.stdout.strip() == version:
            return str(candidate)
    return None
