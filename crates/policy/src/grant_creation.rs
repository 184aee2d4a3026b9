//! Which grants a key can have: the operations that its kind supports, and the limits of constraints.

use meridian_model::{ErrorCode, GrantOperation, KeyArn, KeySpec, KeyUsageType, ServiceError};

use crate::grant::{Constraints, ContextConstraint, GrantTerms};

/// Pairs that one constraint may have (AWS KMS API Reference, `CreateGrant`).
pub const CONSTRAINT_PAIRS_MAX: usize = 8;

/// Characters that a value of a constraint may have (AWS KMS API Reference, `CreateGrant`).
pub const CONSTRAINT_VALUE_LEN_MAX: usize = 384;

/// Bytes of all names and values of a constraint: as many as an encryption context may have.
pub const CONSTRAINT_BYTES_MAX: usize = 8_192;

/// Checks what can be said without knowing the key.
///
/// # Errors
/// `ValidationException` for no operations, for `CreateGrant` alone, and for constraints beyond their limits.
pub fn check_terms(terms: &GrantTerms) -> Result<(), ServiceError> {
    if terms.operations.is_empty() {
        return Err(validation("A grant must allow at least one operation."));
    }
    if terms.operations.iter().eq([&GrantOperation::CreateGrant]) {
        return Err(validation("Grants must not contain only the CreateGrant operation."));
    }
    check_constraints(&terms.constraints)
}

fn check_constraints(constraints: &Constraints) -> Result<(), ServiceError> {
    let Some(ContextConstraint::Equals(pairs) | ContextConstraint::Subset(pairs)) = &constraints.encryption_context
    else {
        return Ok(());
    };
    if pairs.len() > CONSTRAINT_PAIRS_MAX {
        return Err(validation(&format!("A grant constraint can have at most {CONSTRAINT_PAIRS_MAX} pairs.")));
    }
    if pairs.values().any(|value| value.chars().count() > CONSTRAINT_VALUE_LEN_MAX) {
        let limit = CONSTRAINT_VALUE_LEN_MAX;
        return Err(validation(&format!("A value of a grant constraint can have at most {limit} characters.")));
    }
    if pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > CONSTRAINT_BYTES_MAX {
        return Err(validation(&format!("A grant constraint can have at most {CONSTRAINT_BYTES_MAX} bytes.")));
    }
    Ok(())
}

/// Checks that a key of `spec` and `usage` can be used as `terms` say.
///
/// # Errors
/// `ValidationException`, naming the operation or the constraint that the key does not support.
pub fn check_support(key: &KeyArn, spec: KeySpec, usage: KeyUsageType, terms: &GrantTerms) -> Result<(), ServiceError> {
    if let Some(operation) = terms.operations.iter().find(|operation| !supports(spec, usage, **operation)) {
        let message = format!(
            "The operation {operation} is not supported by {key} with the KeySpec {spec} and the KeyUsage {usage}."
        );
        return Err(validation(&message));
    }
    if terms.constraints.encryption_context.is_some() && spec != KeySpec::SymmetricDefault {
        let message = "Encryption context constraints are supported only in grants on symmetric encryption KMS keys.";
        return Err(validation(message));
    }
    Ok(())
}

/// Whether a key of `spec` and `usage` supports `operation` (AWS KMS Developer Guide, "Grant operations").
#[must_use]
pub const fn supports(spec: KeySpec, usage: KeyUsageType, operation: GrantOperation) -> bool {
    use GrantOperation as O;
    let is_symmetric = matches!(spec, KeySpec::SymmetricDefault);
    match operation {
        O::CreateGrant | O::DescribeKey | O::RetireGrant => true,
        O::Encrypt | O::Decrypt | O::ReEncryptFrom | O::ReEncryptTo => matches!(usage, KeyUsageType::EncryptDecrypt),
        O::GenerateDataKey
        | O::GenerateDataKeyWithoutPlaintext
        | O::GenerateDataKeyPair
        | O::GenerateDataKeyPairWithoutPlaintext => is_symmetric,
        O::Sign | O::Verify => matches!(usage, KeyUsageType::SignVerify),
        O::GenerateMac | O::VerifyMac => matches!(usage, KeyUsageType::GenerateVerifyMac),
        O::DeriveSharedSecret => matches!(usage, KeyUsageType::KeyAgreement),
        O::Encapsulate | O::Decapsulate => matches!(usage, KeyUsageType::EncapsulateDecapsulate),
        O::GetPublicKey => !is_symmetric && !matches!(usage, KeyUsageType::GenerateVerifyMac),
    }
}

