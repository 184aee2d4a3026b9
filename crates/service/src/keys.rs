//! Making, describing, listing, switching and deleting keys.

use std::collections::{BTreeMap, BTreeSet};

use meridian_crypto::algorithms::{algorithms_for, usages};
use meridian_crypto::import::is_importable;
use meridian_crypto::{KeyMaterial, random};
use meridian_model::shapes::{
    CancelKeyDeletionRequest, CancelKeyDeletionResponse, CreateKeyRequest, CreateKeyResponse, DescribeKeyRequest,
    DescribeKeyResponse, DisableKeyRequest, DisableKeyResponse, EnableKeyRequest, EnableKeyResponse, KeyListEntry,
    KeyMetadata, ListKeysRequest, ListKeysResponse, MultiRegionConfiguration, MultiRegionKey,
    ScheduleKeyDeletionRequest, ScheduleKeyDeletionResponse, Tag, UpdateKeyDescriptionRequest,
    UpdateKeyDescriptionResponse,
};
use meridian_model::{
    ErrorCode, KeyId, KeyManagerType, KeySpec, KeyState, KeyUsageType, MultiRegionKeyType, OriginType, Partition,
    Region, Response, ServiceError,
};
use meridian_policy::{Policy, action};
use meridian_state::command::CreateKey;
use meridian_state::{Done, KeyRecord, Op, RegionState};

use crate::access::{Access, Forms};
use crate::conditions::{NewKey, Subject};
use crate::import::expiration;
use crate::key_ring::{KeyRing, log_internal};
use crate::writes::Plan;
use crate::{pages, policies};

/// The waiting period of a deletion when none is given, in days.
pub(crate) const DEFAULT_WINDOW_DAYS: u32 = 30;

/// A `CreateKey` request in which nothing is wrong.
pub(crate) struct Creation {
    key_id: KeyId,
    new_key: NewKey,
    policy: Option<Policy>,
    tags: BTreeMap<String, String>,
}

impl Creation {
    /// The spec of the material that the key gets with its creation, if it gets any.
    pub(crate) fn generated(&self) -> Option<KeySpec> {
        (self.new_key.origin == OriginType::AwsKms).then_some(self.new_key.spec)
    }
}

/// Checks everything in a `CreateKey` request, and draws the ID of the key.
pub(crate) fn check_creation(request: &CreateKeyRequest, partition: Partition) -> Result<Creation, ServiceError> {
    let (spec, usage) = spec_and_usage(request, partition)?;
    check_supported(request, spec, partition)?;
    let policy = policies::parse(request.policy.as_deref())?;
    let tags = tag_map(&request.tags)?;
    let is_multi_region = request.multi_region.unwrap_or(false);
    let new_key = NewKey {
        spec,
        usage,
        origin: origin(request),
        multi_region: is_multi_region.then_some(MultiRegionKeyType::Primary),
    };
    Ok(Creation { key_id: new_key_id(is_multi_region)?, new_key, policy, tags })
}

fn origin(request: &CreateKeyRequest) -> OriginType {
    request.origin.unwrap_or(OriginType::AwsKms)
}

/// Whether the caller may make the key, may tag it so, and may still change the policy that it gives the key.
pub(crate) fn allow_creation(
    access: &mut Access<'_>,
    request: &CreateKeyRequest,
    creation: &Creation,
) -> Result<(), ServiceError> {
    let new_key = creation.new_key;
    access.allow_creation(new_key, !creation.tags.is_empty())?;
    let Some(policy) = &creation.policy else { return Ok(()) };
    policies::check_principals(&access.state, policy)?;
    if request.bypass_policy_lockout_safety_check == Some(true) {
        return Ok(());
    }
    access.check_lockout(Subject::NewKey(new_key), &access.arn_of_new(creation.key_id), policy)
}

/// `CreateKey`, once it was permitted: nothing is proposed but sealed bytes.
pub(crate) fn create(
    access: &Access<'_>,
    ring: &KeyRing,
    request: &CreateKeyRequest,
    creation: &Creation,
    material: Option<&KeyMaterial>,
) -> Result<Plan, ServiceError> {
    let Creation { key_id, new_key, tags, .. } = creation;
    let new_material = |material| ring.new_material(&access.state, access.account(), *key_id, material);
    let material = material.map(new_material).transpose()?;
    let op = Op::CreateKey(CreateKey {
        key_id: *key_id,
        account: access.account(),
        spec: new_key.spec,
        usage: new_key.usage,
        origin: new_key.origin,
        description: request.description.clone().unwrap_or_default(),
        policy: request.policy.clone(),
        tags: tags.clone(),
        material,
    });
    Ok(Plan::new(op, |state, key| CreateKeyResponse { key_metadata: metadata(state, expect_key(key)) }))
}

fn new_key_id(multi_region: bool) -> Result<KeyId, ServiceError> {
    let drawn = if multi_region { random::multi_region_key_id() } else { random::single_region_key_id() };
    drawn.map_err(log_internal("drawing a key ID"))
}

