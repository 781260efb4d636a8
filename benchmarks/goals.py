"""How many times as fast as the reference each work is meant to be; docs/benchmarks.md says so."""

from __future__ import annotations

#: by the beginning of a case's name; the first that fits
GOALS = (
    ("extract", 5.0),
    ("train 10,000 labels, MLP, 20 classes, features on S3", 6.0),
    ("train 10,000 labels, LR, 20 classes, features on S3", 6.0),
    ("train 10,000 labels, MLP", 5.0),
    ("train 50,000 labels, MLP", 4.0),
    ("train 10,000 labels, LR, 20 classes", 6.0),
    ("train 10,000 labels, LR, 100 classes", 12.0),
)
#: of its own feature file, by classes; the reference writes files that take longer to read
CLASSIFY_GOALS = {"20 classes, its own": 60.0, "100 classes, its own": 120.0}


def goal_of(case: str) -> float | None:
    """The ratio that a case is meant to reach, if there is one."""
    if case.startswith("classify"):
        return next((goal for name, goal in CLASSIFY_GOALS.items() if name in case), None)
    return next((goal for name, goal in GOALS if case.startswith(name)), None)
