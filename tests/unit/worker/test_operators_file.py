"""Mistakes in an operator's `celeryconfig.py`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spacer_tasks.app import app, settings_of_callers
from spacer_tasks.broker.contract import CONTRACT
from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker import operators_file, start
from tests.support.checkout import CHECKOUT

Take = Callable[[str], None]


@pytest.fixture
def take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Take:
    """Take a file of these lines."""
    taken: list[object] = []
    monkeypatch.setattr(app, "config_from_object", taken.append)
    monkeypatch.syspath_prepend(tmp_path)

    def of(text: str) -> None:
        # a name of its own: what was imported stays
        name = f"celeryconfig_{abs(hash((str(tmp_path), text)))}"
        (tmp_path / f"{name}.py").write_text(text)
        operators_file.take(name)
        assert len(taken) == 1

    return of


def test_what_takes_effect_is_taken(take: Take) -> None:
    take((CHECKOUT / "celeryconfig.py").read_text())


def test_helpers_of_the_file_s_own_are_no_settings(take: Take) -> None:
    take("import os\nfrom pathlib import Path\nHOUR = 3600\n_x = 1\ntask_time_limit = HOUR\n"
         "def limit(): return 1\nbroker_pool_limit = None\n")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "broker_url = 'redis://elsewhere'",
            "broker_url cannot be set here: set SPACER_BROKER_URL",
        ),
        ("broker_read_url = 'redis://elsewhere'", "set SPACER_BROKER_URL"),
        ("result_backend = 'rpc://'", "set SPACER_RESULT_BACKEND_URL"),
        ("result_expires = 60", "set SPACER_RESULTS_EXPIRE_S"),
        ("worker_concurrency = 4", "worker_concurrency cannot be set here: say --concurrency"),
        ("worker_pool = 'solo'", "say --pool"),
        ("worker_prefetch_multiplier = 4", "the contract between callers and workers"),
        ("task_acks_late = False\naccept_content = ['pickle']", "accept_content.*; task_acks_late"),
        ("broker_transport_options = {'global_keyprefix': 'reef:'}", "this package sets it"),
        ("result_backend_transport_options = {'global_keyprefix': 'r:'}", "this package sets it"),
        ("task_publish_retry_policy = {}", "this package sets it"),
        ("task_always_eager = True", "this package sets it"),
        ("task_time_limt = 5", "task_time_limt is no setting of Celery's, task_time_limit is"),
        ("wholly_unknown_thing = 5", "wholly_unknown_thing is no setting of Celery's"),
        ("BROKER_URL = 'redis://elsewhere'", "BROKER_URL is a name of Celery before 4"),
        ("CELERY_ACKS_LATE = True", "CELERY_ACKS_LATE is a name of Celery before 4"),
        ("task_time_limit = '1h'", "task_time_limit is '1h', expected a number"),
        ("task_time_limit = 0", "task_time_limit is 0, expected more than 0"),
        ("task_time_limit = -5", "task_time_limit is -5, expected more than 0"),
        ("broker_pool_limit = True", "broker_pool_limit is True, expected a number"),
        ("task_time_limit = ", "cannot be imported: SyntaxError"),
        ("import no_such_module_anywhere", "cannot be imported: ModuleNotFoundError"),
        ("task_time_limit = HOUR", "cannot be imported: NameError"),
    ],
)
def test_what_cannot_take_effect_is_refused_in_one_line(take: Take, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        take(text)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no_such_celeryconfig cannot be imported"):
        operators_file.take("no_such_celeryconfig")


@pytest.mark.parametrize("name", sorted(CONTRACT | dict.fromkeys(settings_of_callers())))
def test_whatever_this_package_sets_is_refused(take: Take, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} cannot be set here"):
        take(f"{name} = 1")


def test_all_that_a_worker_s_start_sets_is_named() -> None:
    """Of `start`, whose settings are in its code alone."""
    text = inspect.getsource(start.start)
    settings: dict[str, Any] = dict.fromkeys(operators_file.WORKERS_OWN)
    for name in app.conf:
        if f"        {name}=" in text or f"conf.{name} = {{" in text:
            assert name in settings, name
