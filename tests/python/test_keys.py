"""Making, describing, listing, describing in words, enabling and disabling KMS keys."""

import datetime
import re

import pytest

from conftest import key_state, pages, refused, refused_soon
from local_cluster import REGIONS

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def test_defaults_of_a_new_key(kms, account):
    before = datetime.datetime.now(datetime.timezone.utc)
    metadata = kms.create_key()["KeyMetadata"]

    key_id = metadata["KeyId"]
    assert re.fullmatch(UUID, key_id)
    created = metadata.pop("CreationDate")
    assert abs(created - before) < datetime.timedelta(seconds=30)
    assert re.fullmatch(r"[0-9a-f]{64}", metadata.pop("CurrentKeyMaterialId"))
    assert metadata == {
        "AWSAccountId": account,
        "KeyId": key_id,
        "Arn": f"arn:aws:kms:us-east-1:{account}:key/{key_id}",
        "Enabled": True,
        "Description": "",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": False,
    }
    assert kms.list_aliases(KeyId=key_id)["Aliases"] == []


def test_a_new_key_every_time(kms):
    ids = {kms.create_key(Description="the same")["KeyMetadata"]["KeyId"] for _ in range(3)}
    assert len(ids) == 3


def test_settings_of_a_new_key(kms):
    metadata = kms.create_key(
        Description="Key for protecting critical data",
        KeySpec="SYMMETRIC_DEFAULT",
        KeyUsage="ENCRYPT_DECRYPT",
        Origin="AWS_KMS",
        Tags=[{"TagKey": "Project", "TagValue": "Alpha"}],
    )["KeyMetadata"]
    assert metadata["Description"] == "Key for protecting critical data"
    assert "Tags" not in metadata
    assert kms.list_resource_tags(KeyId=metadata["KeyId"])["Tags"] == [{"TagKey": "Project", "TagValue": "Alpha"}]


def test_deprecated_name_of_the_spec(kms):
    metadata = kms.create_key(CustomerMasterKeySpec="SYMMETRIC_DEFAULT")["KeyMetadata"]
    assert metadata["KeySpec"] == metadata["CustomerMasterKeySpec"] == "SYMMETRIC_DEFAULT"


@pytest.mark.parametrize(
    "request_members",
    [
        {"KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"},
        {"KeySpec": "AES_256"},
        {"KeyUsage": "SIGN_VERIFY"},
        {"KeyUsage": "WRAP"},
        {"Origin": "ELSEWHERE"},
        {"Description": "x" * 8193},
        {"Tags": [{"TagKey": "", "TagValue": "x"}]},
        {"Tags": [{"TagKey": "k" * 129, "TagValue": "x"}]},
        {"Tags": [{"TagKey": "k", "TagValue": "v" * 257}]},
    ],
    ids=lambda members: next(iter(members)) + "-" + str(len(str(members))),
)
def test_impossible_settings_make_no_key(kms, request_members):
    with refused("ValidationException"):
        kms.create_key(**request_members)
    assert kms.list_keys()["Keys"] == []


def test_longest_description(kms):
    assert len(kms.create_key(Description="x" * 8192)["KeyMetadata"]["Description"]) == 8192


def test_four_ways_to_name_a_key(kms, key, account):
    kms.create_alias(AliasName="alias/ExampleAlias", TargetKeyId=key["KeyId"])
    names = [key["KeyId"], key["Arn"], "alias/ExampleAlias", f"arn:aws:kms:us-east-1:{account}:alias/ExampleAlias"]
    for name in names:
        assert kms.describe_key(KeyId=name)["KeyMetadata"] == key


def test_management_takes_no_alias(kms, key, account):
    kms.create_alias(AliasName="alias/ExampleAlias", TargetKeyId=key["KeyId"])
    for name in ("alias/ExampleAlias", f"arn:aws:kms:us-east-1:{account}:alias/ExampleAlias"):
        for call in (kms.disable_key, kms.enable_key, kms.schedule_key_deletion, kms.list_resource_tags, kms.list_aliases):
            with pytest.raises(kms.exceptions.ClientError) as caught:
                call(KeyId=name)
            assert caught.value.response["Error"]["Code"] in ("NotFoundException", "InvalidArnException", "ValidationException")
    assert key_state(kms, key["KeyId"]) == "Enabled"


def test_keys_that_do_not_exist(kms, account):
    absent = "1234abcd-12ab-34cd-56ef-1234567890ab"
    arn = f"arn:aws:kms:us-east-1:{account}:key/{absent}"
    for name in (absent, arn):
        with refused("NotFoundException", f"Key '{arn}' does not exist"):
            kms.describe_key(KeyId=name)
    with refused("NotFoundException", f"Alias arn:aws:kms:us-east-1:{account}:alias/absent is not found."):
        kms.describe_key(KeyId="alias/absent")
    with refused("NotFoundException"):
        kms.describe_key(KeyId="no key at all".replace(" ", "-"))


@pytest.mark.parametrize("arn", ["arn:aws:kms:us-east-1", "arn:aws:s3:::bucket", "arn:aws:kms:us-east-1:12:key/x"])
def test_malformed_arns(kms, arn):
    with pytest.raises(kms.exceptions.ClientError) as caught:
        kms.describe_key(KeyId=arn)
    assert caught.value.response["Error"]["Code"] in ("InvalidArnException", "NotFoundException", "ValidationException")


