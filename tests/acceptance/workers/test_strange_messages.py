"""What is no message of Celery's, put into a queue, stops no worker."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest
import redis

from spacer_tasks import storage
from spacer_tasks.app import app
from spacer_tasks.broker.signing import HEADER
from spacer_tasks.data_classes.locations import DataLocation
from spacer_tasks.demo.processes import Process
from spacer_tasks.tasks import extract_features
from tests.support.checkout import CHECKOUT
from tests.support.photos import DUMMY, photo
from tests.support.waiting import wait_until
from tests.support.workers import StartWorker

#: seconds for a small task on a busy machine
ANSWER_S = 30
FOR_LATER = 200


@pytest.fixture(scope="module")
def worker(start_worker: StartWorker) -> Process:
    return start_worker("feature", "--concurrency=1")


def works(bucket: str) -> bool:
    """Whether a task is done that was sent after all that is in the queue."""
    name = uuid.uuid4().hex
    image = DataLocation.parse(f"s3://{bucket}/image.png")
    storage.store(image, photo("sand", 1))
    features = DataLocation.parse(f"s3://{bucket}/{name}.npz")
    message = {
        "job_token": name,
        "extractor": DUMMY.model_dump(mode="json"),
        "rowcols": [[3, 4]],
        "image_loc": image.model_dump(),
        "feature_loc": features.model_dump(),
    }
    extract_features.delay(message).get(timeout=ANSWER_S)
    return storage.exists(features)


def envelopes() -> dict[str, dict[str, Any] | bytes]:
    """What is no message, or no message of Celery's, by what is wrong with it."""
    body = base64.b64encode(b"[[], {}, {}]").decode()
    properties = {
        "delivery_tag": "1",
        "delivery_info": {"exchange": "", "routing_key": "features"},
        "body_encoding": "base64",
        "delivery_mode": 2,
        "priority": 0,
    }
    headers = {"task": "spacer_tasks.extract_features", "id": "1"}
    good = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }

    def with_(**changes: Any) -> dict[str, Any]:
        return {**good, **changes}

    def written(message: dict[str, Any]) -> bytes:
        return json.dumps(message).encode()

    def with_body(data: bytes) -> dict[str, Any]:
        return with_(body=base64.b64encode(data).decode())

    return {
        "nothing": b"",
        "no JSON": b"hello",
        "half a JSON": b'{"body": "',
        "bytes": bytes(range(256)),
        "nested without end": b"[" * 100_000,
        "a list": b"[1, 2]",
        "a number": b"7",
        "null": b"null",
        "an empty object": {},
        "no properties": with_(properties=None),
        "no delivery tag": with_(properties={**properties, "delivery_tag": None}),
        "no delivery info": with_(properties={**properties, "delivery_info": []}),
        "a delivery info that is empty": with_(properties={**properties, "delivery_info": {}}),
        "time limits that are none": with_(headers={**headers, "timelimit": 7}),
        "retries that are none": with_(headers={**headers, "retries": "x", "timelimit": ["a", 1]}),
        "callbacks that are none": with_body(b'[[], {}, {"callbacks": 7}]'),
        "a chord that is none": with_body(b'[[], {}, {"chord": "x"}]'),
        "a chord of another form": with_body(b'[[{}], {}, {"chord": {"task": 1}, "chain": [7]}]'),
        "callbacks of another form": with_body(b'[[{}], {}, {"errbacks": [7], "callbacks": [{}]}]'),
        "named arguments that are a list": with_body(b"[[], [], {}]"),
        "arguments that are too many": with_body(b"[[1, 2, 3], {}, {}]"),
        "no headers": with_(headers=None),
        "headers that are a list": with_(headers=[1]),
        "empty headers": with_(headers={}),
        "a task that is a list": with_(headers={"task": ["x"], "id": "1"}),
        "a task that is a dict": with_(headers={"task": {}, "id": "1"}),
        "a task that is a number": with_(headers={"task": 7, "id": "1"}),
        "an unknown task": with_(headers={"task": "os.system", "id": "1"}),
        "no id": with_(headers={"task": "spacer_tasks.extract_features"}),
        "an id that is a dict": with_(headers={**headers, "id": {}}),
        "a body that is no list": with_body(b"7"),
        "a body of nothing": with_body(b""),
        "a body of too few": with_body(b"[]"),
        "a body that is no JSON": with_body(b"{"),
        "a body of bytes": with_body(bytes(range(256))),
        "a body nested deep": with_body(b"[" * 100_000),
        "a large number": with_body(b"[[1" + b"0" * 10_000 + b"], {}, {}]"),
        "a pickle": {
            **with_body(b"cposix\nsystem\n(S'touch ran'\ntR."),
            "content-type": "application/x-python-serialize",
            "content-encoding": "binary",
        },
        "yaml": {**with_body(b"!!python/object:os.system"), "content-type": "application/x-yaml"},
        "an unknown content type": {**good, "content-type": "text/html"},
        "no content type": {**good, "content-type": None},
        "protocol 1": with_(
            headers={},
            body=base64.b64encode(
                b'{"task": "spacer_tasks.extract_features", "id": "1", "args": [{}], "kwargs": {}}'
            ).decode(),
        ),
        "protocol 1, half": with_(headers={}, body=base64.b64encode(b'{"task": 1}').decode()),
        "a wrong body encoding": with_(properties={**properties, "body_encoding": "x"}),
        "a body that is no base64": with_(body="ä!"),
        "a time that is none": with_(headers={**headers, "eta": "yesterday", "expires": [1]}),
        "a time that is empty": with_(headers={**headers, "eta": ""}),
        "a time before all": with_(headers={**headers, "expires": "0001-01-01T00:00:00-23:59"}),
        "a number of a million digits": written(good)[:-1] + b', "x": ' + b"9" * 10**6 + b"}",
        "a body of a million digits": with_body(b"[[" + b"9" * 10**6 + b"], {}, {}]"),
        "a number beyond all": with_body(b'[[{"job_token": 1e999}], {}, {}]'),
        "numbers that are none": with_body(b'[[{"job_token": NaN}], {}, {"chord": Infinity}]'),
        "keys that repeat": written(good)[:-1] + b', "headers": [], "properties": {}}',
        "half characters": with_body(b'[[{"job_token": "\\ud800"}], {}, {}]'),
        "half characters in a task": with_(headers={**headers, "task": "spacer\ud800"}),
        "half characters in keys": with_(headers={**headers, "\udfff": 1}),
        "a million arguments": with_body(b"[[" + b"0," * 10**6 + b"0], {}, {}]"),
        "many callbacks": with_body(b'[[{}], {}, {"callbacks": [' + b"{}," * 10**5 + b"{}]}]"),
        "callbacks in callbacks": with_body(
            b'[[{}], {}, {"callbacks": ['
            + b'{"task": "x", "options": {"link": ' * 400
            + b"{}"
            + b"}}" * 400
            + b"]}]"
        ),
        "objects in objects": with_body(b"[[" + b'{"a":' * 900 + b"1" + b"}" * 900 + b"], {}, {}]"),
        "a type of Kombu's": with_body(b'[[{"__type__": "datetime", "__value__": []}], {}, {}]'),
        "a type that is none": with_body(b'[[{"__type__": {}, "__value__": 1}], {}, {}]'),
        "a priority beyond all": with_(properties={**properties, "priority": 10**400}),
        "headers of a million": with_(headers={**headers, **{str(n): n for n in range(10**5)}}),
        "a task that forges a line": with_(headers={"task": "x\nERROR: forged\x1b[2J", "id": "1"}),
        "an id of dots": with_(headers={**headers, "id": ".."}),
        "an id that leads elsewhere": with_(headers={**headers, "id": "../answers/x"}),
        "a queue that is a list": with_(
            properties={**properties, "delivery_info": {"exchange": [], "routing_key": {}}}
        ),
        "a signature that is none": with_(headers={**headers, HEADER: {"x": 1}}),
        "a compression": with_(headers={**headers, "compression": "application/x-gzip"}),
    }


