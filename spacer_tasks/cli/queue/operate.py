"""`spacer-tasks worker` and `spacer-tasks config`: for who runs the machines."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from spacer_tasks.config.settings import Settings, get_settings, shown
from spacer_tasks.config.sources import PREFIX
from spacer_tasks.console import out
from spacer_tasks.results import answer_location

#: whatever this program does not know goes on to Celery
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


class PoolChoice(str, Enum):
    """The kinds of workers; as `worker.PoolName`."""

    FEATURES = "features"
    TRAINING = "training"
    CLASSIFY = "classify"


def worker(
    context: typer.Context,
    pool: Annotated[PoolChoice, typer.Argument(help="Which kind of worker.", show_default=False)],
    celeryconfig: Annotated[
        str | None,
        typer.Option(metavar="MODULE", help="A Python module with Celery settings of your own."),
    ] = None,
) -> None:
    """Run a worker until it is told to stop; SIGTERM finishes the tasks in hand.

    What follows goes to Celery, for example --concurrency 4 or --loglevel debug. Feature workers
    also take --gpus all, or indices such as 0,1, and --processes-per-gpu.
    """
    from spacer_tasks.worker.start import start

    if celeryconfig:
        # an installed program does not look for modules in the folder that it is started in
        sys.path.insert(0, "")
    start(pool.value, context.args, config_module=celeryconfig)


def config() -> None:
    """Print the settings in force, with secrets hidden, and what each does.

    A setting is an environment variable, or an entry of secrets.json or of Django's SPACER without
    the prefix SPACER_.
    """
    settings = get_settings()
    for name, value in shown(settings).items():
        field = name.removeprefix(PREFIX).lower()
        given = field in settings.model_fields_set
        line = Text(name, "bold" if given else "").append(f" = {value}")
        if not given:
            line.append("  (default)" if value != "(not set)" else "", "dim")
        out.print(line, soft_wrap=True)
        out.print(Padding(Text(Settings.model_fields[field].description or "", "dim"), (0, 4)))
    out.print()
    if settings.results_prefix:
        where = answer_location("TASK_ID").uri
    else:
        where = "nowhere yet: workers need SPACER_RESULTS_PREFIX"
    out.print(f"full answers of tasks: {where}", soft_wrap=True, markup=False)
    out.print(
        f"small results: Redis, for {settings.results_expire_s / 3600:g} hours",
        soft_wrap=True,
        markup=False,
    )
