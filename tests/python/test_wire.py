"""The wire below the clients: signatures, error shapes, health, and requests that no SDK would send."""

import datetime
import json
import uuid

import botocore.auth
import pytest

from conftest import refused
from raw_wire import JSON


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_signature(wire, path):
    status, _, _ = wire.send({}, b"", "GET", path)
    assert status == 200


def test_metrics(wire, kms):
    kms.generate_random(NumberOfBytes=8)
    status, _, body = wire.send({}, b"", "GET", "/metrics")
    assert status == 200
    assert any(line and not line.startswith(b"#") for line in body.splitlines())


def test_an_answer(wire):
    status, headers, body = wire.send(wire.signed("ListKeys"))
    assert status == 200
    assert headers["Content-Type"] == JSON
    assert uuid.UUID(headers["x-amzn-RequestId"])
    assert set(json.loads(body)) == {"Keys", "Truncated"}


def test_timestamps_are_numbers(wire, key, account):
    body = json.dumps({"KeyId": key["KeyId"]}).encode()
    status, _, answer = wire.send(wire.signed("DescribeKey", body, key=account), body)
    assert status == 200
    assert isinstance(json.loads(answer)["KeyMetadata"]["CreationDate"], (int, float))


def test_an_unknown_access_key(wire):
    assert wire.refusal(wire.signed("ListKeys", key="AKIAUNKNOWN00000EXAM"))[:2] == (400, "UnrecognizedClientException")


def test_a_wrong_secret(wire, client_for, account):
    assert wire.refusal(wire.signed("ListKeys", secret="wrong"))[:2] == (400, "InvalidSignatureException")
    with refused("InvalidSignatureException"):
        client_for(account, secret="wrong").list_keys()


def test_no_signature(wire):
    headers = {"Content-Type": JSON, "X-Amz-Target": "TrentService.ListKeys"}
    assert wire.refusal(headers)[:2] == (400, "MissingAuthenticationTokenException")


@pytest.mark.parametrize("authorization", [
    "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=test", "Basic dGVzdDp0ZXN0", "AWS4-HMAC-SHA256 Credential=test/20250101/us-east-1/kms/aws4_request, SignedHeaders=host",
])
def test_half_a_signature(wire, authorization):
    headers = {**wire.signed("ListKeys"), "Authorization": authorization}
    status, code, _ = wire.refusal(headers)
    assert status in (400, 403)
    assert code in ("IncompleteSignatureException", "MissingAuthenticationTokenException", "InvalidSignatureException")


def test_a_changed_body(wire):
    headers = wire.signed("GenerateRandom", b'{"NumberOfBytes":8}')
    assert wire.refusal(headers, b'{"NumberOfBytes":9}')[:2] == (400, "InvalidSignatureException")


def test_a_changed_operation(wire):
    headers = {**wire.signed("ListKeys"), "X-Amz-Target": "TrentService.CreateKey"}
    assert wire.refusal(headers)[:2] == (400, "InvalidSignatureException")


def test_an_old_signature(wire, monkeypatch):
    def an_hour_ago(remove_tzinfo=True):
        now = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
        return now.replace(tzinfo=None) if remove_tzinfo else now

    monkeypatch.setattr(botocore.auth, "get_current_datetime", an_hour_ago)
    status, code, message = wire.refusal(wire.signed("ListKeys"))
    assert (status, code) == (400, "InvalidSignatureException")
    assert "expired" in message.lower()


def test_a_region_that_is_not_served(wire):
    status, code, _ = wire.refusal(wire.signed("ListKeys", region="sa-east-1"))
    assert status in (400, 403)
    assert code in ("InvalidSignatureException", "UnrecognizedClientException", "ValidationException", "UnknownEndpoint")


