"""A caller is told that Redis is away, and sends again when it is back."""

from __future__ import annotations

import os
import subprocess
import sys

from spacer_tasks.demo.services import _redis_program, free_ports

#: sends with Redis away, starts one, sends again
SENDS = """
import subprocess, sys, time
from spacer_tasks.exceptions import BrokerUnavailableError
from spacer_tasks.tasks import extract_features

location = {"storage_type": "s3", "key": "a", "bucket_name": "b"}
message = {"job_token": "1", "extractor": "dummy", "rowcols": [[1, 2]],
           "image_loc": location, "feature_loc": location}
for attempt in range(2):
    try:
        extract_features.delay(message)
    except BrokerUnavailableError as error:
        print(error)
redis = subprocess.Popen([sys.argv[1], "--port", sys.argv[2], "--save", ""], stdout=2)
try:
    for attempt in range(100):
        try:
            print("sent", extract_features.delay(message).id)
            break
        except BrokerUnavailableError:
            time.sleep(0.1)
finally:
    redis.terminate()
    redis.wait()
"""


def test_a_caller_is_told_and_sends_again_when_redis_is_back() -> None:
    (port,) = free_ports(1)
    env = {**os.environ, "SPACER_BROKER_URL": f"redis://127.0.0.1:{port}/0"}
    printed = subprocess.run(
        [sys.executable, "-c", SENDS, str(_redis_program()), str(port)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.splitlines()
    assert len(printed) == 3
    for line in printed[:2]:
        assert line.startswith("Redis cannot be reached, so the task was not sent:")
        assert str(port) in line
    assert printed[2].startswith("sent ")
