"""GenerateMac and VerifyMac."""

import pytest

from conftest import refused, refused_soon

MESSAGE = b"authenticated"
LENGTHS = {"HMAC_224": 28, "HMAC_256": 32, "HMAC_384": 48, "HMAC_512": 64}


@pytest.fixture
def mac_key(kms):
    def make(spec="HMAC_256"):
        return kms.create_key(KeySpec=spec, KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"]

    return make


@pytest.mark.parametrize("spec", LENGTHS)
def test_tags(kms, mac_key, spec):
    key, algorithm = mac_key(spec), spec.replace("_", "_SHA_")
    made = kms.generate_mac(KeyId=key, MacAlgorithm=algorithm, Message=MESSAGE)
    assert (made["KeyId"], made["MacAlgorithm"], len(made["Mac"])) == (key, algorithm, LENGTHS[spec])
    assert kms.generate_mac(KeyId=key, MacAlgorithm=algorithm, Message=MESSAGE)["Mac"] == made["Mac"]
    verified = kms.verify_mac(KeyId=key, MacAlgorithm=algorithm, Message=MESSAGE, Mac=made["Mac"])
    assert (verified["KeyId"], verified["MacAlgorithm"], verified["MacValid"]) == (key, algorithm, True)
    tag = made["Mac"]
    wrong = (b"x", tag[:-1], tag + b"x", bytes([tag[0] ^ 1]) + tag[1:])
    for message, mac in ((MESSAGE + b".", tag), *((MESSAGE, mac) for mac in wrong)):
        with refused("KMSInvalidMacException"):
            kms.verify_mac(KeyId=key, MacAlgorithm=algorithm, Message=message, Mac=mac)
    with refused("KMSInvalidMacException"):
        kms.verify_mac(KeyId=mac_key(spec), MacAlgorithm=algorithm, Message=MESSAGE, Mac=tag)


def test_algorithms_and_usages_that_do_not_fit(kms, key, mac_key):
    own = mac_key("HMAC_256")
    for algorithm in ("HMAC_SHA_224", "HMAC_SHA_384", "HMAC_SHA_512"):
        message = f"Algorithm {algorithm} is incompatible with key spec HMAC_256."
        with refused("InvalidKeyUsageException", message):
            kms.generate_mac(KeyId=own, MacAlgorithm=algorithm, Message=MESSAGE)
        with refused("InvalidKeyUsageException", message):
            kms.verify_mac(KeyId=own, MacAlgorithm=algorithm, Message=MESSAGE, Mac=b"x")
    message = f"{key['Arn']} key usage is ENCRYPT_DECRYPT which is not valid for GenerateMac."
    with refused("InvalidKeyUsageException", message):
        kms.generate_mac(KeyId=key["Arn"], MacAlgorithm="HMAC_SHA_256", Message=MESSAGE)
    for call in (
        lambda: kms.encrypt(KeyId=own, Plaintext=b"x"),
        lambda: kms.generate_data_key(KeyId=own, KeySpec="AES_256"),
        lambda: kms.generate_data_key_pair(KeyId=own, KeyPairSpec="ECC_NIST_P256"),
        lambda: kms.sign(KeyId=own, Message=b"x", SigningAlgorithm="ECDSA_SHA_256"),
        lambda: kms.derive_shared_secret(KeyId=own, KeyAgreementAlgorithm="ECDH", PublicKey=b"x"),
    ):
        with refused("InvalidKeyUsageException"):
            call()


def test_lengths(kms, mac_key):
    key = mac_key()
    for length in (1, 4096):
        assert kms.generate_mac(KeyId=key, MacAlgorithm="HMAC_SHA_256", Message=bytes(length))["Mac"]
    for length in (0, 4097):
        with refused("ValidationException"):
            kms.generate_mac(KeyId=key, MacAlgorithm="HMAC_SHA_256", Message=bytes(length))


def test_a_dry_run_says_whether_it_would_have_worked(kms, mac_key):
    chosen = {"KeyId": mac_key(), "MacAlgorithm": "HMAC_SHA_256", "Message": MESSAGE}
    tag = kms.generate_mac(**chosen)["Mac"]
    with refused("DryRunOperationException"):
        kms.generate_mac(**chosen, DryRun=True)
    with refused("DryRunOperationException"):
        kms.verify_mac(**chosen, Mac=tag, DryRun=True)
    with refused("KMSInvalidMacException"):
        kms.verify_mac(**chosen, Mac=b"x", DryRun=True)


def test_a_disabled_key(kms, mac_key):
    chosen = {"KeyId": mac_key(), "MacAlgorithm": "HMAC_SHA_256", "Message": MESSAGE}
    tag = kms.generate_mac(**chosen)["Mac"]
    kms.disable_key(KeyId=chosen["KeyId"])
    for call in (lambda: kms.generate_mac(**chosen), lambda: kms.verify_mac(**chosen, Mac=tag)):
        refused_soon("DisabledException", f"{chosen['KeyId']} is disabled.", call)
