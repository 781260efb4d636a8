"""Made-up survey photos, "quadrats", whose every pixel has a known label.

Each is a patchwork of regions with wavy, soft edges, and each region shows one photograph at its
own scale, rotation, light and colour; then the whole gets a light, a colour cast, blur and noise.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from spacer_tasks.demo.photographs import PHOTOGRAPHS, Part, Photograph, part_of

POINTS_PER_QUADRAT = 25
#: share of the quadrats, the last ones, made of the photographs' test parts
TEST_SHARE = 0.25
#: pixels of a quadrat
SIZE_RANGE = (1.0e6, 4.0e6)
#: pixels of an average region: a 224-pixel patch at a point sees mostly one, and some of others
REGION_AREA = 380.0**2
#: regions are laid out at a sixth of the size: their edges are soft anyway
COARSE = 6
#: pixels over which one region passes into the next
EDGE_WIDTH = 10.0
#: pixels between a point and the middle of an edge, at least: nearer ones have no one true label
EDGE_DISTANCE = 14.0
#: of a quadrat's light: from sandy yellow over green to deep blue, as under water
HUE_RANGE = (0.12, 0.62)
#: how much larger a photograph may be shown; below 0.8 its texture would be lost to aliasing
SCALE_RANGE = (0.8, 1.5)
#: columns and rows of a mirrored photograph, enough for a wide region at the least scale
SHEET_SIZE = 1600
JPEG_QUALITY = 90
CSV_COLUMNS = ("image", "row", "column", "label")


@dataclass(frozen=True)
class Quadrats:
    """What `make_quadrats` made, by file name in `folder`."""

    folder: Path
    points_csv: Path
    training: list[str]
    test: list[str]


@dataclass(frozen=True)
class Quadrat:
    """One made-up photo.

    Attributes
    ----------
    image
        RGB.
    points
        (row, column, label) each.
    """

    image: Image.Image
    points: list[tuple[int, int, str]]


def make_quadrats(
    folder: Path,
    count: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Quadrats:
    """Write `count` quadrats as JPEG and a CSV of their points and true labels.

    The last `TEST_SHARE` of them, at least one, show parts of the photographs that the others do
    not. The same seed and count give the same files.

    Parameters
    ----------
    folder
        Where they go; made if needed.
    count
        How many, at least 2.
    on_progress
        Called with the number done so far.
    """
    if count < 2:
        raise ValueError(f"{count} quadrats: expected at least one to train on and one to test")
    folder.mkdir(parents=True, exist_ok=True)
    test_count = max(1, round(TEST_SHARE * count))
    digits = len(str(count))
    names = [f"quadrat-{number:0{digits}d}.jpg" for number in range(1, count + 1)]
    training, test = names[:-test_count], names[-test_count:]
    points_csv = folder / "points.csv"
    with points_csv.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(CSV_COLUMNS)
        for index, name in enumerate(names):
            part: Part = "training" if index < len(training) else "test"
            quadrat = compose(np.random.default_rng([seed, index]), part)
            quadrat.image.save(folder / name, quality=JPEG_QUALITY)
            writer.writerows((name, *point) for point in quadrat.points)
            on_progress(index + 1)
    return Quadrats(folder, points_csv, training, test)


def compose(random: np.random.Generator, part: Part) -> Quadrat:
    """One quadrat, of photographs' training or test parts."""
    height, width = _size(random)
    regions, gap = _lay_out(random, height, width)
    count = int(regions.max()) + 1
    # every photograph about as often, in random order
    deck = np.concatenate(
        [random.permutation(len(PHOTOGRAPHS)) for _ in range(count // len(PHOTOGRAPHS) + 1)]
    )
    canvas = Image.new("RGB", (width, height))
    hue = random.uniform(*HUE_RANGE)
    for region in range(count):
        _paint(canvas, random, regions == region, PHOTOGRAPHS[deck[region]], part, hue)
    points = [
        (row, column, PHOTOGRAPHS[deck[regions[row // COARSE, column // COARSE]]].label)
        for row, column in _pick_points(random, gap, height, width)
    ]
    return Quadrat(_taken_by_a_camera(canvas, random), points)


def _size(random: np.random.Generator) -> tuple[int, int]:
    area = random.uniform(*SIZE_RANGE)
    aspect = random.choice([4 / 3, 3 / 2, 1.0])
    long, short = int((area * aspect) ** 0.5), int((area / aspect) ** 0.5)
    return (short, long) if random.random() < 0.8 else (long, short)


def _lay_out(
    random: np.random.Generator, height: int, width: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which region each coarse pixel belongs to, and its distance to the next one in pixels.

    Voronoi cells of jittered seeds, seen through a smooth distortion that makes edges wavy.
    """
    rows, columns = -(-height // COARSE), -(-width // COARSE)
    spacing = REGION_AREA**0.5 / COARSE
    grid = np.stack(
        np.meshgrid(
            np.arange(spacing / 2, rows, spacing), np.arange(spacing / 2, columns, spacing)
        ),
        axis=-1,
    ).reshape(-1, 2)
    seeds = grid + random.uniform(-0.4, 0.4, grid.shape) * spacing
    places = np.empty((rows, columns, 2))
    for axis, index in enumerate(np.ogrid[:rows, :columns]):
        waves = _smooth_field(random, rows, columns, spacing / 3)
        places[..., axis] = index + 0.12 * spacing * waves
    distance, nearest = cKDTree(seeds).query(places, k=2)
    return nearest[..., 0], (distance[..., 1] - distance[..., 0]) / 2 * COARSE


def _smooth_field(
    random: np.random.Generator, rows: int, columns: int, wavelength: float
) -> NDArray[np.float64]:
    """Smooth noise of mean about 0 and standard deviation 1."""
    # noise on a coarse lattice, then enlarged: as smooth, and far quicker than a wide filter
    lattice = gaussian_filter(
        random.standard_normal((int(rows / wavelength) + 3, int(columns / wavelength) + 3)), 0.7
    )
    lattice = (lattice - lattice.mean()) / lattice.std()
    enlarged = Image.fromarray(lattice.astype(np.float32)).resize(
        (columns, rows), Image.Resampling.BICUBIC
    )
    return np.asarray(enlarged, dtype=np.float64)


def _paint(
    canvas: Image.Image,
    random: np.random.Generator,
    inside: NDArray[np.bool_],
    photograph: Photograph,
    part: Part,
    hue: float,
) -> None:
    """Show a photograph in one region, whose coarse pixels are `inside`."""
    if not inside.any():
        return
    margin = int(EDGE_WIDTH / COARSE) + 2
    top, left, bottom, right = _bounds(inside, margin)
    box = (left * COARSE, top * COARSE, right * COARSE, bottom * COARSE)
    size = (box[2] - box[0], box[3] - box[1])
    soft = gaussian_filter(
        inside[top:bottom, left:right].astype(np.float32), EDGE_WIDTH / COARSE / 2
    )
    mask = Image.fromarray((soft * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    sheet = _mirrored_sheet(photograph, part)
    angle, scale = random.uniform(0, 2 * np.pi), random.uniform(*SCALE_RANGE)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    reach = np.hypot(*size) / 2 / scale
    slack = max(0.0, SHEET_SIZE / 2 - reach)
    x, y = SHEET_SIZE / 2 + random.uniform(-slack, slack, 2)
    # where the sheet's pixel for each of the box comes from: turned about the box's middle
    x0 = x - cos * size[0] / 2 + sin * size[1] / 2
    y0 = y - sin * size[0] / 2 - cos * size[1] / 2
    shown = sheet.transform(
        size, Image.Transform.AFFINE, (cos, -sin, x0, sin, cos, y0), Image.Resampling.BILINEAR
    )
    canvas.paste(_dyed(shown, hue, random), box[:2], mask)


def _bounds(inside: NDArray[np.bool_], margin: int) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return (
        max(0, int(rows[0]) - margin),
        max(0, int(columns[0]) - margin),
        min(inside.shape[0], int(rows[-1]) + 1 + margin),
        min(inside.shape[1], int(columns[-1]) + 1 + margin),
    )


@lru_cache(maxsize=2 * len(PHOTOGRAPHS))
def _mirrored_sheet(photograph: Photograph, part: Part) -> Image.Image:
    """A part of a photograph with usual contrast, continued by its mirror images."""
    pixels = part_of(photograph, part).astype(np.float32)
    low, high = np.percentile(pixels, [2, 98])
    levelled = np.clip((pixels - low) / (high - low), 0, 1) * 235 + 10
    indices = [
        np.pad(np.arange(length), (0, SHEET_SIZE - length), mode="symmetric")
        for length in pixels.shape
    ]
    return Image.fromarray(levelled[np.ix_(*indices)].astype(np.uint8))


def _dyed(grey: Image.Image, hue: float, random: np.random.Generator) -> Image.Image:
    """The region's light and colour, drawn for every region alike: colour tells no label.

    `hue` is the quadrat's; regions differ from it a little.
    """
    shadow_hue, light_hue = hue + random.normal(0, 0.05, 2)
    shadow = _colour(shadow_hue, 0.6, random.uniform(0.03, 0.13))
    light = _colour(light_hue + 0.08, 0.35, random.uniform(0.75, 1.0))
    gamma = random.uniform(0.85, 1.2)
    ramp = shadow + (light - shadow) * (np.arange(256)[:, None] / 255) ** gamma
    dyed = Image.frombytes("P", grey.size, grey.tobytes())
    dyed.putpalette((ramp * 255).astype(np.uint8).tobytes())
    return dyed.convert("RGB")


def _colour(hue: float, saturation: float, value: float) -> NDArray[np.float64]:
    """Red, green, blue in 0 to 1 of a colour given as hue, saturation, value."""
    wheel = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    colour: NDArray[np.float64] = value * (1 - saturation * (1 - np.clip(wheel, 0, 1)))
    return colour


def _taken_by_a_camera(canvas: Image.Image, random: np.random.Generator) -> Image.Image:
    """Uneven light, a colour cast as under water, some blur, some noise."""
    if random.random() < 0.6:
        canvas = canvas.filter(ImageFilter.BoxBlur(random.uniform(0.3, 1.3)))
    width, height = canvas.size
    coarse_light = _smooth_field(random, -(-height // 16), -(-width // 16), 40)
    light = np.asarray(
        Image.fromarray((1 + 0.12 * coarse_light).astype(np.float32)).resize(
            canvas.size, Image.Resampling.BILINEAR
        )
    )
    noise = random.standard_normal((height, width), dtype=np.float32)
    noise *= np.float32(random.uniform(1, 7))
    depth = random.uniform(0, 1)
    cast = np.array([1 - 0.3 * depth, 1 - 0.05 * depth, 1 - 0.1 * (1 - depth)], dtype=np.float32)
    exposure = np.float32(random.uniform(0.8, 1.1))
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    source = np.asarray(canvas)
    for channel in range(3):
        values = source[..., channel] * (light * (exposure * cast[channel])) + noise
        pixels[..., channel] = np.clip(values, 0, 255, out=values)
    return Image.fromarray(pixels)


def _pick_points(
    random: np.random.Generator, gap: NDArray[np.float64], height: int, width: int
) -> list[tuple[int, int]]:
    """Random (row, column) pairs that are not on an edge between regions, all different."""
    points: dict[tuple[int, int], None] = {}
    while len(points) < POINTS_PER_QUADRAT:
        row, column = int(random.integers(height)), int(random.integers(width))
        if gap[row // COARSE, column // COARSE] >= EDGE_DISTANCE:
            points[row, column] = None
    return list(points)