/// The spec and usage that a request asks for; only symmetric encryption keys have a default usage.
fn spec_and_usage(request: &CreateKeyRequest, partition: Partition) -> Result<(KeySpec, KeyUsageType), ServiceError> {
    let spec = match (request.key_spec, request.customer_master_key_spec) {
        (Some(_), Some(_)) => {
            return Err(validation("You cannot specify KeySpec and CustomerMasterKeySpec in the same request."));
        }
        (Some(spec), None) => spec,
        (None, Some(deprecated)) => deprecated.into(),
        (None, None) => KeySpec::SymmetricDefault,
    };
    if spec == KeySpec::Sm2 && !has_sm2(partition) {
        let message = "The key spec SM2 is not supported in this Region.";
        return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
    }
    let usage = match request.key_usage {
        Some(usage) => usage,
        None if spec == KeySpec::SymmetricDefault => KeyUsageType::EncryptDecrypt,
        None => {
            let message = "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.";
            return Err(validation(message));
        }
    };
    if !usages(spec).contains(&usage) {
        return Err(validation(format!("KeyUsage {usage} is not compatible with KeySpec {spec}")));
    }
    Ok((spec, usage))
}

/// Whether keys on the curve SM2 are made in a Region of `partition`.
pub(crate) fn has_sm2(partition: Partition) -> bool {
    partition == Partition::AwsCn
}

/// Refuses what the service does not do yet; it is never faked.
fn check_supported(request: &CreateKeyRequest, spec: KeySpec, partition: Partition) -> Result<(), ServiceError> {
    let unsupported = |what: String| {
        Err(ServiceError::new(ErrorCode::UnsupportedOperation, format!("CreateKey does not support {what} yet.")))
    };
    match origin(request) {
        OriginType::AwsKms => {}
        OriginType::External if is_importable(partition, spec) => {}
        OriginType::External => {
            let message = format!("Key material cannot be imported into keys of the KeySpec {spec}.");
            return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
        }
        origin => return unsupported(format!("the Origin {origin}")),
    }
    if request.custom_key_store_id.is_some() || request.xks_key_id.is_some() {
        return unsupported("custom key stores".to_owned());
    }
    Ok(())
}

/// `DescribeKey`
pub(crate) fn describe(access: &mut Access<'_>, request: &DescribeKeyRequest) -> Result<Response, ServiceError> {
    let (key, _) = access.key::<action::DescribeKey>(&request.key_id, Forms::KeyOrAlias)?;
    Ok(DescribeKeyResponse { key_metadata: metadata(&access.state, &key) }.into())
}

/// `ListKeys`
pub(crate) fn list(access: &mut Access<'_>, request: &ListKeysRequest) -> Result<Response, ServiceError> {
    let after = pages::after(request.marker.as_deref())?;
    access.allow_in_account::<action::ListKeys>(Subject::Other)?;
    let keys = access.state.keys_of(access.account(), after);
    let page = pages::page(keys, pages::limit(request.limit, 100, 1_000), KeyId::to_string);
    let entry = |key_id: KeyId| {
        let key = access.state.key(key_id).expect("a listed key exists in the same state");
        KeyListEntry { key_id: key_id.to_string(), key_arn: access.state.key_arn(key).to_string() }
    };
    let truncated = page.next_marker.is_some();
    let keys = page.items.into_iter().map(entry).collect();
    Ok(ListKeysResponse { keys, next_marker: page.next_marker, truncated }.into())
}

/// `UpdateKeyDescription`
pub(crate) fn update_description(
    access: &mut Access<'_>,
    request: &UpdateKeyDescriptionRequest,
) -> Result<Plan, ServiceError> {
    let (key, _) = access.key::<action::UpdateKeyDescription>(&request.key_id, Forms::Key)?;
    let op = Op::UpdateKeyDescription { key_id: key.key_id, description: request.description.clone() };
    Ok(Plan::new(op, |_, _| UpdateKeyDescriptionResponse {}))
}

/// `EnableKey`
pub(crate) fn enable(access: &mut Access<'_>, request: &EnableKeyRequest) -> Result<Plan, ServiceError> {
    let (key, _) = access.key::<action::EnableKey>(&request.key_id, Forms::Key)?;
    Ok(Plan::new(Op::EnableKey(key.key_id), |_, _| EnableKeyResponse {}))
}

/// `DisableKey`
pub(crate) fn disable(access: &mut Access<'_>, request: &DisableKeyRequest) -> Result<Plan, ServiceError> {
    let (key, _) = access.key::<action::DisableKey>(&request.key_id, Forms::Key)?;
    Ok(Plan::new(Op::DisableKey(key.key_id), |_, _| DisableKeyResponse {}))
}

