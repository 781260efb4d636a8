"""`spacer-tasks points`: a sheet of points to annotate, on photos that have none."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from spacer_tasks import storage
from spacer_tasks.cli.incomplete import IncompleteImages
from spacer_tasks.cli.options import Images, location
from spacer_tasks.cli.selection import IMAGE_SUFFIXES, in_a_sheet
from spacer_tasks.cli.stored.csv_report import store_csv
from spacer_tasks.config.settings import get_settings
from spacer_tasks.console import counted, end_with, listed, progress_bar, reason, say, short
from spacer_tasks.exceptions import InputError, ObjectNotFoundError
from spacer_tasks.sampling.layouts import (
    GridLayout,
    Layout,
    Margin,
    RandomLayout,
    StratifiedLayout,
    points_of,
)
from spacer_tasks.storage.listing import list_at

#: as CoralNet names them; people fill in the last one
COLUMNS = ("Name", "Row", "Column", "Label")


def points(
    images: Images,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="CSV", help="The sheet of points.", show_default=False
        ),
    ],
    random: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="N points anywhere on each photo.")
    ] = None,
    stratified: Annotated[
        str | None,
        typer.Option(
            metavar="ROWSxCOLSxN", help="N points anywhere in each cell of ROWS by COLS cells."
        ),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(metavar="ROWSxCOLS", help="One point in the middle of each cell."),
    ] = None,
    margin: Annotated[
        str,
        typer.Option(
            metavar="PIXELS|PERCENT%", help="Left free at each edge: 40 for pixels, or 5%."
        ),
    ] = "0",
    seed: Annotated[int, typer.Option(help="The same seed, the same points.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a sheet that is there already.")
    ] = False,
) -> None:
    """Place points on photos and write the sheet that extract and classify read.

    A photo's points depend on the seed and its name, not on the other photos. Rows and columns
    count from 0 on the photo as it is stored, without regard to EXIF orientation.
    """
    layout = _layout(random, stratified, grid)
    frame = Margin.parse(margin)
    limit = get_settings().max_points_per_image
    if layout.count > limit:
        raise InputError(
            f"{layout.count:,} points on each photo: at most {limit:,}"
            " (SPACER_MAX_POINTS_PER_IMAGE), or extract would refuse them"
        )
    sheet = location(output)
    if not overwrite and storage.exists(sheet):
        raise InputError(
            f"{output} is there already, perhaps with people's labels in it; another --output, or"
            " --overwrite"
        )
    from spacer_tasks.extractors.images.reading import read_photo

    files, single = list_at(location(images))
    photos = {
        name: loc for name, loc in files.items() if single or name.lower().endswith(IMAGE_SUFFIXES)
    }
    if not photos:
        raise ObjectNotFoundError(
            f"{images}: no photos ({', '.join(IMAGE_SUFFIXES)}), only"
            f" {listed(list(files)) or 'an empty folder'}"
        )
    rows: list[tuple[str, int, int, str]] = []
    named, failures = in_a_sheet(photos)
    incomplete = IncompleteImages()
    with progress_bar() as progress:
        bar = progress.add_task("placing points", total=len(named), note="")
        for name in named:
            progress.update(bar, note=short(name))
            try:
                # read as extract reads it: what has points here can be extracted
                photo = read_photo(storage.load(photos[name]), name)
                height, width = photo.pixels.shape[:2]
                placed = points_of(name, height, width, layout, frame, seed)
            except InputError as error:
                failures[name] = reason(str(error), name)
            else:
                rows += [(name, row, column, "") for row, column in placed]
                incomplete.add(name, photo.incomplete)
            progress.advance(bar)
        progress.update(bar, note="")
    if rows:
        store_csv(sheet, COLUMNS, rows)
        done = len(photos) - len(failures)
        say(f"{counted(len(rows), 'point')} on {counted(done, 'photo')}, seed {seed}: {output}")
    else:
        say(f"no photo has points: {output} is not written", "red")
    incomplete.tell()
    end_with(failures)


def _layout(random: int | None, stratified: str | None, grid: str | None) -> Layout:
    given = [each for each in (random, stratified, grid) if each is not None]
    if len(given) != 1:
        raise typer.BadParameter("give one of --random, --stratified and --grid")
    if random is not None:
        return RandomLayout(random)
    if stratified is not None:
        return StratifiedLayout(*_numbers(stratified, "ROWSxCOLSxN", "--stratified"))
    return GridLayout(*_numbers(grid or "", "ROWSxCOLS", "--grid"))


def _numbers(text: str, form: str, option: str) -> list[int]:
    count = form.count("x") + 1
    if not re.fullmatch("x".join(["[1-9][0-9]{0,4}"] * count), text.strip().lower()):
        raise typer.BadParameter(f"{text!r} is not {form}, numbers from 1", param_hint=option)
    return [int(number) for number in text.strip().lower().split("x")]
