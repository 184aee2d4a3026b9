"""The AWS Encryption SDK for Python: its KMS keyrings, and multi-Region keys moved between Regions by the client."""

import aws_encryption_sdk
import pytest
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsKeyringInput,
    CreateAwsKmsMrkKeyringInput,
    CreateMultiKeyringInput,
)
from aws_encryption_sdk import CommitmentPolicy
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.key_providers.kms import KMSMasterKey, KMSMasterKeyConfig

from conftest import refused_soon, wait_for_state

PLAINTEXT = b"The quick brown fox jumps over the lazy dog. " * 200
CONTEXT = {"tenant": "42", "purpose": "test"}


@pytest.fixture(scope="module")
def sdk():
    return aws_encryption_sdk.EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    )


@pytest.fixture(scope="module")
def providers():
    return AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


def test_a_kms_keyring(sdk, providers, kms, key):
    keyring = providers.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=key["Arn"], kms_client=kms))
    message, header = sdk.encrypt(source=PLAINTEXT, keyring=keyring, encryption_context=CONTEXT)
    assert PLAINTEXT not in message
    assert CONTEXT.items() <= header.encryption_context.items()
    opened, header = sdk.decrypt(source=message, keyring=keyring)
    assert opened == PLAINTEXT
    assert CONTEXT.items() <= header.encryption_context.items()

    kms.disable_key(KeyId=key["KeyId"])
    disabled = f"{key['Arn']} is disabled."
    refused_soon("DisabledException", disabled, lambda: kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256"))
    with pytest.raises(AWSEncryptionSDKClientError):
        sdk.decrypt(source=message, keyring=keyring)
    kms.enable_key(KeyId=key["KeyId"])
    assert sdk.decrypt(source=message, keyring=keyring)[0] == PLAINTEXT


def test_two_keys_either_of_which_opens(sdk, providers, kms, key):
    first, second = (
        providers.create_aws_kms_keyring(CreateAwsKmsKeyringInput(kms_key_id=arn, kms_client=kms))
        for arn in (key["Arn"], kms.create_key()["KeyMetadata"]["Arn"])
    )
    both = providers.create_multi_keyring(CreateMultiKeyringInput(generator=first, child_keyrings=[second]))
    message, _ = sdk.encrypt(source=PLAINTEXT, keyring=both)
    for single in (first, second):
        assert sdk.decrypt(source=message, keyring=single)[0] == PLAINTEXT


def test_a_multi_region_key_opens_elsewhere(sdk, providers, kms, client_for, account):
    europe = client_for(account, "eu-west-1")
    primary = kms.create_key(MultiRegion=True)["KeyMetadata"]
    kms.replicate_key(KeyId=primary["KeyId"], ReplicaRegion="eu-west-1")
    wait_for_state(europe, primary["KeyId"], "Enabled")
    replica_arn = primary["Arn"].replace("us-east-1", "eu-west-1")

    here = providers.create_aws_kms_mrk_keyring(CreateAwsKmsMrkKeyringInput(kms_key_id=primary["Arn"], kms_client=kms))
    there = providers.create_aws_kms_mrk_keyring(CreateAwsKmsMrkKeyringInput(kms_key_id=replica_arn, kms_client=europe))
    message, _ = sdk.encrypt(source=PLAINTEXT, keyring=here, encryption_context=CONTEXT)
    opened, header = sdk.decrypt(source=message, keyring=there)
    assert opened == PLAINTEXT
    assert CONTEXT.items() <= header.encryption_context.items()

    back, _ = sdk.encrypt(source=PLAINTEXT, keyring=there)
    assert sdk.decrypt(source=back, keyring=here)[0] == PLAINTEXT


def test_master_key_providers(sdk, kms, key):
    # The older interface of the same library: a master key built on a client that is given.
    master_key = KMSMasterKey(config=KMSMasterKeyConfig(key_id=key["Arn"], client=kms))
    message, _ = sdk.encrypt(source=PLAINTEXT, key_provider=master_key, encryption_context=CONTEXT)
    assert sdk.decrypt(source=message, key_provider=master_key)[0] == PLAINTEXT
