"""Rotation of key material: the schedule, rotations on demand, and ciphertexts of every version."""

import datetime

import pytest

from conftest import pages, refused
from local_cluster import wait_until

DAY = datetime.timedelta(days=1)


def status(kms, key_id):
    answer = kms.get_key_rotation_status(KeyId=key_id)
    answer.pop("ResponseMetadata")
    return answer


def rotations(kms, key_id, **request):
    return [entry for page in pages(kms.list_key_rotations, "Rotations", KeyId=key_id, **request) for entry in page]


def empty(answer):
    answer.pop("ResponseMetadata")
    return answer == {}


def in_days(date):
    return (date - datetime.datetime.now(datetime.timezone.utc)) / DAY


def encrypts_with_the_newest(kms, key_id):
    """Waits until the node that answers encrypts with the current version."""
    current = kms.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"]

    def is_newest():
        return kms.generate_data_key(KeyId=key_id, KeySpec="AES_256")["KeyMaterialId"] == current

    wait_until(is_newest, "the newest version to encrypt")


def test_a_key_is_not_rotated_unless_somebody_says_so(kms, key):
    assert status(kms, key["KeyId"]) == {"KeyId": key["KeyId"], "KeyRotationEnabled": False}
    assert rotations(kms, key["KeyId"]) == []


def test_switch_on_and_off(kms, key):
    assert empty(kms.enable_key_rotation(KeyId=key["KeyId"]))
    on = status(kms, key["Arn"])
    next_date = on.pop("NextRotationDate")
    assert on == {"KeyId": key["KeyId"], "KeyRotationEnabled": True, "RotationPeriodInDays": 365}
    assert in_days(next_date) == pytest.approx(365, abs=0.01)
    kms.enable_key_rotation(KeyId=key["KeyId"])
    assert status(kms, key["KeyId"])["NextRotationDate"] == next_date

    kms.enable_key_rotation(KeyId=key["Arn"], RotationPeriodInDays=90)
    changed = status(kms, key["KeyId"])
    assert changed["RotationPeriodInDays"] == 90
    assert in_days(changed["NextRotationDate"]) == pytest.approx(90, abs=0.01)

    for _ in range(2):
        assert empty(kms.disable_key_rotation(KeyId=key["KeyId"]))
        assert status(kms, key["KeyId"]) == {"KeyId": key["KeyId"], "KeyRotationEnabled": False}


@pytest.mark.parametrize("days", [-1, 0, 89, 2561, 10_000])
def test_impossible_periods(kms, key, days):
    with refused("ValidationException"):
        kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=days)
    assert status(kms, key["KeyId"])["KeyRotationEnabled"] is False


@pytest.mark.parametrize("days", [90, 2560])
def test_shortest_and_longest_period(kms, key, days):
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=days)
    assert status(kms, key["KeyId"])["RotationPeriodInDays"] == days


def test_every_version_decrypts_and_the_newest_encrypts(kms, key):
    kms.create_alias(AliasName="alias/rotated", TargetKeyId=key["KeyId"])
    kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "a", "TagValue": "b"}])
    context = {"purpose": "rotation"}
    made, materials = [], []
    for number in range(4):
        text = f"version {number}".encode()
        blob = kms.encrypt(KeyId="alias/rotated", Plaintext=text, EncryptionContext=context)["CiphertextBlob"]
        made.append((text, blob))
        materials.append(kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["CurrentKeyMaterialId"])
        answer = kms.rotate_key_on_demand(KeyId=key["KeyId"])
        assert answer["KeyId"] == key["KeyId"]
        encrypts_with_the_newest(kms, key["KeyId"])
    assert materials[0] == key["CurrentKeyMaterialId"]
    assert len(set(materials)) == 4
    for number, (text, blob) in enumerate(made):
        opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
        assert opened["Plaintext"] == text
        # A node that has not heard of the rotation yet goes on with the version before.
        assert opened["KeyMaterialId"] in materials[max(number - 1, 0) : number + 1]
        assert opened["KeyId"] == key["Arn"]

    # Nothing else of the key has changed.
    after = kms.describe_key(KeyId="alias/rotated")["KeyMetadata"]
    newest = after.pop("CurrentKeyMaterialId")
    key.pop("CurrentKeyMaterialId")
    assert after == key
    assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
    moved = kms.re_encrypt(CiphertextBlob=made[0][1], SourceEncryptionContext=context, DestinationKeyId=key["KeyId"])
    assert moved["SourceKeyMaterialId"] == materials[0]
    assert moved["DestinationKeyMaterialId"] in (materials[-1], newest)
    assert status(kms, key["KeyId"]) == {"KeyId": key["KeyId"], "KeyRotationEnabled": False}


