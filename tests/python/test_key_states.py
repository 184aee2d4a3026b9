"""Which operation works in which key state, and the exact words of each refusal."""

import json

import pytest

from conftest import refused, refused_soon
from key_import import new_material, parameters, wrap

WRAPPING = "RSA_AES_KEY_WRAP_SHA_256"
from local_cluster import wait_until

STATES = ("Enabled", "Disabled", "PendingDeletion", "PendingReplicaDeletion", "PendingImport")

# ok: succeeds. disabled, pending, not_pending, import, external: see REFUSALS. -: no key that has the operation is ever in the state.
MATRIX = """
    CancelKeyDeletion                    not_pending  not_pending  ok       ok       not_pending
    CreateAlias                          ok           ok           pending  pending  ok
    CreateGrant                          ok           disabled     pending  pending  import
    Decapsulate                          ok           disabled     pending  pending  -
    Decrypt                              ok           disabled     pending  pending  import
    DecryptWithRsa                       ok           disabled     pending  pending  import
    DeleteAlias                          ok           ok           ok       ok       ok
    DeleteImportedKeyMaterial            ok           ok           ok       ok       ok
    DeriveSharedSecret                   ok           disabled     pending  pending  import
    DescribeKey                          ok           ok           ok       ok       ok
    DisableKey                           ok           ok           pending  pending  import
    DisableKeyRotation                   ok           disabled     pending  pending  external
    EnableKey                            ok           ok           pending  pending  import
    EnableKeyRotation                    ok           disabled     pending  pending  external
    Encapsulate                          ok           disabled     pending  pending  -
    Encrypt                              ok           disabled     pending  pending  import
    EncryptWithRsa                       ok           disabled     pending  pending  import
    GenerateDataKey                      ok           disabled     pending  pending  import
    GenerateDataKeyPair                  ok           disabled     pending  pending  import
    GenerateDataKeyPairWithoutPlaintext  ok           disabled     pending  pending  import
    GenerateDataKeyWithoutPlaintext      ok           disabled     pending  pending  import
    GenerateMac                          ok           disabled     pending  pending  import
    GetKeyLastUsage                      ok           ok           ok       ok       ok
    GetKeyPolicy                         ok           ok           ok       ok       ok
    GetKeyRotationStatus                 ok           ok           ok       ok       ok
    GetParametersForImport               ok           ok           pending  pending  ok
    GetPublicKey                         ok           disabled     pending  pending  import
    ImportKeyMaterial                    ok           ok           pending  pending  ok
    ListAliases                          ok           ok           ok       ok       ok
    ListGrants                           ok           ok           ok       ok       ok
    ListKeyPolicies                      ok           ok           ok       ok       ok
    ListKeyRotations                     ok           ok           ok       ok       ok
    ListResourceTags                     ok           ok           ok       ok       ok
    PutKeyPolicy                         ok           ok           ok       ok       ok
    ReEncryptFrom                        ok           disabled     pending  pending  import
    ReEncryptTo                          ok           disabled     pending  pending  import
    ReplicateKey                         ok           disabled     pending  pending  import
    RetireGrant                          ok           ok           ok       ok       ok
    RevokeGrant                          ok           ok           ok       ok       ok
    RotateKeyOnDemand                    ok           disabled     pending  pending  import
    ScheduleKeyDeletion                  ok           ok           pending  pending  ok
    Sign                                 ok           disabled     pending  pending  import
    SignWithRsa                          ok           disabled     pending  pending  import
    TagResource                          ok           ok           pending  pending  ok
    UntagResource                        ok           ok           pending  pending  ok
    UpdateAliasFrom                      ok           ok           ok       ok       ok
    UpdateAliasTo                        ok           ok           pending  pending  ok
    UpdateKeyDescription                 ok           ok           pending  pending  ok
    UpdatePrimaryRegion                  ok           disabled     pending  pending  import
    Verify                               ok           disabled     pending  pending  import
    VerifyMac                            ok           disabled     pending  pending  import
"""

CELLS = [
    pytest.param(row.split()[0], state, cell, id=f"{row.split()[0]}-{state}")
    for row in MATRIX.strip().splitlines()
    for state, cell in zip(STATES, row.split()[1:], strict=True)
    if cell != "-"
]

# Served by every node from what it has applied.
CRYPTOGRAPHY = {
    "Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
    "Decapsulate", "DecryptWithRsa", "DeriveSharedSecret", "Encapsulate", "EncryptWithRsa", "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext", "GenerateMac", "GetPublicKey", "Sign", "SignWithRsa", "Verify", "VerifyMac",
}

