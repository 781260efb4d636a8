"""A worker that computes nothing: it answers tasks as a test says.

The message, its answer under the results prefix, the small result, retries and callbacks are real.
The base package is enough: what computes is neither installed nor imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from spacer_tasks.execution.task import MessageTask
from spacer_tasks.jobs.answering import answered
from spacer_tasks.messages.batches import TrainFromImagesReturnMsg, TrainManyReturnMsg
from spacer_tasks.messages.tasks import (
    Answer,
    ClassifyReturnMsg,
    ExtractFeaturesReturnMsg,
    JobMsg,
    JobReturnMsg,
    TrainClassifierReturnMsg,
)
from spacer_tasks.tasks import process_job
from spacer_tasks.testing.in_process import OURS, InProcessWorker

#: an answer, an error to fail with, or what gives or raises one for a message
Rule = Answer | BaseException | Callable[[Any], Answer]

#: what each task answers
ANSWERS: dict[str, type[Answer]] = {
    "spacer_tasks.extract_features": ExtractFeaturesReturnMsg,
    "spacer_tasks.train_classifier": TrainClassifierReturnMsg,
    "spacer_tasks.classify_features": ClassifyReturnMsg,
    "spacer_tasks.classify_image": ClassifyReturnMsg,
    "spacer_tasks.process_job": JobReturnMsg,
    "spacer_tasks.train_from_images": TrainFromImagesReturnMsg,
    "spacer_tasks.train_many": TrainManyReturnMsg,
}


class NoRuleError(BaseException):
    """The test gave no rule for a task that was sent, or a rule that does not fit it.

    Not an `Exception`: a mistake of the test is not something that a task can fail with.
    """


class FakeWorker(InProcessWorker):
    """Answers each task of this package by the rule for it.

    >>> worker = FakeWorker()
    >>> worker.answers(extract_features, fixed_features())
    >>> worker.answers(classify_image, ImageError("a.jpg: not an image"))
    >>> with eager_queue(worker): ...

    A whole job is answered by the rules for its tasks, a batch by a rule of its own.
    """

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def answers(self, task: Any, rule: Rule) -> None:
        """Answer a task so from now on.

        Parameters
        ----------
        task
            One of this package's tasks that a caller sends.
        rule
            Its answer; or an exception, which it fails with (a `TransientError` after its tries);
            or a function that is given the message and returns the one or raises the other.

        Raises
        ------
        TypeError
            It is not such a task, or the answer is of another one's class.
        """
        name = getattr(task, "name", None)
        if name not in ANSWERS:
            raise TypeError(f"{task!r} is not a task that callers send; they are {list(ANSWERS)}")
        if isinstance(rule, Answer) and not isinstance(rule, ANSWERS[name]):
            raise TypeError(_unfitting(name, rule))
        self._rules[name] = rule

    def doing(self, task: MessageTask) -> AbstractContextManager[object]:
        """In place of what the task computes, its rule."""

        def run(message: Any, *_: Any) -> Answer:
            if task.name == process_job.name and task.name not in self._rules:
                return answered(message, self._of_a_job)
            return self._answer(task.name, message)

        return mock.patch.object(task, "run", run)

    def _of_a_job(self, job: JobMsg) -> Iterable[Answer]:
        return (self._answer(f"{OURS}{job.task_name}", message) for message in job.tasks)

    def _answer(self, name: str, message: Any) -> Answer:
        if name not in self._rules:
            raise NoRuleError(f"{name} was sent, and the FakeWorker has no rule for it: answers()")
        rule = self._rules[name]
        if isinstance(rule, BaseException):
            raise rule
        answer = rule if isinstance(rule, Answer) else rule(message)
        if not isinstance(answer, ANSWERS[name]):
            raise NoRuleError(_unfitting(name, answer))
        return answer


def _unfitting(name: str, answer: object) -> str:
    return f"{name} answers with a {ANSWERS[name].__name__}, found a {type(answer).__name__}"
