"""The curves of `benchmarks.growth` as one picture."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import matplotlib as mpl

from benchmarks.curves import Curve

# no screen is needed, and the file is the same on each machine
mpl.use("svg")
from matplotlib import pyplot as plt

COLUMNS = 3


def draw(curves: list[Curve], path: Path) -> None:
    """Write the picture: a small plot for each curve, both axes logarithmic."""
    mpl.rcParams.update({"svg.hashsalt": "spacer", "font.size": 8, "svg.fonttype": "none"})
    rows = ceil(len(curves) / COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(10, 2.6 * rows), layout="constrained")
    for each in axes.flat[len(curves) :]:
        each.set_visible(False)
    for curve, each in zip(curves, axes.flat, strict=False):
        for name, values in curve.lines.items():
            each.plot(curve.x, values, marker="o", markersize=3, label=name or None)
        each.set(
            title=curve.title,
            xlabel=curve.x_label,
            ylabel=curve.y_label,
            xscale="log",
            yscale="log",
        )
        each.grid(visible=True, alpha=0.3)
        if any(curve.lines):
            each.legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
