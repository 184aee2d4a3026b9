"""Wrapping key material as clients do: with the `cryptography` package, and with the OpenSSL command line.

The commands are those of the AWS KMS Developer Guide, "Encrypt the key material".
"""

import functools
import os
import subprocess

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

OAEP = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
HYBRID = ("RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256")
WRAPPING_SPECS = ("RSA_2048", "RSA_3072", "RSA_4096")

RAW = {"SYMMETRIC_DEFAULT": 32, "HMAC_224": 28, "HMAC_256": 32, "HMAC_384": 48, "HMAC_512": 64}
RSA = ("RSA_2048", "RSA_3072", "RSA_4096")
CURVES = {
    "ECC_NIST_P256": ec.SECP256R1, "ECC_NIST_P384": ec.SECP384R1, "ECC_NIST_P521": ec.SECP521R1,
    "ECC_SECG_P256K1": ec.SECP256K1,
}
USAGES = {
    spec: "ENCRYPT_DECRYPT" if spec == "SYMMETRIC_DEFAULT" else "GENERATE_VERIFY_MAC" if spec in RAW else "SIGN_VERIFY"
    for spec in (*RAW, *RSA, *CURVES)
}


def is_offered(spec, wrapping_spec, algorithm):
    """The table of the guide, and the hybrid algorithms for everything, as its text says."""
    if algorithm in HYBRID:
        return True
    return spec not in RSA and (spec, wrapping_spec) != ("ECC_NIST_P521", "RSA_2048")


@functools.cache
def private_key(spec):
    """A private key of this spec; RSA keys are slow to make, so that each is made once."""
    if spec in RSA:
        return rsa.generate_private_key(65537, int(spec.removeprefix("RSA_")))
    return ec.generate_private_key(CURVES[spec]())


def new_material(spec):
    """Key material of this spec in the form that is imported."""
    if spec in RAW:
        return os.urandom(RAW[spec])
    return pkcs8(private_key(spec))


def pkcs8(key):
    """A private key as it is imported."""
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def wrap(algorithm, public_key, material):
    """Wraps with `cryptography`."""
    key = serialization.load_der_public_key(public_key)
    hash_ = hashes.SHA1() if algorithm.endswith("SHA_1") else hashes.SHA256()
    oaep = padding.OAEP(padding.MGF1(hash_), hash_, None)
    if algorithm in OAEP:
        return key.encrypt(material, oaep)
    aes = os.urandom(32)
    return key.encrypt(aes, oaep) + keywrap.aes_key_wrap_with_padding(aes, material)


def wrap_by_openssl(folder, algorithm, public_key, material):
    """Wraps with the command line of OpenSSL 3."""
    (folder / "WrappingPublicKey.bin").write_bytes(public_key)
    if algorithm in OAEP:
        return _encrypt_by_openssl(folder, algorithm, material)
    aes = os.urandom(32)
    # The initial value is that of RFC 5649.
    wrapped = _openssl(folder, "enc", "-id-aes256-wrap-pad", "-iv", "A65959A6", "-K", aes.hex(), given=material)
    return _encrypt_by_openssl(folder, algorithm, aes) + wrapped


def _encrypt_by_openssl(folder, algorithm, plaintext):
    digest = "sha1" if algorithm.endswith("SHA_1") else "sha256"
    return _openssl(
        folder, "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "WrappingPublicKey.bin",
        "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{digest}", "-pkeyopt", f"rsa_mgf1_md:{digest}",
        given=plaintext,
    )


def _openssl(folder, *arguments, given):
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, input=given, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def parameters(kms, key_id, algorithm="RSAES_OAEP_SHA_256", wrapping_spec="RSA_2048"):
    """A wrapping key and its token."""
    return kms.get_parameters_for_import(
        KeyId=key_id, WrappingAlgorithm=algorithm, WrappingKeySpec=wrapping_spec
    )


def import_material(kms, key_id, material, algorithm="RSAES_OAEP_SHA_256", **request):
    """Fetches a wrapping key, wraps, imports; without an end unless `request` gives one. Gives the answer."""
    given = parameters(kms, key_id, algorithm)
    if "ValidTo" not in request:
        request.setdefault("ExpirationModel", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    return kms.import_key_material(
        KeyId=key_id, ImportToken=given["ImportToken"],
        EncryptedKeyMaterial=wrap(algorithm, given["PublicKey"], material), **request,
    )
