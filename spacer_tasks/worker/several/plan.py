"""Which workers `--gpus` asks for: one or more for each card, and what each is told."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from celery.utils.nodenames import default_nodename, host_format

from spacer_tasks.concurrency.cores import cores
from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError

#: with fewer processes Python's lock leaves cores idle; four bring 16 cores to 97 %, and small
#: photos to 90 % of the card's best rate (benchmarks/busy_device.py)
CORES_A_PROCESS, MOST_PROCESSES = 4, 4
#: seconds to import torch and ask the driver, on a machine that is busy
LIST_S = 300
#: torch is asked in a process of its own: the supervisor stays small, and never touches a card
_COUNT = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"


@dataclass(frozen=True)
class Member:
    """One worker process.

    Attributes
    ----------
    label
        `gpu0`, or `gpu0-1` for the second of several on a card.
    name
        Its whole name at the broker.
    device
        Its SPACER_DEVICE.
    metrics_port
        Its SPACER_METRICS_PORT; None where there is none.
    """

    label: str
    name: str
    device: str
    metrics_port: int | None = None

    def in_environment(self) -> dict[str, str]:
        """The settings that it has alone."""
        ports = {} if self.metrics_port is None else {"SPACER_METRICS_PORT": str(self.metrics_port)}
        return {"SPACER_DEVICE": self.device, **ports}


@dataclass(frozen=True)
class Plan:
    """The workers, and the arguments that all of them take."""

    members: tuple[Member, ...]
    arguments: tuple[str, ...]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def plan_of(
    pool: str, queue: str, arguments: Sequence[str], count: Callable[[], int] | None = None
) -> Plan | None:
    """What the arguments of a worker ask for; None where they ask for one worker as ever.

    Parameters
    ----------
    pool, queue
        The pool that is started; its first queue, which gives workers their names.
    arguments
        Of the command line. Those that are not about several workers go on to Celery.
    count
        Says how many cards there are; torch is asked where it is not given.

    Raises
    ------
    ConfigError
        The arguments are malformed, name a card that there is not, or clash with each other or
        with SPACER_DEVICE.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--gpus")
    parser.add_argument("--processes-per-gpu")
    parser.add_argument("-n", "--hostname")
    parser.add_argument("--pidfile")
    given, rest = parser.parse_known_args(list(arguments))
    if given.gpus is None:
        if given.processes_per_gpu is not None:
            raise ConfigError("--processes-per-gpu goes with --gpus, which is not given")
        return None
    _check(pool, rest)
    if given.pidfile is not None:
        if "%n" not in given.pidfile:
            raise ConfigError(
                f"--pidfile is {given.pidfile}, but several workers need a file each, for example"
                " worker-%n.pid"
            )
        rest.append(f"--pidfile={given.pidfile}")
    fixed = _number(given.processes_per_gpu)
    wanted = _indices(given.gpus)
    there = (count or cards)()
    if not there:
        raise ConfigError(f"--gpus is {given.gpus}, but torch finds no CUDA device on this machine")
    if wanted is None:
        wanted = list(range(there))
    if wrong := [index for index in wanted if index >= there]:
        raise ConfigError(
            f"--gpus names device {wrong[0]}, but torch finds {there} on this machine, counted"
            " from 0"
        )
    each = fixed or by_cores(cores(), len(wanted))
    # what has no @ is a host's name to Celery
    name, _, host = default_nodename(given.hostname or f"{queue}@%h").partition("@")
    first_port = get_settings().metrics_port
    if first_port is not None and first_port + len(wanted) * each > 65536:
        raise ConfigError(
            f"SPACER_METRICS_PORT is {first_port}, and {len(wanted) * each} workers need as many"
            " ports from there on; the last is 65535"
        )
    members: list[Member] = []
    for index in wanted:
        for process in range(each):
            label = f"gpu{index}" if each == 1 else f"gpu{index}-{process}"
            full = host_format(f"{name}-{label}@{host}")
            port = None if first_port is None else first_port + len(members)
            members.append(Member(label, full, f"cuda:{index}", port))
    return Plan(tuple(members), tuple(rest))


def cards() -> int:
    """How many CUDA devices torch finds.

    Raises
    ------
    ConfigError
        It cannot be asked.
    """
    command = [sys.executable, "-c", _COUNT]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=LIST_S, check=False)
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"--gpus: torch did not say within {LIST_S} s how many devices there are; see whether"
            " nvidia-smi answers"
        ) from None
    try:
        return int(asked.stdout.split()[-1])
    except (IndexError, ValueError):
        last = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
        raise ConfigError(f"--gpus: torch cannot say how many devices there are: {last}") from None


def _check(pool: str, rest: Sequence[str]) -> None:
    if pool != "features":
        raise ConfigError(f"--gpus is for feature workers; the {pool} pool uses no GPU")
    if (device := get_settings().device) not in ("auto", "cuda"):
        raise ConfigError(
            f"SPACER_DEVICE is {device}, and --gpus names devices too: leave one of them out"
        )
    for option in rest:
        name = option.partition("=")[0]
        if name in ("-D", "--detach"):
            raise ConfigError(
                f"{name}: several workers run in front, with the one that starts them"
            )


def _indices(text: str) -> list[int] | None:
    """Those named, in their order; None for all."""
    if text.strip() == "all":
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(map(_is_number, parts)):
        raise ConfigError(f"--gpus is {text[:40]!r}, expected all, or indices such as 0,1")
    found = [int(part) for part in parts]
    if len(set(found)) < len(found):
        raise ConfigError(
            f"--gpus is {text!r}, which names a device twice; --processes-per-gpu starts several"
            " processes for each"
        )
    return found


def _number(text: str | None) -> int | None:
    """How many processes for a card; None for as many as the cores keep busy."""
    if text is None:
        return 1
    if text == "auto":
        return None
    if not (_is_number(text) and int(text) > 0):
        raise ConfigError(
            f"--processes-per-gpu is {text[:40]!r}, expected auto, or a number from 1 to 999"
        )
    return int(text)


def _is_number(text: str) -> bool:
    # `isdigit` is true of other scripts' digits too; no host has a thousand cards
    return text.isascii() and text.isdigit() and len(text) <= 3


def by_cores(cores: int, cards: int) -> int:
    """Processes for each of so many cards that share these cores."""
    return max(1, min(MOST_PROCESSES, cores // (CORES_A_PROCESS * cards)))
