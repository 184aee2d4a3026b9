"""Constraints that the service enforces beyond the model: what a client's own validation lets through and the service refuses.

One row per edge: the last value that is accepted and the first that is not. The model's own constraints are in
`test_model_validation`.
"""

import base64
import json

import pytest

from conftest import pages

SHORT = base64.b64encode(b"canary").decode()


def policy(account, length):
    """A sound key policy of exactly so many bytes, of which one letter takes two."""
    statement = {
        "Sid": "\u00e9", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "kms:*", "Resource": "*",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, ensure_ascii=False)
    return text + " " * (length - len(text.encode()))


def tags(count, prefix="tag-"):
    return [{"TagKey": f"{prefix}{number:02}", "TagValue": ""} for number in range(count)]


def on_key(**members):
    return lambda scene: {"KeyId": scene.key, **members}


def with_policy(length, **members):
    return lambda scene: {**members, "Policy": policy(scene.account, length)}


def on_key_with_policy(length):
    return lambda scene: {"KeyId": scene.key, "Policy": policy(scene.account, length)}


def alias(name):
    return lambda scene: {"AliasName": name, "TargetKeyId": scene.key}


# operation, the last request that is accepted, the first that is refused, the code of the refusal
EDGES = [
    ("ScheduleKeyDeletion", on_key(PendingWindowInDays=7), on_key(PendingWindowInDays=6), "ValidationException"),
    ("ScheduleKeyDeletion", on_key(PendingWindowInDays=30), on_key(PendingWindowInDays=31), "ValidationException"),
    ("ScheduleKeyDeletion", on_key(), on_key(PendingWindowInDays=365), "ValidationException"),
    ("CreateKey", with_policy(32_768), with_policy(32_769), "LimitExceededException"),
    ("PutKeyPolicy", on_key_with_policy(32_768), on_key_with_policy(32_769), "LimitExceededException"),
    ("PutKeyPolicy", on_key_with_policy(400), on_key(Policy="{}"), "MalformedPolicyDocumentException"),
    ("GetKeyPolicy", on_key(PolicyName="default"), on_key(PolicyName="other"), "NotFoundException"),
    ("TagResource", on_key(Tags=tags(50)), on_key(Tags=tags(51)), "LimitExceededException"),
    ("TagResource", on_key(Tags=tags(1)), on_key(Tags=[]), "TagException"),
    ("TagResource", on_key(Tags=tags(1)), on_key(Tags=tags(1) * 2), "TagException"),
    ("TagResource", on_key(Tags=tags(1, "aws-")), on_key(Tags=tags(1, "aws:")), "TagException"),
    ("TagResource", on_key(Tags=tags(1, "tag:")), on_key(Tags=tags(1, "AWS:")), "TagException"),
    ("UntagResource", on_key(TagKeys=["absent"]), on_key(TagKeys=[]), "TagException"),
    ("CreateKey", lambda _: {"Tags": tags(50)}, lambda _: {"Tags": tags(51)}, "LimitExceededException"),
    ("CreateKey", lambda _: {"Tags": tags(2)}, lambda _: {"Tags": tags(1) * 2}, "TagException"),
    ("CreateAlias", alias("alias/a"), alias("alias/"), "ValidationException"),
    ("CreateAlias", alias("alias/b"), alias("b"), "ValidationException"),
    ("CreateAlias", alias("alias/c-_/C"), alias("alias/c:d"), "ValidationException"),
    ("CreateAlias", alias("alias/awsmine"), alias("alias/aws/mine"), "NotAuthorizedException"),
    (
        "CreateKey", lambda _: {"KeySpec": "SYMMETRIC_DEFAULT"},
        lambda _: {"KeySpec": "SYMMETRIC_DEFAULT", "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT"}, "ValidationException",
    ),
    (
        "CreateKey", lambda _: {"KeyUsage": "ENCRYPT_DECRYPT"}, lambda _: {"KeyUsage": "SIGN_VERIFY"}, "ValidationException",
    ),
    ("GenerateRandom", lambda _: {"NumberOfBytes": 1}, lambda _: {}, "ValidationException"),
    ("GenerateDataKey", on_key(NumberOfBytes=1024), on_key(), "ValidationException"),
    ("GenerateDataKey", on_key(KeySpec="AES_128"), on_key(KeySpec="AES_128", NumberOfBytes=16), "ValidationException"),
    ("GenerateDataKeyWithoutPlaintext", on_key(NumberOfBytes=1), on_key(), "ValidationException"),
    ("ListKeys", lambda _: {"Limit": 1000}, lambda _: {"Marker": "nonsense"}, "InvalidMarkerException"),
    ("ListAliases", lambda _: {"Limit": 1000}, lambda _: {"Marker": "nonsense"}, "InvalidMarkerException"),
    ("ListResourceTags", on_key(Limit=1000), on_key(Marker="nonsense"), "InvalidMarkerException"),
    (
        "Encrypt", on_key(Plaintext=SHORT, EncryptionContext={"department": 10103.0}),
        on_key(Plaintext=SHORT, EncryptionAlgorithm="SM2PKE"), "InvalidKeyUsageException",
    ),
]


