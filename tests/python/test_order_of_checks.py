"""The order of checks: a request that is wrong in every way is repaired one step at a time, and each refusal is the next one.

Signature, parameters, existence of the key, permission, key state, usage and algorithm, content, dry run. So nobody learns
whether a key exists without a signature, nor its state without permission.
"""

import base64
import dataclasses
import itertools
import json

import pytest

import service_model as model
from local_cluster import wait_until
from raw_wire import JSON

SYMMETRIC = {}
HMAC = {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}
SIGNING = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
AGREEMENT = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}
ENCAPSULATION = {"KeySpec": "ML_KEM_512", "KeyUsage": "ENCAPSULATE_DECAPSULATE"}
IMPORTED = {"Origin": "EXTERNAL"}
MULTI_REGION = {"MultiRegion": True}

# A state that an operation refuses, and how.
DISABLED = ("Disabled", "DisabledException", "is disabled.")
PENDING = ("PendingDeletion", "KMSInvalidStateException", "is pending deletion.")
NOT_PENDING = ("Enabled", "KMSInvalidStateException", "is not pending deletion.")

USAGE, UNSUPPORTED = "InvalidKeyUsageException", "UnsupportedOperationException"
BYTES = base64.b64encode(b"canary").decode()
ACCOUNTS = itertools.count(700_000_000_001)


@dataclasses.dataclass
class Row:
    """One operation on a key: the key that it is for, and how it can be wrong."""

    key: dict
    members: dict = dataclasses.field(default_factory=dict)
    refused_state: tuple | None = None
    state: str = "Enabled"
    # Either members that are wrong for the key, or a key that is wrong for the operation; and the refusal of either.
    wrong_members: dict | None = None
    wrong_key: dict | None = None
    wrong: str = USAGE
    dry_run: bool = False
    identifier: str = "KeyId"
    # What a stranger is told.
    denied: str = "AccessDeniedException"
    # The end of the ladder where that is a refusal: the rest takes what this test does not make.
    end: str | None = None


def cryptography(key, members, **wrong):
    return Row(key, members, DISABLED, dry_run=True, **wrong)


def rotation(**row):
    return Row(SYMMETRIC, wrong_key=SIGNING, wrong=UNSUPPORTED, **row)


def importing(members, **row):
    return Row(IMPORTED, members, wrong_key=SYMMETRIC, wrong=UNSUPPORTED, state="PendingImport", **row)


MAC = {"Message": BYTES, "MacAlgorithm": "HMAC_SHA_256"}
SIGNATURE = {"Message": BYTES, "SigningAlgorithm": "ECDSA_SHA_256"}
KEM = {"EncapsulationAlgorithm": "ML_KEM"}
OTHER_CIPHER, OTHER_MAC = {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}, {"MacAlgorithm": "HMAC_SHA_512"}
OTHER_SIGNATURE = {"SigningAlgorithm": "RSASSA_PSS_SHA_256"}

