"""Multi-Region keys: a primary, its replicas, and ciphertexts that any of them opens."""

import json
import re

import pytest

from conftest import key_state, pages, refused, wait_for_state
from local_cluster import wait_until


@pytest.fixture
def primary(kms):
    return kms.create_key(MultiRegion=True, Description="the primary")["KeyMetadata"]


@pytest.fixture
def west(client_for, account):
    return client_for(account, "us-west-2")


@pytest.fixture
def europe(client_for, account):
    return client_for(account, "eu-west-1")


def arn_in(region, metadata):
    parts = metadata["Arn"].split(":")
    parts[3] = region
    return ":".join(parts)


def test_a_primary_alone(kms, primary, account):
    assert re.fullmatch(r"mrk-[0-9a-f]{32}", primary["KeyId"])
    assert primary["Arn"] == f"arn:aws:kms:us-east-1:{account}:key/{primary['KeyId']}"
    assert primary["MultiRegion"] is True
    assert primary["KeyState"] == "Enabled"
    assert primary["MultiRegionConfiguration"] == {
        "MultiRegionKeyType": "PRIMARY",
        "PrimaryKey": {"Arn": primary["Arn"], "Region": "us-east-1"},
        "ReplicaKeys": [],
    }
    assert kms.describe_key(KeyId=primary["KeyId"])["KeyMetadata"] == primary


def test_replicate(kms, west, europe, primary, account):
    west_arn, europe_arn = arn_in("us-west-2", primary), arn_in("eu-west-1", primary)
    first = kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="us-west-2")
    assert first["ReplicaKeyMetadata"]["Arn"] == west_arn
    wait_for_state(west, primary["KeyId"], "Enabled")

    second = kms.replicate_key(
        KeyId=primary["Arn"],
        ReplicaRegion="eu-west-1",
        Description="in Europe",
        Tags=[{"TagKey": "Region", "TagValue": "Europe"}],
    )
    metadata = second["ReplicaKeyMetadata"]
    assert metadata["Arn"] == europe_arn
    assert metadata["KeyId"] == primary["KeyId"]
    assert metadata["KeyState"] == "Creating"
    assert metadata["Enabled"] is False
    assert metadata["Description"] == "in Europe"
    assert second["ReplicaTags"] == [{"TagKey": "Region", "TagValue": "Europe"}]
    assert json.loads(second["ReplicaPolicy"])["Id"] == "key-default-1"
    replicas = [{"Arn": europe_arn, "Region": "eu-west-1"}, {"Arn": west_arn, "Region": "us-west-2"}]
    configuration = metadata["MultiRegionConfiguration"]
    assert configuration["MultiRegionKeyType"] == "REPLICA"
    assert configuration["PrimaryKey"] == {"Arn": primary["Arn"], "Region": "us-east-1"}
    assert sorted(configuration["ReplicaKeys"], key=lambda replica: replica["Region"]) == replicas
    wait_for_state(europe, primary["KeyId"], "Enabled")

    # Shared properties are the primary's; the others are the replica's own.
    there = europe.describe_key(KeyId=primary["KeyId"])["KeyMetadata"]
    for member in ("KeySpec", "KeyUsage", "Origin", "EncryptionAlgorithms", "CurrentKeyMaterialId", "AWSAccountId"):
        assert there[member] == primary[member], member
    assert there["Description"] == "in Europe"
    assert europe.list_resource_tags(KeyId=primary["KeyId"])["Tags"] == second["ReplicaTags"]

    def tells_of_all(kms, kind):
        configuration = kms.describe_key(KeyId=primary["KeyId"])["KeyMetadata"]["MultiRegionConfiguration"]
        return (
            configuration["MultiRegionKeyType"] == kind
            and configuration["PrimaryKey"]["Region"] == "us-east-1"
            and sorted(configuration["ReplicaKeys"], key=lambda replica: replica["Region"]) == replicas
        )

    wait_until(lambda: tells_of_all(kms, "PRIMARY"), "the primary to know both replicas")
    wait_until(lambda: tells_of_all(west, "REPLICA"), "the first replica to know the second")
    wait_until(lambda: tells_of_all(europe, "REPLICA"), "the second replica to know the first")


def test_nothing_is_copied_that_is_the_keys_own(kms, europe, primary):
    kms.tag_resource(KeyId=primary["KeyId"], Tags=[{"TagKey": "a", "TagValue": "b"}])
    kms.create_alias(AliasName="alias/primary", TargetKeyId=primary["KeyId"])
    kms.put_key_policy(KeyId=primary["KeyId"], Policy=kms.get_key_policy(KeyId=primary["KeyId"])["Policy"] + " ")
    answer = kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    assert answer["ReplicaTags"] == []
    wait_for_state(europe, primary["KeyId"], "Enabled")
    kms.update_key_description(KeyId=primary["KeyId"], Description="changed later")
    there = europe.describe_key(KeyId=primary["KeyId"])["KeyMetadata"]
    assert there["Description"] == ""
    assert europe.list_resource_tags(KeyId=primary["KeyId"])["Tags"] == []
    assert europe.list_aliases(KeyId=primary["KeyId"])["Aliases"] == []
    assert not europe.get_key_policy(KeyId=primary["KeyId"])["Policy"].endswith(" ")


