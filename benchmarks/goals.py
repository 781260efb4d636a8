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


#: what the table is read with; measured with profilers on two cores
LIMITS = """\
Where a goal is not reached, this is what the time goes to:

- *Features on S3*: boto3 takes about a millisecond of the interpreter for each object, and while
  it does, no other thread of the process can. For 200 feature files that is a fifth of a second,
  which no number of reading threads shortens and which the reference spends too.
- *Logistic regression, 20 classes*: each point's step depends on the one before. The 80,000 steps
  of ten epochs take 3 µs each, of five calls into numpy on twenty numbers; with 100 classes the
  same calls do five times the work.
- *Classification*: alone on the machine, without a process of the reference beside it, 100 points
  take about 0.6 ms where the table above says 1.0 (see "As work grows"). Of that the product with
  the first layer, in float64, takes half (25 million operations); float32 would halve it and miss
  the 1e-6 to which probabilities agree. Reading the reference's own files is inflating a megabyte
  of float64 numbers.
- *A million labels* take about one and a half times as long each as 50,000 (goal 1.3): their matrix
  lies in a file. How much of that is the disk was not measured.
"""
