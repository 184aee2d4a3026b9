"""Sign, Verify and GetPublicKey, beside `cryptography` and openssl."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa, utils

import ed25519ph
from conftest import refused, refused_soon
from openssl_command import OpenSsl
from test_key_specs import PKCS1, PSS, SPECS

MESSAGE = b"signed by one, verified by the other"
RSA_ALGORITHMS = PKCS1 + PSS
SIGNING = [(spec, algorithm) for spec, usages in SPECS.items() for algorithm in usages.get("SIGN_VERIFY", [])]
DIGESTED = [(spec, algorithm) for spec, algorithm in SIGNING if algorithm.startswith(("RSA", "ECDSA"))]
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def openssl(tmp_path):
    return OpenSsl(tmp_path)


@pytest.fixture(scope="module")
def signers(client_for):
    """One key of each spec, made when it is first asked for, in an account of this file."""
    kms, made = client_for("100000000001"), {}

    def signer(spec):
        if spec not in made:
            made[spec] = kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        return Signer(kms, made[spec])

    return signer


class Signer:
    """One key for signing."""

    def __init__(self, kms, arn):
        self.kms = kms
        self.arn = arn

    def sign(self, algorithm, message=MESSAGE, **more):
        signed = self.kms.sign(KeyId=self.arn, Message=message, SigningAlgorithm=algorithm, **more)
        assert (signed["KeyId"], signed["SigningAlgorithm"]) == (self.arn, algorithm)
        return signed["Signature"]

    def verify(self, algorithm, signature, message=MESSAGE, **more):
        request = {"KeyId": self.arn, "Message": message, "SigningAlgorithm": algorithm, "Signature": signature}
        verified = self.kms.verify(**request, **more)
        assert (verified["KeyId"], verified["SigningAlgorithm"]) == (self.arn, algorithm)
        assert verified["SignatureValid"] is True

    def public_der(self):
        return self.kms.get_public_key(KeyId=self.arn)["PublicKey"]

    def public(self):
        return serialization.load_der_public_key(self.public_der())


def message_for(algorithm):
    """What the algorithm takes, with the type of message that it takes it as."""
    if algorithm == "ED25519_PH_SHA_512":
        return hashlib.sha512(MESSAGE).digest(), {"MessageType": "DIGEST"}
    return MESSAGE, {}


@pytest.mark.parametrize(("spec", "algorithm"), SIGNING)
def test_what_is_signed_verifies_and_nothing_else_does(signers, spec, algorithm):
    signer = signers(spec)
    message, how = message_for(algorithm)
    signature = signer.sign(algorithm, message, **how)
    signer.verify(algorithm, signature, message, **how)
    flipped = bytes([message[0] ^ 1]) + message[1:]
    broken = signature[:-1] + bytes([signature[-1] ^ 1])
    for other_message, other_signature in ((flipped, signature), (message, broken), (message, signature[:-1]), (message, b"x")):
        with refused("KMSInvalidSignatureException"):
            signer.verify(algorithm, other_signature, other_message, **how)


@pytest.mark.parametrize(("spec", "algorithm"), DIGESTED)
def test_a_digest_is_signed_like_its_message(signers, spec, algorithm):
    signer = signers(spec)
    digest = hashlib.new(f"sha{algorithm[-3:]}", MESSAGE).digest()
    signer.verify(algorithm, signer.sign(algorithm, digest, MessageType="DIGEST"))
    signer.verify(algorithm, signer.sign(algorithm), digest, MessageType="DIGEST")
    for length in (1, len(digest) - 1, len(digest) + 1):
        message = f"Digest is invalid length for algorithm {algorithm}."
        with refused("ValidationException", message):
            signer.sign(algorithm, bytes(length), MessageType="DIGEST")
        with refused("ValidationException", message):
            signer.verify(algorithm, b"x", bytes(length), MessageType="DIGEST")


@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072", "RSA_4096"])
def test_rsa_beside_cryptography(signers, spec):
    signer = signers(spec)
    public = signer.public()
    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, public.public_numbers().e) == (int(spec[-4:]), 65537)
    for algorithm in RSA_ALGORITHMS:
        signature = signer.sign(algorithm)
        public.verify(signature, MESSAGE, *cryptography_scheme(algorithm))
        assert len(signature) == public.key_size // 8


def cryptography_scheme(algorithm):
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[-3:]]
    if "PKCS1" in algorithm:
        return padding.PKCS1v15(), digest
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size), digest


@pytest.mark.parametrize("algorithm", RSA_ALGORITHMS)
def test_rsa_beside_openssl(signers, openssl, algorithm):
    signer = signers("RSA_2048")
    public = openssl.public_pem(signer.public_der())
    options = ["-digest", f"sha{algorithm[-3:]}"]
    if "PSS" in algorithm:
        options += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
    signature = signer.sign(algorithm)
    assert openssl.verifies(public, MESSAGE, signature, *options)
    assert not openssl.verifies(public, MESSAGE + b".", signature, *options)


@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1"])
def test_ecdsa_beside_both(signers, openssl, spec):
    signer = signers(spec)
    algorithm = SPECS[spec]["SIGN_VERIFY"][0]
    public = signer.public()
    curves = {"ECC_NIST_P256": "secp256r1", "ECC_NIST_P384": "secp384r1", "ECC_NIST_P521": "secp521r1"}
    assert public.curve.name == curves.get(spec, "secp256k1")
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[-3:]]
    pem = openssl.public_pem(signer.public_der())
    for _ in range(8):  # leading zeros make some signatures shorter
        signature = signer.sign(algorithm)
        public.verify(signature, MESSAGE, ec.ECDSA(digest))
        assert openssl.verifies(pem, MESSAGE, signature, "-digest", digest.name)


def test_secp256k1_signs_with_the_lower_s_and_verifies_both(signers):
    signer = signers("ECC_SECG_P256K1")
    r, s = utils.decode_dss_signature(signer.sign("ECDSA_SHA_256"))
    assert s <= SECP256K1_ORDER // 2
    signer.verify("ECDSA_SHA_256", utils.encode_dss_signature(r, SECP256K1_ORDER - s))


def test_ed25519_beside_both(signers, openssl):
    signer = signers("ECC_NIST_EDWARDS25519")
    public = signer.public()
    assert isinstance(public, ed25519.Ed25519PublicKey)
    signature = signer.sign("ED25519_SHA_512")
    public.verify(signature, MESSAGE)
    assert openssl.verifies(openssl.public_pem(signer.public_der()), MESSAGE, signature)
    assert signer.sign("ED25519_SHA_512") == signature, "Ed25519 is deterministic"


def test_ed25519ph_signs_the_digest_as_its_message(signers):
    signer = signers("ECC_NIST_EDWARDS25519")
    raw = signer.public().public_bytes_raw()
    digest = hashlib.sha512(MESSAGE).digest()
    signature = signer.sign("ED25519_PH_SHA_512", digest, MessageType="DIGEST")
    assert ed25519ph.verifies(raw, digest, signature)
    assert not ed25519ph.verifies(raw, MESSAGE, signature)
    with refused("KMSInvalidSignatureException"):
        signer.verify("ED25519_SHA_512", signature, digest)


@pytest.mark.parametrize(
    ("spec", "kind", "length"),
    [("ML_DSA_44", mldsa.MLDSA44PublicKey, 2420), ("ML_DSA_65", mldsa.MLDSA65PublicKey, 3309), ("ML_DSA_87", mldsa.MLDSA87PublicKey, 4627)],
)
def test_ml_dsa_beside_cryptography(signers, spec, kind, length):
    signer = signers(spec)
    public = signer.public()
    assert isinstance(public, kind)
    signature = signer.sign("ML_DSA_SHAKE_256")
    assert len(signature) == length
    public.verify(signature, MESSAGE)
    mu = message_representative(public, MESSAGE)
    by_mu = signer.sign("ML_DSA_SHAKE_256", mu, MessageType="EXTERNAL_MU")
    public.verify(by_mu, MESSAGE)
    public.verify_mu(by_mu, mu)
    signer.verify("ML_DSA_SHAKE_256", by_mu)
    signer.verify("ML_DSA_SHAKE_256", signature, mu, MessageType="EXTERNAL_MU")
    with pytest.raises(InvalidSignature):
        public.verify(signature, MESSAGE + b".")
    for size in (63, 65):
        with refused("ValidationException"):
            signer.sign("ML_DSA_SHAKE_256", bytes(size), MessageType="EXTERNAL_MU")


def message_representative(public, message):
    """FIPS 204, algorithm 7, line 6, for an empty context."""
    tr = hashlib.shake_256(public.public_bytes_raw()).digest(64)
    return hashlib.shake_256(tr + bytes([0, 0]) + message).digest(64)


def test_message_types_that_do_not_fit(signers):
    for spec, algorithm, message_type in (
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "DIGEST"),
        ("ECC_NIST_EDWARDS25519", "ED25519_PH_SHA_512", "RAW"),
        ("ECC_NIST_EDWARDS25519", "ED25519_SHA_512", "EXTERNAL_MU"),
        ("RSA_2048", "RSASSA_PSS_SHA_512", "EXTERNAL_MU"),
        ("ECC_NIST_P256", "ECDSA_SHA_256", "EXTERNAL_MU"),
        ("ML_DSA_44", "ML_DSA_SHAKE_256", "DIGEST"),
    ):
        message = f"Message type {message_type} is incompatible with algorithm {algorithm}."
        with refused("ValidationException", message):
            signers(spec).sign(algorithm, bytes(64), MessageType=message_type)
        with refused("ValidationException", message):
            signers(spec).verify(algorithm, b"x", bytes(64), MessageType=message_type)


def test_algorithms_that_do_not_fit(signers):
    algorithms = sorted({algorithm for _, algorithm in SIGNING} | {"SM2DSA"})
    for spec in ("RSA_2048", "ECC_NIST_P384", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "ML_DSA_65"):
        for algorithm in algorithms:
            if algorithm in SPECS[spec]["SIGN_VERIFY"]:
                continue
            message = f"Algorithm {algorithm} is incompatible with key spec {spec}."
            with refused("InvalidKeyUsageException", message):
                signers(spec).sign(algorithm)
            with refused("InvalidKeyUsageException", message):
                signers(spec).verify(algorithm, b"x")


def test_lengths_of_messages(signers):
    signer = signers("ECC_NIST_P256")
    for length in (1, 4096):
        signer.verify("ECDSA_SHA_256", signer.sign("ECDSA_SHA_256", bytes(length)), bytes(length))
    for length in (0, 4097):
        with refused("ValidationException"):
            signer.sign("ECDSA_SHA_256", bytes(length))


def test_another_key_does_not_verify(kms, signers):
    signature = signers("ECC_NIST_P256").sign("ECDSA_SHA_256")
    another = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    with refused("KMSInvalidSignatureException"):
        Signer(kms, another).verify("ECDSA_SHA_256", signature)


def test_a_dry_run_says_whether_it_would_have_worked(signers):
    signer = signers("RSA_2048")
    algorithm = "RSASSA_PSS_SHA_256"
    signature = signer.sign(algorithm)
    with refused("DryRunOperationException"):
        signer.sign(algorithm, DryRun=True)
    with refused("DryRunOperationException"):
        signer.verify(algorithm, signature, DryRun=True)
    with refused("KMSInvalidSignatureException"):
        signer.verify(algorithm, signature[:-1] + b"x", DryRun=True)
    with refused("ValidationException"):
        signer.sign(algorithm, b"too short", MessageType="DIGEST", DryRun=True)
    with refused("InvalidKeyUsageException"):
        signer.sign("ECDSA_SHA_256", DryRun=True)


def test_keys_of_other_usages_sign_nothing(kms):
    for spec, usage in (("RSA_2048", "ENCRYPT_DECRYPT"), ("ECC_NIST_P256", "KEY_AGREEMENT"), ("HMAC_256", "GENERATE_VERIFY_MAC"), ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"), ("ML_KEM_512", "ENCAPSULATE_DECAPSULATE")):
        signer = Signer(kms, kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"])
        for operation, call in (("Sign", lambda: signer.sign("ECDSA_SHA_256")), ("Verify", lambda: signer.verify("ECDSA_SHA_256", b"x"))):
            with refused("InvalidKeyUsageException", f"{signer.arn} key usage is {usage} which is not valid for {operation}."):
                call()


def test_public_keys(kms):
    for spec, usage, member in (
        ("RSA_3072", "ENCRYPT_DECRYPT", "EncryptionAlgorithms"),
        ("ECC_NIST_P521", "SIGN_VERIFY", "SigningAlgorithms"),
        ("ECC_NIST_P384", "KEY_AGREEMENT", "KeyAgreementAlgorithms"),
        ("ML_KEM_768", "ENCAPSULATE_DECAPSULATE", "EncapsulationAlgorithms"),
    ):
        key = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
        kms.create_alias(AliasName=f"alias/{spec}", TargetKeyId=key["KeyId"])
        told = kms.get_public_key(KeyId=f"alias/{spec}")
        assert (told["KeyId"], told["KeySpec"], told["KeyUsage"]) == (key["Arn"], spec, usage)
        assert told.get("CustomerMasterKeySpec") == key.get("CustomerMasterKeySpec")
        lists = [name for name in told if name.endswith("Algorithms")]
        assert lists == [member] and told[member] == key[member]
        assert serialization.load_der_public_key(told["PublicKey"])
        assert kms.get_public_key(KeyId=key["KeyId"])["PublicKey"] == told["PublicKey"]


def test_keys_without_a_public_half(kms, key):
    mac = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    for other in (key, mac):
        with refused("UnsupportedOperationException"):
            kms.get_public_key(KeyId=other["KeyId"])


def test_a_disabled_key_is_soon_forgotten_everywhere(kms):
    arn = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    signer, algorithm = Signer(kms, arn), "RSASSA_PSS_SHA_256"
    signature, der = signer.sign(algorithm), signer.public_der()
    kms.disable_key(KeyId=arn)
    for call in (lambda: signer.sign(algorithm), lambda: signer.verify(algorithm, signature), signer.public_der):
        refused_soon("DisabledException", f"{arn} is disabled.", call)
    serialization.load_der_public_key(der).verify(signature, MESSAGE, *cryptography_scheme(algorithm))
    kms.enable_key(KeyId=arn)
    signer.verify(algorithm, signature)
