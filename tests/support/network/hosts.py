"""Hosts of a network of their own, on this machine: network namespaces on a bridge.

Needs root and Linux. The tests' own process is on the network too, by the address that ends in 1.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

#: on the network's own address: this process
HERE = 1
#: where Debian has it; each host can have a clock of its own by it
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


def _ran(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def not_allowed() -> str | None:
    """Why there can be no hosts here; None where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "iptables"):
        if shutil.which(program) is None:
            return f"there is no program {program}"
    try:
        with network() as net:
            net.add("try").drops(0.05)
    except OSError as error:
        return f"no network namespaces: {error}"
    return None


@dataclass(frozen=True)
class Host:
    """One host. What it does not reach, it does not hear of either: packets vanish."""

    namespace: str
    address: str

    def command(self, *command: str | Path) -> list[str]:
        """The command, to be run there."""
        return ["ip", "netns", "exec", self.namespace, *map(str, command)]

    def environment(self, clock_s: int = 0) -> dict[str, str]:
        """For processes there, whose clock is so many seconds ahead; sleeps stay as they are."""
        if not clock_s:
            return {}
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME": f"{clock_s:+d}s",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def drops(self, share: float) -> None:
        """Of what comes and goes, so many packets vanish from now on."""
        chance = ("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
        for chain in ("INPUT", "OUTPUT"):
            self._iptables("-A", chain, "!", "-i" if chain == "INPUT" else "-o", "lo", *chance)

    @contextmanager
    def cut_from(self, *others: Host) -> Iterator[None]:
        """Within the block nothing passes between this host and others; all, if none is named."""
        rules: list[tuple[str, ...]] = [
            (chain, *(direction, other.address), "-j", "DROP")
            for other in others
            for chain, direction in (("INPUT", "-s"), ("OUTPUT", "-d"))
        ] or [
            ("INPUT", "!", "-i", "lo", "-j", "DROP"),
            ("OUTPUT", "!", "-o", "lo", "-j", "DROP"),
        ]
        for rule in rules:
            self._iptables("-I", *rule)
        try:
            yield
        finally:
            for rule in rules:
                self._iptables("-D", *rule)

    def _iptables(self, *rule: str) -> None:
        # another call may hold its lock
        _ran(*self.command("iptables", "--wait", *rule))


class Network:
    """The bridge, and the hosts on it."""

    def __init__(self) -> None:
        self._name = f"st{secrets.token_hex(3)}"
        self._subnet = f"10.{random.randint(64, 127)}.{random.randint(0, 255)}"
        self._numbers = itertools.count(HERE + 1)
        self._namespaces: list[str] = []
        self._switch = self._namespace("switch")
        self._in_switch("link", "add", "bridge", "type", "bridge")
        self._in_switch("link", "set", "bridge", "up")
        self._connect(None, HERE)

    def add(self, name: str) -> Host:
        """One more host."""
        namespace, number = self._namespace(name), next(self._numbers)
        self._connect(namespace, number)
        return Host(namespace, f"{self._subnet}.{number}")

    def remove(self) -> None:
        """Everything; what still runs there has lost its network."""
        for namespace in self._namespaces:
            with suppress(OSError):
                _ran("ip", "netns", "del", namespace)

    def _namespace(self, name: str) -> str:
        namespace = f"{self._name}-{name}"
        _ran("ip", "netns", "add", namespace)
        self._namespaces.append(namespace)
        _ran("ip", "-n", namespace, "link", "set", "lo", "up")
        return namespace

    def _connect(self, namespace: str | None, number: int) -> None:
        """A cable from a host, or from here, to the bridge."""
        port, plug = f"{self._name}p{number}", f"{self._name}h{number}"
        where = ["-n", namespace] if namespace else []
        _ran("ip", "link", "add", plug, "type", "veth", "peer", "name", port)
        _ran("ip", "link", "set", port, "netns", self._switch)
        if namespace:
            _ran("ip", "link", "set", plug, "netns", namespace)
        _ran("ip", *where, "address", "add", f"{self._subnet}.{number}/24", "dev", plug)
        _ran("ip", *where, "link", "set", plug, "up")
        self._in_switch("link", "set", port, "master", "bridge", "up")

    def _in_switch(self, *command: str) -> None:
        _ran("ip", "-n", self._switch, *command)


@contextmanager
def network() -> Iterator[Network]:
    """A network without hosts, removed at the end.

    Raises
    ------
    OSError
        It is not allowed here.
    """
    net = None
    try:
        net = Network()
        yield net
    finally:
        if net is not None:
            net.remove()
