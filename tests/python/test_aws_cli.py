"""The AWS CLI, unmodified, with nothing but an endpoint and credentials."""

import base64
import json
import os
import subprocess
import sys

import pytest

ACCOUNT = "111122223333"


@pytest.fixture
def aws(cluster, tmp_path):
    """Runs `aws ...` in an empty home and returns its parsed output, or the text of its error."""

    def run(*arguments, region="us-east-1", fails=False):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }
        command = [sys.executable, "-m", "awscli", "--endpoint-url", cluster.gateway, "--region", region, "--output", "json"]
        done = subprocess.run(
            command + list(arguments), env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120, check=False,
        )
        if fails:
            assert done.returncode != 0, done.stdout
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_who_am_i(aws):
    assert aws("sts", "get-caller-identity") == {
        "UserId": ACCOUNT, "Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root",
    }


def test_life_of_a_key(aws, tmp_path):
    key = aws("kms", "create-key", "--description", "by the CLI", "--tags", "TagKey=Project,TagValue=Alpha")["KeyMetadata"]
    key_id = key["KeyId"]
    assert aws("kms", "create-alias", "--alias-name", f"alias/cli-{key_id}", "--target-key-id", key_id) is None
    (tmp_path / "plain").write_bytes(b"a secret")
    blob = aws("kms", "encrypt", "--key-id", f"alias/cli-{key_id}", "--plaintext", "fileb://plain")["CiphertextBlob"]
    (tmp_path / "cipher").write_bytes(base64.b64decode(blob))
    opened = aws("kms", "decrypt", "--ciphertext-blob", "fileb://cipher")
    assert base64.b64decode(opened["Plaintext"]) == b"a secret"
    assert opened["KeyId"] == key["Arn"]

    assert key_id in {entry["KeyId"] for entry in aws("kms", "list-keys")["Keys"]}
    assert aws("kms", "disable-key", "--key-id", key_id) is None
    error = aws("kms", "encrypt", "--key-id", key_id, "--plaintext", "fileb://plain", fails=True)
    assert "DisabledException" in error and f"{key['Arn']} is disabled." in error
    scheduled = aws("kms", "schedule-key-deletion", "--key-id", key_id, "--pending-window-in-days", "10")
    assert scheduled["KeyState"] == "PendingDeletion"
    assert aws("kms", "cancel-key-deletion", "--key-id", key_id) == {"KeyId": key["Arn"]}


def test_replicate(aws):
    primary = aws("kms", "create-key", "--multi-region")["KeyMetadata"]
    answer = aws("kms", "replicate-key", "--key-id", primary["KeyId"], "--replica-region", "eu-west-1")
    assert answer["ReplicaKeyMetadata"]["Arn"] == primary["Arn"].replace("us-east-1", "eu-west-1")
    described = aws("kms", "describe-key", "--key-id", primary["KeyId"])["KeyMetadata"]
    assert [key["Region"] for key in described["MultiRegionConfiguration"]["ReplicaKeys"]] == ["eu-west-1"]


def test_an_error(aws):
    error = aws("kms", "describe-key", "--key-id", "alias/absent", fails=True)
    assert "NotFoundException" in error


def test_signing_and_macs(aws, tmp_path):
    def key(spec, usage):
        return aws("kms", "create-key", "--key-spec", spec, "--key-usage", usage)["KeyMetadata"]["KeyId"]

    (tmp_path / "message").write_bytes(b"a message")
    signer, how = key("ECC_NIST_P256", "SIGN_VERIFY"), ("--message", "fileb://message", "--signing-algorithm", "ECDSA_SHA_256")
    (tmp_path / "signature").write_bytes(base64.b64decode(aws("kms", "sign", "--key-id", signer, *how)["Signature"]))
    assert aws("kms", "verify", "--key-id", signer, *how, "--signature", "fileb://signature")["SignatureValid"] is True
    error = aws("kms", "verify", "--key-id", signer, *how, "--signature", "fileb://message", fails=True)
    assert "KMSInvalidSignatureException" in error
    assert "DryRunOperationException" in aws("kms", "sign", "--key-id", signer, *how, "--dry-run", fails=True)
    told = aws("kms", "get-public-key", "--key-id", signer)
    assert told["SigningAlgorithms"] == ["ECDSA_SHA_256"]

    mac_key, how = key("HMAC_512", "GENERATE_VERIFY_MAC"), ("--message", "fileb://message", "--mac-algorithm", "HMAC_SHA_512")
    (tmp_path / "mac").write_bytes(base64.b64decode(aws("kms", "generate-mac", "--key-id", mac_key, *how)["Mac"]))
    assert aws("kms", "verify-mac", "--key-id", mac_key, *how, "--mac", "fileb://mac")["MacValid"] is True
    error = aws("kms", "verify-mac", "--key-id", mac_key, *how, "--mac", "fileb://message", fails=True)
    assert "KMSInvalidMacException" in error


def test_a_data_key_pair(aws, tmp_path):
    key_id = aws("kms", "create-key")["KeyMetadata"]["KeyId"]
    pair = aws("kms", "generate-data-key-pair", "--key-id", key_id, "--key-pair-spec", "RSA_2048")
    (tmp_path / "private").write_bytes(base64.b64decode(pair["PrivateKeyCiphertextBlob"]))
    opened = aws("kms", "decrypt", "--ciphertext-blob", "fileb://private")
    assert opened["Plaintext"] == pair["PrivateKeyPlaintext"]