# What the subject of an operation is made for; a symmetric encryption key where nothing is said.
KINDS = {
    "Decapsulate": ("ML_KEM_768", "ENCAPSULATE_DECAPSULATE"),
    "DecryptWithRsa": ("RSA_2048", "ENCRYPT_DECRYPT"),
    "DeriveSharedSecret": ("ECC_NIST_P256", "KEY_AGREEMENT"),
    "Encapsulate": ("ML_KEM_768", "ENCAPSULATE_DECAPSULATE"),
    "EncryptWithRsa": ("RSA_2048", "ENCRYPT_DECRYPT"),
    "GenerateMac": ("HMAC_256", "GENERATE_VERIFY_MAC"),
    "GetPublicKey": ("ECC_NIST_P256", "SIGN_VERIFY"),
    "Sign": ("ECC_NIST_P256", "SIGN_VERIFY"),
    "SignWithRsa": ("RSA_2048", "SIGN_VERIFY"),
    "Verify": ("ECC_NIST_P256", "SIGN_VERIFY"),
    "VerifyMac": ("HMAC_256", "GENERATE_VERIFY_MAC"),
}

# Only keys of imported material have these, and only such a key is ever pending import.
IMPORTS = {"DeleteImportedKeyMaterial", "GetParametersForImport", "ImportKeyMaterial"}

REFUSALS = {
    "disabled": lambda state: ("DisabledException", "is disabled."),
    "external": lambda state: (
        "UnsupportedOperationException", "origin is EXTERNAL which is not valid for this operation."
    ),
    "import": lambda state: ("KMSInvalidStateException", "is pending import."),
    "not_pending": lambda state: ("KMSInvalidStateException", "is not pending deletion."),
    "pending": lambda state: (
        "KMSInvalidStateException",
        "is pending deletion." if state == "PendingDeletion" else "is pending replica deletion.",
    ),
}


