"""Encrypt, Decrypt and ReEncrypt with RSA keys, beside `cryptography` and openssl; dry runs without a ciphertext."""

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from conftest import refused
from openssl_command import OpenSsl

LONGEST = {
    ("RSA_2048", "RSAES_OAEP_SHA_1"): 214,
    ("RSA_2048", "RSAES_OAEP_SHA_256"): 190,
    ("RSA_3072", "RSAES_OAEP_SHA_1"): 342,
    ("RSA_3072", "RSAES_OAEP_SHA_256"): 318,
    ("RSA_4096", "RSAES_OAEP_SHA_1"): 470,
    ("RSA_4096", "RSAES_OAEP_SHA_256"): 446,
}
SHA_256 = "RSAES_OAEP_SHA_256"


@pytest.fixture(scope="module")
def rsa_key(client_for):
    """One key of each size, made when it is first asked for, in an account of this file."""
    kms, made = client_for("100000000002"), {}

    def key(spec="RSA_2048"):
        if spec not in made:
            made[spec] = kms.create_key(KeySpec=spec, KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
        return made[spec]

    return key


@pytest.fixture(scope="module")
def rsa_kms(client_for):
    return client_for("100000000002")


def encrypt(kms, key, plaintext, algorithm=SHA_256, **more):
    return kms.encrypt(KeyId=key, Plaintext=plaintext, EncryptionAlgorithm=algorithm, **more)


def decrypt(kms, key, blob, algorithm=SHA_256, **more):
    return kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionAlgorithm=algorithm, **more)


@pytest.mark.parametrize(("spec", "algorithm"), LONGEST)
def test_round_trip_and_limit(rsa_kms, rsa_key, spec, algorithm):
    key, longest = rsa_key(spec), LONGEST[spec, algorithm]
    for length in (1, longest):
        made = encrypt(rsa_kms, key, bytes(length), algorithm)
        assert (made["KeyId"], made["EncryptionAlgorithm"]) == (key, algorithm)
        assert len(made["CiphertextBlob"]) == int(spec[-4:]) // 8
        opened = decrypt(rsa_kms, key, made["CiphertextBlob"], algorithm)
        assert (opened["KeyId"], opened["EncryptionAlgorithm"], opened["Plaintext"]) == (key, algorithm, bytes(length))
        assert "KeyMaterialId" not in opened
    message = f"Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {longest} bytes."
    for more in ({}, {"DryRun": True}):
        with refused("ValidationException", message):
            encrypt(rsa_kms, key, bytes(longest + 1), algorithm, **more)


def oaep(mgf, digest):
    return padding.OAEP(mgf=padding.MGF1(mgf), algorithm=digest, label=None)


def test_what_cryptography_encrypts_is_decrypted(rsa_kms, rsa_key):
    key = rsa_key()
    public = serialization.load_der_public_key(rsa_kms.get_public_key(KeyId=key)["PublicKey"])
    for algorithm, digest in (("RSAES_OAEP_SHA_1", hashes.SHA1()), (SHA_256, hashes.SHA256())):
        blob = public.encrypt(b"from outside", oaep(digest, digest))
        assert decrypt(rsa_kms, key, blob, algorithm)["Plaintext"] == b"from outside"
    labelled = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=b"label")
    for other in (oaep(hashes.SHA1(), hashes.SHA256()), labelled, padding.PKCS1v15()):
        with refused("InvalidCiphertextException"):
            decrypt(rsa_kms, key, public.encrypt(b"x", other))


def test_what_openssl_encrypts_is_decrypted(rsa_kms, rsa_key, tmp_path):
    openssl, key = OpenSsl(tmp_path), rsa_key("RSA_3072")
    public = openssl.public_pem(rsa_kms.get_public_key(KeyId=key)["PublicKey"])
    for algorithm, digest in (("RSAES_OAEP_SHA_1", "sha1"), (SHA_256, "sha256")):
        options = [f"rsa_oaep_md:{digest}", f"rsa_mgf1_md:{digest}"]
        command = ["pkeyutl", "-encrypt", "-pubin", "-inkey", public, "-pkeyopt", "rsa_padding_mode:oaep"]
        for option in options:
            command += ["-pkeyopt", option]
        blob = openssl.run(*command, "-in", openssl.file("plaintext", b"by openssl"))
        assert decrypt(rsa_kms, key, blob, algorithm)["Plaintext"] == b"by openssl"


def test_what_does_not_decrypt(rsa_kms, rsa_key):
    key = rsa_key()
    blob = encrypt(rsa_kms, key, b"x")["CiphertextBlob"]
    for wrong in (blob[:-1], blob + b"x", b"x", bytes([blob[0] ^ 1]) + blob[1:], bytes(256)):
        for more in ({}, {"DryRun": True}):
            with refused("InvalidCiphertextException", ""):
                decrypt(rsa_kms, key, wrong, **more)
    with refused("InvalidCiphertextException"):
        decrypt(rsa_kms, key, blob, "RSAES_OAEP_SHA_1")
    with refused("InvalidCiphertextException"):
        decrypt(rsa_kms, rsa_key("RSA_3072"), blob)


def test_the_algorithm_and_the_key_must_be_given(rsa_kms, rsa_key):
    key = rsa_key()
    blob = encrypt(rsa_kms, key, b"x")["CiphertextBlob"]
    message = "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."
    with refused("InvalidKeyUsageException", message):
        rsa_kms.encrypt(KeyId=key, Plaintext=b"x")
    with refused("InvalidKeyUsageException", message):
        rsa_kms.decrypt(KeyId=key, CiphertextBlob=blob)
    with refused("ValidationException"):
        rsa_kms.decrypt(CiphertextBlob=blob, EncryptionAlgorithm=SHA_256)
    with refused("InvalidCiphertextException"):
        rsa_kms.decrypt(CiphertextBlob=blob)
    with refused("InvalidKeyUsageException"):
        encrypt(rsa_kms, key, b"x", "SM2PKE")


