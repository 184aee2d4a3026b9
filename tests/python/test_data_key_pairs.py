"""GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext: the pairs are used by `cryptography` and openssl."""

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from conftest import refused, refused_soon
from openssl_command import OpenSsl

SPECS = ["RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"]
UNKNOWN_TO_CRYPTOGRAPHY = {"ML_KEM_512"}
UNKNOWN_TO_OPENSSL = {"ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"}
MESSAGE = b"used outside of the service"
CONTEXT = {"purpose": "pairs"}


def test_the_list_is_that_of_the_client(kms):
    assert {*SPECS, "SM2"} == set(kms.meta.service_model.shape_for("DataKeyPairSpec").enum)


@pytest.mark.parametrize("spec", SPECS)
def test_pairs(kms, key, tmp_path, spec):
    made = kms.generate_data_key_pair(KeyId=key["KeyId"], KeyPairSpec=spec, EncryptionContext=CONTEXT)
    assert (made["KeyId"], made["KeyPairSpec"]) == (key["Arn"], spec)
    assert made["KeyMaterialId"] == key["CurrentKeyMaterialId"]
    private, public = made["PrivateKeyPlaintext"], made["PublicKey"]
    opened = kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == private
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])
    if spec not in UNKNOWN_TO_CRYPTOGRAPHY:
        belong_together(private, public)
    if spec not in UNKNOWN_TO_OPENSSL:
        openssl_signs_and_verifies(OpenSsl(tmp_path), spec, private, public)


def belong_together(private, public):
    private, public = serialization.load_der_private_key(private, None), serialization.load_der_public_key(public)
    if isinstance(private, rsa.RSAPrivateKey):
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        assert private.decrypt(public.encrypt(MESSAGE, oaep), oaep) == MESSAGE
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        public.verify(private.sign(MESSAGE, ec.ECDSA(hashes.SHA256())), MESSAGE, ec.ECDSA(hashes.SHA256()))
    elif hasattr(private, "sign"):
        public.verify(private.sign(MESSAGE), MESSAGE)
    else:
        shared, blob = public.encapsulate()
        assert private.decapsulate(blob) == shared


def openssl_signs_and_verifies(openssl, spec, private, public):
    options = [] if spec == "ECC_NIST_EDWARDS25519" else ["-digest", "sha256"]
    command = ["pkeyutl", "-sign", "-inkey", openssl.private_pem(private), "-rawin"]
    signature = openssl.run(*command, "-in", openssl.file("message", MESSAGE), *options)
    public = openssl.public_pem(public)
    assert openssl.verifies(public, MESSAGE, signature, *options)
    assert not openssl.verifies(public, MESSAGE + b".", signature, *options)


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519", "ML_KEM_768"])
def test_pairs_without_plaintext(kms, key, spec):
    made = kms.generate_data_key_pair_without_plaintext(KeyId=key["KeyId"], KeyPairSpec=spec)
    assert "PrivateKeyPlaintext" not in made
    assert (made["KeyId"], made["KeyPairSpec"]) == (key["Arn"], spec)
    belong_together(kms.decrypt(CiphertextBlob=made["PrivateKeyCiphertextBlob"])["Plaintext"], made["PublicKey"])


def test_every_pair_is_new(kms, key):
    for spec in ("RSA_2048", "ECC_NIST_P256"):
        pairs = [kms.generate_data_key_pair(KeyId=key["KeyId"], KeyPairSpec=spec) for _ in range(3)]
        assert len({pair["PublicKey"] for pair in pairs}) == 3


def test_what_is_refused(kms, key):
    request = {"KeyId": key["KeyId"], "KeyPairSpec": "ECC_NIST_P256"}
    for call in (kms.generate_data_key_pair, kms.generate_data_key_pair_without_plaintext):
        with refused("DryRunOperationException"):
            call(**request, DryRun=True)
        with refused("UnsupportedOperationException"):
            call(**{**request, "KeyPairSpec": "SM2"})
        with refused("ValidationException"):
            call(**{**request, "KeyPairSpec": "HMAC_256"})
    kms.disable_key(KeyId=key["KeyId"])
    for call in (kms.generate_data_key_pair, kms.generate_data_key_pair_without_plaintext):
        refused_soon("DisabledException", f"{key['Arn']} is disabled.", lambda call=call: call(**request))