fn validation(message: &str) -> ServiceError {
    ServiceError::new(ErrorCode::Validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::{Party, PrincipalArn};
    use meridian_model::WireEnum;

    fn terms(operations: &str, encryption_context: Option<ContextConstraint>) -> GrantTerms {
        let operation = |name: &str| GrantOperation::from_wire(name).expect(name);
        GrantTerms {
            grantee: Party::Principal(PrincipalArn::parse("arn:aws:iam::111122223333:root").expect("an ARN")),
            retiring: None,
            operations: operations.split_whitespace().map(operation).collect(),
            constraints: Constraints { encryption_context, source_arn: None },
        }
    }

    /// Each kind of key with everything that it supports; whatever a row does not name is refused.
    #[test]
    fn operations_by_kind_of_key() {
        let table = "
            SYMMETRIC_DEFAULT  ENCRYPT_DECRYPT         Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey \
                GenerateDataKeyWithoutPlaintext GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext
            RSA_2048           ENCRYPT_DECRYPT         Encrypt Decrypt ReEncryptFrom ReEncryptTo GetPublicKey
            RSA_2048           SIGN_VERIFY             Sign Verify GetPublicKey
            ECC_NIST_P256      SIGN_VERIFY             Sign Verify GetPublicKey
            ML_DSA_44          SIGN_VERIFY             Sign Verify GetPublicKey
            HMAC_256           GENERATE_VERIFY_MAC     GenerateMac VerifyMac
            ECC_NIST_P256      KEY_AGREEMENT           DeriveSharedSecret GetPublicKey
            ML_KEM_768         ENCAPSULATE_DECAPSULATE Encapsulate Decapsulate GetPublicKey
        ";
        for row in table.trim().lines() {
            let mut words = row.split_whitespace();
            let spec: KeySpec = words.next().expect("a spec").parse().expect("a spec");
            let usage: KeyUsageType = words.next().expect("a usage").parse().expect("a usage");
            let supported: Vec<&str> = words.chain(["CreateGrant", "DescribeKey", "RetireGrant"]).collect();
            for name in GrantOperation::VALUES {
                let operation = GrantOperation::from_wire(name).expect("a value");
                assert_eq!(supports(spec, usage, operation), supported.contains(name), "{spec} {usage} {name}");
            }
        }
    }

    #[test]
    fn only_symmetric_keys_have_constraints_on_the_encryption_context() {
        let key: KeyArn =
            "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse().expect("valid");
        let constraint = || Some(ContextConstraint::Subset([("a".to_owned(), "b".to_owned())].into()));
        let symmetric = check_support(
            &key,
            KeySpec::SymmetricDefault,
            KeyUsageType::EncryptDecrypt,
            &terms("Decrypt", constraint()),
        );
        symmetric.expect("supported");
        let rsa = (KeySpec::Rsa2048, KeyUsageType::EncryptDecrypt);
        let error = check_support(&key, rsa.0, rsa.1, &terms("Decrypt", constraint())).expect_err("no context");
        assert_eq!(error.code, ErrorCode::Validation);
        check_support(&key, rsa.0, rsa.1, &terms("Decrypt", None)).expect("supported");
        let error = check_support(&key, rsa.0, rsa.1, &terms("GenerateDataKey", None)).expect_err("no data keys");
        assert!(error.message.contains("GenerateDataKey"), "{error}");
    }

    #[test]
    fn limits_of_terms() {
        let pairs = |count: usize, value_len: usize| {
            let pair = |n| (format!("name{n}"), "ä".repeat(value_len));
            Some(ContextConstraint::Equals((0..count).map(pair).collect()))
        };
        check_terms(&terms("Decrypt", pairs(8, 384))).expect("just within");
        for (operations, constraint) in [
            ("", None),
            ("CreateGrant", None),
            ("Decrypt", pairs(9, 1)),
            ("Decrypt", pairs(1, 385)),
            ("Decrypt", Some(ContextConstraint::Subset([("n".repeat(8_193), String::new())].into()))),
        ] {
            let error = check_terms(&terms(operations, constraint)).expect_err(operations);
            assert_eq!(error.code, ErrorCode::Validation);
        }
        check_terms(&terms("CreateGrant Decrypt", None)).expect("not alone");
    }
}
