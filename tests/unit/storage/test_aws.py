"""What requests to AWS are made with."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.utils import parse_timestamp

from spacer_tasks.storage import aws


@pytest.mark.parametrize(
    "value",
    [
        "Wed, 25 Nov 2026 10:20:30 GMT",
        "2026-11-25T10:20:30.000Z",
        "2026-11-25T10:20:30+02:00",
        "1764064800",
        1764064800,
        1764064800.5,
    ],
)
def test_a_time_of_an_answer_is_what_boto3_reads(value: Any) -> None:
    # botocore's own parser: no public name leads to it
    client: Any = aws.session("http://127.0.0.1:1").client("s3")
    parser = client._endpoint._response_parser_factory.create_parser("rest-xml")
    assert parser._timestamp_parser(value) == parse_timestamp(value)
    assert parser._timestamp_parser is aws._time_of


def test_requests_name_their_sender() -> None:
    assert aws.user_agent().startswith("spacer-tasks/")