class Scene:
    """One key of an account of its own, and raw requests in its name."""

    def __init__(self, wire, account):
        self.wire, self.account = wire, account
        self.key = self.call("CreateKey", {})[1]["KeyMetadata"]["Arn"]

    def call(self, operation, body):
        return self.wire.call(operation, body, key=self.account)


@pytest.mark.parametrize(
    ("operation", "accepted", "refused", "code"), EDGES, ids=[f"{row[0]}-{number}" for number, row in enumerate(EDGES)]
)
def test_edges(wire, account, operation, accepted, refused, code):
    scene = Scene(wire, account)
    status, answer = scene.call(operation, refused(scene))
    assert (status, answer.get("__type")) == (400, code), answer
    assert answer["message"], "a refusal of a parameter says what is wrong with it"
    status, answer = scene.call(operation, accepted(scene))
    assert status == 200, answer


def test_a_number_in_an_encryption_context_is_its_text(wire, account):
    scene = Scene(wire, account)
    sealed = scene.call("Encrypt", {"KeyId": scene.key, "Plaintext": SHORT, "EncryptionContext": {"department": 10103.0}})[1]
    for context, status in [({"department": "10103.0"}, 200), ({"department": 10103.0}, 200), ({"department": "10103"}, 400)]:
        asked = {"CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": context}
        assert scene.call("Decrypt", asked)[0] == status, context


def test_pages_are_as_long_as_the_operation_allows(kms):
    """The model allows 1000 everywhere. A longer page than the operation gives is cut, never refused."""
    key_ids = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(3)]
    for number in range(120):
        kms.create_alias(AliasName=f"alias/{number:03}", TargetKeyId=key_ids[number % 3])
    kms.tag_resource(KeyId=key_ids[0], Tags=tags(50))
    for limit, lengths in [({}, [50, 50, 20]), ({"Limit": 100}, [100, 20]), ({"Limit": 1000}, [100, 20])]:
        assert [len(page) for page in pages(kms.list_aliases, "Aliases", **limit)] == lengths, limit
    for limit, lengths in [({}, [50]), ({"Limit": 49}, [49, 1]), ({"Limit": 1000}, [50])]:
        assert [len(page) for page in pages(kms.list_resource_tags, "Tags", KeyId=key_ids[0], **limit)] == lengths, limit


def test_pages_of_keys_hold_a_hundred_unless_said(kms):
    for _ in range(101):
        kms.create_key()
    assert [len(page) for page in pages(kms.list_keys, "Keys")] == [100, 1]
    assert [len(page) for page in pages(kms.list_keys, "Keys", Limit=1000)] == [101]
