"""Key policies: the default one, replacing it, and what is refused as a policy."""

import json

import pytest

from conftest import refused


def default_policy(account):
    return {
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [
            {
                "Sid": "Enable IAM User Permissions",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }


def test_default(kms, key, account):
    for request in ({"PolicyName": "default"}, {}):
        answer = kms.get_key_policy(KeyId=key["KeyId"], **request)
        assert json.loads(answer["Policy"]) == default_policy(account)
        assert answer["PolicyName"] == "default"


def test_there_is_one_policy(kms, key):
    answer = kms.list_key_policies(KeyId=key["Arn"])
    assert answer["PolicyNames"] == ["default"]
    assert answer["Truncated"] is False
    with refused("NotFoundException"):
        kms.get_key_policy(KeyId=key["KeyId"], PolicyName="another")


def test_a_policy_is_kept_to_the_letter(kms, account):
    # Odd spacing, order of members and characters beyond ASCII: what was put comes back byte for byte.
    text = "\t" + json.dumps(default_policy(account), indent=3).replace("key-default-1", "Schlüssel") + "\r\n"
    key_id = kms.create_key(Policy=text)["KeyMetadata"]["KeyId"]
    assert kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"] == text
    again = text.replace("Schlüssel", "Ersatz")
    assert set(kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=again)) == {"ResponseMetadata"}
    assert kms.get_key_policy(KeyId=key_id)["Policy"] == again


def test_a_policy_moves_to_another_key(kms, key):
    second = kms.create_key()["KeyMetadata"]
    policy = kms.get_key_policy(KeyId=key["KeyId"])["Policy"]
    kms.put_key_policy(KeyId=second["KeyId"], Policy=policy)
    assert kms.get_key_policy(KeyId=second["KeyId"])["Policy"] == policy


@pytest.mark.parametrize(
    "text",
    ["not JSON", "[]", "{", '{"Version":"2012-10-17"}', '{"Version":"2012-10-17","Statement":"x"}',
     '{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Principal":"*","Action":"kms:*","Resource":"*"}]}',
     '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":{}}]}'],
)
def test_what_is_no_policy(kms, key, text):
    before = kms.get_key_policy(KeyId=key["KeyId"])["Policy"]
    with refused("MalformedPolicyDocumentException"):
        kms.put_key_policy(KeyId=key["KeyId"], Policy=text)
    assert kms.get_key_policy(KeyId=key["KeyId"])["Policy"] == before
    with refused("MalformedPolicyDocumentException"):
        kms.create_key(Policy=text)
    assert len(kms.list_keys()["Keys"]) == 1


def test_largest_policy(kms, key, account):
    text = json.dumps(default_policy(account))
    largest = text + " " * (32_768 - len(text))
    kms.put_key_policy(KeyId=key["KeyId"], Policy=largest)
    with refused("LimitExceededException"):
        kms.put_key_policy(KeyId=key["KeyId"], Policy=largest + " ")
    assert kms.get_key_policy(KeyId=key["KeyId"])["Policy"] == largest


def test_another_name_is_refused(kms, key, account):
    with pytest.raises(kms.exceptions.ClientError) as caught:
        kms.put_key_policy(KeyId=key["KeyId"], PolicyName="another", Policy=json.dumps(default_policy(account)))
    assert caught.value.response["Error"]["Code"] in ("NotFoundException", "ValidationException")
