"""Every connection of a worker is of its own transport."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.checkout import CHECKOUT

#: in a process of its own: the transport is for the whole process
SENDS = """
from spacer_tasks.app import app
from spacer_tasks.worker.delivery import transport

app.control.ping(timeout=0.1)
transport.use(None)
app.control.ping(timeout=0.1)
for _ in range(2):
    with app.producer_or_acquire() as producer, app.connection_or_acquire() as connection:
        print(type(producer.channel).__module__, type(connection.default_channel).__module__)
"""


@pytest.mark.usefixtures("queue")
def test_what_was_opened_before_sends_nothing_past_the_transport() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SENDS],
        env=dict(os.environ),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert set(done.stdout.split()) == {"spacer_tasks.worker.delivery.channel"}
