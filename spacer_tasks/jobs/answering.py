"""A whole job, run and answered whatever becomes of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping

from spacer_tasks.exceptions import InputError, MessageError, TransientError
from spacer_tasks.messages.parsing import as_data, parse
from spacer_tasks.messages.reference_errors import error_line_of
from spacer_tasks.messages.tasks import JobMsg, JobReturnMsg, Message
from spacer_tasks.storage.policy import permit_all


def answered(
    job: JobMsg | Mapping[str, object], run: Callable[[JobMsg], Iterable[Message]]
) -> JobReturnMsg:
    """The answer to a job, whose dict it echoes unchanged.

    Parameters
    ----------
    job
        The job, its dict, or one of the reference's own class.
    run
        Gives the answer to each task of the job, in their order.

    Raises
    ------
    MessageError
        It is no object, which an answer could echo.
    TransientError
        From `run`: the job can be run again. Any other error is in the answer.
    """
    job = as_data(job)
    if not isinstance(job, (JobMsg, Mapping)):
        raise MessageError(f"a job is an object, found a {type(job).__name__}")
    original = job.to_wire() if isinstance(job, JobMsg) else dict(job)
    try:
        parsed = parse(JobMsg, original)
        permit_all(parsed)
        results = [answer.to_reference() for answer in run(parsed)]
    except TransientError:
        raise
    except InputError as error:
        reason = error_line_of(error)
    except Exception as error:  # noqa: BLE001 -- the boundary: a job ends in an answer
        reason = traceback.format_exc() + "\n" + error_line_of(error)
    else:
        return JobReturnMsg(original_job=original, ok=True, results=results, error_message=None)
    return JobReturnMsg(original_job=original, ok=False, results=None, error_message=reason)
