from __future__ import annotations

import subprocess
import sys

from spacer_tasks.broker.contract import QUEUES, ROUTES
from spacer_tasks.tasks import HIGH_QUEUES, JOB_QUEUES

#: its queue is that of the task in the job
SENT_WITH_A_QUEUE = {"spacer_tasks.process_job"}
TASKS = """
from spacer_tasks.app import app
app.loader.import_default_modules()
print(*(name for name in app.tasks if name.startswith("spacer_tasks.")))
"""


def test_every_task_has_a_queue_and_every_route_a_task() -> None:
    """A task without a route would go to the default queue in silence."""
    command = [sys.executable, "-c", TASKS]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == set(ROUTES) | SENT_WITH_A_QUEUE
    used = {*ROUTES.values(), *JOB_QUEUES.values(), *HIGH_QUEUES.values()}
    assert used == set(QUEUES)