def test_an_operation_that_does_not_exist(wire):
    assert wire.refusal(wire.signed("MakeCoffee"))[:2] == (400, "UnknownOperationException")


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"Limit":"ten"}', b'{"Limit":1.5}', b"\xff\xfe", b"[" * 2000])
def test_what_is_not_json_or_not_the_shape(wire, body):
    status, code, _ = wire.refusal(wire.signed("ListKeys", body), body)
    assert status == 400
    assert code in ("SerializationException", "ValidationException")


def test_unknown_members_are_passed_over(wire):
    body = b'{"Limit":5,"SomethingNewer":{"a":[1]}}'
    status, _, _ = wire.send(wire.signed("ListKeys", body), body)
    assert status == 200


def test_a_body_that_is_too_large(wire):
    body = b'{"Description":"' + b"x" * (2 << 20) + b'"}'
    try:
        status, _, _ = wire.send(wire.signed("CreateKey", body), body)
    except (BrokenPipeError, ConnectionResetError):
        return  # refused before it was read
    assert status == 413


def test_the_target_alone_says_what_is_asked(wire):
    """Other services look at the content type; here it is no part of the decision, except where there is no target."""
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        headers = wire.signed("ListKeys", **{"Content-Type": content_type})
        assert wire.send(headers)[0] == 200, content_type
    without = {name: value for name, value in wire.signed("ListKeys").items() if name != "X-Amz-Target"}
    assert wire.refusal(without)[:2] == (400, "UnknownOperationException")
    other = {**wire.signed("ListKeys"), "X-Amz-Target": "DynamoDB_20120810.ListTables"}
    assert wire.refusal(other)[:2] == (400, "UnknownOperationException")


def test_what_clients_make_of_a_refusal(wire, client_for, kms, key, account):
    """Code, message, status and request id arrive in botocore, for every way in which the service words a refusal."""
    stranger = client_for(f"9{account[1:]}")
    for call, code, has_message in [
        (lambda: kms.describe_key(KeyId="1234abcd-12ab-34cd-56ef-1234567890ab"), "NotFoundException", True),
        (lambda: stranger.describe_key(KeyId=key["Arn"]), "AccessDeniedException", True),
        (lambda: kms.decrypt(CiphertextBlob=b"nonsense"), "InvalidCiphertextException", False),
        (lambda: kms.encrypt(KeyId=key["Arn"], Plaintext=b"x", DryRun=True), "DryRunOperationException", True),
    ]:
        with refused(code) as caught:
            call()
        response = caught.value.response
        assert bool(response["Error"]["Message"]) == has_message, response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert uuid.UUID(response["ResponseMetadata"]["RequestId"])


def test_other_methods(wire):
    for method in ("GET", "PUT", "DELETE"):
        status, _, _ = wire.send({}, b"", method)
        assert 400 <= status < 500


# Operations that this version does not serve yet; each says so by name.
LATER = {
    "create_custom_key_store": {"CustomKeyStoreName": "store"},
    "describe_custom_key_stores": {},
}


@pytest.mark.parametrize("operation", LATER)
def test_operations_of_later_versions(kms, operation):
    name = "".join(word.capitalize() for word in operation.split("_"))
    with refused("UnsupportedOperationException") as caught:
        getattr(kms, operation)(**LATER[operation])
    assert name in caught.value.response["Error"]["Message"]


def test_who_am_i(client_for, account):
    root = client_for(account, service="sts").get_caller_identity()
    assert root["Account"] == account
    assert root["Arn"] == f"arn:aws:iam::{account}:root"
    assert root["UserId"] == account
    administrator = client_for("test", service="sts").get_caller_identity()
    assert administrator["Account"] == "000000000000"
    assert administrator["Arn"].startswith("arn:aws:iam::000000000000:")


def test_sts_knows_no_strangers(client_for, account):
    with refused("InvalidClientTokenId"):
        client_for("AKIAUNKNOWN00000EXAM", service="sts").get_caller_identity()
    with refused("SignatureDoesNotMatch"):
        client_for(account, service="sts", secret="wrong").get_caller_identity()
