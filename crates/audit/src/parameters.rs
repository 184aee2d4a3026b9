//! What a record says of a request: the members of each operation that may be read by an auditor.
//!
//! An allow-list by construction: a member that is not named here is in no record, whatever the API gains. Left out are
//! plaintexts, ciphertexts, messages, signatures, MACs, public keys, import tokens, grant tokens, passwords and
//! credentials. Values stand as the caller sent them, with those defaults that AWS CloudTrail fills in as well.
//! Source: AWS KMS Developer Guide, "Examples of AWS KMS log entries".

use std::collections::BTreeMap;
use std::fmt::Display;

use meridian_model::{
    CreateCustomKeyStoreRequest, CreateGrantRequest, CreateKeyRequest, EncryptionAlgorithmSpec, GrantConstraints,
    ImportKeyMaterialRequest, KeySpec, KeyUsageType, OriginType, PutKeyPolicyRequest, ReEncryptRequest,
    ReplicateKeyRequest, Request, Tag, UpdateCustomKeyStoreRequest, WireEnum,
};

use crate::json::{JsonText, Object};
use crate::record::long_date;

/// The `requestParameters` of `request`; `None` if nothing of it is recorded.
#[must_use]
pub fn request_parameters(request: &Request) -> Option<JsonText> {
    Some(JsonText::object(|object| write(object, request))).filter(|text| text.as_str() != "{}")
}

fn write(object: &mut Object<'_>, request: &Request) {
    match request {
        Request::Encrypt(request) => {
            object.string("keyId", &request.key_id);
            algorithm(object, "encryptionAlgorithm", request.encryption_algorithm);
            context(object, "encryptionContext", &request.encryption_context);
            dry_run(object, request.dry_run);
        }
        Request::Decrypt(request) => {
            algorithm(object, "encryptionAlgorithm", request.encryption_algorithm);
            object.optional("keyId", request.key_id.as_deref());
            context(object, "encryptionContext", &request.encryption_context);
            dry_run(object, request.dry_run);
        }
        Request::ReEncrypt(request) => re_encrypt(object, request),
        Request::GenerateDataKey(request) => {
            object.string("keyId", &request.key_id);
            value(object, "keySpec", request.key_spec);
            number(object, "numberOfBytes", request.number_of_bytes);
            context(object, "encryptionContext", &request.encryption_context);
            dry_run(object, request.dry_run);
        }
        Request::GenerateDataKeyWithoutPlaintext(request) => {
            object.string("keyId", &request.key_id);
            value(object, "keySpec", request.key_spec);
            number(object, "numberOfBytes", request.number_of_bytes);
            context(object, "encryptionContext", &request.encryption_context);
            dry_run(object, request.dry_run);
        }
        other => write_cryptographic(object, other),
    }
}

fn re_encrypt(object: &mut Object<'_>, request: &ReEncryptRequest) {
    object.optional("sourceKeyId", request.source_key_id.as_deref());
    algorithm(object, "sourceEncryptionAlgorithm", request.source_encryption_algorithm);
    context(object, "sourceEncryptionContext", &request.source_encryption_context);
    object.string("destinationKeyId", &request.destination_key_id);
    algorithm(object, "destinationEncryptionAlgorithm", request.destination_encryption_algorithm);
    context(object, "destinationEncryptionContext", &request.destination_encryption_context);
    dry_run(object, request.dry_run);
}

/// The operations with asymmetric and HMAC keys, and what is left to the rest.
fn write_cryptographic(object: &mut Object<'_>, request: &Request) {
    match request {
        Request::GenerateDataKeyPair(request) => {
            object.string("keyId", &request.key_id).plain("keyPairSpec", request.key_pair_spec);
            context(object, "encryptionContext", &request.encryption_context);
            dry_run(object, request.dry_run);
        }
        Request::GenerateDataKeyPairWithoutPlaintext(request) => {
            object.string("keyId", &request.key_id).plain("keyPairSpec", request.key_pair_spec);
            context(object, "encryptionContext", &request.encryption_context);
            dry_run(object, request.dry_run);
        }
        Request::Sign(request) => {
            object.string("keyId", &request.key_id).plain("signingAlgorithm", request.signing_algorithm);
            value(object, "messageType", request.message_type);
            dry_run(object, request.dry_run);
        }
        Request::Verify(request) => {
            object.string("keyId", &request.key_id).plain("signingAlgorithm", request.signing_algorithm);
            value(object, "messageType", request.message_type);
            dry_run(object, request.dry_run);
        }
        Request::GenerateMac(request) => {
            object.string("keyId", &request.key_id).plain("macAlgorithm", request.mac_algorithm);
            dry_run(object, request.dry_run);
        }
        Request::VerifyMac(request) => {
            object.string("keyId", &request.key_id).plain("macAlgorithm", request.mac_algorithm);
            dry_run(object, request.dry_run);
        }
        Request::DeriveSharedSecret(request) => {
            object.string("keyId", &request.key_id);
            object.plain("keyAgreementAlgorithm", request.key_agreement_algorithm);
            dry_run(object, request.dry_run);
        }
        Request::Encapsulate(request) => {
            object.string("keyId", &request.key_id);
            object.plain("encapsulationAlgorithm", request.encapsulation_algorithm);
            dry_run(object, request.dry_run);
        }
        Request::Decapsulate(request) => {
            object.string("keyId", &request.key_id);
            object.plain("encapsulationAlgorithm", request.encapsulation_algorithm);
            dry_run(object, request.dry_run);
        }
        other => write_management(object, other),
    }
}

