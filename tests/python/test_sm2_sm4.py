"""SM2 and SM4 in a Region of the partition aws-cn, beside openssl, `cryptography` and the curve in plain numbers."""

import hashlib

import pytest

from conftest import refused
from openssl_command import OpenSsl

REGION = "cn-north-1"
MESSAGE = b"signed by one, verified by the other"
DEFAULT_ID = "1234567812345678"


@pytest.fixture
def openssl(tmp_path):
    return OpenSsl(tmp_path)


@pytest.fixture
def cn(client_for, account):
    """A client of this test's account in the Region of aws-cn."""
    return client_for(account, REGION)


def sm2_key(cn, usage):
    return cn.create_key(KeySpec="SM2", KeyUsage=usage)["KeyMetadata"]


def signed_by(cn, arn, message, message_type="RAW"):
    return cn.sign(KeyId=arn, Message=message, MessageType=message_type, SigningAlgorithm="SM2DSA")["Signature"]


def is_valid(cn, arn, message, signature, message_type="RAW"):
    request = {"KeyId": arn, "Message": message, "MessageType": message_type, "Signature": signature}
    return cn.verify(**request, SigningAlgorithm="SM2DSA")["SignatureValid"]


def sm3(data):
    return hashlib.new("sm3", data).digest()


# The curve of GB/T 32918.5.
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)


def add(one, two):
    """The sum of two points; None is the point at infinity."""
    if one is None or two is None:
        return one or two
    (x, y), (u, v) = one, two
    if x == u and (y + v) % P == 0:
        return None
    slope = (3 * x * x + A) * pow(2 * y, -1, P) if one == two else (v - y) * pow(u - x, -1, P)
    third = (slope * slope - x - u) % P
    return third, (slope * (x - third) - y) % P


def times(scalar, point):
    total = None
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def point_of(public_der):
    """The point at the end of a SubjectPublicKeyInfo."""
    return int.from_bytes(public_der[-64:-32]), int.from_bytes(public_der[-32:])


def digest_of(message, public_der, identifier):
    """GB/T 32918.2, sections 5.5 and 6.1."""
    numbers = (A, B, *G, *point_of(public_der))
    prefix = (8 * len(identifier)).to_bytes(2) + identifier.encode()
    return sm3(sm3(prefix + b"".join(number.to_bytes(32) for number in numbers)) + message)


def test_what_a_key_says(cn, kms):
    signer, encrypter, agreeing = (sm2_key(cn, usage) for usage in ("SIGN_VERIFY", "ENCRYPT_DECRYPT", "KEY_AGREEMENT"))
    assert signer["Arn"].startswith(f"arn:aws-cn:kms:{REGION}:")
    assert (signer["KeySpec"], signer["CustomerMasterKeySpec"], signer["SigningAlgorithms"]) == ("SM2", "SM2", ["SM2DSA"])
    assert (encrypter["EncryptionAlgorithms"], agreeing["KeyAgreementAlgorithms"]) == (["SM2PKE"], ["ECDH"])
    public = cn.get_public_key(KeyId=signer["Arn"])
    assert (public["KeySpec"], public["KeyUsage"], public["SigningAlgorithms"]) == ("SM2", "SIGN_VERIFY", ["SM2DSA"])
    with refused("ValidationException"):
        cn.create_key(KeySpec="SM2", KeyUsage="GENERATE_VERIFY_MAC")
    with refused("UnsupportedOperationException"):
        kms.create_key(KeySpec="SM2", KeyUsage="SIGN_VERIFY")


def test_callers_and_default_policies_belong_to_the_partition(client_for, cn, account):
    arn = cn.create_key()["KeyMetadata"]["Arn"]
    assert f"arn:aws-cn:iam::{account}:root" in cn.get_key_policy(KeyId=arn)["Policy"]
    assert client_for(account, REGION, "sts").get_caller_identity()["Arn"] == f"arn:aws-cn:iam::{account}:root"


