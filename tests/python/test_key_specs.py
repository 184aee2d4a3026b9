"""Keys of every spec: which usages they can be made with, what is told of them, and that they can be replicated."""

import itertools

import pytest

from conftest import refused, wait_for_state

PKCS1 = ["RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512"]
PSS = ["RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512"]
OAEP = ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
USAGES = ["ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE"]
LISTS = {
    "ENCRYPT_DECRYPT": "EncryptionAlgorithms",
    "SIGN_VERIFY": "SigningAlgorithms",
    "GENERATE_VERIFY_MAC": "MacAlgorithms",
    "KEY_AGREEMENT": "KeyAgreementAlgorithms",
    "ENCAPSULATE_DECAPSULATE": "EncapsulationAlgorithms",
}
RSA = {"ENCRYPT_DECRYPT": OAEP, "SIGN_VERIFY": PKCS1 + PSS}
ML_DSA = {"SIGN_VERIFY": ["ML_DSA_SHAKE_256"]}
ML_KEM = {"ENCAPSULATE_DECAPSULATE": ["ML_KEM"]}

# Spec to usage to the algorithms that are told, in order.
SPECS = {
    "SYMMETRIC_DEFAULT": {"ENCRYPT_DECRYPT": ["SYMMETRIC_DEFAULT"]},
    "HMAC_224": {"GENERATE_VERIFY_MAC": ["HMAC_SHA_224"]},
    "HMAC_256": {"GENERATE_VERIFY_MAC": ["HMAC_SHA_256"]},
    "HMAC_384": {"GENERATE_VERIFY_MAC": ["HMAC_SHA_384"]},
    "HMAC_512": {"GENERATE_VERIFY_MAC": ["HMAC_SHA_512"]},
    "RSA_2048": RSA,
    "RSA_3072": RSA,
    "RSA_4096": RSA,
    "ECC_NIST_P256": {"SIGN_VERIFY": ["ECDSA_SHA_256"], "KEY_AGREEMENT": ["ECDH"]},
    "ECC_NIST_P384": {"SIGN_VERIFY": ["ECDSA_SHA_384"], "KEY_AGREEMENT": ["ECDH"]},
    "ECC_NIST_P521": {"SIGN_VERIFY": ["ECDSA_SHA_512"], "KEY_AGREEMENT": ["ECDH"]},
    "ECC_SECG_P256K1": {"SIGN_VERIFY": ["ECDSA_SHA_256"]},
    "ECC_NIST_EDWARDS25519": {"SIGN_VERIFY": ["ED25519_SHA_512", "ED25519_PH_SHA_512"]},
    "ML_DSA_44": ML_DSA,
    "ML_DSA_65": ML_DSA,
    "ML_DSA_87": ML_DSA,
    "ML_KEM_512": ML_KEM,
    "ML_KEM_768": ML_KEM,
    "ML_KEM_1024": ML_KEM,
}
NEWER_THAN_THE_OLD_NAME = {spec for spec in SPECS if spec.startswith("ML_") or spec == "ECC_NIST_EDWARDS25519"}

POSSIBLE = [(spec, usage) for spec, usages in SPECS.items() for usage in usages]
IMPOSSIBLE = [pair for pair in itertools.product(SPECS, USAGES) if pair not in POSSIBLE]


def test_the_table_is_that_of_the_client(kms):
    shapes = kms.meta.service_model
    assert set(SPECS) | {"SM2"} == set(shapes.shape_for("KeySpec").enum)
    assert set(USAGES) == set(shapes.shape_for("KeyUsageType").enum)


@pytest.mark.parametrize(("spec", "usage"), POSSIBLE)
def test_metadata(kms, spec, usage):
    made = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
    assert made["KeySpec"] == spec
    assert made["KeyUsage"] == usage
    assert made.get("CustomerMasterKeySpec") == (None if spec in NEWER_THAN_THE_OLD_NAME else spec)
    assert {name: made[name] for name in LISTS.values() if name in made} == {LISTS[usage]: SPECS[spec][usage]}
    assert (made["KeyState"], made["Enabled"], made["Origin"]) == ("Enabled", True, "AWS_KMS")
    assert (made["KeyManager"], made["Description"], made["MultiRegion"]) == ("CUSTOMER", "", False)
    assert ("CurrentKeyMaterialId" in made) == (spec == "SYMMETRIC_DEFAULT")
    assert kms.describe_key(KeyId=made["KeyId"])["KeyMetadata"] == made


def test_impossible_usages(kms):
    for spec, usage in IMPOSSIBLE:
        with refused("ValidationException", f"KeyUsage {usage} is not compatible with KeySpec {spec}"):
            kms.create_key(KeySpec=spec, KeyUsage=usage)
    assert kms.list_keys()["Keys"] == []