@pytest.mark.parametrize("name", envelopes())
def test_it_does_not_stop_the_worker(worker: Process, bucket: str, name: str) -> None:
    found = envelopes()[name]
    data = json.dumps(found) if isinstance(found, dict) else found
    broker = redis.Redis.from_url(str(app.conf.broker_url))
    broker.lpush("features", data)
    assert works(bucket)
    assert worker.running
    log = worker.log_path.read_text()
    assert "Unrecoverable error" not in log
    assert not [line for line in log.splitlines() if line.startswith("ERROR: forged")]
    assert "\x1b[2J" not in log
    assert not (CHECKOUT / "ran").exists()
    # nor is it kept for another
    wait_until(lambda: broker.hlen("unacked.features") == 0, 120, "it stays taken")


def test_messages_for_later_hold_up_no_others(worker: Process, bucket: str) -> None:
    # more of them than a worker takes at once
    broker = redis.Redis.from_url(str(app.conf.broker_url))
    good = envelopes()["an unknown task"]
    assert isinstance(good, dict)
    for number in range(FOR_LATER):
        name = f"later-{number}"
        later = {
            **good,
            "body": base64.b64encode(b"[[{}], {}, {}]").decode(),
            "headers": {"task": extract_features.name, "id": name, "eta": "9999-12-31T23:59:59Z"},
            "properties": {**good["properties"], "delivery_tag": name},
        }
        broker.lpush("features", json.dumps(later))
    assert works(bucket)
