"""The site's side of the contract, as CoralNet has it beside its queue for tests."""

from __future__ import annotations

import abc
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string


class BaseQueue(abc.ABC):
    @abc.abstractmethod
    def submit_job(self, job: Any, job_id: int, spec_level: Any) -> None: ...

    @abc.abstractmethod
    def get_collectable_jobs(self) -> Any: ...

    @abc.abstractmethod
    def collect_jobs(self, jobs: list[Any]) -> tuple[list[Any], list[str]]: ...


def get_queue_class() -> type[BaseQueue]:
    found: type[BaseQueue] = import_string(settings.SPACER_QUEUE_CHOICE)
    return found


class LocalQueue(BaseQueue):
    """CoralNet's own for development and tests; nothing here submits to it."""

    def submit_job(self, job: Any, job_id: int, spec_level: Any) -> None:
        raise NotImplementedError

    def get_collectable_jobs(self) -> Any:
        raise NotImplementedError

    def collect_jobs(self, jobs: list[Any]) -> tuple[list[Any], list[str]]:
        raise NotImplementedError
