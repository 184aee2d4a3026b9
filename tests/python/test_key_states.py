"""Which operation works in which key state, and the exact words of each refusal."""

import json

import pytest

from conftest import refused, refused_soon
from local_cluster import wait_until

STATES = ("Enabled", "Disabled", "PendingDeletion", "PendingReplicaDeletion")

# ok: succeeds. disabled, pending, not_pending: see REFUSALS.
MATRIX = """
    CancelKeyDeletion                    not_pending  not_pending  ok       ok
    CreateAlias                          ok           ok           pending  pending
    CreateGrant                          ok           disabled     pending  pending
    Decapsulate                          ok           disabled     pending  pending
    Decrypt                              ok           disabled     pending  pending
    DecryptWithRsa                       ok           disabled     pending  pending
    DeleteAlias                          ok           ok           ok       ok
    DeriveSharedSecret                   ok           disabled     pending  pending
    DescribeKey                          ok           ok           ok       ok
    DisableKey                           ok           ok           pending  pending
    DisableKeyRotation                   ok           disabled     pending  pending
    EnableKey                            ok           ok           pending  pending
    EnableKeyRotation                    ok           disabled     pending  pending
    Encapsulate                          ok           disabled     pending  pending
    Encrypt                              ok           disabled     pending  pending
    EncryptWithRsa                       ok           disabled     pending  pending
    GenerateDataKey                      ok           disabled     pending  pending
    GenerateDataKeyPair                  ok           disabled     pending  pending
    GenerateDataKeyPairWithoutPlaintext  ok           disabled     pending  pending
    GenerateDataKeyWithoutPlaintext      ok           disabled     pending  pending
    GenerateMac                          ok           disabled     pending  pending
    GetKeyLastUsage                      ok           ok           ok       ok
    GetKeyPolicy                         ok           ok           ok       ok
    GetKeyRotationStatus                 ok           ok           ok       ok
    GetPublicKey                         ok           disabled     pending  pending
    ListAliases                          ok           ok           ok       ok
    ListGrants                           ok           ok           ok       ok
    ListKeyPolicies                      ok           ok           ok       ok
    ListKeyRotations                     ok           ok           ok       ok
    ListResourceTags                     ok           ok           ok       ok
    PutKeyPolicy                         ok           ok           ok       ok
    ReEncryptFrom                        ok           disabled     pending  pending
    ReEncryptTo                          ok           disabled     pending  pending
    ReplicateKey                         ok           disabled     pending  pending
    RetireGrant                          ok           ok           ok       ok
    RevokeGrant                          ok           ok           ok       ok
    RotateKeyOnDemand                    ok           disabled     pending  pending
    ScheduleKeyDeletion                  ok           ok           pending  pending
    Sign                                 ok           disabled     pending  pending
    SignWithRsa                          ok           disabled     pending  pending
    TagResource                          ok           ok           pending  pending
    UntagResource                        ok           ok           pending  pending
    UpdateAliasFrom                      ok           ok           ok       ok
    UpdateAliasTo                        ok           ok           pending  pending
    UpdateKeyDescription                 ok           ok           pending  pending
    UpdatePrimaryRegion                  ok           disabled     pending  pending
    Verify                               ok           disabled     pending  pending
    VerifyMac                            ok           disabled     pending  pending
"""

CELLS = [
    pytest.param(row.split()[0], state, cell, id=f"{row.split()[0]}-{state}")
    for row in MATRIX.strip().splitlines()
    for state, cell in zip(STATES, row.split()[1:], strict=True)
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

REFUSALS = {
    "disabled": lambda state: ("DisabledException", "is disabled."),
    "not_pending": lambda state: ("KMSInvalidStateException", "is not pending deletion."),
    "pending": lambda state: (
        "KMSInvalidStateException",
        "is pending deletion." if state == "PendingDeletion" else "is pending replica deletion.",
    ),
}


@pytest.mark.parametrize(("operation", "state", "cell"), CELLS)
def test_operation_by_key_state(kms, operation, state, cell):
    subject = Subject(kms, *KINDS.get(operation, ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")))
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

    def __init__(self, kms, spec, usage):
        self.kms = kms
        self.arn = kms.create_key(MultiRegion=True, KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"]
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
        if state.startswith("Pending"):
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
