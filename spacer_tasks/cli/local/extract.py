"""`spacer-tasks extract`: the features of many images, on this machine."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import typer

from spacer_tasks.cli.incomplete import IncompleteImages
from spacer_tasks.cli.networks.options import ExtractorOptions
from spacer_tasks.cli.options import (
    ColumnOptions,
    Features,
    Images,
    Points,
    expanded,
    feature_location,
)
from spacer_tasks.cli.outputs import folder_for
from spacer_tasks.cli.photos import place_selection
from spacer_tasks.cli.selection import SelectedImage, Selection, select_images
from spacer_tasks.console import (
    INTERRUPTED,
    counted,
    end_with,
    progress_bar,
    reason,
    say,
    short,
)
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError, TransientError
from spacer_tasks.messages.batches import ExtractedMsg
from spacer_tasks.messages.specs import ExtractorSpec
from spacer_tasks.messages.tasks import ExtractFeaturesMsg

#: images in a row that the storage failed for; one can be a bad sector, these are an outage
OUTAGE = 3

#: images in work: one is read, decoded or stored while another is in the network; as in a worker
AT_ONCE = 2
#: images handed to the threads, so that none waits for a slower one before it
HANDED_OUT = 2 * AT_ONCE

Again = Annotated[
    bool, typer.Option("--again", help="Extract also where current features are stored.")
]


@dataclass
class Extraction:
    """What became of the images so far."""

    extracted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    #: of the images that are ready, those that are damaged or cut short
    incomplete: IncompleteImages = field(default_factory=IncompleteImages)
    #: in a row, up to the last image
    outages: int = 0

    def take(self, name: str, extraction: Future[ExtractedMsg]) -> None:
        """Note what became of an image, once it is known.

        Raises
        ------
        TransientError
            The storage failed for several images in a row.
        """
        try:
            done = extraction.result()
        except InputError as error:
            self.failures[name] = reason(str(error), name)
        except TransientError as error:
            self.failures[name] = reason(str(error), name)
            self.outages += 1
            if self.outages == OUTAGE:
                raise
        else:
            self.outages = 0
            (self.skipped if done.skipped else self.extracted).append(name)
            self.incomplete.add(name, done.incomplete)

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
    folder = folder_for(features)
    spec = extractor.spec_here()
    file = columns.read(points)
    selection = place_selection(
        select_images(images, file), file, refuse_outside=columns.refuse_outside
    )
    done = extract_selection(selection, folder, spec, again=again)
    say(
        f"{counted(len(done.extracted), 'image')} extracted, {len(done.skipped)} skipped (features"
        f" are current), {len(done.failures)} failed; features are in {features}"
    )
    done.incomplete.tell()
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
    """Extract the images, two at a time, with a progress bar.

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

    def extracted(image: SelectedImage) -> ExtractedMsg:
        message = extract_message(image, features, spec)
        current = None if again else operations.current_features(message)
        if current is not None:
            return ExtractedMsg(skipped=True, incomplete=current.incomplete)
        return ExtractedMsg(
            skipped=False, incomplete=operations.extract_features(message).incomplete
        )

    # a wrong network is no image's fault
    load_extractor(spec)
    done = Extraction(failures=dict(selection.missing))
    at_once = max(1, min(AT_ONCE, len(selection.images)))
    handed_out: deque[tuple[str, Future[ExtractedMsg]]] = deque()
    with progress_bar() as progress, _cores_shared_by(at_once), ThreadPoolExecutor(at_once) as pool:
        bar = progress.add_task("extracting", total=len(selection.images), note="")

        def take_next() -> None:
            name, extraction = handed_out[0]
            progress.update(bar, note=short(name))
            # popped when it is over: an interrupt while it runs leaves it to be counted
            extraction.exception()
            handed_out.popleft()
            done.take(name, extraction)
            progress.advance(bar)

        try:
            for image in selection.images:
                handed_out.append((image.name, pool.submit(extracted, image)))
                if len(handed_out) == HANDED_OUT:
                    take_next()
            while handed_out:
                take_next()
            progress.update(bar, note="")
        except TransientError as error:
            _finish(pool, handed_out, done)
            raise type(error)(f"{error}; {_how_to_go_on(done)}") from error
        except KeyboardInterrupt:
            progress.stop()
            _finish(pool, handed_out, done)
            say(f"Interrupted: {_how_to_go_on(done)}", "yellow")
            raise typer.Exit(INTERRUPTED) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return done


@contextmanager
def _cores_shared_by(count: int) -> Iterator[None]:
    """Each of so many threads runs the network: together they take the cores once, not each."""
    torch = sys.modules.get("torch")
    if torch is None:
        # an extractor without it
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // count))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _finish(
    pool: ThreadPoolExecutor, handed_out: deque[tuple[str, Future[ExtractedMsg]]], done: Extraction
) -> None:
    """Start no more images, and count those that are in work when they are done."""
    pool.shutdown(cancel_futures=True)
    for name, extraction in handed_out:
        if not extraction.cancelled() and extraction.exception() is None:
            done.take(name, extraction)


def _how_to_go_on(done: Extraction) -> str:
    return (
        f"the features of {counted(len(done.ready), 'image')} are stored;"
        " the same command again goes on from there"
    )
