"""GetKeyLastUsage: the last successful cryptographic operation of each key, wherever in the Region it was done."""

import datetime

import pytest

from conftest import refused
from local_cluster import wait_until


def last(kms, key):
    return kms.get_key_last_usage(KeyId=key)


def seen(kms, key, operation):
    """Waits until every node knows of `operation` as the last use of `key`, and gives the entry."""

    def known():
        entries = [last(kms, key).get("KeyLastUsage") for _ in range(6)]  # the nodes of a Region answer in turn
        return entries[0] if all(entry and entry["Operation"] == operation for entry in entries) else None

    return wait_until(known, operation, seconds=20)


def test_a_key_that_was_never_used(kms, key):
    kms.describe_key(KeyId=key["Arn"])
    answer = last(kms, key["Arn"])
    assert "KeyLastUsage" not in answer
    assert answer["KeyId"] == key["KeyId"]
    assert answer["KeyCreationDate"] == key["CreationDate"]
    assert answer["TrackingStartDate"] <= answer["KeyCreationDate"]


def test_the_last_success_counts(kms, key):
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    encrypted = kms.encrypt(KeyId=key["Arn"], Plaintext=b"x")
    entry = seen(kms, key["KeyId"], "Encrypt")
    assert entry["KmsRequestId"] == encrypted["ResponseMetadata"]["RequestId"]
    assert len(entry["CloudTrailEventId"]) == 36
    assert before <= entry["Timestamp"] <= datetime.datetime.now(datetime.timezone.utc)
    with refused("InvalidCiphertextException"):
        kms.decrypt(KeyId=key["Arn"], CiphertextBlob=b"nonsense")
    with refused("DryRunOperationException"):
        kms.encrypt(KeyId=key["Arn"], Plaintext=b"x", DryRun=True)
    decrypted = kms.decrypt(CiphertextBlob=encrypted["CiphertextBlob"])
    assert seen(kms, key["Arn"], "Decrypt")["KmsRequestId"] == decrypted["ResponseMetadata"]["RequestId"]


def test_a_re_encryption_uses_both_keys(kms, key):
    target = kms.create_key()["KeyMetadata"]["Arn"]
    blob = kms.encrypt(KeyId=key["Arn"], Plaintext=b"x")["CiphertextBlob"]
    kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=target)
    source_entry, target_entry = (seen(kms, arn, "ReEncrypt") for arn in (key["Arn"], target))
    assert source_entry["CloudTrailEventId"] == target_entry["CloudTrailEventId"]


def test_every_region_tells_of_its_own(kms, client_for, account):
    primary = kms.create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
    kms.replicate_key(KeyId=primary, ReplicaRegion="us-west-2")
    replica, west = primary.replace("us-east-1", "us-west-2"), client_for(account, region="us-west-2")
    wait_until(lambda: west.describe_key(KeyId=replica)["KeyMetadata"]["KeyState"] == "Enabled", "the replica")
    west.generate_data_key(KeyId=replica, KeySpec="AES_256")
    seen(west, replica, "GenerateDataKey")
    assert "KeyLastUsage" not in last(kms, primary)


def test_only_the_owner_is_told_and_never_by_an_alias(kms, other, key):
    kms.create_alias(AliasName="alias/used", TargetKeyId=key["Arn"])
    with refused("NotFoundException"):
        last(kms, "alias/used")
    with refused("AccessDeniedException"):
        last(other, key["Arn"])


@pytest.mark.parametrize("operation", ["GenerateDataKey", "GenerateDataKeyWithoutPlaintext"])
def test_data_keys_count(kms, key, operation):
    call = {"GenerateDataKey": kms.generate_data_key,
            "GenerateDataKeyWithoutPlaintext": kms.generate_data_key_without_plaintext}[operation]
    call(KeyId=key["Arn"], KeySpec="AES_256")
    seen(kms, key["Arn"], operation)
