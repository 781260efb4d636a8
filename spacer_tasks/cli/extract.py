"""`spacer-tasks extract`: the features of many images, on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import typer

from spacer_tasks.cli.console import (
    INTERRUPTED,
    counted,
    end_with,
    progress_bar,
    reason,
    say,
    short,
)
from spacer_tasks.cli.options import (
    ColumnOptions,
    ExtractorOptions,
    Features,
    Images,
    Points,
    expanded,
    feature_location,
    location,
)
from spacer_tasks.cli.selection import SelectedImage, Selection, select_images
from spacer_tasks.components import ExtractorSpec
from spacer_tasks.data_classes import DataLocation
from spacer_tasks.exceptions import InputError, TransientError
from spacer_tasks.messages import ExtractFeaturesMsg

#: images in a row that the storage failed for; one can be a bad sector, these are an outage
OUTAGE = 3

Again = Annotated[
    bool, typer.Option("--again", help="Extract also where current features are stored.")
]


@dataclass
class Extraction:
    """What became of the images so far."""

    extracted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> list[str]:
        """The images whose features are there."""
        return [*self.extracted, *self.skipped]


@expanded
def extract(
    images: Images,
    points: Points,
    features: Features,
    extractor: ExtractorOptions,
    columns: ColumnOptions,
    again: Again = False,
) -> None:
    """Compute the feature vectors of images at their points.

    Images whose stored features are current are skipped, so an interrupted run goes on where it
    was. An image that fails is listed at the end and does not stop the others.
    """
    spec = extractor.spec()
    selection = select_images(images, columns.read(points))
    done = extract_selection(selection, location(features), spec, again=again)
    say(
        f"{counted(len(done.extracted), 'image')} extracted, {len(done.skipped)} skipped (features"
        f" are current), {len(done.failures)} failed; features are in {features}"
    )
    end_with(done.failures)


def extract_message(
    image: SelectedImage, features: DataLocation, spec: ExtractorSpec
) -> ExtractFeaturesMsg:
    """The message that asks for the features of an image."""
    return ExtractFeaturesMsg(
        job_token=image.name,
        extractor=spec,
        rowcols=[(point.row, point.column) for point in image.points],
        image_loc=image.location,
        feature_loc=feature_location(features, image.name),
    )


def extract_selection(
    selection: Selection, features: DataLocation, spec: ExtractorSpec, *, again: bool = False
) -> Extraction:
    """Extract the images one after the other, with a progress bar.

    Raises
    ------
    InputError
        The extractor cannot be loaded. What is wrong with an image is among the failures.
    TransientError
        The storage failed for several images in a row.
    typer.Exit
        It was interrupted; what is done is stored and told of.
    """
    from spacer_tasks import operations
    from spacer_tasks.extractors import load_extractor

    # a wrong network is no image's fault
    load_extractor(spec)
    done = Extraction(failures=dict(selection.missing))
    outage = 0
    with progress_bar() as progress:
        bar = progress.add_task("extracting", total=len(selection.images), note="")
        try:
            for image in selection.images:
                progress.update(bar, note=short(image.name))
                message = extract_message(image, features, spec)
                try:
                    if not again and operations.features_are_current(message):
                        done.skipped.append(image.name)
                    else:
                        operations.extract_features(message)
                        done.extracted.append(image.name)
                    outage = 0
                except InputError as error:
                    done.failures[image.name] = reason(str(error), image.name)
                except TransientError as error:
                    done.failures[image.name] = reason(str(error), image.name)
                    outage += 1
                    if outage == OUTAGE:
                        raise type(error)(f"{error}; {_how_to_go_on(done)}") from error
                progress.advance(bar)
            progress.update(bar, note="")
        except KeyboardInterrupt:
            progress.stop()
            say(f"Interrupted: {_how_to_go_on(done)}", "yellow")
            raise typer.Exit(INTERRUPTED) from None
    return done


def _how_to_go_on(done: Extraction) -> str:
    return (
        f"the features of {counted(len(done.ready), 'image')} are stored;"
        " the same command again goes on from there"
    )
