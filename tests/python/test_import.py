"""Imported key material, wrapped by other implementations, and everything that must not be imported."""

import datetime
import hmac
import itertools
import os

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from conftest import key_state, refused, refused_soon, wait_for_state
from key_import import (
    HYBRID, OAEP, RAW, RSA, USAGES, WRAPPING_SPECS, import_material, is_offered, new_material, parameters, pkcs8,
    private_key, wrap, wrap_by_openssl,
)
from local_cluster import wait_until

COMBINATIONS = list(itertools.product(USAGES, WRAPPING_SPECS, OAEP + HYBRID))
OFFERED = [combination for combination in COMBINATIONS if is_offered(*combination)]
NOT_OFFERED = [combination for combination in COMBINATIONS if not is_offered(*combination)]
FOR_EVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}


def test_every_combination_is_tried():
    assert (len(OFFERED), len(NOT_OFFERED)) == (124, 20)


def external(kms, spec="SYMMETRIC_DEFAULT", **request):
    """The metadata of a new key that waits for its material."""
    request.setdefault("KeyUsage", USAGES[spec])
    return kms.create_key(Origin="EXTERNAL", KeySpec=spec, **request)["KeyMetadata"]


def in_days(number):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=number)


def metadata(kms, key_id):
    return kms.describe_key(KeyId=key_id)["KeyMetadata"]


@pytest.fixture
def key(kms):
    return external(kms)


@pytest.mark.parametrize("spec", USAGES)
def test_a_new_key_waits_for_its_material(kms, spec):
    key = external(kms, spec, MultiRegion=spec in RSA)
    assert (key["Origin"], key["KeyState"], key["Enabled"]) == ("EXTERNAL", "PendingImport", False)
    assert (key["KeySpec"], key["KeyUsage"]) == (spec, USAGES[spec])
    assert not {"ExpirationModel", "ValidTo", "CurrentKeyMaterialId"} & set(key)
    algorithms = {"SYMMETRIC_DEFAULT": "EncryptionAlgorithms"}.get(spec, "MacAlgorithms" if spec in RAW else "SigningAlgorithms")
    assert key[algorithms]
    assert metadata(kms, key["KeyId"]) == key


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ECC_NIST_EDWARDS25519"])
def test_specs_that_take_no_imports(kms, spec):
    with refused("UnsupportedOperationException"):
        kms.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage="SIGN_VERIFY")


def test_parameters(kms, key):
    given = parameters(kms, key["KeyId"], "RSA_AES_KEY_WRAP_SHA_256", "RSA_3072")
    assert given["KeyId"] == key["Arn"]
    assert abs(given["ParametersValidTo"] - in_days(1)) < datetime.timedelta(minutes=1)
    assert 0 < len(given["ImportToken"]) <= 6144
    public_key = serialization.load_der_public_key(given["PublicKey"])
    assert isinstance(public_key, rsa.RSAPublicKey)
    assert public_key.key_size == 3072
    again = parameters(kms, key["KeyId"], "RSA_AES_KEY_WRAP_SHA_256", "RSA_3072")
    assert again["PublicKey"] != given["PublicKey"]
    assert metadata(kms, key["KeyId"]) == key


