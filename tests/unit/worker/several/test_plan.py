"""What `--gpus` asks for, and what of it is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spacer_tasks.exceptions import ConfigError
from spacer_tasks.worker.several import plan as planning
from spacer_tasks.worker.several.plan import Plan, plan_of


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]) -> None:
    monkeypatch.delenv("SPACER_DEVICE", raising=False)
    settings_changed()


def planned(*arguments: str, cards: int = 2, pool: str = "features") -> Plan | None:
    return plan_of(pool, pool, arguments, lambda: cards)


def of(plan: Plan | None) -> list[tuple[str, str]]:
    assert plan is not None
    return [(member.name.partition("@")[0], member.device) for member in plan.members]


def test_without_gpus_there_is_one_worker_as_ever() -> None:
    assert planned("--concurrency=2", "-n", "mine@%h", "--loglevel", "debug") is None


def test_all_is_one_worker_for_each_card() -> None:
    plan = planned("--gpus", "all", cards=3)
    assert of(plan) == [
        ("features-gpu0", "cuda:0"),
        ("features-gpu1", "cuda:1"),
        ("features-gpu2", "cuda:2"),
    ]


def test_indices_are_taken_in_their_order_and_several_processes_have_names_of_their_own() -> None:
    plan = planned("--gpus=3,1", "--processes-per-gpu=2", cards=4)
    assert of(plan) == [
        ("features-gpu3-0", "cuda:3"),
        ("features-gpu3-1", "cuda:3"),
        ("features-gpu1-0", "cuda:1"),
        ("features-gpu1-1", "cuda:1"),
    ]


@pytest.mark.parametrize(
    ("given", "name"),
    [("mine@%h", "mine-gpu0@HOST"), ("mine", "celery-gpu0@mine"), ("mine@reef", "mine-gpu0@reef")],
)
def test_an_operator_s_own_name_is_kept_and_made_different(
    given: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celery.utils.nodenames.gethostname", lambda: "HOST")
    plan = planned("--gpus", "0", "-n", given)
    assert plan is not None
    assert [member.name for member in plan.members] == [name]


def test_what_is_celery_s_goes_on_to_each() -> None:
    plan = planned("--concurrency", "3", "--gpus", "0,1", "-Q", "features", "--pidfile=%n.pid")
    assert plan is not None
    assert plan.arguments == ("--concurrency", "3", "-Q", "features", "--pidfile=%n.pid")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--gpus=2",), "--gpus names device 2, but torch finds 2 on this machine, counted from 0"),
        (("--gpus=0,0",), "names a device twice; --processes-per-gpu"),
        (("--gpus=cuda:0",), "--gpus is 'cuda:0', expected all, or indices such as 0,1"),
        (("--gpus=-1",), "expected all, or indices"),
        (("--gpus=",), "expected all, or indices"),
        (("--gpus=0,",), "expected all, or indices"),
        (("--gpus=²",), "expected all, or indices"),
        (("--gpus",), "expected one argument"),
        (("--gpus=0,00",), "names a device twice"),
        (("--gpus= 1 , 1",), "names a device twice"),
        (("--gpus=all,0",), "expected all, or indices"),
        (("--gpus=ALL",), "expected all, or indices"),
        (("--gpus=+1",), "expected all, or indices"),
        (("--gpus=" + "9" * 5000,), "expected all, or indices"),
        (("--gpus=0", "--processes-per-gpu=" + "9" * 5000), "expected auto, or a number from 1"),
        (("--gpus=0", "--processes-per-gpu=Auto"), "is 'Auto', expected auto, or a number"),
        (("--gpus=0", "--processes-per-gpu=0"), "--processes-per-gpu is '0', expected auto"),
        (("--gpus=0", "--processes-per-gpu=1.5"), "is '1.5', expected auto"),
        (("--processes-per-gpu=2",), "--processes-per-gpu goes with --gpus"),
        (("--gpus=0", "--detach"), "--detach: several workers run in front"),
        (("--gpus=0", "--pidfile=one.pid"), "several workers need a file each"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        planned(*arguments)
    assert text in str(raised.value)


def test_a_machine_without_a_card_is_said() -> None:
    with pytest.raises(ConfigError, match="torch finds no CUDA device on this machine"):
        planned("--gpus", "all", cards=0)


def test_pools_without_a_network_have_no_use_for_it() -> None:
    with pytest.raises(ConfigError, match="the training pool uses no GPU"):
        planned("--gpus", "all", pool="training")


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_device_that_the_settings_name_clashes(
    device: str, monkeypatch: pytest.MonkeyPatch, settings_changed: Callable[[], None]
) -> None:
    monkeypatch.setenv("SPACER_DEVICE", device)
    settings_changed()
    with pytest.raises(ConfigError, match=f"SPACER_DEVICE is {device}, and --gpus names devices"):
        planned("--gpus", "0")


def test_a_torch_that_cannot_be_asked_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_COUNT", "import torch_that_is_not_there")
    with pytest.raises(ConfigError, match=r"torch cannot say how many.*No module named"):
        planning.cards()


def test_a_driver_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_COUNT", "import threading; threading.Event().wait()")
    monkeypatch.setattr(planning, "LIST_S", 1)
    with pytest.raises(ConfigError, match=r"torch did not say within 1 s .*nvidia-smi"):
        planning.cards()


@pytest.mark.parametrize(
    ("cores", "cards", "each"),
    [(1, 1, 1), (4, 1, 1), (8, 1, 2), (16, 1, 4), (64, 1, 4), (16, 2, 2), (16, 8, 1), (64, 8, 2)],
)
def test_processes_of_a_card_follow_the_cores(
    cores: int, cards: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "cores", lambda: cores)
    plan = planned("--gpus=all", "--processes-per-gpu=auto", cards=cards)
    assert len(of(plan)) == cards * each


def test_torch_says_how_many_cards_there_are() -> None:
    import torch

    assert planning.cards() == (torch.cuda.device_count() if torch.cuda.is_available() else 0)
