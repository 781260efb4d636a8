"""The site's side of the contract: what any queue class must offer."""

from __future__ import annotations

import abc
from typing import Any

from config.constants import SpacerJobSpec
from django.conf import settings
from django.utils.module_loading import import_string
from spacer.messages import JobMsg, JobReturnMsg


class BaseQueue(abc.ABC):
    """Every queue class derives from this one."""

    @abc.abstractmethod
    def submit_job(self, job: JobMsg, job_id: int, spec_level: SpacerJobSpec) -> None: ...

    @abc.abstractmethod
    def get_collectable_jobs(self) -> Any: ...

    @abc.abstractmethod
    def collect_jobs(self, jobs: list[Any]) -> tuple[list[JobReturnMsg], list[str]]: ...


def get_queue_class() -> type[BaseQueue]:
    found: type[BaseQueue] = import_string(settings.SPACER_QUEUE_CHOICE)
    return found