/// The operations on keys, aliases, tags, policies and rotation.
fn write_management(object: &mut Object<'_>, request: &Request) {
    match request {
        Request::CreateKey(request) => create_key(object, request),
        Request::ReplicateKey(request) => replicate_key(object, request),
        Request::PutKeyPolicy(request) => put_key_policy(object, request),
        Request::ImportKeyMaterial(request) => import_key_material(object, request),
        Request::CreateAlias(request) => {
            object.string("aliasName", &request.alias_name).string("targetKeyId", &request.target_key_id);
        }
        Request::UpdateAlias(request) => {
            object.string("aliasName", &request.alias_name).string("targetKeyId", &request.target_key_id);
        }
        Request::TagResource(request) => {
            object.string("keyId", &request.key_id);
            tags(object, &request.tags);
        }
        Request::UntagResource(request) => {
            object.string("keyId", &request.key_id).strings("tagKeys", request.tag_keys.iter().map(String::as_str));
        }
        Request::UpdateKeyDescription(request) => {
            object.string("keyId", &request.key_id).string("description", &request.description);
        }
        Request::UpdatePrimaryRegion(request) => {
            object.string("keyId", &request.key_id).string("primaryRegion", &request.primary_region);
        }
        Request::GetParametersForImport(request) => {
            object.string("keyId", &request.key_id).plain("wrappingAlgorithm", request.wrapping_algorithm);
            object.plain("wrappingKeySpec", request.wrapping_key_spec);
        }
        Request::EnableKeyRotation(request) => {
            object.string("keyId", &request.key_id);
            number(object, "rotationPeriodInDays", request.rotation_period_in_days);
        }
        Request::ScheduleKeyDeletion(request) => {
            object.string("keyId", &request.key_id);
            number(object, "pendingWindowInDays", request.pending_window_in_days);
        }
        Request::DeleteImportedKeyMaterial(request) => {
            object.string("keyId", &request.key_id).optional("keyMaterialId", request.key_material_id.as_deref());
        }
        Request::GetKeyPolicy(request) => {
            object.string("keyId", &request.key_id).optional("policyName", request.policy_name.as_deref());
        }
        other => write_lists(object, other),
    }
}

/// The operations that list, those on grants, and those on custom key stores.
fn write_lists(object: &mut Object<'_>, request: &Request) {
    match request {
        Request::ListAliases(request) => {
            object.optional("keyId", request.key_id.as_deref());
            page(object, request.limit, request.marker.as_deref());
        }
        Request::ListGrants(request) => {
            object.string("keyId", &request.key_id).optional("grantId", request.grant_id.as_deref());
            object.optional("granteePrincipal", request.grantee_principal.as_deref());
            object.optional("granteeServicePrincipal", request.grantee_service_principal.as_deref());
            page(object, request.limit, request.marker.as_deref());
        }
        Request::ListKeyPolicies(request) => {
            object.string("keyId", &request.key_id);
            page(object, request.limit, request.marker.as_deref());
        }
        Request::ListKeyRotations(request) => {
            object.string("keyId", &request.key_id);
            value(object, "includeKeyMaterial", request.include_key_material);
            page(object, request.limit, request.marker.as_deref());
        }
        Request::ListKeys(request) => {
            page(object, request.limit, request.marker.as_deref());
            if !request.resource_owners.is_empty() {
                object.strings("resourceOwners", request.resource_owners.iter().map(|owner| owner.as_str()));
            }
        }
        Request::ListResourceTags(request) => {
            object.string("keyId", &request.key_id);
            page(object, request.limit, request.marker.as_deref());
        }
        Request::ListRetirableGrants(request) => {
            object.optional("retiringPrincipal", request.retiring_principal.as_deref());
            object.optional("retiringServicePrincipal", request.retiring_service_principal.as_deref());
            page(object, request.limit, request.marker.as_deref());
        }
        Request::CreateGrant(request) => create_grant(object, request),
        Request::RevokeGrant(request) => {
            object.string("keyId", &request.key_id).string("grantId", &request.grant_id);
            dry_run(object, request.dry_run);
        }
        Request::CreateCustomKeyStore(request) => create_key_store(object, request),
        Request::UpdateCustomKeyStore(request) => update_key_store(object, request),
        Request::DescribeCustomKeyStores(request) => {
            object.optional("customKeyStoreId", request.custom_key_store_id.as_deref());
            object.optional("customKeyStoreName", request.custom_key_store_name.as_deref());
            page(object, request.limit, request.marker.as_deref());
        }
        other => write_subject(object, other),
    }
}