def test_what_was_rotated_when(kms, key):
    before = datetime.datetime.now(datetime.timezone.utc)
    materials = [key["CurrentKeyMaterialId"]]
    for _ in range(5):
        kms.rotate_key_on_demand(KeyId=key["KeyId"])
        materials.append(kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["CurrentKeyMaterialId"])
    done = rotations(kms, key["Arn"])
    assert [entry["KeyMaterialId"] for entry in done] == materials[1:]
    for entry in done:
        assert entry["KeyId"] == key["KeyId"]
        assert entry["RotationType"] == "ON_DEMAND"
        assert abs(entry["RotationDate"] - before) < datetime.timedelta(minutes=2)
        assert {"ImportState", "ExpirationModel", "ValidTo", "KeyMaterialDescription"}.isdisjoint(entry)
    assert [entry["KeyMaterialState"] for entry in done] == ["NON_CURRENT"] * 4 + ["CURRENT"]

    whole = rotations(kms, key["KeyId"], IncludeKeyMaterial="ALL_KEY_MATERIAL")
    assert whole[0] == {
        "KeyId": key["KeyId"], "KeyMaterialId": materials[0], "KeyMaterialState": "NON_CURRENT",
    }
    assert whole[1:] == done
    assert rotations(kms, key["KeyId"], IncludeKeyMaterial="ROTATIONS_ONLY") == done

    for limit in (1, 2, 5, 6, 1000):
        paged = pages(
            kms.list_key_rotations, "Rotations",
            KeyId=key["KeyId"], IncludeKeyMaterial="ALL_KEY_MATERIAL", Limit=limit,
        )
        assert [entry for page in paged for entry in page] == whole
        assert all(len(page) == limit for page in paged[:-1])
    with refused("InvalidMarkerException"):
        kms.list_key_rotations(KeyId=key["KeyId"], Marker="nonsense")
    for limit in (0, 1001):
        with refused("ValidationException"):
            kms.list_key_rotations(KeyId=key["KeyId"], Limit=limit)
    with refused("ValidationException"):
        kms.list_key_rotations(KeyId=key["KeyId"], IncludeKeyMaterial="SOME")


def test_the_first_material_of_a_key_that_was_never_rotated(kms, key):
    assert rotations(kms, key["KeyId"], IncludeKeyMaterial="ALL_KEY_MATERIAL") == [{
        "KeyId": key["KeyId"], "KeyMaterialId": key["CurrentKeyMaterialId"], "KeyMaterialState": "CURRENT",
    }]


def test_at_most_twenty_five_rotations_on_demand(kms, key):
    kms.enable_key_rotation(KeyId=key["KeyId"])
    planned = status(kms, key["KeyId"])
    for _ in range(25):
        kms.rotate_key_on_demand(KeyId=key["KeyId"])
    with refused("LimitExceededException"):
        kms.rotate_key_on_demand(KeyId=key["KeyId"])
    assert len(rotations(kms, key["KeyId"])) == 25
    assert status(kms, key["KeyId"]) == planned


OPERATIONS = ("enable_key_rotation", "disable_key_rotation", "rotate_key_on_demand", "get_key_rotation_status", "list_key_rotations")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_operation_takes_an_alias(kms, key, operation):
    kms.create_alias(AliasName="alias/rotated", TargetKeyId=key["KeyId"])
    for alias in ("alias/rotated", key["Arn"].rsplit(":", 1)[0] + ":alias/rotated"):
        with refused("NotFoundException"):
            getattr(kms, operation)(KeyId=alias)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_keys_that_are_not_there_or_not_ones_own(kms, other, key, operation):
    with refused("NotFoundException"):
        getattr(kms, operation)(KeyId="12345678-1234-1234-1234-123456789012")
    with refused("AccessDeniedException"):
        getattr(other, operation)(KeyId=key["Arn"])


def test_a_disabled_key_keeps_its_schedule(kms, key):
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=100)
    planned = status(kms, key["KeyId"])
    kms.disable_key(KeyId=key["KeyId"])
    assert status(kms, key["KeyId"]) == planned
    kms.enable_key(KeyId=key["KeyId"])
    assert status(kms, key["KeyId"]) == planned


def test_a_key_pending_deletion_has_none_until_it_is_kept(kms, key):
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=100)
    planned = status(kms, key["KeyId"])
    kms.schedule_key_deletion(KeyId=key["KeyId"])
    assert status(kms, key["KeyId"]) == {"KeyId": key["KeyId"], "KeyRotationEnabled": False}
    kms.cancel_key_deletion(KeyId=key["KeyId"])
    assert status(kms, key["KeyId"]) == planned


def test_rotating_while_the_key_is_used(kms, key):
    made = []
    for number in range(30):
        if number % 3 == 0 and number < 24:
            kms.rotate_key_on_demand(KeyId=key["KeyId"])
        made.append(kms.encrypt(KeyId=key["KeyId"], Plaintext=str(number).encode())["CiphertextBlob"])
    for number, blob in enumerate(made):
        assert kms.decrypt(CiphertextBlob=blob, KeyId=key["KeyId"])["Plaintext"] == str(number).encode()
