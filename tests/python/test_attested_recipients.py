"""Answers that only an attested recipient opens, beside openssl."""

import time

import pytest
from cryptography.hazmat.primitives import serialization

from attestation_authority import Authority, Enclave
from conftest import refused
from openssl_command import OpenSsl


@pytest.fixture
def openssl(tmp_path):
    return OpenSsl(tmp_path)


@pytest.fixture(scope="module")
def enclave(cluster):
    return Enclave(cluster.authority)


@pytest.fixture
def opened(openssl, enclave):
    """What an answer for the enclave holds."""
    private = openssl.file("enclave.pem", enclave.private_pem)
    return lambda sealed: openssl.run("cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", private, stdin=sealed)


def test_decrypt(kms, key, enclave, opened):
    for plaintext in (b"x", bytes(16), bytes(4096)):
        blob = kms.encrypt(KeyId=key["Arn"], Plaintext=plaintext)["CiphertextBlob"]
        answer = kms.decrypt(CiphertextBlob=blob, Recipient=enclave.recipient())
        assert "Plaintext" not in answer and "KeyMaterialId" not in answer
        assert (answer["KeyId"], opened(answer["CiphertextForRecipient"])) == (key["Arn"], plaintext)


def test_data_keys(kms, key, enclave, opened):
    answer = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256", Recipient=enclave.recipient())
    assert "Plaintext" not in answer
    assert opened(answer["CiphertextForRecipient"]) == kms.decrypt(CiphertextBlob=answer["CiphertextBlob"])["Plaintext"]


def test_data_key_pairs(kms, key, enclave, opened):
    answer = kms.generate_data_key_pair(KeyId=key["Arn"], KeyPairSpec="ECC_NIST_P256", Recipient=enclave.recipient())
    assert "PrivateKeyPlaintext" not in answer
    private = opened(answer["CiphertextForRecipient"])
    assert private == kms.decrypt(CiphertextBlob=answer["PrivateKeyCiphertextBlob"])["Plaintext"]
    public = serialization.load_der_private_key(private, None).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    assert public.public_bytes(serialization.Encoding.DER, form) == answer["PublicKey"]


def test_random_bytes(kms, enclave, opened):
    answer = kms.generate_random(NumberOfBytes=32, Recipient=enclave.recipient())
    assert "Plaintext" not in answer
    assert len(opened(answer["CiphertextForRecipient"])) == 32


def test_shared_secrets(kms, enclave, opened):
    keys = [kms.create_key(KeySpec="ECC_NIST_P384", KeyUsage="KEY_AGREEMENT")["KeyMetadata"]["Arn"] for _ in range(2)]
    publics = [kms.get_public_key(KeyId=arn)["PublicKey"] for arn in keys]
    request = {"KeyAgreementAlgorithm": "ECDH"}
    sealed = kms.derive_shared_secret(**request, KeyId=keys[0], PublicKey=publics[1], Recipient=enclave.recipient())
    assert "SharedSecret" not in sealed
    told = kms.derive_shared_secret(**request, KeyId=keys[1], PublicKey=publics[0])
    assert opened(sealed["CiphertextForRecipient"]) == told["SharedSecret"]


def test_longer_keys(kms, cluster, openssl):
    enclave = Enclave(cluster.authority, bits=3072)
    answer = kms.generate_random(NumberOfBytes=1024, Recipient=enclave.recipient())
    private = openssl.file("long.pem", enclave.private_pem)
    sealed = answer["CiphertextForRecipient"]
    assert len(openssl.run("cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", private, stdin=sealed)) == 1024


def test_documents_that_prove_nothing(kms, key, enclave):
    now = int(time.time() * 1000)
    foreign, expired = Authority(), Authority(signer_hours=-1)
    genuine = enclave.recipient()
    document = genuine["AttestationDocument"]
    recipients = [
        Enclave(foreign).recipient(),
        Enclave(expired).recipient(),
        enclave.recipient(timestamp=now - 600_000),
        enclave.recipient(timestamp=now + 600_000),
        enclave.recipient(public_der=b"nothing"),
        enclave.recipient(public_key=None),
        enclave.recipient(pcrs={}),
        {**genuine, "AttestationDocument": document[:-1] + bytes([document[-1] ^ 1])},
        {**genuine, "AttestationDocument": document[:200] + bytes([document[200] ^ 1]) + document[201:]},
        {**genuine, "AttestationDocument": b"\x84"},
        {"AttestationDocument": document},
        {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
        {},
    ]
    blob = kms.encrypt(KeyId=key["Arn"], Plaintext=b"secret")["CiphertextBlob"]
    for recipient in recipients:
        for call, request in (
            (kms.decrypt, {"CiphertextBlob": blob}),
            (kms.generate_data_key, {"KeyId": key["Arn"], "KeySpec": "AES_256"}),
            (kms.generate_data_key_pair, {"KeyId": key["Arn"], "KeyPairSpec": "ECC_NIST_P256"}),
            (kms.generate_random, {"NumberOfBytes": 8}),
        ):
            with refused("ValidationException"):
                call(**request, Recipient=recipient)
    with refused("ValidationException"):
        kms.generate_random(NumberOfBytes=8, Recipient={**genuine, "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_1"})
