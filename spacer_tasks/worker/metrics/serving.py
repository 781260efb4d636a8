"""Serve a worker's metrics, where `SPACER_METRICS_PORT` says so.

Each process has a port of its own. The library's mode for several processes was not taken: it needs
a folder to write to, in which processes that were killed leave their numbers, and knows no metrics
that are asked for when they are read, as those of a card are.
"""

from __future__ import annotations

from spacer_tasks.config.settings import get_settings
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker.metrics.card import Card


def serve(pool: str) -> int | None:
    """Serve this process's metrics from now on, in a thread.

    Parameters
    ----------
    pool
        Which kind of worker it is.

    Returns
    -------
    int or None
        The port; None where the setting is not set.

    Raises
    ------
    ConfigError
        The library is not installed, or the port cannot be had.
    """
    settings = get_settings()
    port, host = settings.metrics_port, settings.metrics_host
    if port is None:
        return None
    try:
        from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
    except ImportError as error:
        raise ConfigError(
            f"SPACER_METRICS_PORT is {port}, but prometheus-client cannot be imported ({error});"
            " install spacer-tasks[metrics], or leave the setting out"
        ) from error
    from spacer_tasks.worker.metrics.collector import WorkerCollector

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    device, uuid = _device() if pool == "features" else (None, None)
    registry.register(WorkerCollector(pool, device, _card(uuid)))
    try:
        start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ConfigError(
            f"SPACER_METRICS_PORT is {port}: metrics cannot be served at {host}: {error.strerror};"
            " each worker on a host needs a port of its own"
        ) from error
    return port


def _device() -> tuple[str, str | None]:
    """Where networks run, and the UUID of the card, if it is one."""
    import torch

    from spacer_tasks.extractors.runtime.devices import chosen_device

    device = chosen_device()
    if device.type != "cuda":
        return str(device), None
    return str(device), str(torch.cuda.get_device_properties(device).uuid)


def _card(uuid: str | None) -> Card | None:
    if uuid is None:
        return None
    return Card(uuid)
