"""What a client of the reference is given for a job: a `JobReturnMsg`, whatever became of it."""

from __future__ import annotations

from spacer_tasks.exceptions import AnswerExpiredError
from spacer_tasks.jobs.states import Seen
from spacer_tasks.messages.parsing import JsonDict, parse
from spacer_tasks.messages.reference_errors import error_line
from spacer_tasks.messages.tasks import JobReturnMsg
from spacer_tasks.results import StoredAnswer, TaskError, answer_location


def job_return(stored: StoredAnswer, original_job: JsonDict) -> JobReturnMsg:
    """The answer that is stored for a job, as the reference's message.

    Parameters
    ----------
    stored
        What the task `spacer_tasks.process_job` came to.
    original_job
        The dict that was sent; used where the answer holds none, because the task failed before
        it could read its job.

    Raises
    ------
    MessageError
        The stored answer is not one of a job.
    """
    if stored.error is not None:
        trace = stored.error.traceback
        return failed_job(original_job, stored.error.type, stored.error.message, trace)
    return parse(JobReturnMsg, stored.answer or {})


def why_unanswered(job: Seen) -> TaskError:
    """Why a job that is finished has no answer: it failed in Celery, or its answer is gone."""
    if not job.state.answered:
        return TaskError(kind="bug", type=job.error_type, message=job.error_text)
    return TaskError.of(
        AnswerExpiredError(
            f"the job finished, but its answer at {answer_location(job.record.task_id)} is gone;"
            " submit it again"
        )
    )


def failed_job(
    original_job: JsonDict, error_type: str, text: str, trace: str | None = None
) -> JobReturnMsg:
    """A `JobReturnMsg` with `ok` false, whose last line is `module.ClassName: text`.

    Parameters
    ----------
    original_job
        The dict that was sent, echoed unchanged.
    error_type
        The class of the error with its module.
    text
        What it said.
    trace
        A traceback to stand above the last line.
    """
    line = error_line(error_type, text)
    return JobReturnMsg(
        original_job=original_job,
        ok=False,
        results=None,
        error_message=f"{trace.rstrip()}\n{line}" if trace else line,
    )
