"""`spacer-tasks demo`: see everything work, on a machine with nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spacer_tasks.cli.options import location


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="For the report and the rest.")
    ] = Path("demo-output"),
    images: Annotated[int, typer.Option(help="Quadrats to compose.")] = 120,
    epochs: Annotated[int, typer.Option(min=1, help="Of the training.")] = 30,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A trained EfficientNet-B0; without it, Lite0, trained on ImageNet.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same quadrats.")] = 0,
    photos_only: Annotated[
        bool,
        typer.Option(
            "--photos-only",
            help="Only write a survey to try the other commands on: photos, labels, sites"
            " and groups.",
        ),
    ] = False,
) -> None:
    """The whole job on real photographs: a private queue, storage and workers, and a report.

    Everything that it starts runs on free ports of this machine and is stopped at the end.
    """
    if photos_only:
        from spacer_tasks.demo.survey import write_survey

        write_survey(output, images, seed)
        return
    from spacer_tasks.demo.run import run_demo

    run_demo(output, images, epochs, location(weights) if weights else None, seed)