@pytest.mark.parametrize(("spec", "wrapping_spec", "algorithm"), OFFERED)
def test_import(kms, tmp_path, spec, wrapping_spec, algorithm):
    key = external(kms, spec)
    material = new_material(spec)
    given = parameters(kms, key["Arn"], algorithm, wrapping_spec)
    encrypted = wrap(algorithm, given["PublicKey"], material)
    answer = kms.import_key_material(
        KeyId=key["Arn"], ImportToken=given["ImportToken"], EncryptedKeyMaterial=encrypted, **FOR_EVER
    )
    assert answer["KeyId"] == key["Arn"]
    assert ("KeyMaterialId" in answer) == (spec == "SYMMETRIC_DEFAULT")
    imported = metadata(kms, key["KeyId"])
    expected = {**key, "KeyState": "Enabled", "Enabled": True, **FOR_EVER}
    if spec == "SYMMETRIC_DEFAULT":
        expected["CurrentKeyMaterialId"] = answer["KeyMaterialId"]
    assert imported == expected

    # The same material once more, by another client and under the same wrapping key: it is the same key still.
    encrypted = wrap_by_openssl(tmp_path, algorithm, given["PublicKey"], material)
    again = kms.import_key_material(
        KeyId=key["Arn"], ImportToken=given["ImportToken"], EncryptedKeyMaterial=encrypted, **FOR_EVER
    )
    assert again.get("KeyMaterialId") == answer.get("KeyMaterialId")
    assert metadata(kms, key["KeyId"]) == expected
    works(kms, key["Arn"], spec, material)


def works(kms, arn, spec, material):
    """The key does what the material does outside."""
    if spec == "SYMMETRIC_DEFAULT":
        blob = kms.encrypt(KeyId=arn, Plaintext=b"imported")["CiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"imported"
    elif spec in RAW:
        size = spec.removeprefix("HMAC_")
        made = kms.generate_mac(KeyId=arn, Message=b"imported", MacAlgorithm=f"HMAC_SHA_{size}")["Mac"]
        assert made == hmac.digest(material, b"imported", f"sha{size}")
    else:
        signs_alike(kms, arn, spec, serialization.load_der_private_key(material, None))


def signs_alike(kms, arn, spec, private):
    """What either side signs, the other one verifies."""
    assert kms.get_public_key(KeyId=arn)["PublicKey"] == public_half(private)
    if spec in RSA:
        algorithm, hash_ = "RSASSA_PSS_SHA_256", hashes.SHA256()
        parameters_ = (padding.PSS(padding.MGF1(hash_), hash_.digest_size), hash_)
    else:
        bits = {"ECC_NIST_P384": 384, "ECC_NIST_P521": 512}.get(spec, 256)
        algorithm, hash_ = f"ECDSA_SHA_{bits}", getattr(hashes, f"SHA{bits}")()
        parameters_ = (ec.ECDSA(hash_),)
    theirs = kms.sign(KeyId=arn, Message=b"imported", SigningAlgorithm=algorithm)["Signature"]
    private.public_key().verify(theirs, b"imported", *parameters_)
    ours = private.sign(b"imported", *parameters_)
    assert kms.verify(KeyId=arn, Message=b"imported", Signature=ours, SigningAlgorithm=algorithm)["SignatureValid"]


@pytest.mark.parametrize(("spec", "wrapping_spec", "algorithm"), NOT_OFFERED)
def test_combinations_that_are_refused(kms, spec, wrapping_spec, algorithm):
    key = external(kms, spec)
    with refused("UnsupportedOperationException"):
        parameters(kms, key["KeyId"], algorithm, wrapping_spec)


@pytest.mark.parametrize("spec", USAGES)
@pytest.mark.parametrize(
    ("algorithm", "wrapping_spec"),
    [("RSAES_PKCS1_V1_5", "RSA_2048"), ("SM2PKE", "SM2"), ("SM2PKE", "RSA_2048"), ("RSAES_OAEP_SHA_256", "SM2")],
)
def test_algorithms_that_are_no_more_or_elsewhere(kms, spec, algorithm, wrapping_spec):
    key = external(kms, spec)
    with refused("UnsupportedOperationException"):
        parameters(kms, key["KeyId"], algorithm, wrapping_spec)


WRONG_LENGTHS = [(spec, length) for spec, right in RAW.items() for length in (1, 16, 28, 31, 32, 33, 48, 64, 100) if length != right]


@pytest.mark.parametrize(("spec", "length"), WRONG_LENGTHS)
def test_material_of_another_length(kms, spec, length):
    key = external(kms, spec)
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, key["KeyId"], os.urandom(length))
    assert metadata(kms, key["KeyId"]) == key


