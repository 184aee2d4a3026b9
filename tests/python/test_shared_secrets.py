"""DeriveSharedSecret, Encapsulate and Decapsulate, beside `cryptography` and openssl."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem

from conftest import refused
from openssl_command import OpenSsl

CURVES = {"ECC_NIST_P256": ec.SECP256R1(), "ECC_NIST_P384": ec.SECP384R1(), "ECC_NIST_P521": ec.SECP521R1()}
CIPHERTEXTS = {"ML_KEM_512": 768, "ML_KEM_768": 1088, "ML_KEM_1024": 1568}
PUBLIC_KEYS = {"ML_KEM_768": mlkem.MLKEM768PublicKey, "ML_KEM_1024": mlkem.MLKEM1024PublicKey}


def agreement_key(kms, spec):
    return kms.create_key(KeySpec=spec, KeyUsage="KEY_AGREEMENT")["KeyMetadata"]["Arn"]


def derive(kms, key, public, **more):
    return kms.derive_shared_secret(KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=public, **more)


def der(public):
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("spec", CURVES)
def test_ecdh_beside_cryptography(kms, spec):
    key = agreement_key(kms, spec)
    ours = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    theirs = ec.generate_private_key(CURVES[spec])
    derived = derive(kms, key, der(theirs.public_key()))
    assert (derived["KeyId"], derived["KeyAgreementAlgorithm"], derived["KeyOrigin"]) == (key, "ECDH", "AWS_KMS")
    assert derived["SharedSecret"] == theirs.exchange(ec.ECDH(), ours)


@pytest.mark.parametrize(("spec", "curve"), [("ECC_NIST_P256", "prime256v1"), ("ECC_NIST_P384", "secp384r1"), ("ECC_NIST_P521", "secp521r1")])
def test_ecdh_beside_openssl(kms, tmp_path, spec, curve):
    openssl = OpenSsl(tmp_path)
    key = agreement_key(kms, spec)
    theirs = openssl.file("theirs.pem", openssl.run("ecparam", "-name", curve, "-genkey", "-noout"))
    their_public = openssl.run("pkey", "-in", theirs, "-pubout", "-outform", "DER")
    our_public = openssl.public_pem(kms.get_public_key(KeyId=key)["PublicKey"])
    shared = openssl.run("pkeyutl", "-derive", "-inkey", theirs, "-peerkey", our_public)
    assert derive(kms, key, their_public)["SharedSecret"] == shared


def test_two_keys_agree(kms):
    one, other = agreement_key(kms, "ECC_NIST_P256"), agreement_key(kms, "ECC_NIST_P256")
    publics = [kms.get_public_key(KeyId=key)["PublicKey"] for key in (one, other)]
    assert derive(kms, one, publics[1])["SharedSecret"] == derive(kms, other, publics[0])["SharedSecret"]


def test_public_keys_that_are_none(kms):
    key = agreement_key(kms, "ECC_NIST_P256")
    good = der(ec.generate_private_key(ec.SECP256R1()).public_key())
    off_the_curve = good[:-1] + bytes([good[-1] ^ 1])
    others = [der(ec.generate_private_key(curve).public_key()) for curve in (ec.SECP384R1(), ec.SECP256K1())]
    for public in (b"x", good[:-1], good + b"x", off_the_curve, *others):
        with refused("ValidationException"):
            derive(kms, key, public)
        with refused("ValidationException"):
            derive(kms, key, public, DryRun=True)
    with refused("DryRunOperationException"):
        derive(kms, key, good, DryRun=True)


def encapsulation_key(kms, spec):
    return kms.create_key(KeySpec=spec, KeyUsage="ENCAPSULATE_DECAPSULATE")["KeyMetadata"]["Arn"]


def decapsulate(kms, key, blob, **more):
    request = {"KeyId": key, "EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": blob}
    return kms.decapsulate(**request, **more)


@pytest.mark.parametrize("spec", CIPHERTEXTS)
def test_what_is_encapsulated_is_decapsulated(kms, spec):
    key = encapsulation_key(kms, spec)
    made = kms.encapsulate(KeyId=key, EncapsulationAlgorithm="ML_KEM")
    assert (made["KeyId"], made["EncapsulationAlgorithm"]) == (key, "ML_KEM")
    blob = made["SharedSecretCiphertextBlob"]
    assert (len(blob), len(made["SharedSecret"])) == (CIPHERTEXTS[spec], 32)
    opened = decapsulate(kms, key, blob)
    assert (opened["KeyId"], opened["EncapsulationAlgorithm"]) == (key, "ML_KEM")
    assert opened["SharedSecret"] == made["SharedSecret"]
    again = kms.encapsulate(KeyId=key, EncapsulationAlgorithm="ML_KEM")
    assert again["SharedSecret"] != made["SharedSecret"]
    # FIPS 203: a ciphertext that was not made for this key gives a secret that nobody has.
    assert decapsulate(kms, key, bytes([blob[0] ^ 1]) + blob[1:])["SharedSecret"] != made["SharedSecret"]
    for wrong in (blob[:-1], blob + b"x", b"x"):
        with refused("InvalidCiphertextException"):
            decapsulate(kms, key, wrong)


@pytest.mark.parametrize("spec", PUBLIC_KEYS)
def test_what_cryptography_encapsulates_is_decapsulated(kms, spec):
    key = encapsulation_key(kms, spec)
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    assert isinstance(public, PUBLIC_KEYS[spec])
    shared, blob = public.encapsulate()
    assert decapsulate(kms, key, blob)["SharedSecret"] == shared


def test_dry_runs(kms):
    key = encapsulation_key(kms, "ML_KEM_512")
    blob = kms.encapsulate(KeyId=key, EncapsulationAlgorithm="ML_KEM")["SharedSecretCiphertextBlob"]
    with refused("DryRunOperationException"):
        kms.encapsulate(KeyId=key, EncapsulationAlgorithm="ML_KEM", DryRun=True)
    with refused("DryRunOperationException"):
        decapsulate(kms, key, blob, DryRun=True)
    with refused("InvalidCiphertextException"):
        decapsulate(kms, key, b"x", DryRun=True)


def test_keys_of_other_usages(kms, key):
    signer = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    for other, usage in ((key["Arn"], "ENCRYPT_DECRYPT"), (signer, "SIGN_VERIFY")):
        for operation, call in (
            ("DeriveSharedSecret", lambda other=other: derive(kms, other, b"x")),
            ("Encapsulate", lambda other=other: kms.encapsulate(KeyId=other, EncapsulationAlgorithm="ML_KEM")),
            ("Decapsulate", lambda other=other: decapsulate(kms, other, b"x")),
        ):
            message = f"{other} key usage is {usage} which is not valid for {operation}."
            with refused("InvalidKeyUsageException", message):
                call()