/// The operations of which only their subject is recorded, if that.
fn write_subject(object: &mut Object<'_>, request: &Request) {
    let key_id = match request {
        Request::CancelKeyDeletion(request) => &request.key_id,
        Request::DescribeKey(request) => &request.key_id,
        Request::DisableKey(request) => &request.key_id,
        Request::DisableKeyRotation(request) => &request.key_id,
        Request::EnableKey(request) => &request.key_id,
        Request::GetKeyLastUsage(request) => &request.key_id,
        Request::GetKeyRotationStatus(request) => &request.key_id,
        Request::GetPublicKey(request) => &request.key_id,
        Request::RotateKeyOnDemand(request) => &request.key_id,
        Request::DeleteAlias(request) => {
            object.string("aliasName", &request.alias_name);
            return;
        }
        Request::ConnectCustomKeyStore(request) => return store_id(object, &request.custom_key_store_id),
        Request::DeleteCustomKeyStore(request) => return store_id(object, &request.custom_key_store_id),
        Request::DisconnectCustomKeyStore(request) => return store_id(object, &request.custom_key_store_id),
        // GenerateRandom names nothing, and a grant to retire may be named by its token: its id is additional data.
        _ => return,
    };
    object.string("keyId", key_id);
}

fn create_key(object: &mut Object<'_>, request: &CreateKeyRequest) {
    let spec = request.key_spec.map(WireEnum::as_str);
    let spec = spec.or(request.customer_master_key_spec.map(WireEnum::as_str));
    let spec = spec.unwrap_or(KeySpec::SymmetricDefault.as_str());
    object.string("description", request.description.as_deref().unwrap_or_default());
    object.plain("origin", request.origin.unwrap_or(OriginType::AwsKms));
    object.string("keySpec", spec).string("customerMasterKeySpec", spec);
    object.plain("keyUsage", request.key_usage.unwrap_or(KeyUsageType::EncryptDecrypt));
    bypass(object, request.bypass_policy_lockout_safety_check);
    if let Some(multi_region) = request.multi_region {
        object.boolean("multiRegion", multi_region);
    }
    object.optional("policy", request.policy.as_deref());
    tags(object, &request.tags);
    object.optional("customKeyStoreId", request.custom_key_store_id.as_deref());
    object.optional("xksKeyId", request.xks_key_id.as_deref());
}

fn replicate_key(object: &mut Object<'_>, request: &ReplicateKeyRequest) {
    object.string("keyId", &request.key_id).string("replicaRegion", &request.replica_region);
    bypass(object, request.bypass_policy_lockout_safety_check);
    object.string("description", request.description.as_deref().unwrap_or_default());
    object.optional("policy", request.policy.as_deref());
    tags(object, &request.tags);
}

fn put_key_policy(object: &mut Object<'_>, request: &PutKeyPolicyRequest) {
    object.string("keyId", &request.key_id).optional("policyName", request.policy_name.as_deref());
    object.string("policy", &request.policy);
    bypass(object, request.bypass_policy_lockout_safety_check);
}

fn import_key_material(object: &mut Object<'_>, request: &ImportKeyMaterialRequest) {
    object.string("keyId", &request.key_id);
    if let Some(valid_to) = request.valid_to {
        object.plain("validTo", long_date(valid_to));
    }
    value(object, "expirationModel", request.expiration_model);
    value(object, "importType", request.import_type);
    object.optional("keyMaterialDescription", request.key_material_description.as_deref());
    object.optional("keyMaterialId", request.key_material_id.as_deref());
}

