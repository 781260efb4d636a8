"""`spacer-tasks verify`: a sample of what is stored, computed again and compared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from spacer_tasks.cli.networks.options import ExtractorOptions
from spacer_tasks.cli.options import expanded, location
from spacer_tasks.cli.stored.checks import COLUMNS, print_checks, print_summary, store_checks
from spacer_tasks.cli.stored.csv_report import report_location
from spacer_tasks.console import (
    INTERRUPTED,
    NOT_DONE,
    SOME_FAILED,
    complain,
    counted,
    err,
    progress_bar,
    say,
    short,
)
from spacer_tasks.exceptions import TransientError

if TYPE_CHECKING:
    from spacer_tasks.verification.checks import Check, Compute

#: files looked at for one that is verified: a prefix of jobs' answers holds mostly other answers
LOOK = 20

commands = typer.Typer(
    no_args_is_help=True,
    help="Compute a sample of stored features or scores again, and tell how far they are off.",
)


@dataclass(frozen=True)
class SampleOptions:
    """Which files, and what to write about them."""

    sample: Annotated[int, typer.Option(min=1, help="Files to verify, chosen at random.")] = 20
    seed: Annotated[int, typer.Option(help="Another seed chooses other files.")] = 0
    match: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN", help="Choose among files of such paths.", show_default=False
        ),
    ] = None
    report: Annotated[
        str | None,
        typer.Option("--report", "-o", metavar="CSV", help="Write a row for each file."),
    ] = None


@commands.command("features")
@expanded
def verify_features(
    features: Annotated[
        str,
        typer.Argument(help="A feature file, a folder, or s3://bucket/prefix.", show_default=False),
    ],
    options: SampleOptions,
    extractor: ExtractorOptions,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="Where the image of a feature file is: {name} stands for the file's path below"
            " {folder} without .featurevector or .npz. If not given: what the file says, else"
            " beside it ({folder}/{name}).",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Relative L2 error of a vector that is let pass.")
    ] = 1e-4,
) -> None:
    """Extract the images of stored features again and compare the vectors.

    The extractor is the one that is given here; if none is, the one that a file says it was
    computed by, where that needs no weights. Ends with exit code 1 if a file is over the
    tolerance or damaged.
    """
    from spacer_tasks.extractors import load_extractor
    from spacer_tasks.verification.features import SUFFIXES, FeatureVerifier

    # without any of its options, each file says what computed it
    spec = None if extractor == ExtractorOptions() else extractor.spec()
    if spec is not None:
        # a wrong network is no file's fault
        load_extractor(spec)
    folder = location(features)
    verifier = FeatureVerifier(folder, spec, images, tolerance)
    _verify(
        features,
        options,
        verifier,
        SUFFIXES,
        "relative L2 error of each file's worst vector",
        f"{tolerance:g}",
    )


@commands.command("scores")
@expanded
def verify_scores(
    scores: Annotated[
        str,
        typer.Argument(
            help="A job's answer, a folder of them, or s3://bucket/prefix.", show_default=False
        ),
    ],
    options: SampleOptions,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0, help="Difference of a probability that is let pass, from stored features."
        ),
    ] = 1e-6,
    image_tolerance: Annotated[
        float,
        typer.Option(
            min=0, help="The same where scores are of an image: a network computes in between."
        ),
    ] = 1e-3,
) -> None:
    """Classify again what answers to jobs hold scores of, and compare the probabilities.

    Answers are the JSON of the reference's JobReturnMsg, as AWS Batch jobs leave it, or what
    process_job leaves under the results prefix. Each says from which feature file or image, and
    by which classifier, its scores were computed. Ends with exit code 1 if a file is over the
    tolerance or damaged.
    """
    from spacer_tasks.verification.scores import ScoreVerifier

    verifier = ScoreVerifier(tolerance, image_tolerance)
    _verify(
        scores,
        options,
        verifier,
        (".json", ".csv"),
        "change of the probability that changed most in each file",
        f"{tolerance:g} ({image_tolerance:g} where scores are of images)",
    )


def _verify(
    folder: str,
    options: SampleOptions,
    compute: Compute,
    suffixes: tuple[str, ...],
    measure: str,
    tolerance: str,
) -> None:
    from spacer_tasks.verification.checks import verified
    from spacer_tasks.verification.sampling import draw

    report_loc = report_location(options.report, COLUMNS, [folder])
    with err.status(f"listing {folder}"):
        drawn = draw(
            location(folder), options.sample * LOOK, options.seed, _wanted(options.match, suffixes)
        )
    checks: list[Check] = []
    interrupted = False
    try:
        with progress_bar() as progress:
            total = min(options.sample, len(drawn.files))
            bar = progress.add_task("verifying", total=total, note="")
            with closing(verified(drawn.files, compute, options.sample)) as found:
                for check in found:
                    checks.append(check)
                    progress.update(
                        bar, advance=check.outcome != "not verified", note=short(check.name)
                    )
            progress.update(bar, note="", total=sum(c.outcome != "not verified" for c in checks))
    except KeyboardInterrupt:
        interrupted = True
    except TransientError as error:
        if report_loc:
            store_checks(report_loc, checks)
        raise type(error)(f"{error}; {len(checks)} files were looked at before") from error
    print_checks(checks)
    sampled = f"{len(checks):,} of {counted(drawn.total, 'file')} in {folder} (seed {options.seed})"
    if drawn.others:
        # their number only: a bucket holds millions of photos beside the features
        names = options.match or " or ".join(f"*{suffix}" for suffix in suffixes)
        sampled += f"; not looked at: {counted(drawn.others, 'file')} not named {names}"
    print_summary(checks, sampled, measure, tolerance)
    if report_loc:
        store_checks(report_loc, checks)
        say(f"report: {report_loc}")
    if interrupted:
        say("Interrupted: the rest of the sample was not verified", "yellow")
        raise typer.Exit(INTERRUPTED)
    if not any(each.outcome in ("equal", "differs") for each in checks):
        complain("no file could be verified")
        raise typer.Exit(NOT_DONE)
    if any(each.outcome in ("differs", "failed") for each in checks):
        raise typer.Exit(SOME_FAILED)


def _wanted(match: str | None, suffixes: tuple[str, ...]) -> Callable[[str], bool]:
    if match is None:
        return lambda name: name.endswith(suffixes)
    return lambda name: fnmatchcase(name, match)