def test_only_symmetric_keys_have_a_usage_by_default(kms):
    for spec in SPECS:
        if spec == "SYMMETRIC_DEFAULT":
            assert kms.create_key(KeySpec=spec)["KeyMetadata"]["KeyUsage"] == "ENCRYPT_DECRYPT"
            continue
        message = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."
        with refused("ValidationException", message):
            kms.create_key(KeySpec=spec)
    assert len(kms.list_keys()["Keys"]) == 1


def test_the_old_name_of_the_spec(kms):
    made = kms.create_key(CustomerMasterKeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    assert (made["KeySpec"], made["CustomerMasterKeySpec"]) == ("ECC_NIST_P256", "ECC_NIST_P256")
    for spec in ("ECC_NIST_P256", "HMAC_256"):
        with refused("ValidationException"):
            kms.create_key(CustomerMasterKeySpec="ECC_NIST_P256", KeySpec=spec, KeyUsage="SIGN_VERIFY")


def test_sm2_is_not_of_this_partition(kms):
    for usage in ("SIGN_VERIFY", "ENCRYPT_DECRYPT", "KEY_AGREEMENT"):
        with refused("UnsupportedOperationException"):
            kms.create_key(KeySpec="SM2", KeyUsage=usage)


def test_an_alias_moves_within_type_and_usage_only(kms):
    def key(spec, usage):
        return kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]

    first = key("ECC_NIST_P256", "SIGN_VERIFY")
    kms.create_alias(AliasName="alias/signer", TargetKeyId=first)
    others = (key("ECC_NIST_P256", "KEY_AGREEMENT"), key("HMAC_256", "GENERATE_VERIFY_MAC"), key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"))
    for other in others:
        with refused("ValidationException"):
            kms.update_alias(AliasName="alias/signer", TargetKeyId=other)
    second = key("ECC_NIST_EDWARDS25519", "SIGN_VERIFY")
    kms.update_alias(AliasName="alias/signer", TargetKeyId=second)
    assert kms.describe_key(KeyId="alias/signer")["KeyMetadata"]["KeyId"] == second


@pytest.mark.parametrize(("spec", "usage"), POSSIBLE)
def test_replicas_are_the_same_key(kms, client_for, account, spec, usage):
    primary = kms.create_key(KeySpec=spec, KeyUsage=usage, MultiRegion=True)["KeyMetadata"]
    key_id = primary["KeyId"]
    told = kms.replicate_key(KeyId=key_id, ReplicaRegion="eu-west-1")["ReplicaKeyMetadata"]
    elsewhere = client_for(account, "eu-west-1")
    wait_for_state(elsewhere, key_id, "Enabled")
    replica = elsewhere.describe_key(KeyId=key_id)["KeyMetadata"]
    same = ("KeySpec", "CustomerMasterKeySpec", "KeyUsage", "Origin", "CurrentKeyMaterialId", *LISTS.values())
    for member in same:
        assert replica.get(member) == primary.get(member) == told.get(member), member
    if usage not in ("GENERATE_VERIFY_MAC",) and spec != "SYMMETRIC_DEFAULT":
        assert elsewhere.get_public_key(KeyId=key_id)["PublicKey"] == kms.get_public_key(KeyId=key_id)["PublicKey"]
    made_in_one_used_in_the_other(kms, elsewhere, key_id, usage, SPECS[spec][usage][-1])


def made_in_one_used_in_the_other(here, there, key_id, usage, algorithm):
    if usage == "ENCRYPT_DECRYPT":
        chosen = {"KeyId": key_id, "EncryptionAlgorithm": algorithm}
        blob = here.encrypt(Plaintext=b"x", **chosen)["CiphertextBlob"]
        assert there.decrypt(CiphertextBlob=blob, **chosen)["Plaintext"] == b"x"
    elif usage == "SIGN_VERIFY":
        is_digest = algorithm == "ED25519_PH_SHA_512"
        message = {"Message": bytes(64), "MessageType": "DIGEST" if is_digest else "RAW"}
        chosen = {"KeyId": key_id, "SigningAlgorithm": algorithm, **message}
        assert there.verify(Signature=here.sign(**chosen)["Signature"], **chosen)["SignatureValid"] is True
    elif usage == "GENERATE_VERIFY_MAC":
        chosen = {"KeyId": key_id, "MacAlgorithm": algorithm, "Message": b"x"}
        assert there.verify_mac(Mac=here.generate_mac(**chosen)["Mac"], **chosen)["MacValid"] is True
    elif usage == "KEY_AGREEMENT":
        public = here.get_public_key(KeyId=key_id)["PublicKey"]
        chosen = {"KeyId": key_id, "KeyAgreementAlgorithm": algorithm, "PublicKey": public}
        assert there.derive_shared_secret(**chosen)["SharedSecret"] == here.derive_shared_secret(**chosen)["SharedSecret"]
    else:
        chosen = {"KeyId": key_id, "EncapsulationAlgorithm": algorithm}
        made = here.encapsulate(**chosen)
        blob = made["SharedSecretCiphertextBlob"]
        assert there.decapsulate(SharedSecretCiphertextBlob=blob, **chosen)["SharedSecret"] == made["SharedSecret"]
