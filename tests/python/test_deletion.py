"""Scheduling and cancelling the deletion of KMS keys."""

import datetime

import pytest

from conftest import key_state, refused, refused_soon, wait_for_state


def test_schedule_and_cancel(kms, key):
    now = datetime.datetime.now(datetime.timezone.utc)
    scheduled = kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=10)
    date = scheduled.pop("DeletionDate")
    assert abs(date - now - datetime.timedelta(days=10)) < datetime.timedelta(minutes=1)
    scheduled.pop("ResponseMetadata")
    assert scheduled == {"KeyId": key["Arn"], "KeyState": "PendingDeletion", "PendingWindowInDays": 10}
    described = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
    assert described == {**key, "Enabled": False, "KeyState": "PendingDeletion", "DeletionDate": date}

    cancelled = kms.cancel_key_deletion(KeyId=key["Arn"])
    cancelled.pop("ResponseMetadata")
    assert cancelled == {"KeyId": key["Arn"]}
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == {**key, "Enabled": False, "KeyState": "Disabled"}
    disabled = f"{key['Arn']} is disabled."
    refused_soon("DisabledException", disabled, lambda: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x"))
    kms.enable_key(KeyId=key["KeyId"])
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key


def test_the_window_is_thirty_days_unless_said(kms, key):
    assert kms.schedule_key_deletion(KeyId=key["KeyId"])["PendingWindowInDays"] == 30


@pytest.mark.parametrize("days", [-1, 0, 1, 6, 31, 365])
def test_impossible_windows(kms, key, days):
    with refused("ValidationException"):
        kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=days)
    assert key_state(kms, key["KeyId"]) == "Enabled"


@pytest.mark.parametrize("days", [7, 30])
def test_shortest_and_longest_window(kms, key, days):
    assert kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=days)["PendingWindowInDays"] == days


def test_a_disabled_key_can_be_scheduled(kms, key):
    kms.disable_key(KeyId=key["KeyId"])
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    assert kms.cancel_key_deletion(KeyId=key["KeyId"])["KeyId"] == key["Arn"]


def test_a_key_that_is_scheduled_stays_listed(kms, key):
    kms.create_alias(AliasName="alias/kept", TargetKeyId=key["KeyId"])
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    assert [entry["KeyId"] for entry in kms.list_keys()["Keys"]] == [key["KeyId"]]
    assert [entry["AliasName"] for entry in kms.list_aliases()["Aliases"]] == ["alias/kept"]


def test_a_primary_waits_for_its_replica(kms, client_for, account):
    there = client_for(account, "eu-west-1")
    primary = kms.create_key(MultiRegion=True)["KeyMetadata"]
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    scheduled = kms.schedule_key_deletion(KeyId=primary["KeyId"], PendingWindowInDays=7)
    assert scheduled["KeyState"] == "PendingReplicaDeletion"
    assert scheduled["PendingWindowInDays"] == 7
    assert "DeletionDate" not in scheduled
    described = kms.describe_key(KeyId=primary["KeyId"])["KeyMetadata"]
    assert described["KeyState"] == "PendingReplicaDeletion"
    assert described["PendingDeletionWindowInDays"] == 7
    assert described["Enabled"] is False
    assert "DeletionDate" not in described

    wait_for_state(there, primary["KeyId"], "Enabled")
    assert there.encrypt(KeyId=primary["KeyId"], Plaintext=b"x")["CiphertextBlob"]

    kms.cancel_key_deletion(KeyId=primary["KeyId"])
    assert key_state(kms, primary["KeyId"]) == "Disabled"