def encrypted_pkcs8(key):
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )


def traditional(key):
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def public_half(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


NO_KEYS = {
    "another size": lambda spec: pkcs8(private_key("RSA_3072" if spec == "RSA_2048" else "RSA_2048")),
    "another curve": lambda spec: pkcs8(private_key("ECC_NIST_P384" if spec == "ECC_NIST_P256" else "ECC_NIST_P256")),
    "encrypted": lambda spec: encrypted_pkcs8(private_key(spec)),
    "not PKCS #8": lambda spec: traditional(private_key(spec)),
    "a public key": lambda spec: public_half(private_key(spec)),
    "PEM": lambda spec: private_key(spec).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ),
    "cut": lambda spec: pkcs8(private_key(spec))[:-1],
    "grown": lambda spec: pkcs8(private_key(spec)) + b"\0",
    "noise": lambda spec: os.urandom(200),
}


@pytest.mark.parametrize("what", NO_KEYS)
@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "ECC_SECG_P256K1"])
def test_what_is_no_private_key_of_the_spec(kms, spec, what):
    key = external(kms, spec)
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, key["KeyId"], NO_KEYS[what](spec), "RSA_AES_KEY_WRAP_SHA_256")
    assert metadata(kms, key["KeyId"]) == key


def test_the_other_encoding_of_a_curve_is_the_same_key(kms, tmp_path):
    """A private key without its public half, which is optional (RFC 5915)."""
    key = external(kms, "ECC_NIST_P256")
    import_material(kms, key["KeyId"], pkcs8(private_key("ECC_NIST_P256")))
    scalar = private_key("ECC_NIST_P256").private_numbers().private_value.to_bytes(32, "big")
    short = bytes.fromhex("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420") + scalar
    import_material(kms, key["KeyId"], short)


def test_material_that_is_wrapped_otherwise(kms, key):
    one, two = parameters(kms, key["KeyId"]), parameters(kms, key["KeyId"])
    material = os.urandom(32)
    right = wrap("RSAES_OAEP_SHA_256", one["PublicKey"], material)
    wrong = {
        "by another key": wrap("RSAES_OAEP_SHA_256", two["PublicKey"], material),
        "by another hash": wrap("RSAES_OAEP_SHA_1", one["PublicKey"], material),
        "by the hybrid": wrap("RSA_AES_KEY_WRAP_SHA_256", one["PublicKey"], material),
        "cut": right[:-1],
        "grown": right + b"\0",
        "changed": right[:-1] + bytes([right[-1] ^ 1]),
        "not at all": material,
        "noise": os.urandom(256),
        "as long as it may be": os.urandom(6144),
        "by an old padding": serialization.load_der_public_key(one["PublicKey"]).encrypt(material, padding.PKCS1v15()),
    }
    for what, encrypted in wrong.items():
        print(what)
        with refused("InvalidCiphertextException"):
            kms.import_key_material(
                KeyId=key["KeyId"], ImportToken=one["ImportToken"], EncryptedKeyMaterial=encrypted, **FOR_EVER
            )
        assert metadata(kms, key["KeyId"]) == key
    kms.import_key_material(KeyId=key["KeyId"], ImportToken=one["ImportToken"], EncryptedKeyMaterial=right, **FOR_EVER)


def test_an_older_wrapping_key_stays_good(kms, key):
    old = parameters(kms, key["KeyId"], "RSA_AES_KEY_WRAP_SHA_1", "RSA_3072")
    parameters(kms, key["KeyId"])
    encrypted = wrap("RSA_AES_KEY_WRAP_SHA_1", old["PublicKey"], os.urandom(32))
    kms.import_key_material(KeyId=key["KeyId"], ImportToken=old["ImportToken"], EncryptedKeyMaterial=encrypted, **FOR_EVER)
    assert key_state(kms, key["KeyId"]) == "Enabled"