@pytest.mark.parametrize(("operation", "state", "cell"), CELLS)
def test_operation_by_key_state(kms, operation, state, cell):
    kind = KINDS.get(operation, ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"))
    subject = Subject(kms, *kind, is_imported=operation in IMPORTS or state == "PendingImport")
    subject.bring_into(state)
    call = getattr(subject, operation)
    if cell == "ok":
        call()
        return
    code, words = REFUSALS[cell](state)
    before = kms.describe_key(KeyId=subject.arn)["KeyMetadata"]
    if operation in CRYPTOGRAPHY:
        refused_soon(code, f"{subject.arn} {words}", call)
    else:
        with refused(code, f"{subject.arn} {words}"):
            call()
    assert kms.describe_key(KeyId=subject.arn)["KeyMetadata"] == before


class Subject:
    """One multi-Region key with an alias and what was made with it while it was enabled, and another key beside it."""

    def __init__(self, kms, spec, usage, is_imported):
        self.kms = kms
        origin = "EXTERNAL" if is_imported else "AWS_KMS"
        made = kms.create_key(MultiRegion=True, KeySpec=spec, KeyUsage=usage, Origin=origin)
        self.arn = made["KeyMetadata"]["Arn"]
        if is_imported:
            self.material = new_material(spec)
            self.given = parameters(kms, self.arn, WRAPPING)
            self.ImportKeyMaterial()
        self.beside = kms.create_key()["KeyMetadata"]["Arn"]
        kms.create_alias(AliasName="alias/subject", TargetKeyId=self.arn)
        kms.create_alias(AliasName="alias/beside", TargetKeyId=self.beside)
        self.blob = self.made(spec, usage)
        self.blob_beside = kms.encrypt(KeyId=self.beside, Plaintext=b"beside")["CiphertextBlob"]
        self.grantee = f"arn:aws:iam::{self.arn.split(':')[4]}:root"
        grant = kms.create_grant(KeyId=self.arn, GranteePrincipal=self.grantee, Operations=["DescribeKey"])
        self.grant_id = grant["GrantId"]
        self.policy = json.dumps(json.loads(kms.get_key_policy(KeyId=self.arn)["Policy"]))

    def made(self, spec, usage):
        """A ciphertext, signature, MAC, encapsulated secret or public key."""
        if usage == "SIGN_VERIFY":
            algorithm = "RSASSA_PSS_SHA_256" if spec == "RSA_2048" else "ECDSA_SHA_256"
            return self.kms.sign(KeyId=self.arn, Message=b"subject", SigningAlgorithm=algorithm)["Signature"]
        if usage == "GENERATE_VERIFY_MAC":
            return self.kms.generate_mac(KeyId=self.arn, Message=b"subject", MacAlgorithm="HMAC_SHA_256")["Mac"]
        if usage == "ENCAPSULATE_DECAPSULATE":
            encapsulated = self.kms.encapsulate(KeyId=self.arn, EncapsulationAlgorithm="ML_KEM")
            return encapsulated["SharedSecretCiphertextBlob"]
        if usage == "KEY_AGREEMENT":
            return self.kms.get_public_key(KeyId=self.arn)["PublicKey"]
        algorithm = "RSAES_OAEP_SHA_256" if spec == "RSA_2048" else "SYMMETRIC_DEFAULT"
        encrypted = self.kms.encrypt(KeyId=self.arn, Plaintext=b"subject", EncryptionAlgorithm=algorithm)
        return encrypted["CiphertextBlob"]

    def bring_into(self, state):
        if state == "Disabled":
            self.kms.disable_key(KeyId=self.arn)
        if state == "PendingReplicaDeletion":
            self.kms.replicate_key(KeyId=self.arn, ReplicaRegion="us-west-2")
        if state == "PendingImport":
            self.kms.delete_imported_key_material(KeyId=self.arn)
        elif state.startswith("Pending"):
            self.kms.schedule_key_deletion(KeyId=self.arn)
        assert self.kms.describe_key(KeyId=self.arn)["KeyMetadata"]["KeyState"] == state

    def CancelKeyDeletion(self):
        assert self.kms.cancel_key_deletion(KeyId=self.arn)["KeyId"] == self.arn
        assert self.kms.describe_key(KeyId=self.arn)["KeyMetadata"]["KeyState"] == "Disabled"

    def CreateAlias(self):
        self.kms.create_alias(AliasName="alias/another", TargetKeyId=self.arn)

    def CreateGrant(self):
        self.kms.create_grant(KeyId=self.arn, GranteePrincipal=self.grantee, Operations=["RetireGrant"])

    def Decrypt(self):
        assert self.kms.decrypt(CiphertextBlob=self.blob)["Plaintext"] == b"subject"

    def DeleteAlias(self):
        self.kms.delete_alias(AliasName="alias/subject")

    def DeleteImportedKeyMaterial(self):
        assert self.kms.delete_imported_key_material(KeyId=self.arn)["KeyId"] == self.arn

    def DescribeKey(self):
        assert self.kms.describe_key(KeyId="alias/subject")["KeyMetadata"]["Arn"] == self.arn

    def DisableKey(self):
        self.kms.disable_key(KeyId=self.arn)

    def DisableKeyRotation(self):
        self.kms.disable_key_rotation(KeyId=self.arn)

    def EnableKey(self):
        self.kms.enable_key(KeyId=self.arn)

    def EnableKeyRotation(self):
        self.kms.enable_key_rotation(KeyId=self.arn, RotationPeriodInDays=100)

    def Encrypt(self):
        self.kms.encrypt(KeyId=self.arn, Plaintext=b"x")

    def GenerateDataKey(self):
        self.kms.generate_data_key(KeyId=self.arn, KeySpec="AES_256")

    def GenerateDataKeyWithoutPlaintext(self):
        self.kms.generate_data_key_without_plaintext(KeyId=self.arn, KeySpec="AES_256")

    def GetKeyLastUsage(self):
        assert self.kms.get_key_last_usage(KeyId=self.arn)["TrackingStartDate"]

    def GetKeyPolicy(self):
        assert json.loads(self.kms.get_key_policy(KeyId=self.arn)["Policy"])

    def GetKeyRotationStatus(self):
        assert self.kms.get_key_rotation_status(KeyId=self.arn)["KeyRotationEnabled"] is False

    def GetParametersForImport(self):
        assert parameters(self.kms, self.arn)["KeyId"] == self.arn

    def ImportKeyMaterial(self):
        encrypted = wrap(WRAPPING, self.given["PublicKey"], self.material)
        self.kms.import_key_material(
            KeyId=self.arn, ImportToken=self.given["ImportToken"], EncryptedKeyMaterial=encrypted,
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
        )

    def ListAliases(self):
        assert len(self.kms.list_aliases(KeyId=self.arn)["Aliases"]) == 1

    def ListGrants(self):
        assert len(self.kms.list_grants(KeyId=self.arn)["Grants"]) == 1

    def ListKeyPolicies(self):
        assert self.kms.list_key_policies(KeyId=self.arn)["PolicyNames"] == ["default"]

    def ListKeyRotations(self):
        assert self.kms.list_key_rotations(KeyId=self.arn)["Rotations"] == []

    def ListResourceTags(self):
        assert self.kms.list_resource_tags(KeyId=self.arn)["Tags"] == []

    def PutKeyPolicy(self):
        self.kms.put_key_policy(KeyId=self.arn, Policy=self.policy)

    def ReEncryptFrom(self):
        self.kms.re_encrypt(CiphertextBlob=self.blob, DestinationKeyId=self.beside)

    def ReEncryptTo(self):
        self.kms.re_encrypt(CiphertextBlob=self.blob_beside, DestinationKeyId=self.arn)

    def ReplicateKey(self):
        self.kms.replicate_key(KeyId=self.arn, ReplicaRegion="eu-west-1")

    def RotateKeyOnDemand(self):
        self.kms.rotate_key_on_demand(KeyId=self.arn)

    def RetireGrant(self):
        self.kms.retire_grant(KeyId=self.arn, GrantId=self.grant_id)

    def RevokeGrant(self):
        self.kms.revoke_grant(KeyId=self.arn, GrantId=self.grant_id)

    def ScheduleKeyDeletion(self):
        self.kms.schedule_key_deletion(KeyId=self.arn, PendingWindowInDays=7)

    def TagResource(self):
        self.kms.tag_resource(KeyId=self.arn, Tags=[{"TagKey": "a", "TagValue": "b"}])

    def UntagResource(self):
        self.kms.untag_resource(KeyId=self.arn, TagKeys=["a"])

    def UpdateAliasFrom(self):
        self.kms.update_alias(AliasName="alias/subject", TargetKeyId=self.beside)

    def UpdateAliasTo(self):
        self.kms.update_alias(AliasName="alias/beside", TargetKeyId=self.arn)

    def UpdateKeyDescription(self):
        self.kms.update_key_description(KeyId=self.arn, Description="x")

    def UpdatePrimaryRegion(self):
        if self.kms.describe_key(KeyId=self.arn)["KeyMetadata"]["KeyState"] == "Enabled":
            self.kms.replicate_key(KeyId=self.arn, ReplicaRegion="us-west-2")
        wait_until(self._primary_is_changed, "the replica to be made")

    def _primary_is_changed(self):
        try:
            self.kms.update_primary_region(KeyId=self.arn, PrimaryRegion="us-west-2")
        except self.kms.exceptions.KMSInvalidStateException as error:
            if not str(error).endswith(" is creating."):
                raise
            return False
        return True

    def Decapsulate(self):
        request = {"EncapsulationAlgorithm": "ML_KEM", "SharedSecretCiphertextBlob": self.blob}
        self.kms.decapsulate(KeyId=self.arn, **request)

    def DecryptWithRsa(self):
        self.kms.decrypt(KeyId=self.arn, CiphertextBlob=self.blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256")

    def DeriveSharedSecret(self):
        self.kms.derive_shared_secret(KeyId=self.arn, KeyAgreementAlgorithm="ECDH", PublicKey=self.blob)

    def Encapsulate(self):
        self.kms.encapsulate(KeyId=self.arn, EncapsulationAlgorithm="ML_KEM")

    def EncryptWithRsa(self):
        self.kms.encrypt(KeyId=self.arn, Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")

    def GenerateDataKeyPair(self):
        self.kms.generate_data_key_pair(KeyId=self.arn, KeyPairSpec="ECC_NIST_P256")

    def GenerateDataKeyPairWithoutPlaintext(self):
        self.kms.generate_data_key_pair_without_plaintext(KeyId=self.arn, KeyPairSpec="ECC_NIST_P256")

    def GenerateMac(self):
        self.kms.generate_mac(KeyId=self.arn, Message=b"x", MacAlgorithm="HMAC_SHA_256")

    def GetPublicKey(self):
        self.kms.get_public_key(KeyId=self.arn)

    def Sign(self):
        self.kms.sign(KeyId=self.arn, Message=b"x", SigningAlgorithm="ECDSA_SHA_256")

    def SignWithRsa(self):
        self.kms.sign(KeyId=self.arn, Message=b"x", SigningAlgorithm="RSASSA_PSS_SHA_256")

    def Verify(self):
        request = {"Message": b"subject", "Signature": self.blob, "SigningAlgorithm": "ECDSA_SHA_256"}
        self.kms.verify(KeyId=self.arn, **request)

    def VerifyMac(self):
        self.kms.verify_mac(KeyId=self.arn, Message=b"subject", Mac=self.blob, MacAlgorithm="HMAC_SHA_256")