def test_there_is_no_context(rsa_kms, rsa_key):
    key, context = rsa_key(), {"EncryptionContext": {"a": "b"}}
    message = "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."
    with refused("ValidationException", message):
        encrypt(rsa_kms, key, b"x", **context)
    with refused("ValidationException", message):
        decrypt(rsa_kms, key, encrypt(rsa_kms, key, b"x")["CiphertextBlob"], **context)


def test_a_signing_key_encrypts_nothing(kms):
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    for operation, call in (("Encrypt", lambda: encrypt(kms, key, b"x")), ("Decrypt", lambda: decrypt(kms, key, b"x"))):
        with refused("InvalidKeyUsageException", f"{key} key usage is SIGN_VERIFY which is not valid for {operation}."):
            call()


def test_data_keys_need_a_symmetric_key(rsa_kms, rsa_key):
    key = rsa_key()
    for call in (
        lambda: rsa_kms.generate_data_key(KeyId=key, KeySpec="AES_256"),
        lambda: rsa_kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256"),
        lambda: rsa_kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256"),
        lambda: rsa_kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P256"),
    ):
        with refused("InvalidKeyUsageException", "You cannot generate a data key with an asymmetric CMK"):
            call()


def test_re_encrypt_between_kinds(rsa_kms, rsa_key):
    rsa, symmetric = rsa_key(), rsa_kms.create_key()["KeyMetadata"]
    outside = encrypt(rsa_kms, rsa, b"moved")["CiphertextBlob"]
    source = {"SourceKeyId": rsa, "SourceEncryptionAlgorithm": SHA_256}
    moved = rsa_kms.re_encrypt(CiphertextBlob=outside, DestinationKeyId=symmetric["Arn"], **source)
    assert (moved["SourceKeyId"], moved["KeyId"]) == (rsa, symmetric["Arn"])
    algorithms = (moved["SourceEncryptionAlgorithm"], moved["DestinationEncryptionAlgorithm"])
    assert algorithms == (SHA_256, "SYMMETRIC_DEFAULT")
    assert "SourceKeyMaterialId" not in moved
    assert moved["DestinationKeyMaterialId"] == symmetric["CurrentKeyMaterialId"]
    assert rsa_kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == b"moved"
    destination = {"DestinationKeyId": rsa, "DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}
    back = rsa_kms.re_encrypt(CiphertextBlob=moved["CiphertextBlob"], **destination)
    assert decrypt(rsa_kms, rsa, back["CiphertextBlob"], "RSAES_OAEP_SHA_1")["Plaintext"] == b"moved"
    large = rsa_kms.encrypt(KeyId=symmetric["Arn"], Plaintext=bytes(215))["CiphertextBlob"]
    with refused("ValidationException"):
        rsa_kms.re_encrypt(CiphertextBlob=large, **destination)
    with refused("ValidationException"):
        rsa_kms.re_encrypt(CiphertextBlob=outside, DestinationKeyId=symmetric["Arn"], SourceEncryptionAlgorithm=SHA_256)
    with refused("DryRunOperationException"):
        rsa_kms.re_encrypt(CiphertextBlob=outside, DestinationKeyId=symmetric["Arn"], DryRun=True, **source)


def test_a_dry_run_looks_at_the_ciphertext(kms, key):
    blob = kms.encrypt(KeyId=key["Arn"], Plaintext=b"x")["CiphertextBlob"]
    with refused("DryRunOperationException"):
        kms.decrypt(CiphertextBlob=blob, DryRun=True)
    broken = blob[:-1] + bytes([blob[-1] ^ 1])
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=broken, DryRun=True)
    with refused("InvalidCiphertextException"):
        kms.re_encrypt(CiphertextBlob=broken, DestinationKeyId=key["Arn"], DryRun=True)


def test_a_dry_run_can_do_without_a_ciphertext(kms, other, key):
    ignore = {"DryRun": True, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}
    arn = key["Arn"]
    with refused("DryRunOperationException"):
        kms.decrypt(KeyId=arn, **ignore)
    with refused("DryRunOperationException"):
        kms.decrypt(KeyId=arn, CiphertextBlob=b"not one", **ignore)
    with refused("DryRunOperationException"):
        kms.re_encrypt(SourceKeyId=arn, DestinationKeyId=arn, **ignore)
    for call in (
        lambda: kms.decrypt(**ignore),
        lambda: kms.re_encrypt(DestinationKeyId=arn, **ignore),
        lambda: kms.decrypt(KeyId=arn, DryRun=True),
        lambda: kms.decrypt(KeyId=arn, CiphertextBlob=b"x", DryRunModifiers=["IGNORE_CIPHERTEXT"]),
        lambda: kms.decrypt(KeyId=arn, DryRun=False, DryRunModifiers=["IGNORE_CIPHERTEXT"]),
        lambda: kms.decrypt(KeyId=arn, DryRun=True, DryRunModifiers=["IGNORE_EVERYTHING"]),
    ):
        with refused("ValidationException"):
            call()
    for call in (
        lambda: other.decrypt(KeyId=arn, **ignore),
        lambda: other.re_encrypt(SourceKeyId=arn, DestinationKeyId=arn, **ignore),
    ):
        with refused("AccessDeniedException"):
            call()