def test_an_arn_of_another_region(kms, client_for, account):
    elsewhere = client_for(account, "eu-west-1").create_key()["KeyMetadata"]
    with pytest.raises(kms.exceptions.ClientError) as caught:
        kms.describe_key(KeyId=elsewhere["Arn"])
    assert caught.value.response["Error"]["Code"] in ("InvalidArnException", "NotFoundException")


def test_listing_is_regional(client_for, account):
    here, there = client_for(account, "us-west-2"), client_for(account, "eu-west-1")
    first, second = (here.create_key()["KeyMetadata"] for _ in range(2))
    there.create_key()
    listed = {(entry["KeyId"], entry["KeyArn"]) for entry in here.list_keys()["Keys"]}
    assert listed == {(first["KeyId"], first["Arn"]), (second["KeyId"], second["Arn"])}


def test_pages_of_keys(kms):
    made = {kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(25)}
    listed = pages(kms.list_keys, "Keys", Limit=10)
    assert [len(page) for page in listed] == [10, 10, 5]
    assert sorted(entry["KeyId"] for page in listed for entry in page) == sorted(made)
    assert all(set(entry) == {"KeyId", "KeyArn"} for page in listed for entry in page)
    assert {entry["KeyId"] for page in kms.get_paginator("list_keys").paginate() for entry in page["Keys"]} == made


def test_limits_and_markers_of_pages(kms):
    with refused("InvalidMarkerException"):
        kms.list_keys(Marker="no marker of ours")
    for limit in (0, 1001):
        with refused("ValidationException"):
            kms.list_keys(Limit=limit)
    assert kms.list_keys(Limit=1000)["Truncated"] is False


def test_description(kms, key):
    for description in ("x", "", "Grüße, 鍵"):
        answer = kms.update_key_description(KeyId=key["Arn"], Description=description)
        assert set(answer) == {"ResponseMetadata"}
        assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == {**key, "Description": description}
    with refused("ValidationException"):
        kms.update_key_description(KeyId=key["KeyId"], Description="x" * 8193)
    with refused("ValidationException"):
        kms.update_key_description(KeyId=key["KeyId"])


def test_disable_and_enable(kms, key):
    arn = key["Arn"]
    blob = kms.encrypt(KeyId=arn, Plaintext=b"before")["CiphertextBlob"]
    for _ in range(2):  # disabling what is disabled changes nothing
        assert set(kms.disable_key(KeyId=arn)) == {"ResponseMetadata"}
        assert kms.describe_key(KeyId=arn)["KeyMetadata"] == {**key, "Enabled": False, "KeyState": "Disabled"}
    for call in (
        lambda: kms.encrypt(KeyId=arn, Plaintext=b"x"),
        lambda: kms.decrypt(CiphertextBlob=blob),
        lambda: kms.generate_data_key(KeyId=arn, KeySpec="AES_256"),
    ):
        refused_soon("DisabledException", f"{arn} is disabled.", call)
    for _ in range(2):
        assert set(kms.enable_key(KeyId=arn)) == {"ResponseMetadata"}
        assert kms.describe_key(KeyId=arn)["KeyMetadata"] == key
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"before"


def test_a_held_data_key_outlives_the_disabling(kms, key):
    data_key = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")
    kms.disable_key(KeyId=key["KeyId"])
    refused_soon("DisabledException", f"{key['Arn']} is disabled.", lambda: kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"]))
    kms.enable_key(KeyId=key["KeyId"])
    assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]


def test_every_region_has_its_own_port(cluster, client_for, account):
    for region, port in cluster.ports.items():
        direct = client_for(account, region, endpoint=f"http://127.0.0.1:{port}")
        made = direct.create_key()["KeyMetadata"]
        assert made["Arn"].split(":")[3] == region
        assert client_for(account, region).describe_key(KeyId=made["KeyId"])["KeyMetadata"] == made
    assert set(cluster.ports) == set(REGIONS)


def test_read_your_own_writes(kms, key):
    # Requests of one client reach different nodes; the answer to the next one must know the one before.
    for number in range(30):
        kms.update_key_description(KeyId=key["KeyId"], Description=str(number))
        assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Description"] == str(number)


def test_accounts_are_apart(kms, other, key):
    assert other.list_keys()["Keys"] == []
    with refused("NotFoundException"):
        other.describe_key(KeyId=key["KeyId"])
    calls = {
        "describe_key": {},
        "disable_key": {},
        "enable_key": {},
        "get_key_policy": {},
        "list_resource_tags": {},
        "schedule_key_deletion": {},
        "update_key_description": {"Description": "mine"},
        "encrypt": {"Plaintext": b"x"},
        "generate_data_key": {"KeySpec": "AES_256"},
        "tag_resource": {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
        "put_key_policy": {"Policy": kms.get_key_policy(KeyId=key["KeyId"])["Policy"]},
    }
    for name, members in calls.items():
        with refused("AccessDeniedException"):
            getattr(other, name)(KeyId=key["Arn"], **members)
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("AccessDeniedException"):
        other.decrypt(CiphertextBlob=blob)
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key
