"""Stored scores computed again from what their job says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spacer_tasks import operations, storage
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import InputError, MessageError
from spacer_tasks.messages.parsing import parse
from spacer_tasks.messages.tasks import (
    ClassifyFeaturesMsg,
    ClassifyImageMsg,
    ClassifyReturnMsg,
    JobMsg,
    JobReturnMsg,
)
from spacer_tasks.verification.checks import Check, NotVerifiableError, judged

ANSWER, STORED = "a job's answer", "a task's stored answer"
#: fields by which an object is known, and what it is then
KINDS: list[tuple[set[str], str]] = [
    ({"original_job", "ok"}, ANSWER),
    ({"task_id", "task_name", "finished_at"}, STORED),
    ({"task_name", "tasks"}, "a job, not the answer to one"),
    ({"scores", "classes", "valid_rowcol"}, "scores that do not say what they were computed from"),
    ({"scores", "gt", "est"}, "validation results, which do not say what they were computed from"),
]
OTHER = "no stored scores"
#: the task whose stored answers say what they were computed from
PROCESS_JOB = "spacer_tasks.process_job"
#: tasks of a job whose answers are scores
CLASSIFICATIONS = ("classify_features", "classify_image")
#: the first line of what `spacer-tasks classify` writes
PREDICTIONS = b"image,row,column,label,probability"


@dataclass(frozen=True)
class ScoreVerifier:
    """Computes the scores in jobs' answers again.

    Parameters
    ----------
    tolerance
        The difference of a probability above which stored scores differ, where they were computed
        from a feature file.
    image_tolerance
        The same where they were computed from an image: a network ran in between.
    """

    tolerance: float
    image_tolerance: float

    def __call__(self, name: str, loc: DataLocation) -> Check:
        """Compute the scores in one file again.

        Raises
        ------
        NotVerifiableError
            It holds no scores, or does not say what they were computed from.
        InputError
            What they were computed from cannot be read or worked with.
        TransientError
            The storage did not answer.
        """
        job, results = _job_and_results(storage.load(loc), loc)
        checks = [
            self._compared(name, loc, task, stored)
            for task, stored in zip(job, results, strict=True)
        ]
        return checks[0] if len(checks) == 1 else _joined(checks)

    def _compared(
        self,
        name: str,
        loc: DataLocation,
        task: ClassifyFeaturesMsg | ClassifyImageMsg,
        stored: ClassifyReturnMsg,
    ) -> Check:
        if isinstance(task, ClassifyImageMsg):
            source, tolerance = task.image_loc, self.image_tolerance
            found = operations.classify_image(task)
        else:
            source, tolerance = task.feature_loc, self.tolerance
            found = operations.classify_features(task)
        check = Check(
            name,
            loc,
            "differs",
            points=len(stored.scores),
            difference=float("inf"),
            computed_from=str(source),
            by=str(task.classifier_loc),
        )
        return compared(check, stored, found, tolerance)


def compared(
    check: Check, stored: ClassifyReturnMsg, found: ClassifyReturnMsg, tolerance: float
) -> Check:
    """The check of a file with what its scores and those computed again have to tell."""
    points = [(row, column) for row, column, _ in stored.scores]
    if points != [(row, column) for row, column, _ in found.scores]:
        note = f"stored are other points ({len(points)}) than there are now ({len(found.scores)})"
        return replace(check, note=note)
    labels = [(type(label), label) for label in stored.classes]
    now = [(type(label), label) for label in found.classes]
    if set(labels) != set(now):
        note = f"stored are other labels ({len(labels)}) than the classifier knows ({len(now)})"
        return replace(check, note=note)
    before = np.array([scores for _, _, scores in stored.scores])
    after = np.array([scores for _, _, scores in found.scores])[:, [now.index(x) for x in labels]]
    # JSON as Python writes it can hold what is no number
    apart = np.nan_to_num(np.abs(after - before).max(axis=1), nan=np.inf, posinf=np.inf)
    worst = int(apart.argmax())
    row, column = points[worst]
    return replace(
        check,
        outcome=judged(float(apart[worst]), tolerance),
        difference=float(apart[worst]),
        worst=None if row is None or column is None else (row, column),
        changed=int((after.argmax(axis=1) != before.argmax(axis=1)).sum()),
    )


def _job_and_results(
    data: bytes, loc: DataLocation
) -> tuple[list[ClassifyFeaturesMsg | ClassifyImageMsg], list[ClassifyReturnMsg]]:
    """The classifications that a file answers, and the answer to each."""
    answer = _job_return(data)
    if not answer.ok or answer.results is None:
        said = (answer.error_message or "").strip().splitlines() or ["no reason stored"]
        raise NotVerifiableError(f"the job failed: {said[-1]}")
    task_name = answer.original_job.get("task_name")
    if task_name not in CLASSIFICATIONS:
        raise NotVerifiableError(f"an answer to {task_name}, which holds no scores")
    try:
        job = parse(JobMsg, answer.original_job)
    except InputError as error:
        raise NotVerifiableError(f"its job cannot be read: {error}") from None
    results = [parse(ClassifyReturnMsg, each) for each in answer.results]
    tasks = [each for each in job.tasks if isinstance(each, ClassifyFeaturesMsg | ClassifyImageMsg)]
    if not tasks or len(tasks) != len(results):
        raise MessageError(f"{loc}: {len(results)} results of {len(tasks)} tasks")
    for result in results:
        _check_shape(result, loc)
    return tasks, results


def _job_return(data: bytes) -> JobReturnMsg:
    if data.startswith(PREDICTIONS):
        raise NotVerifiableError(
            "predictions of the command line, which name neither their classifier nor their"
            " features"
        )
    try:
        content: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise NotVerifiableError(OTHER) from None
    kind = next(
        (what for keys, what in KINDS if isinstance(content, dict) and keys <= set(content)), OTHER
    )
    if kind == STORED:
        if content["task_name"] != PROCESS_JOB:
            raise NotVerifiableError(
                f"the answer of {content['task_name']}, which does not say what it was computed"
                " from"
            )
        if content.get("error"):
            raise NotVerifiableError(f"the task failed: {content['error'].get('message')}")
        content, kind = content.get("answer") or {}, ANSWER
    if kind != ANSWER:
        raise NotVerifiableError(kind)
    answer: JobReturnMsg = parse(JobReturnMsg, content)
    return answer


def _check_shape(result: ClassifyReturnMsg, loc: DataLocation) -> None:
    if not result.scores:
        raise NotVerifiableError("it holds no points")
    labels = len(result.classes)
    for row, column, scores in result.scores:
        if len(scores) != labels:
            raise MessageError(
                f"{loc}: {len(scores)} scores at row {row} column {column}, expected {labels}, one"
                " a label"
            )


def _joined(checks: Sequence[Check]) -> Check:
    """The check of a file that answers several tasks."""
    worst = max(checks, key=lambda each: each.difference or 0)
    return replace(
        worst,
        outcome="differs" if any(each.outcome == "differs" for each in checks) else "equal",
        points=sum(each.points or 0 for each in checks),
        changed=sum(each.changed or 0 for each in checks),
        computed_from=f"{worst.computed_from} and {len(checks) - 1} more",
    )