def test_signatures_beside_openssl(cn, openssl):
    arn = sm2_key(cn, "SIGN_VERIFY")["Arn"]
    public_der = cn.get_public_key(KeyId=arn)["PublicKey"]
    public = openssl.public_pem(public_der)
    of_message = signed_by(cn, arn, MESSAGE)
    of_digest = signed_by(cn, arn, digest_of(MESSAGE, public_der, DEFAULT_ID), "DIGEST")
    for signature in (of_message, of_digest):
        assert openssl.verifies(public, MESSAGE, signature, "-digest", "sm3", "-pkeyopt", f"distid:{DEFAULT_ID}")
        assert not openssl.verifies(public, MESSAGE, signature, "-digest", "sm3", "-pkeyopt", "distid:another")
        assert is_valid(cn, arn, MESSAGE, signature)
        with refused("KMSInvalidSignatureException"):
            is_valid(cn, arn, MESSAGE + b".", signature)
    # A longer identifier than one byte of its length in bits can tell.
    for identifier in ("another", "x" * 100):
        signature = signed_by(cn, arn, digest_of(MESSAGE, public_der, identifier), "DIGEST")
        assert openssl.verifies(public, MESSAGE, signature, "-digest", "sm3", "-pkeyopt", f"distid:{identifier}")
        with refused("KMSInvalidSignatureException"):
            is_valid(cn, arn, MESSAGE, signature)
    with refused("ValidationException"):
        signed_by(cn, arn, bytes(31), "DIGEST")


def test_pairs_are_sound_to_openssl(cn, openssl):
    key = cn.create_key()["KeyMetadata"]["Arn"]
    pair = cn.generate_data_key_pair(KeyId=key, KeyPairSpec="SM2")
    private = openssl.private_pem(pair["PrivateKeyPlaintext"])
    public = openssl.run("pkey", "-in", private, "-pubout", "-outform", "DER")
    assert public == pair["PublicKey"]
    opened = cn.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"]
    assert opened == pair["PrivateKeyPlaintext"]
    sealed = openssl.run("pkeyutl", "-encrypt", "-pubin", "-inkey", openssl.public_pem(public), stdin=MESSAGE)
    assert openssl.run("pkeyutl", "-decrypt", "-inkey", private, stdin=sealed) == MESSAGE


def test_encryption_beside_openssl(cn, openssl):
    arn = sm2_key(cn, "ENCRYPT_DECRYPT")["Arn"]
    public = openssl.public_pem(cn.get_public_key(KeyId=arn)["PublicKey"])

    def decrypt(ciphertext):
        return cn.decrypt(KeyId=arn, CiphertextBlob=ciphertext, EncryptionAlgorithm="SM2PKE")["Plaintext"]

    for plaintext in (b"x", MESSAGE, bytes(1024)):
        by_openssl = openssl.run("pkeyutl", "-encrypt", "-pubin", "-inkey", public, stdin=plaintext)
        assert decrypt(by_openssl) == plaintext
        by_us = cn.encrypt(KeyId=arn, Plaintext=plaintext, EncryptionAlgorithm="SM2PKE")["CiphertextBlob"]
        assert decrypt(by_us) == plaintext
        elements = openssl.run("asn1parse", "-inform", "DER", stdin=by_us).decode().splitlines()
        assert [element.split(":")[2].split()[0] for element in elements[1:]] == ["INTEGER", "INTEGER", "OCTET", "OCTET"]
    damaged = by_openssl[:-1] + bytes([by_openssl[-1] ^ 1])
    for ciphertext in (damaged, b"\x04" + bytes(128), by_openssl + b"\0"):
        with refused("InvalidCiphertextException"):
            decrypt(ciphertext)
    with refused("ValidationException"):
        cn.encrypt(KeyId=arn, Plaintext=bytes(1025), EncryptionAlgorithm="SM2PKE")


def test_shared_secrets(cn):
    agreeing = sm2_key(cn, "KEY_AGREEMENT")["Arn"]
    public_der = cn.get_public_key(KeyId=agreeing)["PublicKey"]
    scalar = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
    x, y = times(scalar, G)
    theirs = public_der[:-64] + x.to_bytes(32) + y.to_bytes(32)
    request = {"KeyId": agreeing, "KeyAgreementAlgorithm": "ECDH"}
    shared = cn.derive_shared_secret(**request, PublicKey=theirs)["SharedSecret"]
    assert shared == times(scalar, point_of(public_der))[0].to_bytes(32)
    with refused("ValidationException"):
        cn.derive_shared_secret(**request, PublicKey=theirs[:-1] + bytes([theirs[-1] ^ 1]))