/// `ScheduleKeyDeletion`
pub(crate) fn schedule_deletion(
    access: &mut Access<'_>,
    request: &ScheduleKeyDeletionRequest,
) -> Result<Plan, ServiceError> {
    let window_days = request.pending_window_in_days.unwrap_or(DEFAULT_WINDOW_DAYS);
    if !(7..=30).contains(&window_days) {
        return Err(validation("PendingWindowInDays must be between 7 and 30 (inclusive)."));
    }
    let (key, _) = access.key::<action::ScheduleKeyDeletion>(&request.key_id, Forms::Key)?;
    let op = Op::ScheduleKeyDeletion { key_id: key.key_id, window_days };
    Ok(Plan::new(op, |state, key| {
        let key = expect_key(key);
        let deletion = key.deletion.expect("the key was just scheduled for deletion");
        ScheduleKeyDeletionResponse {
            key_id: state.key_arn(key).to_string(),
            deletion_date: deletion.due,
            key_state: key.state,
            pending_window_in_days: deletion.window_days,
        }
    }))
}

/// `CancelKeyDeletion`
pub(crate) fn cancel_deletion(
    access: &mut Access<'_>,
    request: &CancelKeyDeletionRequest,
) -> Result<Plan, ServiceError> {
    let (key, _) = access.key::<action::CancelKeyDeletion>(&request.key_id, Forms::Key)?;
    Ok(Plan::new(Op::CancelKeyDeletion(key.key_id), |state, key| CancelKeyDeletionResponse {
        key_id: state.key_arn(expect_key(key)).to_string(),
    }))
}

/// The key that a command on a key gave back.
pub(crate) fn expect_key(done: &Done) -> &KeyRecord {
    match done {
        Done::Key(key) => key,
        Done::Nothing | Done::Grant(_) | Done::Identity(_) => unreachable!("this command gives back its key"),
    }
}

/// The tags of a request: no key twice, none reserved.
pub(crate) fn tag_map(tags: &[Tag]) -> Result<BTreeMap<String, String>, ServiceError> {
    let mut seen = BTreeSet::new();
    for tag in tags {
        if tag.tag_key.to_ascii_lowercase().starts_with("aws:") {
            return Err(ServiceError::new(ErrorCode::Tag, "Tag keys that begin with aws: are reserved."));
        }
        if !seen.insert(&tag.tag_key) {
            return Err(ServiceError::new(ErrorCode::Tag, "Duplicate tag keys in one request are not allowed."));
        }
    }
    Ok(tags.iter().map(|tag| (tag.tag_key.clone(), tag.tag_value.clone())).collect())
}

/// What the service tells about a key.
pub(crate) fn metadata(state: &RegionState, key: &KeyRecord) -> KeyMetadata {
    let deletion = key.deletion;
    let algorithms = algorithms_for(key.spec, key.usage);
    let is_symmetric = key.spec == KeySpec::SymmetricDefault;
    let expiration = expiration(state, key);
    KeyMetadata {
        aws_account_id: key.account.to_string(),
        key_id: key.key_id.to_string(),
        arn: state.key_arn(key).to_string(),
        creation_date: key.created_at,
        enabled: key.state == KeyState::Enabled,
        description: key.description.clone(),
        key_usage: key.usage,
        key_state: key.state,
        deletion_date: deletion.and_then(|deletion| deletion.due),
        valid_to: expiration.and_then(|(_, valid_to)| valid_to),
        origin: key.origin,
        custom_key_store_id: None,
        cloud_hsm_cluster_id: None,
        expiration_model: expiration.map(|(model, _)| model),
        key_manager: KeyManagerType::Customer,
        customer_master_key_spec: key.spec.as_customer_master_key_spec(),
        key_spec: key.spec,
        encryption_algorithms: algorithms.encryption.to_vec(),
        signing_algorithms: algorithms.signing.to_vec(),
        key_agreement_algorithms: algorithms.agreement.to_vec(),
        encapsulation_algorithms: algorithms.encapsulation.to_vec(),
        multi_region: key.multi_region.is_some(),
        multi_region_configuration: multi_region_configuration(state, key),
        pending_deletion_window_in_days: deletion.filter(|deletion| deletion.due.is_none()).map(|d| d.window_days),
        mac_algorithms: algorithms.mac.to_vec(),
        xks_key_configuration: None,
        // Only the material of symmetric encryption keys has versions to tell apart.
        current_key_material_id: key.current_material.filter(|_| is_symmetric).map(|id| id.to_string()),
    }
}

fn multi_region_configuration(state: &RegionState, key: &KeyRecord) -> Option<MultiRegionConfiguration> {
    let set = key.multi_region.as_ref()?;
    let related = |region: &Region| {
        let arn = meridian_model::KeyArn { region: region.clone(), ..state.key_arn(key) };
        MultiRegionKey { arn: arn.to_string(), region: region.to_string() }
    };
    Some(MultiRegionConfiguration {
        multi_region_key_type: set.role(state.region()),
        primary_key: related(&set.primary),
        replica_keys: set.replicas.keys().map(related).collect(),
    })
}

pub(crate) fn validation(message: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorCode::Validation, message)
}
