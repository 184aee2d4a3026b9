"""Aliases: names for KMS keys, and what may be done through them."""

import pytest

from conftest import pages, refused, refused_soon
from local_cluster import wait_until


@pytest.fixture
def second(kms):
    return kms.create_key()["KeyMetadata"]


def entries(kms, **request):
    """Alias entries by name; the ones the service itself may list are left out."""
    listed = kms.list_aliases(**request)["Aliases"]
    return {entry["AliasName"]: entry for entry in listed if not entry["AliasName"].startswith("alias/aws/")}


def test_create_and_list(kms, key, account):
    answer = kms.create_alias(AliasName="alias/example-key", TargetKeyId=key["KeyId"])
    assert set(answer) == {"ResponseMetadata"}
    entry = entries(kms)["alias/example-key"]
    assert entry["AliasArn"] == f"arn:aws:kms:us-east-1:{account}:alias/example-key"
    assert entry["TargetKeyId"] == key["KeyId"]
    assert entry["CreationDate"] == entry["LastUpdatedDate"]


def test_several_aliases_of_one_key(kms, key, second):
    kms.create_alias(AliasName="alias/test-key", TargetKeyId=key["Arn"])
    kms.create_alias(AliasName="alias/project-key", TargetKeyId=key["KeyId"])
    kms.create_alias(AliasName="alias/elsewhere", TargetKeyId=second["KeyId"])
    for name in (key["KeyId"], key["Arn"]):
        assert set(entries(kms, KeyId=name)) == {"alias/test-key", "alias/project-key"}
    assert set(entries(kms)) == {"alias/test-key", "alias/project-key", "alias/elsewhere"}


def test_a_name_is_taken_once(kms, key, second, account):
    kms.create_alias(AliasName="alias/test-key", TargetKeyId=key["KeyId"])
    taken = f"An alias with the name arn:aws:kms:us-east-1:{account}:alias/test-key already exists"
    for target in (key, second):
        with refused("AlreadyExistsException", taken):
            kms.create_alias(AliasName="alias/test-key", TargetKeyId=target["KeyId"])
    kms.create_alias(AliasName="alias/Test-Key", TargetKeyId=second["KeyId"])
    assert entries(kms)["alias/test-key"]["TargetKeyId"] == key["KeyId"]


@pytest.mark.parametrize(
    "name",
    ["alias/aws/mine", "example-key", "alias/", "alias/with space", "alias/with.dot", "alias/with:colon",
     "alias/" + "x" * 251, "", "alias/ümlaut", "arn:aws:kms:us-east-1:111122223333:alias/x"],
)
def test_names_that_are_refused(kms, key, name):
    with pytest.raises(kms.exceptions.ClientError) as caught:
        kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
    code = caught.value.response["Error"]["Code"]
    assert code in ("ValidationException", "InvalidAliasNameException", "NotAuthorizedException")
    assert entries(kms) == {}


@pytest.mark.parametrize(
    "name",
    ["alias/" + "x" * 250, "alias/a", "alias/alias/ExampleAlias", "alias/awsmine", "alias/team/app_1", "alias/-"],
)
def test_names_that_are_accepted(kms, key, name):
    kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
    assert kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"] == key["KeyId"]


def test_targets_that_are_refused(kms, client_for, other, key, account):
    kms.create_alias(AliasName="alias/first", TargetKeyId=key["KeyId"])
    elsewhere = client_for(account, "eu-west-1").create_key()["KeyMetadata"]
    foreign = other.create_key()["KeyMetadata"]
    for target in (
        "alias/first",
        f"arn:aws:kms:us-east-1:{account}:alias/first",
        elsewhere["Arn"],
        elsewhere["KeyId"],
        foreign["Arn"],
        "1234abcd-12ab-34cd-56ef-1234567890ab",
    ):
        with pytest.raises(kms.exceptions.ClientError):
            kms.create_alias(AliasName="alias/second", TargetKeyId=target)
    assert set(entries(kms)) == {"alias/first"}


def test_the_same_name_in_two_regions(client_for, account):
    for region in ("us-east-1", "eu-west-1"):
        kms = client_for(account, region)
        made = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName="alias/finance-key", TargetKeyId=made["KeyId"])
        assert kms.generate_data_key(KeyId="alias/finance-key", KeySpec="AES_256")["KeyId"] == made["Arn"]


