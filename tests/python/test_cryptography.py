"""Encrypt, Decrypt, ReEncrypt, data keys and random bytes with symmetric keys."""

import re

import pytest

from conftest import refused, refused_soon

MATERIAL_ID = re.compile(r"[0-9a-f]{64}")
CONTEXT = {"department": "10103.0", "aws:ebs:id": "vol-abcde12345abc1234", "ключ": "値"}


@pytest.fixture
def second(kms):
    return kms.create_key()["KeyMetadata"]


def test_round_trip(kms, key, account):
    kms.create_alias(AliasName="alias/crypto", TargetKeyId=key["KeyId"])
    plaintext = bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    alias_arn = f"arn:aws:kms:us-east-1:{account}:alias/crypto"
    for name in (key["KeyId"], key["Arn"], "alias/crypto", alias_arn):
        encrypted = kms.encrypt(KeyId=name, Plaintext=plaintext)
        assert encrypted["KeyId"] == key["Arn"]
        assert encrypted["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
        for request in ({}, {"KeyId": key["Arn"]}, {"KeyId": name}):
            decrypted = kms.decrypt(CiphertextBlob=encrypted["CiphertextBlob"], **request)
            assert decrypted["Plaintext"] == plaintext
            assert decrypted["KeyId"] == key["Arn"]
            assert decrypted["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
            assert decrypted["KeyMaterialId"] == key["CurrentKeyMaterialId"]


def test_every_ciphertext_is_new(kms, key):
    blobs = {kms.encrypt(KeyId=key["KeyId"], Plaintext=b"same")["CiphertextBlob"] for _ in range(10)}
    assert len(blobs) == 10
    assert all(b"same" not in blob for blob in blobs)


@pytest.mark.parametrize("length", [1, 4096])
def test_lengths(kms, key, length):
    plaintext = bytes(index % 256 for index in range(length))
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=plaintext)["CiphertextBlob"]
    assert len(blob) <= 6144
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == plaintext


@pytest.mark.parametrize("length", [0, 4097])
def test_impossible_lengths(kms, key, length):
    with refused("ValidationException"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x" * length)


def test_the_context_must_be_the_same(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    in_another_order = dict(reversed(CONTEXT.items()))
    for context in (CONTEXT, in_another_order):
        assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == b"x"
    for wrong in (
        {},
        {"department": "10103.0"},
        {**CONTEXT, "more": "x"},
        {**CONTEXT, "department": "10103"},
        {**{name: value for name, value in CONTEXT.items() if name != "department"}, "Department": "10103.0"},
    ):
        with refused("InvalidCiphertextException"):
            kms.decrypt(CiphertextBlob=blob, EncryptionContext=wrong)
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=blob)


def test_pairs_do_not_run_into_each_other(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"a": "bc"})["CiphertextBlob"]
    for wrong in ({"ab": "c"}, {"a": "b", "c": ""}, {"": "abc"}):
        with pytest.raises(kms.exceptions.ClientError):
            kms.decrypt(CiphertextBlob=blob, EncryptionContext=wrong)


def test_every_bit_of_a_ciphertext_counts(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    for position in range(len(blob)):
        broken = bytearray(blob)
        broken[position] ^= 1 << (position % 8)
        with pytest.raises(kms.exceptions.ClientError) as caught:
            kms.decrypt(CiphertextBlob=bytes(broken), KeyId=key["KeyId"])
        code = caught.value.response["Error"]["Code"]
        assert code in ("InvalidCiphertextException", "IncorrectKeyException"), (position, code)
    for broken in (blob[:-1], blob + b"\0", b"x", b"\0" * 6144):
        with refused("InvalidCiphertextException"):
            kms.decrypt(CiphertextBlob=broken)


def test_decrypt_with_the_wrong_key(kms, key, second):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("IncorrectKeyException"):
        kms.decrypt(CiphertextBlob=blob, KeyId=second["KeyId"])


def test_a_ciphertext_stays_in_its_region(kms, client_for, account, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with pytest.raises(kms.exceptions.ClientError) as caught:
        client_for(account, "eu-west-1").decrypt(CiphertextBlob=blob)
    assert caught.value.response["Error"]["Code"] in ("InvalidCiphertextException", "AccessDeniedException", "NotFoundException")


@pytest.mark.parametrize(("request_members", "length"), [
    ({"KeySpec": "AES_256"}, 32), ({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 1}, 1), ({"NumberOfBytes": 1024}, 1024),
])
def test_data_keys(kms, key, request_members, length):
    data_key = kms.generate_data_key(KeyId=key["KeyId"], EncryptionContext=CONTEXT, **request_members)
    assert len(data_key["Plaintext"]) == length
    assert data_key["KeyId"] == key["Arn"]
    assert data_key["KeyMaterialId"] == key["CurrentKeyMaterialId"]
    opened = kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == data_key["Plaintext"]
    another = kms.generate_data_key(KeyId=key["KeyId"], **request_members)
    assert length < 16 or another["Plaintext"] != data_key["Plaintext"]


def test_data_key_without_plaintext(kms, key):
    data_key = kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], KeySpec="AES_256")
    assert "Plaintext" not in data_key
    assert data_key["KeyId"] == key["Arn"]
    assert MATERIAL_ID.fullmatch(data_key["KeyMaterialId"])
    assert len(kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"]) == 32


@pytest.mark.parametrize("request_members", [
    {}, {"KeySpec": "AES_256", "NumberOfBytes": 32}, {"NumberOfBytes": 0}, {"NumberOfBytes": 1025}, {"KeySpec": "AES_512"},
], ids=str)
def test_impossible_data_keys(kms, key, request_members):
    for call in (kms.generate_data_key, kms.generate_data_key_without_plaintext):
        with refused("ValidationException"):
            call(KeyId=key["KeyId"], **request_members)


def test_re_encrypt(kms, key, second):
    old_context, new_context = {"purpose": "old"}, {"purpose": "new"}
    data_key = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext=old_context)
    request = {"CiphertextBlob": data_key["CiphertextBlob"], "SourceEncryptionContext": old_context}
    for source in ({}, {"SourceKeyId": key["Arn"]}):
        moved = kms.re_encrypt(
            **request, **source, DestinationKeyId=second["KeyId"], DestinationEncryptionContext=new_context
        )
        assert moved["SourceKeyId"] == key["Arn"]
        assert moved["KeyId"] == second["Arn"]
        assert moved["SourceEncryptionAlgorithm"] == moved["DestinationEncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
        assert moved["SourceKeyMaterialId"] == key["CurrentKeyMaterialId"]
        assert moved["DestinationKeyMaterialId"] == second["CurrentKeyMaterialId"]
        opened = kms.decrypt(
            CiphertextBlob=moved["CiphertextBlob"], KeyId=second["KeyId"], EncryptionContext=new_context
        )
        assert opened["Plaintext"] == data_key["Plaintext"]
    with refused("IncorrectKeyException"):
        kms.re_encrypt(**request, SourceKeyId=second["KeyId"], DestinationKeyId=second["KeyId"])
    with refused("InvalidCiphertextException"):
        kms.re_encrypt(**{**request, "SourceEncryptionContext": {}}, DestinationKeyId=second["KeyId"])


def test_re_encrypt_under_the_same_key_changes_the_context(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    moved = kms.re_encrypt(
        CiphertextBlob=blob, DestinationKeyId=key["KeyId"], DestinationEncryptionContext={"now": "with"}
    )
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"now": "with"})["Plaintext"] == b"x"


def test_random_bytes(kms):
    for length in (1, 32, 1024):
        assert len(kms.generate_random(NumberOfBytes=length)["Plaintext"]) == length
    assert len({kms.generate_random(NumberOfBytes=32)["Plaintext"] for _ in range(20)}) == 20
    for length in (0, 1025):
        with refused("ValidationException"):
            kms.generate_random(NumberOfBytes=length)


def test_dry_run_changes_and_tells_nothing(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    for call in (
        lambda: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", DryRun=True),
        lambda: kms.decrypt(CiphertextBlob=blob, DryRun=True),
        lambda: kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", DryRun=True),
    ):
        with refused("DryRunOperationException"):
            call()
    kms.disable_key(KeyId=key["KeyId"])
    disabled = f"{key['Arn']} is disabled."
    refused_soon("DisabledException", disabled, lambda: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", DryRun=True))


def test_algorithms_of_other_key_types_are_refused(kms, key):
    with refused("InvalidKeyUsageException"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")
