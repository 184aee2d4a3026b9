//! What a record says of an answer: what a management operation changed, and nothing of any other.
//!
//! Since December 2022 the records of operations on one key name that key even where the API answers nothing (AWS KMS
//! Developer Guide, "Logging AWS KMS API calls with AWS CloudTrail"). Left out are grant tokens, and whatever was read
//! or computed: cryptography, descriptions, lists and policies leave `null`.

use meridian_model::{
    KeyArn, KeyMetadata, MultiRegionConfiguration, MultiRegionKey, Response, ScheduleKeyDeletionResponse, WireEnum,
};

use crate::json::{JsonText, Object};
use crate::record::long_date;

/// The `responseElements` of `response`; `key` is the key that was changed, if there is exactly one.
#[must_use]
pub fn response_elements(response: &Response, key: Option<&KeyArn>) -> Option<JsonText> {
    let text = JsonText::object(|object| match response {
        Response::CreateAlias(_)
        | Response::DeleteAlias(_)
        | Response::UpdateAlias(_)
        | Response::CancelKeyDeletion(_)
        | Response::DisableKey(_)
        | Response::EnableKey(_)
        | Response::EnableKeyRotation(_)
        | Response::RotateKeyOnDemand(_)
        | Response::TagResource(_)
        | Response::UntagResource(_)
        | Response::UpdatePrimaryRegion(_) => key_id(object, key),
        Response::ImportKeyMaterial(response) => {
            key_id(object, key);
            object.optional("keyMaterialId", response.key_material_id.as_deref());
        }
        Response::DeleteImportedKeyMaterial(response) => {
            key_id(object, key);
            object.optional("keyMaterialId", response.key_material_id.as_deref());
        }
        Response::CreateGrant(response) => {
            object.string("grantId", &response.grant_id);
            key_id(object, key);
        }
        Response::ScheduleKeyDeletion(response) => {
            key_id(object, key);
            deletion(object, response);
        }
        Response::CreateKey(response) => {
            object.nested("keyMetadata", |inner| key_metadata(inner, &response.key_metadata));
        }
        Response::ReplicateKey(response) => {
            object.nested("replicaKeyMetadata", |inner| key_metadata(inner, &response.replica_key_metadata));
            object.string("replicaPolicy", &response.replica_policy);
        }
        Response::CreateCustomKeyStore(response) => {
            object.string("customKeyStoreId", &response.custom_key_store_id);
        }
        _ => {}
    });
    Some(text).filter(|text| text.as_str() != "{}")
}

fn key_id(object: &mut Object<'_>, key: Option<&KeyArn>) {
    if let Some(key) = key {
        object.plain("keyId", key);
    }
}

fn deletion(object: &mut Object<'_>, response: &ScheduleKeyDeletionResponse) {
    object.plain("keyState", response.key_state);
    if let Some(date) = response.deletion_date {
        object.plain("deletionDate", long_date(date));
    }
    object.number("pendingWindowInDays", response.pending_window_in_days);
}

fn key_metadata(object: &mut Object<'_>, key: &KeyMetadata) {
    object.plain("aWSAccountId", &key.aws_account_id).string("keyId", &key.key_id).string("arn", &key.arn);
    object.plain("creationDate", long_date(key.creation_date)).boolean("enabled", key.enabled);
    object.string("description", &key.description).plain("keyUsage", key.key_usage).plain("keyState", key.key_state);
    object.plain("origin", key.origin).plain("keyManager", key.key_manager);
    if let Some(spec) = key.customer_master_key_spec {
        object.plain("customerMasterKeySpec", spec);
    }
    object.plain("keySpec", key.key_spec).boolean("multiRegion", key.multi_region);
    names(object, "encryptionAlgorithms", &key.encryption_algorithms);
    names(object, "signingAlgorithms", &key.signing_algorithms);
    names(object, "keyAgreementAlgorithms", &key.key_agreement_algorithms);
    names(object, "encapsulationAlgorithms", &key.encapsulation_algorithms);
    names(object, "macAlgorithms", &key.mac_algorithms);
    object.optional("customKeyStoreId", key.custom_key_store_id.as_deref());
    object.optional("cloudHsmClusterId", key.cloud_hsm_cluster_id.as_deref());
    if let Some(configuration) = &key.xks_key_configuration {
        object.nested("xksKeyConfiguration", |inner| {
            inner.string("id", &configuration.id);
        });
    }
    if let Some(configuration) = &key.multi_region_configuration {
        object.nested("multiRegionConfiguration", |inner| multi_region(inner, configuration));
    }
    object.optional("currentKeyMaterialId", key.current_key_material_id.as_deref());
}

fn multi_region(object: &mut Object<'_>, configuration: &MultiRegionConfiguration) {
    object.plain("multiRegionKeyType", configuration.multi_region_key_type);
    object.nested("primaryKey", |inner| multi_region_key(inner, &configuration.primary_key));
    object.objects("replicaKeys", &configuration.replica_keys, multi_region_key);
}

fn multi_region_key(object: &mut Object<'_>, key: &MultiRegionKey) {
    object.string("arn", &key.arn).string("region", &key.region);
}

fn names<T: WireEnum>(object: &mut Object<'_>, name: &'static str, values: &[T]) {
    if !values.is_empty() {
        object.strings(name, values.iter().map(|value| value.as_str()));
    }
}