def test_update(kms, key, second):
    kms.create_alias(AliasName="alias/TestKey", TargetKeyId=key["KeyId"])
    created = entries(kms)["alias/TestKey"]["CreationDate"]
    old = kms.encrypt(KeyId="alias/TestKey", Plaintext=b"old")
    assert old["KeyId"] == key["Arn"]

    answer = kms.update_alias(AliasName="alias/TestKey", TargetKeyId=second["Arn"])
    assert set(answer) == {"ResponseMetadata"}
    entry = entries(kms)["alias/TestKey"]
    assert entry["TargetKeyId"] == second["KeyId"]
    assert entry["CreationDate"] == created
    assert entry["LastUpdatedDate"] > created
    assert entries(kms, KeyId=key["KeyId"]) == {}

    wait_until(
        lambda: kms.encrypt(KeyId="alias/TestKey", Plaintext=b"new")["KeyId"] == second["Arn"], "the new target", seconds=5
    )
    assert kms.decrypt(CiphertextBlob=old["CiphertextBlob"])["Plaintext"] == b"old"
    request = {"CiphertextBlob": old["CiphertextBlob"], "KeyId": "alias/TestKey"}
    refused_soon("IncorrectKeyException", None, lambda: kms.decrypt(**request))


def test_update_of_what_does_not_exist(kms, key, account):
    with refused("NotFoundException", f"Alias arn:aws:kms:us-east-1:{account}:alias/absent is not found."):
        kms.update_alias(AliasName="alias/absent", TargetKeyId=key["KeyId"])


def test_delete(kms, key, second):
    kms.create_alias(AliasName="alias/test-key", TargetKeyId=key["KeyId"])
    assert set(kms.delete_alias(AliasName="alias/test-key")) == {"ResponseMetadata"}
    assert entries(kms) == {}
    assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] == key
    with refused("NotFoundException"):
        kms.delete_alias(AliasName="alias/test-key")
    refused_soon("NotFoundException", None, lambda: kms.encrypt(KeyId="alias/test-key", Plaintext=b"x"))
    kms.create_alias(AliasName="alias/test-key", TargetKeyId=second["KeyId"])
    assert entries(kms)["alias/test-key"]["TargetKeyId"] == second["KeyId"]


def test_reserved_names_cannot_be_changed(kms, key):
    for call in (
        lambda: kms.update_alias(AliasName="alias/aws/s3", TargetKeyId=key["KeyId"]),
        lambda: kms.delete_alias(AliasName="alias/aws/s3"),
    ):
        with pytest.raises(kms.exceptions.ClientError):
            call()


def test_pages(kms, key, second):
    names = {f"alias/page-{number:02}" for number in range(60)}
    for name in sorted(names):  # a key has at most fifty
        target = key if int(name[-2:]) < 40 else second
        kms.create_alias(AliasName=name, TargetKeyId=target["KeyId"])
    first = kms.list_aliases()
    assert first["Truncated"] and len(first["Aliases"]) <= 50
    listed = [entry["AliasName"] for page in pages(kms.list_aliases, "Aliases", Limit=25) for entry in page]
    assert len(listed) == len(set(listed))
    assert {name for name in listed if not name.startswith("alias/aws/")} == names
    with refused("ValidationException"):
        kms.list_aliases(Limit=0)
    third = kms.create_key()["KeyMetadata"]["KeyId"]
    for number in range(60, 101):
        kms.create_alias(AliasName=f"alias/page-{number}", TargetKeyId=third)
    assert len(kms.list_aliases(Limit=1000)["Aliases"]) <= 100  # whatever is asked for
    with refused("InvalidMarkerException"):
        kms.list_aliases(Marker="no marker of ours")


def test_at_most_fifty_aliases_of_one_key(kms, key, second):
    for number in range(50):
        kms.create_alias(AliasName=f"alias/full-{number}", TargetKeyId=key["KeyId"])
    with refused("LimitExceededException"):
        kms.create_alias(AliasName="alias/one-too-many", TargetKeyId=key["KeyId"])
    kms.create_alias(AliasName="alias/beside", TargetKeyId=second["KeyId"])
    with refused("LimitExceededException"):
        kms.update_alias(AliasName="alias/beside", TargetKeyId=key["KeyId"])
    kms.update_alias(AliasName="alias/full-0", TargetKeyId=key["KeyId"])  # it is one of the fifty already


def test_another_account_has_names_of_its_own(kms, other, key, account):
    kms.create_alias(AliasName="alias/shared-name", TargetKeyId=key["KeyId"])
    foreign = other.create_key()["KeyMetadata"]
    other.create_alias(AliasName="alias/shared-name", TargetKeyId=foreign["KeyId"])
    assert other.encrypt(KeyId="alias/shared-name", Plaintext=b"x")["KeyId"] == foreign["Arn"]
    with refused("AccessDeniedException"):
        other.encrypt(KeyId=f"arn:aws:kms:us-east-1:{account}:alias/shared-name", Plaintext=b"x")
