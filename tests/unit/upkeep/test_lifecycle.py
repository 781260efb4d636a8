"""The lifecycle rule for S3 names the folders of the results prefix, and is one that S3 takes."""

from __future__ import annotations

import json

import boto3
from botocore.stub import Stubber

from spacer_tasks.broker.contract import WAITS_AT_MOST_S
from spacer_tasks.storage.policy import OWN_FOLDERS
from spacer_tasks.upkeep.clean import FOLDERS, TASKS
from tests.support.checkout import CHECKOUT

RULES = json.loads((CHECKOUT / "deploy/s3-lifecycle.json").read_text(encoding="utf-8"))
#: days that a rule adds to the longest that anything waits
ROOM = 30


def test_each_folder_of_this_package_has_a_rule_and_nothing_else_has() -> None:
    prefixes = [rule["Filter"]["Prefix"] for rule in RULES["Rules"]]
    assert sorted(prefixes) == sorted(f"results/{folder}/" for folder in FOLDERS)
    assert set(FOLDERS) == set(OWN_FOLDERS)


def test_no_rule_removes_what_a_batch_may_wait_for() -> None:
    days = {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in RULES["Rules"]}
    for folder in TASKS:
        assert days[f"results/{folder}/"] >= WAITS_AT_MOST_S / 86400 + ROOM


def test_it_has_the_form_that_s3_asks_for() -> None:
    client = boto3.client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:1")
    with Stubber(client) as stub:
        asked = {"Bucket": "reef", "LifecycleConfiguration": RULES}
        stub.add_response("put_bucket_lifecycle_configuration", {}, asked)
        client.put_bucket_lifecycle_configuration(Bucket="reef", LifecycleConfiguration=RULES)
