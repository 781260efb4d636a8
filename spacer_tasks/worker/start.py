"""Start a worker process: its settings, Celery's, and what it loads before work.

`python -m workers.feature_worker` and `spacer-tasks worker features` both come here. Arguments
that follow go to Celery's worker.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from spacer_tasks import retries
from spacer_tasks.app import app
from spacer_tasks.broker import signing
from spacer_tasks.broker.whereabouts import Keys
from spacer_tasks.concurrency.cores import cores
from spacer_tasks.config.settings import get_settings, without_django
from spacer_tasks.exceptions import ConfigError, InputError, TransientError
from spacer_tasks.log_lines import log_one_line_each
from spacer_tasks.worker import arguments as worker_arguments
from spacer_tasks.worker import (
    lifecycle,
    name_claim,
    operators_file,
    readiness,
    request,
    result_backend,
    sentry,
)
from spacer_tasks.worker.delivery import transport
from spacer_tasks.worker.delivery.gate import Gate
from spacer_tasks.worker.metrics import serving as metrics
from spacer_tasks.worker.pools import CONNECT_S, POOLS, Pool, PoolName, for_gpu, transport_options
from spacer_tasks.worker.several import beside
from spacer_tasks.worker.several.plan import plan_of
from spacer_tasks.worker.several.supervisor import supervise

#: seconds without a byte from the result backend
ANSWER_S = 120


def main(name: PoolName, arguments: Sequence[str], config_module: str | None = None) -> None:
    """As `start`, for a command line: an error that the operator can mend is one line."""
    try:
        start(name, arguments, config_module)
    except (InputError, TransientError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def start(name: PoolName, arguments: Sequence[str], config_module: str | None = None) -> None:
    """Run a worker of one pool in this process until it is told to stop; with `--gpus`, several in
    processes of their own.

    SIGTERM finishes the tasks in hand first. A process beside this one ends it where nothing in it
    runs any more. Settings of Django's are left alone, also where it is started in the environment
    of a site.

    Raises
    ------
    ConfigError
        A setting that the worker needs is missing or wrong, or one has no effect; it may not keep
        answers; its Redis is not one to use; or a worker of its name is there or
        starts.
    InputError, TransientError
        The network that `SPACER_WARM_EXTRACTOR` names could not be loaded.
    """
    log_one_line_each()
    without_django()
    settings = get_settings()
    if plan := plan_of(name, POOLS[name].queue, arguments):
        # a mistake is one line, not one of each process
        worker_arguments.checked(POOLS[name], plan.arguments)
        sys.exit(supervise(plan, name, config_module))
    sentry.post(settings.stuck_after_s)
    beside.end_with_supervisor()
    said = worker_arguments.checked(POOLS[name], arguments)
    operators_file.take(config_module)
    readiness.check_results()
    redis_checked = readiness.redis_is_right()
    if redis_checked:
        name_claim.claim(said.hostname)
    pool = replace(POOLS[name], implementation=said.implementation)
    if name == "features" and settings.device != "cpu" and _has_gpu():
        if pool.implementation == "prefork":
            raise ConfigError("--pool prefork: CUDA does not survive a fork, expected threads")
        pool = for_gpu(pool, _share_of_cores(), settings.s3_max_connections)
    concurrency = said.concurrency or pool.concurrency
    if pool.implementation == "threads" and concurrency > settings.s3_max_connections:
        raise ConfigError(
            f"SPACER_S3_MAX_CONNECTIONS is {settings.s3_max_connections}, expected at least the"
            f" worker's concurrency of {concurrency}: threads would wait for each other's requests"
        )
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        **transport_options(pool),
    }
    app.conf.update(
        broker_connection_timeout=CONNECT_S,
        redis_socket_connect_timeout=CONNECT_S,
        redis_socket_timeout=ANSWER_S,
        result_backend_transport_options={
            **app.conf.result_backend_transport_options,
            "retry_policy": retries.WORKER_TO_REDIS,
        },
        # of callbacks and the parts of a batch
        task_publish_retry=True,
        task_publish_retry_policy=retries.WORKER_SENDS,
        # a state that cannot be kept would end a task outside its body: acknowledged, unanswered
        result_backend_always_retry=True,
        result_backend_max_sleep_between_retries_ms=retries.STATE_AGAIN_MAX_MS,
        # a Redis that refuses (read-only, after another became the master) is asked again
        broker_channel_error_retry=True,
    )
    if app.conf.worker_max_memory_per_child is None:
        app.conf.worker_max_memory_per_child = settings.max_memory_bytes // 1024
    app.loader.override_backends = result_backend.BACKENDS
    if settings.require_signed:
        signing.check_keys()
        signing.listen_to_no_orders()
    app.loader.import_default_modules()
    gate = Gate(app.tasks, signed=settings.require_signed, refused=lifecycle.note_refusal)
    transport.use(gate)
    options = app.conf.broker_transport_options
    lifecycle.attend(
        Keys(options["unacked_key"], options["unacked_index_key"]),
        threads=pool.implementation == "threads",
        redis_checked=redis_checked,
    )
    request.answer_lost_tasks()
    if together := beside.beside():
        _say_who(together.label)
    # imported before the fork, so that children share the memory; and before a first task, whose
    # thread would hold up the worker's loop for seconds
    importlib.import_module("spacer_tasks.operations")
    if name == "training":
        importlib.import_module("spacer_tasks.training")
    if name == "features":
        _warm_network(concurrency)
    if (port := metrics.serve(name)) is not None:
        _say(f"metrics at http://{settings.metrics_host}:{port}/metrics")
    # at DEBUG it writes down whole messages, with the signatures of their URLs
    logging.getLogger("celery.pool").setLevel(logging.INFO)
    # its stubs say that it never returns
    run_worker: Any = app.worker_main
    try:
        run_worker(_command_line(pool, settings.log_level, arguments))
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from None
    if code := lifecycle.exit_code():
        sys.exit(code)


def _command_line(pool: Pool, log_level: str, arguments: Sequence[str]) -> list[str]:
    return [
        "worker",
        f"--queues={','.join(pool.queues)}",
        f"--pool={pool.implementation}",
        f"--hostname={pool.queue}@%h",
        f"--loglevel={log_level}",
        # the later of two wins, so the operator's own value does
        f"--concurrency={pool.concurrency}",
        *arguments,
    ]


def _share_of_cores() -> int:
    """Those of this worker, of several that were started together: none waits for the others."""
    return max(1, cores() // beside.processes())


def _say_who(label: str) -> None:
    """Lines of several workers come to one place."""
    for name in ("worker_log_format", "worker_task_log_format"):
        app.conf[name] = app.conf[name].replace("%(processName)s", label)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _warm_network(concurrency: int) -> None:
    """Load the network and run it once, so that the first task does not pay for it."""
    import torch

    from spacer_tasks.extractors import load_extractor
    from spacer_tasks.extractors.runtime.devices import check_device
    from spacer_tasks.messages.parsing import parse
    from spacer_tasks.messages.specs import ExtractorSpec

    # each of the pool's threads runs the network: together they take the cores once, not each
    torch.set_num_threads(max(1, _share_of_cores() // concurrency))
    # also without a network to load: a device that fails would fail every task for good
    _say(f"networks run on {check_device()}")
    spec = get_settings().warm_extractor
    if spec is None:
        _say("SPACER_WARM_EXTRACTOR is not set: the first task will load its network")
        return
    extractor = load_extractor(parse(ExtractorSpec, spec))
    extractor.take_loaded_remotely()
    extractor.warm()
    _say(f"network ready: {extractor.identity}")


def _say(text: str) -> None:
    # Celery sets up logging later, with the operator's own arguments
    print(text, file=sys.stderr, flush=True)
