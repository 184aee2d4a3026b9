//! Use of KMS keys: encryption, data keys, signatures, MACs, key agreement, encapsulation, random bytes.

use std::collections::BTreeMap;

use crate::wire::limits::{
    ATTESTATION_DOCUMENT, CIPHERTEXT, GRANT_TOKENS, Items, KEY_ID, KEY_MATERIAL_ID, KEY_STORE_ID, NUMBER_OF_BYTES,
    PLAINTEXT, PUBLIC_KEY,
};
use crate::wire::structure::shapes;
use crate::{
    Blob, CustomerMasterKeySpec, DataKeyPairSpec, DataKeySpec, DryRunModifierType, EncapsulationAlgorithmSpec,
    EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeyEncryptionMechanism, KeySpec, KeyUsageType,
    MacAlgorithmSpec, MessageType, OriginType, SecretBlob, SigningAlgorithmSpec,
};

shapes! {
    /// An attested enclave that alone can read the answer.
    #[derive(Clone, Default)]
    RecipientInfo {
        optional key_encryption_algorithm: KeyEncryptionMechanism = "KeyEncryptionAlgorithm";
        optional attestation_document: Blob = "AttestationDocument", ATTESTATION_DOCUMENT;
    }

    /// The request of `Encrypt`.
    EncryptRequest {
        required key_id: String = "KeyId", KEY_ID;
        required plaintext: SecretBlob = "Plaintext", PLAINTEXT;
        plain encryption_context: BTreeMap<String, String> = "EncryptionContext";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional encryption_algorithm: EncryptionAlgorithmSpec = "EncryptionAlgorithm";
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `Encrypt`.
    #[derive(Clone)]
    EncryptResponse {
        required ciphertext_blob: Blob = "CiphertextBlob", CIPHERTEXT;
        required key_id: String = "KeyId", KEY_ID;
        required encryption_algorithm: EncryptionAlgorithmSpec = "EncryptionAlgorithm";
    }

    /// The request of `Decrypt`.
    #[derive(Clone, Default)]
    DecryptRequest {
        optional ciphertext_blob: Blob = "CiphertextBlob", CIPHERTEXT;
        plain encryption_context: BTreeMap<String, String> = "EncryptionContext";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional key_id: String = "KeyId", KEY_ID;
        optional encryption_algorithm: EncryptionAlgorithmSpec = "EncryptionAlgorithm";
        optional recipient: RecipientInfo = "Recipient";
        optional dry_run: bool = "DryRun";
        plain dry_run_modifiers: Vec<DryRunModifierType> = "DryRunModifiers", Items::any(());
    }

    /// The answer of `Decrypt`.
    DecryptResponse {
        required key_id: String = "KeyId", KEY_ID;
        optional plaintext: SecretBlob = "Plaintext", PLAINTEXT;
        required encryption_algorithm: EncryptionAlgorithmSpec = "EncryptionAlgorithm";
        optional ciphertext_for_recipient: Blob = "CiphertextForRecipient", CIPHERTEXT;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The request of `ReEncrypt`.
    #[derive(Clone, Default)]
    ReEncryptRequest {
        optional ciphertext_blob: Blob = "CiphertextBlob", CIPHERTEXT;
        plain source_encryption_context: BTreeMap<String, String> = "SourceEncryptionContext";
        optional source_key_id: String = "SourceKeyId", KEY_ID;
        required destination_key_id: String = "DestinationKeyId", KEY_ID;
        plain destination_encryption_context: BTreeMap<String, String> = "DestinationEncryptionContext";
        optional source_encryption_algorithm: EncryptionAlgorithmSpec = "SourceEncryptionAlgorithm";
        optional destination_encryption_algorithm: EncryptionAlgorithmSpec = "DestinationEncryptionAlgorithm";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
        plain dry_run_modifiers: Vec<DryRunModifierType> = "DryRunModifiers", Items::any(());
    }

    /// The answer of `ReEncrypt`.
    #[derive(Clone)]
    ReEncryptResponse {
        required ciphertext_blob: Blob = "CiphertextBlob", CIPHERTEXT;
        required source_key_id: String = "SourceKeyId", KEY_ID;
        required key_id: String = "KeyId", KEY_ID;
        required source_encryption_algorithm: EncryptionAlgorithmSpec = "SourceEncryptionAlgorithm";
        required destination_encryption_algorithm: EncryptionAlgorithmSpec = "DestinationEncryptionAlgorithm";
        optional source_key_material_id: String = "SourceKeyMaterialId", KEY_MATERIAL_ID;
        optional destination_key_material_id: String = "DestinationKeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The request of `GenerateDataKey`.
    #[derive(Clone, Default)]
    GenerateDataKeyRequest {
        required key_id: String = "KeyId", KEY_ID;
        plain encryption_context: BTreeMap<String, String> = "EncryptionContext";
        optional number_of_bytes: u32 = "NumberOfBytes", NUMBER_OF_BYTES;
        optional key_spec: DataKeySpec = "KeySpec";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional recipient: RecipientInfo = "Recipient";
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `GenerateDataKey`.
    #[derive(Default)]
    GenerateDataKeyResponse {
        required ciphertext_blob: Blob = "CiphertextBlob", CIPHERTEXT;
        optional plaintext: SecretBlob = "Plaintext", PLAINTEXT;
        required key_id: String = "KeyId", KEY_ID;
        optional ciphertext_for_recipient: Blob = "CiphertextForRecipient", CIPHERTEXT;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The request of `GenerateDataKeyWithoutPlaintext`.
    #[derive(Clone, Default)]
    GenerateDataKeyWithoutPlaintextRequest {
        required key_id: String = "KeyId", KEY_ID;
        plain encryption_context: BTreeMap<String, String> = "EncryptionContext";
        optional key_spec: DataKeySpec = "KeySpec";
        optional number_of_bytes: u32 = "NumberOfBytes", NUMBER_OF_BYTES;
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `GenerateDataKeyWithoutPlaintext`.
    #[derive(Clone, Default)]
    GenerateDataKeyWithoutPlaintextResponse {
        required ciphertext_blob: Blob = "CiphertextBlob", CIPHERTEXT;
        required key_id: String = "KeyId", KEY_ID;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The request of `GenerateDataKeyPair`.
    #[derive(Clone)]
    GenerateDataKeyPairRequest {
        plain encryption_context: BTreeMap<String, String> = "EncryptionContext";
        required key_id: String = "KeyId", KEY_ID;
        required key_pair_spec: DataKeyPairSpec = "KeyPairSpec";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional recipient: RecipientInfo = "Recipient";
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `GenerateDataKeyPair`.
    GenerateDataKeyPairResponse {
        required private_key_ciphertext_blob: Blob = "PrivateKeyCiphertextBlob", CIPHERTEXT;
        optional private_key_plaintext: SecretBlob = "PrivateKeyPlaintext", PLAINTEXT;
        required public_key: Blob = "PublicKey", PUBLIC_KEY;
        required key_id: String = "KeyId", KEY_ID;
        required key_pair_spec: DataKeyPairSpec = "KeyPairSpec";
        optional ciphertext_for_recipient: Blob = "CiphertextForRecipient", CIPHERTEXT;
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The request of `GenerateDataKeyPairWithoutPlaintext`.
    #[derive(Clone)]
    GenerateDataKeyPairWithoutPlaintextRequest {
        plain encryption_context: BTreeMap<String, String> = "EncryptionContext";
        required key_id: String = "KeyId", KEY_ID;
        required key_pair_spec: DataKeyPairSpec = "KeyPairSpec";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `GenerateDataKeyPairWithoutPlaintext`.
    #[derive(Clone)]
    GenerateDataKeyPairWithoutPlaintextResponse {
        required private_key_ciphertext_blob: Blob = "PrivateKeyCiphertextBlob", CIPHERTEXT;
        required public_key: Blob = "PublicKey", PUBLIC_KEY;
        required key_id: String = "KeyId", KEY_ID;
        required key_pair_spec: DataKeyPairSpec = "KeyPairSpec";
        optional key_material_id: String = "KeyMaterialId", KEY_MATERIAL_ID;
    }

    /// The request of `GenerateRandom`.
    #[derive(Clone, Default)]
    GenerateRandomRequest {
        optional number_of_bytes: u32 = "NumberOfBytes", NUMBER_OF_BYTES;
        optional custom_key_store_id: String = "CustomKeyStoreId", KEY_STORE_ID;
        optional recipient: RecipientInfo = "Recipient";
    }

    /// The answer of `GenerateRandom`.
    #[derive(Default)]
    GenerateRandomResponse {
        optional plaintext: SecretBlob = "Plaintext", PLAINTEXT;
        optional ciphertext_for_recipient: Blob = "CiphertextForRecipient", CIPHERTEXT;
    }

    /// The request of `Sign`.
    SignRequest {
        required key_id: String = "KeyId", KEY_ID;
        required message: SecretBlob = "Message", PLAINTEXT;
        optional message_type: MessageType = "MessageType";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        required signing_algorithm: SigningAlgorithmSpec = "SigningAlgorithm";
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `Sign`.
    #[derive(Clone)]
    SignResponse {
        required key_id: String = "KeyId", KEY_ID;
        required signature: Blob = "Signature", CIPHERTEXT;
        required signing_algorithm: SigningAlgorithmSpec = "SigningAlgorithm";
    }

    /// The request of `Verify`.
    VerifyRequest {
        required key_id: String = "KeyId", KEY_ID;
        required message: SecretBlob = "Message", PLAINTEXT;
        optional message_type: MessageType = "MessageType";
        required signature: Blob = "Signature", CIPHERTEXT;
        required signing_algorithm: SigningAlgorithmSpec = "SigningAlgorithm";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `Verify`.
    #[derive(Clone)]
    VerifyResponse {
        required key_id: String = "KeyId", KEY_ID;
        required signature_valid: bool = "SignatureValid";
        required signing_algorithm: SigningAlgorithmSpec = "SigningAlgorithm";
    }

    /// The request of `GenerateMac`.
    GenerateMacRequest {
        required message: SecretBlob = "Message", PLAINTEXT;
        required key_id: String = "KeyId", KEY_ID;
        required mac_algorithm: MacAlgorithmSpec = "MacAlgorithm";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `GenerateMac`.
    #[derive(Clone)]
    GenerateMacResponse {
        required mac: Blob = "Mac", CIPHERTEXT;
        required mac_algorithm: MacAlgorithmSpec = "MacAlgorithm";
        required key_id: String = "KeyId", KEY_ID;
    }

    /// The request of `VerifyMac`.
    VerifyMacRequest {
        required message: SecretBlob = "Message", PLAINTEXT;
        required key_id: String = "KeyId", KEY_ID;
        required mac_algorithm: MacAlgorithmSpec = "MacAlgorithm";
        required mac: Blob = "Mac", CIPHERTEXT;
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `VerifyMac`.
    #[derive(Clone)]
    VerifyMacResponse {
        required key_id: String = "KeyId", KEY_ID;
        required mac_valid: bool = "MacValid";
        required mac_algorithm: MacAlgorithmSpec = "MacAlgorithm";
    }

    /// The request of `GetPublicKey`.
    #[derive(Clone, Default)]
    GetPublicKeyRequest {
        required key_id: String = "KeyId", KEY_ID;
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
    }

    /// The answer of `GetPublicKey`.
    #[derive(Clone)]
    GetPublicKeyResponse {
        required key_id: String = "KeyId", KEY_ID;
        required public_key: Blob = "PublicKey", PUBLIC_KEY;
        optional customer_master_key_spec: CustomerMasterKeySpec = "CustomerMasterKeySpec";
        required key_spec: KeySpec = "KeySpec";
        required key_usage: KeyUsageType = "KeyUsage";
        plain encryption_algorithms: Vec<EncryptionAlgorithmSpec> = "EncryptionAlgorithms", Items::any(());
        plain signing_algorithms: Vec<SigningAlgorithmSpec> = "SigningAlgorithms", Items::any(());
        plain key_agreement_algorithms: Vec<KeyAgreementAlgorithmSpec> = "KeyAgreementAlgorithms", Items::any(());
        plain encapsulation_algorithms: Vec<EncapsulationAlgorithmSpec> = "EncapsulationAlgorithms", Items::any(());
    }

    /// The request of `DeriveSharedSecret`.
    #[derive(Clone)]
    DeriveSharedSecretRequest {
        required key_id: String = "KeyId", KEY_ID;
        required key_agreement_algorithm: KeyAgreementAlgorithmSpec = "KeyAgreementAlgorithm";
        required public_key: Blob = "PublicKey", PUBLIC_KEY;
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
        optional recipient: RecipientInfo = "Recipient";
    }

    /// The answer of `DeriveSharedSecret`.
    DeriveSharedSecretResponse {
        required key_id: String = "KeyId", KEY_ID;
        optional shared_secret: SecretBlob = "SharedSecret", PLAINTEXT;
        optional ciphertext_for_recipient: Blob = "CiphertextForRecipient", CIPHERTEXT;
        required key_agreement_algorithm: KeyAgreementAlgorithmSpec = "KeyAgreementAlgorithm";
        required key_origin: OriginType = "KeyOrigin";
    }

    /// The request of `Encapsulate`.
    #[derive(Clone)]
    EncapsulateRequest {
        required key_id: String = "KeyId", KEY_ID;
        required encapsulation_algorithm: EncapsulationAlgorithmSpec = "EncapsulationAlgorithm";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `Encapsulate`.
    EncapsulateResponse {
        required key_id: String = "KeyId", KEY_ID;
        required shared_secret: SecretBlob = "SharedSecret", PLAINTEXT;
        required shared_secret_ciphertext_blob: Blob = "SharedSecretCiphertextBlob", CIPHERTEXT;
        required encapsulation_algorithm: EncapsulationAlgorithmSpec = "EncapsulationAlgorithm";
    }

    /// The request of `Decapsulate`.
    #[derive(Clone)]
    DecapsulateRequest {
        required key_id: String = "KeyId", KEY_ID;
        required shared_secret_ciphertext_blob: Blob = "SharedSecretCiphertextBlob", CIPHERTEXT;
        required encapsulation_algorithm: EncapsulationAlgorithmSpec = "EncapsulationAlgorithm";
        plain grant_tokens: Vec<String> = "GrantTokens", GRANT_TOKENS;
        optional dry_run: bool = "DryRun";
    }

    /// The answer of `Decapsulate`.
    DecapsulateResponse {
        required key_id: String = "KeyId", KEY_ID;
        required shared_secret: SecretBlob = "SharedSecret", PLAINTEXT;
        required encapsulation_algorithm: EncapsulationAlgorithmSpec = "EncapsulationAlgorithm";
    }
}