def test_tokens_that_are_not_for_this_key(kms, client_for, account, key):
    there = client_for(account, "eu-west-1")
    given = parameters(kms, key["KeyId"])
    token = given["ImportToken"]
    elsewhere = external(there)
    tokens = {
        "of another key": parameters(kms, external(kms)["KeyId"])["ImportToken"],
        "of another Region": parameters(there, elsewhere["KeyId"])["ImportToken"],
        "changed in its head": bytes([token[0] ^ 1]) + token[1:],
        "changed in its date": token[:20] + bytes([token[20] ^ 1]) + token[21:],
        "changed at its end": token[:-1] + bytes([token[-1] ^ 1]),
        "cut": token[:-1],
        "grown": token + b"\0",
        "short": b"\0",
        "noise": os.urandom(6144),
    }
    encrypted = wrap("RSAES_OAEP_SHA_256", given["PublicKey"], os.urandom(32))
    for what, other in tokens.items():
        print(what)
        with refused("InvalidImportTokenException"):
            kms.import_key_material(KeyId=key["KeyId"], ImportToken=other, EncryptedKeyMaterial=encrypted, **FOR_EVER)
    assert metadata(kms, key["KeyId"]) == key


def import_for_a_moment(kms, key_id, material, algorithm="RSAES_OAEP_SHA_256"):
    """Imports material that expires while the test looks on; gives the time of its end."""
    given = parameters(kms, key_id, algorithm)
    encrypted = wrap(algorithm, given["PublicKey"], material)
    # Far enough away for a slow machine to get the request through.
    ends = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=6)).replace(microsecond=0)
    kms.import_key_material(
        KeyId=key_id, ImportToken=given["ImportToken"], EncryptedKeyMaterial=encrypted, ValidTo=ends
    )
    return ends


def test_a_key_takes_its_own_material_only(kms, key):
    material, other = os.urandom(32), os.urandom(32)
    first = import_material(kms, key["KeyId"], material)["KeyMaterialId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]

    def takes_no_other():
        with refused("IncorrectKeyMaterialException"):
            import_material(kms, key["KeyId"], other)

    takes_no_other()
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    takes_no_other()
    import_for_a_moment(kms, key["KeyId"], material, "RSA_AES_KEY_WRAP_SHA_1")
    wait_for_state(kms, key["KeyId"], "PendingImport")
    takes_no_other()
    import_material(kms, key["KeyId"], material, ValidTo=in_days(300), KeyMaterialId=first)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"


def test_material_that_expires(kms, key):
    ends = in_days(10).replace(microsecond=0)
    material = os.urandom(32)
    import_material(kms, key["KeyId"], material, ValidTo=ends)  # the model is the default
    described = metadata(kms, key["KeyId"])
    assert (described["ExpirationModel"], described["ValidTo"]) == ("KEY_MATERIAL_EXPIRES", ends)
    later = in_days(364).replace(microsecond=0)
    import_material(kms, key["KeyId"], material, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=later)
    assert metadata(kms, key["KeyId"])["ValidTo"] == later
    import_material(kms, key["KeyId"], material)
    described = metadata(kms, key["KeyId"])
    assert described["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE"
    assert "ValidTo" not in described

    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    soon = import_for_a_moment(kms, key["KeyId"], material)
    wait_for_state(kms, key["KeyId"], "PendingImport")
    described = metadata(kms, key["KeyId"])
    assert (described["ExpirationModel"], described["ValidTo"]) == ("KEY_MATERIAL_EXPIRES", soon)
    assert (described["Origin"], described["Enabled"]) == ("EXTERNAL", False)
    pending = f"{key['Arn']} is pending import."
    refused_soon("KMSInvalidStateException", pending, lambda: kms.decrypt(CiphertextBlob=blob))


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"ExpirationModel": "KEY_MATERIAL_EXPIRES"},
        {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", "ValidTo": in_days(1)},
        {"ValidTo": in_days(-1)},
        {"ValidTo": in_days(366)},
        {"ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": in_days(0)},
        {**FOR_EVER, "ImportType": "NEW_KEY_MATERIAL", "KeyMaterialId": "0" * 64},
        {**FOR_EVER, "KeyMaterialId": "0" * 63},
        {**FOR_EVER, "KeyMaterialDescription": "not, this"},
    ],
    ids=str,
)
def test_requests_that_contradict_themselves(kms, key, request_):
    given = parameters(kms, key["KeyId"])
    with refused("ValidationException"):
        kms.import_key_material(
            KeyId=key["KeyId"], ImportToken=given["ImportToken"],
            EncryptedKeyMaterial=wrap("RSAES_OAEP_SHA_256", given["PublicKey"], os.urandom(32)), **request_,
        )
    assert metadata(kms, key["KeyId"]) == key