# Members that only the right key can fill are given by `Ladder.fill`; before that they are `PLACEHOLDERS`.
ROWS = {
    "Encrypt": cryptography(SYMMETRIC, {"Plaintext": BYTES}, wrong_members=OTHER_CIPHER),
    "Decrypt": cryptography(SYMMETRIC, {"CiphertextBlob": None}, wrong_members=OTHER_CIPHER),
    "ReEncrypt": Row(
        SYMMETRIC, {"CiphertextBlob": None}, DISABLED, dry_run=True, identifier="DestinationKeyId",
        wrong_members={"DestinationEncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
    ),
    "GenerateDataKey": cryptography(SYMMETRIC, {"KeySpec": "AES_256"}, wrong_key=HMAC),
    "GenerateDataKeyWithoutPlaintext": cryptography(SYMMETRIC, {"KeySpec": "AES_256"}, wrong_key=HMAC),
    "GenerateDataKeyPair": cryptography(SYMMETRIC, {"KeyPairSpec": "ECC_NIST_P256"}, wrong_key=SIGNING),
    "GenerateDataKeyPairWithoutPlaintext": cryptography(SYMMETRIC, {"KeyPairSpec": "ECC_NIST_P256"}, wrong_key=SIGNING),
    "GenerateMac": cryptography(HMAC, MAC, wrong_members=OTHER_MAC),
    "VerifyMac": cryptography(HMAC, {**MAC, "Mac": None}, wrong_members=OTHER_MAC),
    "Sign": cryptography(SIGNING, SIGNATURE, wrong_members=OTHER_SIGNATURE),
    "Verify": cryptography(SIGNING, {**SIGNATURE, "Signature": None}, wrong_members=OTHER_SIGNATURE),
    "DeriveSharedSecret": cryptography(AGREEMENT, {"KeyAgreementAlgorithm": "ECDH", "PublicKey": None}, wrong_key=SIGNING),
    "Encapsulate": cryptography(ENCAPSULATION, KEM, wrong_key=SIGNING),
    "Decapsulate": cryptography(ENCAPSULATION, {**KEM, "SharedSecretCiphertextBlob": None}, wrong_key=SIGNING),
    "GetPublicKey": Row(SIGNING, refused_state=DISABLED, wrong_key=SYMMETRIC, wrong=UNSUPPORTED),
    "CreateGrant": Row(
        SYMMETRIC, {"GranteePrincipal": "arn:aws:iam::111122223333:root", "Operations": ["Decrypt"]}, DISABLED, dry_run=True
    ),
    "ListGrants": Row(SYMMETRIC),
    # The grant itself says who may retire it, so there is nothing to deny where there is no grant.
    "RetireGrant": Row(SYMMETRIC, {"GrantId": None}, dry_run=True, denied="NotFoundException"),
    "RevokeGrant": Row(SYMMETRIC, {"GrantId": None}, dry_run=True),
    "DescribeKey": Row(SYMMETRIC),
    "GetKeyLastUsage": Row(SYMMETRIC),
    "GetKeyPolicy": Row(SYMMETRIC),
    "ListAliases": Row(SYMMETRIC),
    "ListKeyPolicies": Row(SYMMETRIC),
    "ListResourceTags": Row(SYMMETRIC),
    "PutKeyPolicy": Row(
        SYMMETRIC, {"Policy": None}, wrong_members={"Policy": "{}"}, wrong="MalformedPolicyDocumentException"
    ),
    "ListKeyRotations": rotation(),
    "GetKeyRotationStatus": Row(SYMMETRIC),  # off for every other kind of key
    "EnableKeyRotation": rotation(refused_state=DISABLED),
    "DisableKeyRotation": rotation(refused_state=DISABLED),
    "RotateKeyOnDemand": rotation(refused_state=DISABLED),
    "EnableKey": Row(SYMMETRIC, refused_state=PENDING),
    "DisableKey": Row(SYMMETRIC, refused_state=PENDING),
    "ScheduleKeyDeletion": Row(SYMMETRIC, refused_state=PENDING),
    "CancelKeyDeletion": Row(SYMMETRIC, refused_state=NOT_PENDING, state="PendingDeletion"),
    "UpdateKeyDescription": Row(SYMMETRIC, {"Description": "new"}, PENDING),
    "TagResource": Row(SYMMETRIC, {"Tags": [{"TagKey": "a", "TagValue": "b"}]}, PENDING),
    "UntagResource": Row(SYMMETRIC, {"TagKeys": ["a"]}, PENDING),
    "CreateAlias": Row(SYMMETRIC, {"AliasName": None}, PENDING, identifier="TargetKeyId"),
    "UpdateAlias": Row(SYMMETRIC, {"AliasName": None}, PENDING, identifier="TargetKeyId"),
    "ReplicateKey": Row(
        MULTI_REGION, {"ReplicaRegion": "eu-west-1"}, DISABLED, wrong_key=SYMMETRIC, wrong=UNSUPPORTED
    ),
    "UpdatePrimaryRegion": Row(
        MULTI_REGION, {"PrimaryRegion": "eu-west-1"}, DISABLED, wrong_key=SYMMETRIC, wrong=UNSUPPORTED, end="NotFoundException"
    ),
    "GetParametersForImport": importing(
        {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}, refused_state=PENDING
    ),
    "ImportKeyMaterial": importing(
        {"ImportToken": BYTES, "EncryptedKeyMaterial": BYTES, "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"},
        refused_state=PENDING, end="InvalidImportTokenException",
    ),
    "DeleteImportedKeyMaterial": importing({}),
}
# The other of the two keys of ReEncrypt; in both rows the one that is not climbed about is right from the start.
RE_ENCRYPT_FROM = Row(
    SYMMETRIC, {"CiphertextBlob": None}, DISABLED, dry_run=True, identifier="SourceKeyId",
    wrong_members={"SourceEncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
)
PLACEHOLDERS = {"AliasName": "alias/nowhere", "GrantId": "0" * 64, "Policy": "{}"}


def test_every_operation_on_a_key_has_a_row():
    def takes_a_key(operation):
        members = model.SHAPES[model.input_of(operation)]["members"]
        return any(member["shape"] == "KeyIdType" for member in members.values())

    assert set(ROWS) == set(filter(takes_a_key, model.OPERATIONS))


@pytest.mark.parametrize(
    ("operation", "row"), [*ROWS.items(), ("ReEncrypt", RE_ENCRYPT_FROM)], ids=[*ROWS, "ReEncryptFrom"]
)
def test_a_request_is_repaired_step_by_step(wire, operation, row):
    ladder = Ladder(wire, operation, row)
    ladder.refused_unsigned("")
    ladder.refused("", "InvalidSignatureException", secret="wrong")
    ladder.refused("", "ValidationException", "Member must have length greater than or equal to 1")
    nowhere = f"arn:aws:kms:us-east-1:{ladder.owner}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    ladder.refused(nowhere, "NotFoundException", f"'{nowhere}' does not exist")
    state, code, words = row.refused_state or (row.state, None, None)
    ladder.refused(ladder.new_key(row.key, state, ladder.stranger), row.denied)
    if row.refused_state:
        ladder.refused_in_state(ladder.new_key(row.key, state), code, words)
    key = ladder.new_key(row.key, row.state)
    if row.wrong_key is not None:
        ladder.refused(ladder.new_key(row.wrong_key, "Enabled"), row.wrong)
    ladder.fill(key)
    if row.wrong_members:
        ladder.refused(key, row.wrong)
        ladder.wrong.clear()
    if row.dry_run:
        ladder.refused(key, "DryRunOperationException", dry_run=True)
    ladder.reaches_the_end(key)


@pytest.mark.parametrize(("operation", "row"), [("Decrypt", ROWS["Decrypt"]), ("ReEncrypt", RE_ENCRYPT_FROM)])
def test_a_dry_run_of_what_cannot_be_opened_would_not_have_succeeded(wire, operation, row):
    ladder = Ladder(wire, operation, row)
    key = ladder.new_key(SYMMETRIC, "Enabled")
    ladder.fill(key)
    ladder.wrong.clear()
    good = base64.b64decode(ladder.members["CiphertextBlob"])
    ladder.members["CiphertextBlob"] = base64.b64encode(good[:-1] + bytes([good[-1] ^ 1])).decode()
    ladder.refused(key, "InvalidCiphertextException")
    ladder.members["CiphertextBlob"] = base64.b64encode(good).decode()
    ladder.refused(key, "DryRunOperationException")


class Ladder:
    """The requests for one row, each less wrong than the one before, and the keys that they name."""

    def __init__(self, wire, operation, row):
        self.wire, self.operation, self.row = wire, operation, row
        self.owner, self.stranger = f"{next(ACCOUNTS):012}", f"{next(ACCOUNTS):012}"
        self.members = {
            name: PLACEHOLDERS.get(name, BYTES) if value is None else value for name, value in self.row.members.items()
        }
        self.wrong = dict(self.row.wrong_members or {})
        if operation == "ReEncrypt":
            other = self.new_key(SYMMETRIC, "Enabled")
            if row is RE_ENCRYPT_FROM:
                self.members["DestinationKeyId"] = other
            else:
                self.members["CiphertextBlob"] = self.encrypted(other)

    def request(self, key, dry_run=None):
        asked = {**self.members, **self.wrong, self.row.identifier: key}
        return {**asked, "DryRun": dry_run} if self.row.dry_run and dry_run is not None else asked

    def call(self, operation, body, account=None, **signing):
        status, answer = self.wire.call(operation, body, key=account or self.owner, **signing)
        if answer.get("__type") == UNSUPPORTED and "yet" in answer["message"]:
            pytest.skip(answer["message"])
        return status, answer

    def done(self, operation, body, account=None):
        status, answer = self.call(operation, body, account)
        assert status == 200, (operation, body, answer)
        return answer

    def refused(self, key, code, words="", dry_run=True, **signing):
        """The request for `key` is refused like this; as a dry run too, which is the last thing that is looked at."""
        status, answer = self.call(self.operation, self.request(key, dry_run), **signing)
        assert (status, answer.get("__type")) == (400, code), answer
        assert answer.get("message", "").endswith(words), answer

    def refused_unsigned(self, key):
        headers = {"Content-Type": JSON, "X-Amz-Target": f"TrentService.{self.operation}"}
        status, code, _ = self.wire.refusal(headers, json.dumps(self.request(key)).encode())
        assert (status, code) == (400, "MissingAuthenticationTokenException")

    def refused_in_state(self, key, code, words):
        if self.operation == "UpdateAlias":
            self.fill(key)
        request = self.request(key, dry_run=True)
        # Every node knows within a second that a key was disabled.
        wait_until(lambda: self.call(self.operation, request)[1].get("__type") == code, f"{code} of {self.operation}", 5)
        self.refused(key, code, words)

    def reaches_the_end(self, key):
        if self.row.end is None:
            self.done(self.operation, self.request(key, dry_run=False))
        else:
            self.refused(key, self.row.end)

    def new_key(self, members, state, account=None):
        arn = self.done("CreateKey", members, account)["KeyMetadata"]["Arn"]
        if state == "Disabled":
            self.done("DisableKey", {"KeyId": arn}, account)
        if state == "PendingDeletion":
            self.done("ScheduleKeyDeletion", {"KeyId": arn}, account)
        return arn

    def encrypted(self, key):
        return self.done("Encrypt", {"KeyId": key, "Plaintext": BYTES})["CiphertextBlob"]

    def fill(self, key):
        """The members that only the right key, or what it made, can fill."""

        def made(operation, member, **request):
            return self.done(operation, {"KeyId": key, **request})[member]

        match self.operation:
            case "Decrypt":
                self.members["CiphertextBlob"] = self.encrypted(key)
            case "ReEncrypt" if self.row is RE_ENCRYPT_FROM:
                self.members["CiphertextBlob"] = self.encrypted(key)
            case "VerifyMac":
                self.members["Mac"] = made("GenerateMac", "Mac", **MAC)
            case "Verify":
                self.members["Signature"] = made("Sign", "Signature", **SIGNATURE)
            case "DeriveSharedSecret":
                self.members["PublicKey"] = made("GetPublicKey", "PublicKey")
            case "Decapsulate":
                self.members["SharedSecretCiphertextBlob"] = made("Encapsulate", "SharedSecretCiphertextBlob", **KEM)
            case "RetireGrant" | "RevokeGrant":
                grant = {"GranteePrincipal": f"arn:aws:iam::{self.owner}:root", "Operations": ["Decrypt"]}
                self.members["GrantId"] = made("CreateGrant", "GrantId", **grant)
            case "PutKeyPolicy":
                self.members["Policy"] = made("GetKeyPolicy", "Policy")
            case "CreateAlias":
                self.members["AliasName"] = f"alias/{self.owner}"
            case "UpdateAlias" if self.members["AliasName"] == PLACEHOLDERS["AliasName"]:
                self.members["AliasName"] = f"alias/{self.owner}"
                target = self.new_key(SYMMETRIC, "Enabled")
                self.done("CreateAlias", {"AliasName": f"alias/{self.owner}", "TargetKeyId": target})