def test_symmetric_keys_are_of_sm4(cn, kms):
    """A ciphertext names its algorithm in its fifth byte; it has the length and the context of any other."""
    here, there = cn.create_key()["KeyMetadata"], kms.create_key()["KeyMetadata"]
    assert (here["KeySpec"], here["EncryptionAlgorithms"]) == ("SYMMETRIC_DEFAULT", ["SYMMETRIC_DEFAULT"])
    context = {"purpose": "test"}
    sealed = cn.encrypt(KeyId=here["Arn"], Plaintext=MESSAGE, EncryptionContext=context)["CiphertextBlob"]
    elsewhere = kms.encrypt(KeyId=there["Arn"], Plaintext=MESSAGE, EncryptionContext=context)["CiphertextBlob"]
    assert (sealed[4], elsewhere[4], len(sealed)) == (2, 1, len(elsewhere))
    assert cn.decrypt(CiphertextBlob=sealed, EncryptionContext=context)["Plaintext"] == MESSAGE
    for blob, of in ((sealed[:4] + b"\x01" + sealed[5:], context), (sealed, {"purpose": "other"})):
        with refused("InvalidCiphertextException"):
            cn.decrypt(CiphertextBlob=blob, EncryptionContext=of)
    data_key = cn.generate_data_key(KeyId=here["Arn"], KeySpec="AES_256")
    assert cn.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]


def test_rotated_keys_stay_keys_of_sm4(cn):
    arn = cn.create_key()["KeyMetadata"]["Arn"]
    old = cn.encrypt(KeyId=arn, Plaintext=MESSAGE)["CiphertextBlob"]
    before = cn.describe_key(KeyId=arn)["KeyMetadata"]["CurrentKeyMaterialId"]
    cn.rotate_key_on_demand(KeyId=arn)
    assert cn.describe_key(KeyId=arn)["KeyMetadata"]["CurrentKeyMaterialId"] != before
    new = cn.encrypt(KeyId=arn, Plaintext=MESSAGE)["CiphertextBlob"]
    assert (old[4], new[4]) == (2, 2)
    assert [cn.decrypt(CiphertextBlob=blob)["Plaintext"] for blob in (old, new)] == [MESSAGE, MESSAGE]


def test_sets_do_not_cross_partitions(cn, kms):
    there = kms.create_key(MultiRegion=True)["KeyMetadata"]
    with refused("UnsupportedOperationException"):
        kms.replicate_key(KeyId=there["Arn"], ReplicaRegion=REGION)
    here = cn.create_key(MultiRegion=True)["KeyMetadata"]
    with refused("UnsupportedOperationException"):
        cn.replicate_key(KeyId=here["Arn"], ReplicaRegion="us-east-1")
    for client, key in ((kms, there), (cn, here)):
        described = client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        assert described["MultiRegionConfiguration"]["ReplicaKeys"] == []


def test_imported_keys_are_of_sm4(cn, openssl):
    """Wrapped by openssl under an SM2 key, and under an RSA key."""
    arn = cn.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    material = bytes(range(16))

    def parameters(spec, algorithm):
        return cn.get_parameters_for_import(KeyId=arn, WrappingKeySpec=spec, WrappingAlgorithm=algorithm)

    def imported(pair, wrapped):
        cn.import_key_material(
            KeyId=arn, ImportToken=pair["ImportToken"], EncryptedKeyMaterial=wrapped,
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
        )

    pair = parameters("SM2", "SM2PKE")
    public = openssl.public_pem(pair["PublicKey"])
    wrapped = openssl.run("pkeyutl", "-encrypt", "-pubin", "-inkey", public, stdin=material)
    with refused("InvalidCiphertextException"):
        imported(pair, wrapped[:-1] + bytes([wrapped[-1] ^ 1]))
    imported(pair, wrapped)
    sealed = cn.encrypt(KeyId=arn, Plaintext=MESSAGE)["CiphertextBlob"]
    assert sealed[4] == 2
    pair = parameters("RSA_2048", "RSAES_OAEP_SHA_256")
    public = openssl.public_pem(pair["PublicKey"])
    options = [f"rsa_{option}" for option in ("padding_mode:oaep", "oaep_md:sha256", "mgf1_md:sha256")]
    options = [part for option in options for part in ("-pkeyopt", option)]
    imported(pair, openssl.run("pkeyutl", "-encrypt", "-pubin", "-inkey", public, *options, stdin=material))
    assert cn.decrypt(CiphertextBlob=sealed)["Plaintext"] == MESSAGE


def test_only_symmetric_keys_are_imported_here(cn, kms):
    for spec, usage in (("SM2", "SIGN_VERIFY"), ("RSA_2048", "SIGN_VERIFY"), ("HMAC_256", "GENERATE_VERIFY_MAC")):
        with refused("UnsupportedOperationException"):
            cn.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)
    elsewhere = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["Arn"]
    with refused("UnsupportedOperationException"):
        kms.get_parameters_for_import(KeyId=elsewhere, WrappingKeySpec="SM2", WrappingAlgorithm="SM2PKE")