def test_deleting_material(kms, key):
    material = os.urandom(32)
    material_id = import_material(kms, key["KeyId"], material)["KeyMaterialId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    deleted = kms.delete_imported_key_material(KeyId=key["Arn"])
    deleted.pop("ResponseMetadata")
    assert deleted == {"KeyId": key["Arn"], "KeyMaterialId": material_id}
    assert (key_state(kms, key["KeyId"]), metadata(kms, key["KeyId"])["Enabled"]) == ("PendingImport", False)
    pending = f"{key['Arn']} is pending import."
    refused_soon("KMSInvalidStateException", pending, lambda: kms.decrypt(CiphertextBlob=blob))
    with refused("KMSInvalidStateException", pending):
        kms.enable_key(KeyId=key["KeyId"])
    kms.delete_imported_key_material(KeyId=key["Arn"], KeyMaterialId=material_id)  # no effect
    with refused("NotFoundException"):
        kms.delete_imported_key_material(KeyId=key["Arn"], KeyMaterialId="0" * 64)
    import_material(kms, key["KeyId"], material)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"


def test_deleting_material_of_a_key_that_is_to_be_deleted(kms, key):
    import_material(kms, key["KeyId"], os.urandom(32))
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    kms.delete_imported_key_material(KeyId=key["KeyId"])
    assert key_state(kms, key["KeyId"]) == "PendingDeletion"
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    assert key_state(kms, key["KeyId"]) == "PendingImport"


def test_a_disabled_key_stays_disabled(kms, key):
    material = os.urandom(32)
    import_material(kms, key["KeyId"], material)
    kms.disable_key(KeyId=key["KeyId"])
    import_material(kms, key["KeyId"], material)
    assert key_state(kms, key["KeyId"]) == "Disabled"


def test_the_same_bytes_in_two_symmetric_keys_are_two_keys(kms, key):
    other, material = external(kms), os.urandom(32)
    ids = {import_material(kms, one["KeyId"], material)["KeyMaterialId"] for one in (key, other)}
    assert len(ids) == 2
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("IncorrectKeyException"):
        kms.decrypt(CiphertextBlob=blob, KeyId=other["KeyId"])


def test_the_same_rsa_key_in_two_kms_keys_is_one_key(kms):
    material, blobs = new_material("RSA_2048"), []
    keys = [external(kms, "RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["Arn"] for _ in range(2)]
    rsa_oaep = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    for arn in keys:
        import_material(kms, arn, material, "RSA_AES_KEY_WRAP_SHA_256")
        blobs.append(kms.encrypt(KeyId=arn, Plaintext=b"either", **rsa_oaep)["CiphertextBlob"])
    for arn, blob in itertools.product(keys, blobs):
        assert kms.decrypt(KeyId=arn, CiphertextBlob=blob, **rsa_oaep)["Plaintext"] == b"either"


def test_new_material_beside_the_current_one(kms, key):
    first, second = os.urandom(32), os.urandom(32)
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, key["KeyId"], first, ImportType="EXISTING_KEY_MATERIAL")
    current = import_material(kms, key["KeyId"], first, KeyMaterialDescription="of 2024: first")["KeyMaterialId"]
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, key["KeyId"], first, ImportType="NEW_KEY_MATERIAL")
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, key["KeyId"], first, KeyMaterialId="0" * 64)
    waits = import_material(kms, key["KeyId"], second, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]
    assert waits != current
    described = metadata(kms, key["KeyId"])
    assert (described["CurrentKeyMaterialId"], described["KeyState"]) == (current, "Enabled")
    with refused("KMSInvalidStateException"):
        import_material(kms, key["KeyId"], os.urandom(32), ImportType="NEW_KEY_MATERIAL")
    assert import_material(kms, key["KeyId"], second, KeyMaterialId=waits)["KeyMaterialId"] == waits
    # What waits for its rotation is not the key's own yet: it can go, and something else come.
    kms.delete_imported_key_material(KeyId=key["KeyId"], KeyMaterialId=waits)
    assert key_state(kms, key["KeyId"]) == "Enabled"
    import_material(kms, key["KeyId"], os.urandom(32), ImportType="NEW_KEY_MATERIAL")