def test_any_key_of_the_set_opens_what_another_made(kms, europe, primary):
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(europe, primary["KeyId"], "Enabled")
    context = {"document": "7"}
    here = kms.encrypt(KeyId=primary["KeyId"], Plaintext=b"from the primary", EncryptionContext=context)
    there = europe.generate_data_key(KeyId=primary["KeyId"], KeySpec="AES_256", EncryptionContext=context)
    assert here["KeyId"] == primary["Arn"]
    assert there["KeyId"] == arn_in("eu-west-1", primary)
    for request in ({}, {"KeyId": arn_in("eu-west-1", primary)}):
        opened = europe.decrypt(CiphertextBlob=here["CiphertextBlob"], EncryptionContext=context, **request)
        assert opened["Plaintext"] == b"from the primary"
        assert opened["KeyId"] == arn_in("eu-west-1", primary)
    assert kms.decrypt(CiphertextBlob=there["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == there["Plaintext"]
    with refused("InvalidCiphertextException"):
        europe.decrypt(CiphertextBlob=here["CiphertextBlob"], EncryptionContext={"document": "8"})


def test_a_replica_does_not_need_its_primary(kms, europe, primary):
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(europe, primary["KeyId"], "Enabled")
    blob = kms.encrypt(KeyId=primary["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=primary["KeyId"])
    assert europe.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert key_state(europe, primary["KeyId"]) == "Enabled"
    kms.schedule_key_deletion(KeyId=primary["KeyId"], PendingWindowInDays=7)
    assert europe.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_keys_of_different_sets_are_strangers(kms, europe, primary):
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(europe, primary["KeyId"], "Enabled")
    stranger = kms.create_key(MultiRegion=True)["KeyMetadata"]
    blob = kms.encrypt(KeyId=stranger["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("IncorrectKeyException"):
        europe.decrypt(CiphertextBlob=blob, KeyId=primary["KeyId"])


def test_replicas_that_are_refused(kms, europe, primary):
    for region in ("us-east-1",):
        with refused("AlreadyExistsException"):
            kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion=region)
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(europe, primary["KeyId"], "Enabled")
    with refused("AlreadyExistsException"):
        kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    with refused("UnsupportedOperationException"):
        europe.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="us-west-2")
    europe.schedule_key_deletion(KeyId=primary["KeyId"])
    with refused("AlreadyExistsException"):
        kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    with refused("UnsupportedOperationException"):
        single = kms.create_key()["KeyMetadata"]
        kms.replicate_key(KeyId=single["KeyId"], ReplicaRegion="us-west-2")
    with pytest.raises(kms.exceptions.ClientError):
        kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="sa-east-1")
    with refused("ValidationException"):
        kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="Europe!")
    configuration = kms.describe_key(KeyId=primary["KeyId"])["KeyMetadata"]["MultiRegionConfiguration"]
    assert [replica["Region"] for replica in configuration["ReplicaKeys"]] == ["eu-west-1"]


def test_replicate_takes_no_alias(kms, primary):
    kms.create_alias(AliasName="alias/primary", TargetKeyId=primary["KeyId"])
    with pytest.raises(kms.exceptions.ClientError):
        kms.replicate_key(KeyId="alias/primary", ReplicaRegion="eu-west-1")


def test_listing_is_regional(kms, west, europe, primary):
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(europe, primary["KeyId"], "Enabled")
    listed = [entry for page in pages(europe.list_keys, "Keys") for entry in page]
    assert listed == [{"KeyId": primary["KeyId"], "KeyArn": arn_in("eu-west-1", primary)}]
    assert west.list_keys()["Keys"] == []


def test_many_replicas_at_once(kms, west, europe):
    keys = [kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"] for _ in range(10)]
    for key_id in keys:
        kms.replicate_key(KeyId=key_id, ReplicaRegion="us-west-2")
        kms.replicate_key(KeyId=key_id, ReplicaRegion="eu-west-1")
    for key_id in keys:
        blob = kms.encrypt(KeyId=key_id, Plaintext=key_id.encode())["CiphertextBlob"]
        for there in (west, europe):
            wait_for_state(there, key_id, "Enabled")
            assert there.decrypt(CiphertextBlob=blob)["Plaintext"] == key_id.encode()


def test_a_replica_is_deleted_by_itself(kms, europe, primary):
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(europe, primary["KeyId"], "Enabled")
    scheduled = europe.schedule_key_deletion(KeyId=primary["KeyId"])
    assert scheduled["KeyState"] == "PendingDeletion"
    assert scheduled["PendingWindowInDays"] == 30
    assert "DeletionDate" in scheduled
    assert key_state(kms, primary["KeyId"]) == "Enabled"
    europe.cancel_key_deletion(KeyId=primary["KeyId"])
    assert key_state(europe, primary["KeyId"]) == "Disabled"


def rotation(kms, key_id):
    status = kms.get_key_rotation_status(KeyId=key_id)
    status.pop("ResponseMetadata")
    return status


def test_rotation_is_shared(kms, europe, primary):
    key_id = primary["KeyId"]
    early = kms.encrypt(KeyId=key_id, Plaintext=b"early")["CiphertextBlob"]
    kms.rotate_key_on_demand(KeyId=key_id)
    kms.replicate_key(KeyId=key_id, ReplicaRegion="eu-west-1")
    wait_for_state(europe, key_id, "Enabled")
    assert europe.decrypt(CiphertextBlob=early)["Plaintext"] == b"early"

    kms.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=100)
    on = rotation(kms, key_id)
    wait_until(lambda: rotation(europe, key_id) == on, "the replica to know the schedule")
    for operation in ("enable_key_rotation", "disable_key_rotation", "rotate_key_on_demand"):
        with refused("UnsupportedOperationException"):
            getattr(europe, operation)(KeyId=key_id)

    kms.rotate_key_on_demand(KeyId=key_id)

    def history(kms):
        return kms.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]

    wait_until(lambda: len(history(kms)) == 3 and history(kms) == history(europe), "both keys to be rotated")
    current = kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"]
    assert europe.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"] == current
    late = kms.encrypt(KeyId=key_id, Plaintext=b"late")["CiphertextBlob"]
    assert europe.decrypt(CiphertextBlob=late)["Plaintext"] == b"late"
    kms.disable_key_rotation(KeyId=key_id)
    wait_until(lambda: not rotation(europe, key_id)["KeyRotationEnabled"], "the replica to know that it is off")


def has_primary(kms, key_id, region):
    described = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    configuration = described["MultiRegionConfiguration"]
    return described["KeyState"] == "Enabled" and configuration["PrimaryKey"]["Region"] == region


def test_change_the_primary(kms, west, europe, primary):
    key_id = primary["KeyId"]
    for client, region in ((europe, "eu-west-1"), (west, "us-west-2")):
        kms.replicate_key(KeyId=key_id, ReplicaRegion=region)
        wait_for_state(client, key_id, "Enabled")
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
    answer = kms.update_primary_region(KeyId=key_id, PrimaryRegion="eu-west-1")
    assert {name for name in answer if name != "ResponseMetadata"} == set()
    for client in (kms, west, europe):
        wait_until(lambda client=client: has_primary(client, key_id, "eu-west-1"), "every key to know the new primary")
        assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    there = europe.describe_key(KeyId=key_id)["KeyMetadata"]
    assert there["Arn"] == arn_in("eu-west-1", primary)
    configuration = there["MultiRegionConfiguration"]
    assert configuration["MultiRegionKeyType"] == "PRIMARY"
    assert sorted(replica["Region"] for replica in configuration["ReplicaKeys"]) == ["us-east-1", "us-west-2"]
    here = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    assert here["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA"
    with refused("UnsupportedOperationException"):
        kms.update_primary_region(KeyId=key_id, PrimaryRegion="us-west-2")
    with refused("UnsupportedOperationException"):
        kms.replicate_key(KeyId=key_id, ReplicaRegion="us-west-2")

    # The former primary can go as a replica goes.
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert key_state(kms, key_id) == "PendingDeletion"
    europe.enable_key_rotation(KeyId=key_id)
    wait_until(lambda: rotation(west, key_id)["KeyRotationEnabled"], "the new primary to be the one that is heard")


def test_primaries_that_cannot_change(kms, europe, primary, key):
    for region, code in (("us-east-1", "UnsupportedOperationException"), ("eu-west-1", "NotFoundException"),
                         ("sa-east-1", "NotFoundException"), ("Europe!", "ValidationException")):
        with refused(code):
            kms.update_primary_region(KeyId=primary["KeyId"], PrimaryRegion=region)
    with refused("UnsupportedOperationException"):
        kms.update_primary_region(KeyId=key["KeyId"], PrimaryRegion="eu-west-1")
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(europe, primary["KeyId"], "Enabled")
    europe.disable_key(KeyId=primary["KeyId"])
    with refused("DisabledException", f"{arn_in('eu-west-1', primary)} is disabled."):
        kms.update_primary_region(KeyId=primary["KeyId"], PrimaryRegion="eu-west-1")
    europe.enable_key(KeyId=primary["KeyId"])
    kms.disable_key(KeyId=primary["KeyId"])
    with refused("DisabledException", f"{primary['Arn']} is disabled."):
        kms.update_primary_region(KeyId=primary["KeyId"], PrimaryRegion="eu-west-1")
    assert has_primary(europe, primary["KeyId"], "us-east-1")
