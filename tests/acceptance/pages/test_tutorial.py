"""The tutorial's commands, as they stand on its page, one after the other."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.checkout import CHECKOUT
from tests.support.files.html_outline import Outline

#: the page's numbers of photos and epochs, and smaller ones
SMALLER = {"--images 60": "--images 16", "--epochs 20": "--epochs 3", "--random 30": "--random 4"}


def commands() -> list[str]:
    """The lines of the page's shell blocks."""
    page = (CHECKOUT / "docs/tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line]
    for large, small in SMALLER.items():
        assert sum(large in line for line in lines) == 1
        lines = [line.replace(large, small) for line in lines]
    return lines


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def fill_in(sheet: Path) -> None:
    """As a person does: the first point is something else, the second is what the machine holds."""
    points = rows(sheet)
    points[0]["Label"] = "sponge"
    points[1]["Label"] = points[1]["Machine label"]
    with sheet.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(points[0]))
        writer.writeheader()
        writer.writerows(points)


def test_its_ten_commands_lead_from_photos_to_cover_and_review(tmp_path: Path) -> None:
    lines = commands()
    assert len(lines) == 10
    said = {}
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "spacer-tasks"
        if "--corrections" in arguments:
            fill_in(tmp_path / "reef/sheet.csv")
        command = [sys.executable, "-m", "spacer_tasks.cli", *arguments]
        ran = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
        )
        assert ran.returncode == 0, (line, ran.stderr)
        said[line] = ran.stdout + ran.stderr
    reef = tmp_path / "reef"
    cover = rows(reef / "cover.csv")
    assert {row["unit"] for row in cover} == {"all photos", "north", "south"}
    for unit in ("all photos", "north", "south"):
        for mean in ("photos_mean", "corrected_photos_mean"):
            parts = [
                float(row[mean]) for row in cover if row["unit"] == unit and row["kind"] == "group"
            ]
            assert abs(sum(parts) - 100) < 0.1
    for page in ("training", "agreement", "cover", "review"):
        assert Outline((reef / f"{page}.html").read_text(encoding="utf-8")).open == []
    statuses = [row["status"] for row in rows(reef / "reviewed.csv")]
    assert len(statuses) == 16 * 4
    assert statuses.count("person") == 2
    assert "'sponge', given 1 time, is a new label" in said[lines[-1]]
    assert "2 answers taken, 1 of them another label" in said[lines[-1]]
