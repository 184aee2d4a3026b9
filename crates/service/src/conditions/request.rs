//! Condition keys that tell of the parameters of a request, and what else of them counts in decisions.
//!
//! A parameter that was left out counts with its default, except for `kms:BypassPolicyLockoutSafetyCheck` and
//! `kms:ExpirationModel`, for which the guide shows policies that ask whether they were given.

use std::borrow::Cow;

use meridian_model::shapes::{CreateGrantRequest, GrantConstraints, Tag};
use meridian_model::{EncryptionAlgorithmSpec, MessageType, Request, Timestamp, WireEnum};
use meridian_policy::ContextPairs;
use meridian_policy::ContextValue;

use super::{boolean, one, some_of, text};
use crate::keys::DEFAULT_WINDOW_DAYS;
use crate::rotation::DEFAULT_PERIOD_DAYS;

/// The value of `kms:<name>`, if the request has that parameter. `is_creation`: the key that `ReplicateKey` makes is what the
/// decision is about.
pub(super) fn value<'a>(request: &'a Request, is_creation: bool, name: &str) -> Option<ContextValue<'a>> {
    match request {
        Request::CreateGrant(request) => of_grant(request, name),
        Request::CreateKey(request) if name == BYPASS => request.bypass_policy_lockout_safety_check.map(boolean),
        Request::PutKeyPolicy(request) if name == BYPASS => request.bypass_policy_lockout_safety_check.map(boolean),
        Request::ReplicateKey(request) if is_creation && name == BYPASS => {
            request.bypass_policy_lockout_safety_check.map(boolean)
        }
        Request::ReplicateKey(request) if !is_creation && name == "replicaregion" => Some(one(&request.replica_region)),
        Request::UpdatePrimaryRegion(request) if name == "primaryregion" => Some(one(&request.primary_region)),
        Request::ScheduleKeyDeletion(request) if name == "schedulekeydeletionpendingwindowindays" => {
            Some(text(request.pending_window_in_days.unwrap_or(DEFAULT_WINDOW_DAYS).to_string()))
        }
        Request::EnableKeyRotation(request) if name == "rotationperiodindays" => {
            Some(text(request.rotation_period_in_days.unwrap_or(DEFAULT_PERIOD_DAYS).to_string()))
        }
        Request::ImportKeyMaterial(request) => match name {
            "expirationmodel" => request.expiration_model.map(spelled),
            "validto" => request.valid_to.map(|at| text(epoch_seconds(at))),
            _ => None,
        },
        Request::GetParametersForImport(request) => match name {
            "wrappingalgorithm" => Some(spelled(request.wrapping_algorithm)),
            "wrappingkeyspec" => Some(spelled(request.wrapping_key_spec)),
            _ => None,
        },
        request => algorithm(request, name),
    }
}

const BYPASS: &str = "bypasspolicylockoutsafetycheck";

fn algorithm(request: &Request, name: &str) -> Option<ContextValue<'static>> {
    let message_type = |given: Option<MessageType>| spelled(given.unwrap_or(MessageType::Raw));
    match (request, name) {
        (Request::Sign(request), "signingalgorithm") => Some(spelled(request.signing_algorithm)),
        (Request::Verify(request), "signingalgorithm") => Some(spelled(request.signing_algorithm)),
        (Request::Sign(request), "messagetype") => Some(message_type(request.message_type)),
        (Request::Verify(request), "messagetype") => Some(message_type(request.message_type)),
        (Request::GenerateMac(request), "macalgorithm") => Some(spelled(request.mac_algorithm)),
        (Request::VerifyMac(request), "macalgorithm") => Some(spelled(request.mac_algorithm)),
        (Request::DeriveSharedSecret(request), "keyagreementalgorithm") => {
            Some(spelled(request.key_agreement_algorithm))
        }
        (Request::GenerateDataKeyPair(request), "datakeypairspec") => Some(spelled(request.key_pair_spec)),
        (Request::GenerateDataKeyPairWithoutPlaintext(request), "datakeypairspec") => {
            Some(spelled(request.key_pair_spec))
        }
        _ => None,
    }
}

fn of_grant<'a>(request: &'a CreateGrantRequest, name: &str) -> Option<ContextValue<'a>> {
    let given = |value: &'a Option<String>| value.as_deref().map(one);
    match name {
        "grantoperations" => some_of(request.operations.iter().map(|operation| operation.as_str())),
        "granteeprincipal" => given(&request.grantee_principal),
        "granteeserviceprincipal" => given(&request.grantee_service_principal),
        "retiringprincipal" => given(&request.retiring_principal),
        "retiringserviceprincipal" => given(&request.retiring_service_principal),
        "grantconstraintsourcearn" => given(&request.constraints.as_ref()?.source_arn),
        "grantconstrainttype" => constraint(request.constraints.as_ref()?).map(|(kind, _)| one(kind)),
        _ => None,
    }
}

