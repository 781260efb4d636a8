"""The AWS Batch form: one job, named in the environment, without a queue.

AWS Batch starts a container for each job. `JOB_MSG_LOC` and `RES_MSG_LOC` hold the JSON of a
location: where the job is, and where its answer goes to. Neither Redis nor a results prefix is
needed.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from spacer_tasks import retries, storage
from spacer_tasks.config.settings import get_settings, without_django
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.exceptions import ConfigError, InputError, SpacerError, TransientError
from spacer_tasks.jobs.answers import failed_job
from spacer_tasks.jobs.reading import load_job
from spacer_tasks.log_lines import log_one_line_each
from spacer_tasks.messages.parsing import JsonDict, parse
from spacer_tasks.messages.tasks import JobReturnMsg

logger = logging.getLogger(__name__)

T = TypeVar("T")


def env_job(environment: Mapping[str, str] = os.environ) -> JobReturnMsg:
    """Run the job that the environment names, and store its answer where the environment says.

    What passes is tried again, three times. A job that fails has an answer too, with `ok` false.

    Raises
    ------
    ConfigError
        A variable is not set.
    MessageError
        A variable is not the JSON of a location, or there is no JSON object where the job is.
    StorageError, StorageUnavailableError
        The job cannot be read, or its answer cannot be written.
    """
    job_loc = _location(environment, "JOB_MSG_LOC")
    answer_loc = _location(environment, "RES_MSG_LOC")
    if not answer_loc.is_writable:
        raise ConfigError(f"RES_MSG_LOC: nothing can be written to {answer_loc}")
    logger.info("job at %s", job_loc)
    job = _tried(lambda: load_job(job_loc))
    answer = _answer(job)
    _tried(lambda: storage.store(answer_loc, json.dumps(answer.to_wire()).encode()))
    logger.info("answer at %s: %s", answer_loc, "ok" if answer.ok else answer.error_message)
    return answer


def _answer(job: JsonDict) -> JobReturnMsg:
    # imported here: it loads torch, which takes seconds that a wrong variable need not wait for
    from spacer_tasks import operations

    try:
        return _tried(lambda: operations.process_job(job))
    except TransientError as error:
        cls = type(error)
        return failed_job(job, f"{cls.__module__}.{cls.__qualname__}", str(error))


def _location(environment: Mapping[str, str], name: str) -> DataLocation:
    text = environment.get(name)
    if not text:
        raise ConfigError(f"{name} is not set: expected the JSON of a location")
    try:
        return parse(DataLocation, text)
    except InputError as error:
        raise ConfigError(f"{name}: {error}") from error


def _tried(step: Callable[[], T]) -> T:
    for pause in retries.ENV_JOB.waits():
        try:
            return step()
        except TransientError as error:
            logger.warning("%s; trying again in %.1f s", error, pause)
            time.sleep(pause)
    return step()


def main() -> None:
    """The process of a Batch job: exit code 0 if there is an answer, 1 and one line if not."""
    without_django()
    log_one_line_each()
    try:
        logging.basicConfig(
            level=get_settings().log_level, format="%(asctime)s %(levelname)s %(message)s"
        )
        env_job()
    except SpacerError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