fn create_grant(object: &mut Object<'_>, request: &CreateGrantRequest) {
    object.string("keyId", &request.key_id);
    object.optional("granteePrincipal", request.grantee_principal.as_deref());
    object.optional("granteeServicePrincipal", request.grantee_service_principal.as_deref());
    object.optional("retiringPrincipal", request.retiring_principal.as_deref());
    object.optional("retiringServicePrincipal", request.retiring_service_principal.as_deref());
    object.strings("operations", request.operations.iter().map(|operation| operation.as_str()));
    if let Some(constraints) = &request.constraints {
        object.nested("constraints", |inner| grant_constraints(inner, constraints));
    }
    object.optional("name", request.name.as_deref());
    dry_run(object, request.dry_run);
}

fn grant_constraints(object: &mut Object<'_>, constraints: &GrantConstraints) {
    if let Some(pairs) = &constraints.encryption_context_subset {
        object.pairs("encryptionContextSubset", pairs);
    }
    if let Some(pairs) = &constraints.encryption_context_equals {
        object.pairs("encryptionContextEquals", pairs);
    }
    object.optional("sourceArn", constraints.source_arn.as_deref());
}

fn create_key_store(object: &mut Object<'_>, request: &CreateCustomKeyStoreRequest) {
    object.string("customKeyStoreName", &request.custom_key_store_name);
    object.optional("clusterId", request.cloud_hsm_cluster_id.as_deref());
    value(object, "customKeyStoreType", request.custom_key_store_type);
    value(object, "xksProxyConnectivity", request.xks_proxy_connectivity);
    object.optional("xksProxyUriEndpoint", request.xks_proxy_uri_endpoint.as_deref());
    object.optional("xksProxyUriPath", request.xks_proxy_uri_path.as_deref());
    object.optional("xksProxyVpcEndpointServiceName", request.xks_proxy_vpc_endpoint_service_name.as_deref());
    object.optional("xksProxyVpcEndpointServiceOwner", request.xks_proxy_vpc_endpoint_service_owner.as_deref());
}

fn update_key_store(object: &mut Object<'_>, request: &UpdateCustomKeyStoreRequest) {
    store_id(object, &request.custom_key_store_id);
    object.optional("newCustomKeyStoreName", request.new_custom_key_store_name.as_deref());
    object.optional("clusterId", request.cloud_hsm_cluster_id.as_deref());
    value(object, "xksProxyConnectivity", request.xks_proxy_connectivity);
    object.optional("xksProxyUriEndpoint", request.xks_proxy_uri_endpoint.as_deref());
    object.optional("xksProxyUriPath", request.xks_proxy_uri_path.as_deref());
    object.optional("xksProxyVpcEndpointServiceName", request.xks_proxy_vpc_endpoint_service_name.as_deref());
    object.optional("xksProxyVpcEndpointServiceOwner", request.xks_proxy_vpc_endpoint_service_owner.as_deref());
}

fn store_id(object: &mut Object<'_>, id: &str) {
    object.string("customKeyStoreId", id);
}

fn algorithm(object: &mut Object<'_>, name: &'static str, sent: Option<EncryptionAlgorithmSpec>) {
    object.plain(name, sent.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault));
}

fn context(object: &mut Object<'_>, name: &'static str, pairs: &BTreeMap<String, String>) {
    if !pairs.is_empty() {
        object.pairs(name, pairs);
    }
}

fn tags(object: &mut Object<'_>, tags: &[Tag]) {
    if !tags.is_empty() {
        object.objects("tags", tags, |inner, tag| {
            inner.string("tagKey", &tag.tag_key).string("tagValue", &tag.tag_value);
        });
    }
}

fn page(object: &mut Object<'_>, limit: Option<u32>, marker: Option<&str>) {
    number(object, "limit", limit);
    object.optional("marker", marker);
}

fn bypass(object: &mut Object<'_>, sent: Option<bool>) {
    object.boolean("bypassPolicyLockoutSafetyCheck", sent.unwrap_or(false));
}

fn dry_run(object: &mut Object<'_>, sent: Option<bool>) {
    if let Some(dry_run) = sent {
        object.boolean("dryRun", dry_run);
    }
}

fn number(object: &mut Object<'_>, name: &'static str, sent: Option<u32>) {
    if let Some(number) = sent {
        object.number(name, number);
    }
}

/// A member of an enum of the wire.
fn value(object: &mut Object<'_>, name: &'static str, sent: Option<impl Display>) {
    if let Some(value) = sent {
        object.plain(name, value);
    }
}