/// The kind of the constraint on the encryption context, and its pairs. An empty map counts as not given.
fn constraint(constraints: &GrantConstraints) -> Option<(&'static str, &ContextPairs)> {
    let given = |pairs: &Option<ContextPairs>| pairs.as_ref().is_some_and(|pairs| !pairs.is_empty());
    if given(&constraints.encryption_context_equals) {
        return constraints.encryption_context_equals.as_ref().map(|pairs| ("EncryptionContextEquals", pairs));
    }
    let subset = constraints.encryption_context_subset.as_ref().filter(|pairs| !pairs.is_empty());
    subset.map(|pairs| ("EncryptionContextSubset", pairs))
}

/// The encryption context that a decision has: of a re-encryption the one of either side, of a grant that of its constraint.
pub(crate) fn encryption_context(request: &Request, is_destination: bool) -> Option<&ContextPairs> {
    match request {
        Request::Encrypt(request) => Some(&request.encryption_context),
        Request::Decrypt(request) => Some(&request.encryption_context),
        Request::GenerateDataKey(request) => Some(&request.encryption_context),
        Request::GenerateDataKeyWithoutPlaintext(request) => Some(&request.encryption_context),
        Request::GenerateDataKeyPair(request) => Some(&request.encryption_context),
        Request::GenerateDataKeyPairWithoutPlaintext(request) => Some(&request.encryption_context),
        Request::ReEncrypt(request) if is_destination => Some(&request.destination_encryption_context),
        Request::ReEncrypt(request) => Some(&request.source_encryption_context),
        Request::CreateGrant(request) => constraint(request.constraints.as_ref()?).map(|(_, pairs)| pairs),
        _ => None,
    }
}

/// The algorithm of an operation that encrypts or decrypts; data keys are always encrypted symmetrically.
pub(super) fn encryption_algorithm(request: &Request, is_destination: bool) -> Option<&'static str> {
    let given = match request {
        Request::Encrypt(request) => request.encryption_algorithm,
        Request::Decrypt(request) => request.encryption_algorithm,
        Request::ReEncrypt(request) if is_destination => request.destination_encryption_algorithm,
        Request::ReEncrypt(request) => request.source_encryption_algorithm,
        Request::GenerateDataKey(_)
        | Request::GenerateDataKeyWithoutPlaintext(_)
        | Request::GenerateDataKeyPair(_)
        | Request::GenerateDataKeyPairWithoutPlaintext(_) => None,
        _ => return None,
    };
    Some(given.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault).as_str())
}

/// The name of the alias by which a cryptographic request, `DescribeKey` or `GetPublicKey` names its key.
pub(super) fn alias(request: &Request, is_destination: bool) -> Option<&str> {
    let identifier = key_identifier(request, is_destination)?;
    let resource = if identifier.starts_with("arn:") { identifier.splitn(6, ':').nth(5)? } else { identifier };
    resource.starts_with("alias/").then_some(resource)
}

/// What names the key of a request that may name it by an alias.
fn key_identifier(request: &Request, is_destination: bool) -> Option<&str> {
    Some(match request {
        Request::Decapsulate(request) => &request.key_id,
        Request::Decrypt(request) => request.key_id.as_ref()?,
        Request::DeriveSharedSecret(request) => &request.key_id,
        Request::DescribeKey(request) => &request.key_id,
        Request::Encapsulate(request) => &request.key_id,
        Request::Encrypt(request) => &request.key_id,
        Request::GenerateDataKey(request) => &request.key_id,
        Request::GenerateDataKeyPair(request) => &request.key_id,
        Request::GenerateDataKeyPairWithoutPlaintext(request) => &request.key_id,
        Request::GenerateDataKeyWithoutPlaintext(request) => &request.key_id,
        Request::GenerateMac(request) => &request.key_id,
        Request::GetPublicKey(request) => &request.key_id,
        Request::ReEncrypt(request) if is_destination => &request.destination_key_id,
        Request::ReEncrypt(request) => request.source_key_id.as_ref()?,
        Request::Sign(request) => &request.key_id,
        Request::Verify(request) => &request.key_id,
        Request::VerifyMac(request) => &request.key_id,
        _ => return None,
    })
}

/// The tags that a request puts on a key.
pub(super) fn tags(request: &Request) -> impl Iterator<Item = (&str, &str)> + Clone {
    let tags: &[Tag] = match request {
        Request::CreateKey(request) => &request.tags,
        Request::ReplicateKey(request) => &request.tags,
        Request::TagResource(request) => &request.tags,
        _ => &[],
    };
    tags.iter().map(|tag| (tag.tag_key.as_str(), tag.tag_value.as_str()))
}

/// The names of the tags that a request puts on a key, or takes off it.
pub(super) fn tag_keys(request: &Request) -> impl Iterator<Item = &str> {
    let taken_off = match request {
        Request::UntagResource(request) => request.tag_keys.as_slice(),
        _ => &[],
    };
    tags(request).map(|tag| tag.0).chain(taken_off.iter().map(String::as_str))
}

fn spelled<T: WireEnum>(value: T) -> ContextValue<'static> {
    ContextValue::One(Cow::Borrowed(value.as_str()))
}

/// Unix time in seconds, with milliseconds if there are any.
fn epoch_seconds(at: Timestamp) -> String {
    at.as_epoch_seconds().to_string()
}