def test_new_material_is_rotated_to(kms, key):
    first, second = os.urandom(32), os.urandom(32)
    former = import_material(kms, key["KeyId"], first)["KeyMaterialId"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"before")["CiphertextBlob"]
    with refused("KMSInvalidStateException"):
        kms.rotate_key_on_demand(KeyId=key["KeyId"])
    current = import_material(kms, key["KeyId"], second, ImportType="NEW_KEY_MATERIAL")["KeyMaterialId"]

    def versions():
        listed = kms.list_key_rotations(KeyId=key["KeyId"], IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
        return {entry["KeyMaterialId"]: (entry["KeyMaterialState"], entry["ImportState"]) for entry in listed}

    assert versions() == {former: ("CURRENT", "IMPORTED"), current: ("PENDING_ROTATION", "IMPORTED")}
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    wait_until(lambda: metadata(kms, key["KeyId"])["CurrentKeyMaterialId"] == current, "the rotation to be done")
    assert versions() == {former: ("NON_CURRENT", "IMPORTED"), current: ("CURRENT", "IMPORTED")}
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"before"
    # From now on the key needs both.
    kms.delete_imported_key_material(KeyId=key["KeyId"], KeyMaterialId=former)
    assert key_state(kms, key["KeyId"]) == "PendingImport"
    assert versions()[former] == ("NON_CURRENT", "PENDING_IMPORT")
    import_material(kms, key["KeyId"], first)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"before"


@pytest.mark.parametrize("spec", ["HMAC_256", "RSA_2048", "ECC_NIST_P256"])
def test_versions_are_for_symmetric_keys(kms, spec):
    key = external(kms, spec)
    algorithm = "RSA_AES_KEY_WRAP_SHA_256"
    for request in (
        {"ImportType": "NEW_KEY_MATERIAL"}, {"ImportType": "EXISTING_KEY_MATERIAL"}, {"KeyMaterialDescription": "a"},
        {"KeyMaterialId": "0" * 64},
    ):
        with refused("UnsupportedOperationException"):
            import_material(kms, key["KeyId"], new_material(spec), algorithm, **request)
    import_material(kms, key["KeyId"], new_material(spec), algorithm)
    if spec == "HMAC_256":
        with refused("IncorrectKeyMaterialException"):
            import_material(kms, key["KeyId"], new_material(spec), algorithm)


def test_identifiers(kms, other, key):
    given = parameters(kms, key["KeyId"])
    kms.create_alias(AliasName="alias/imported", TargetKeyId=key["KeyId"])
    encrypted = wrap("RSAES_OAEP_SHA_256", given["PublicKey"], os.urandom(32))
    calls = [
        lambda kms, key_id: parameters(kms, key_id),
        lambda kms, key_id: kms.import_key_material(
            KeyId=key_id, ImportToken=given["ImportToken"], EncryptedKeyMaterial=encrypted, **FOR_EVER
        ),
        lambda kms, key_id: kms.delete_imported_key_material(KeyId=key_id),
    ]
    for call in calls:
        with refused("NotFoundException"):
            call(kms, "alias/imported")
        with refused("NotFoundException"):
            call(kms, "1234abcd-12ab-34cd-56ef-1234567890ab")
        with refused("AccessDeniedException"):
            call(other, key["Arn"])
        call(kms, key["Arn"])


def test_keys_of_generated_material_take_no_imports(kms):
    key = kms.create_key()["KeyMetadata"]
    given = parameters(kms, external(kms)["KeyId"])
    message = f"{key['Arn']} origin is AWS_KMS which is not valid for this operation."
    with refused("UnsupportedOperationException", message):
        parameters(kms, key["KeyId"])
    with refused("UnsupportedOperationException", message):
        kms.import_key_material(
            KeyId=key["KeyId"], ImportToken=given["ImportToken"], EncryptedKeyMaterial=b"x", **FOR_EVER
        )
    with refused("UnsupportedOperationException", message):
        kms.delete_imported_key_material(KeyId=key["KeyId"])


def test_every_node_finishes_what_another_began(kms, client_for, account, cluster, key):
    """Requests go to the nodes of a Region in turn, so that token and import meet different ones."""
    material = os.urandom(32)
    for _ in range(4):
        import_material(kms, key["KeyId"], material)
    assert key_state(kms, key["KeyId"]) == "Enabled"


def test_a_replica_waits_for_the_material_of_its_primary(kms, client_for, account):
    there = client_for(account, "eu-west-1")
    primary = external(kms, MultiRegion=True)
    with refused("KMSInvalidStateException", f"{primary['Arn']} is pending import."):
        kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    material = os.urandom(32)
    material_id = import_material(kms, primary["KeyId"], material, ValidTo=in_days(30))["KeyMaterialId"]
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(there, primary["KeyId"], "PendingImport")
    replica = metadata(there, primary["KeyId"])
    assert (replica["Origin"], replica["Enabled"]) == ("EXTERNAL", False)
    assert not {"ExpirationModel", "ValidTo"} & set(replica)

    given = parameters(kms, primary["KeyId"])
    encrypted = wrap("RSAES_OAEP_SHA_256", given["PublicKey"], material)
    with refused("InvalidImportTokenException"):  # each Region has its own wrapping keys
        there.import_key_material(
            KeyId=primary["KeyId"], ImportToken=given["ImportToken"], EncryptedKeyMaterial=encrypted, **FOR_EVER
        )
    with refused("IncorrectKeyMaterialException"):
        import_material(there, primary["KeyId"], os.urandom(32))
    assert import_material(there, primary["KeyId"], material)["KeyMaterialId"] == material_id
    replica = metadata(there, primary["KeyId"])
    assert (replica["KeyState"], replica["ExpirationModel"]) == ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE")
    blob = kms.encrypt(KeyId=primary["KeyId"], Plaintext=b"both")["CiphertextBlob"]
    assert there.decrypt(CiphertextBlob=blob)["Plaintext"] == b"both"

    # Each key has its material for itself.
    kms.delete_imported_key_material(KeyId=primary["KeyId"])
    assert there.decrypt(CiphertextBlob=blob)["Plaintext"] == b"both"
    there.delete_imported_key_material(KeyId=primary["KeyId"])
    import_material(there, primary["KeyId"], material)
    assert (key_state(kms, primary["KeyId"]), key_state(there, primary["KeyId"])) == ("PendingImport", "Enabled")
    with refused("IncorrectKeyMaterialException"):
        import_material(kms, primary["KeyId"], os.urandom(32))
