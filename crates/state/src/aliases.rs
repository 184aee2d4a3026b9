//! Aliases: names of keys, unique within account and Region, independent of the key that they name.

use std::sync::Arc;

use meridian_model::{AccountId, AliasName, ErrorCode, KeySpec, ServiceError};

use crate::apply::{Done, Draft, Outcome};
use crate::command::AliasTarget;
use crate::key_states::Requirement;
use crate::quotas::ALIASES_PER_KEY;
use crate::rows::{AliasRecord, Change, KeyRecord, Row, RowId};

/// Makes an alias of a key of the same account.
pub(crate) fn create(draft: &mut Draft<'_>, alias: &AliasTarget) -> Outcome {
    let name = &alias.name;
    if draft.state.alias(alias.account, name).is_some() {
        let arn = draft.state.alias_arn(alias.account, name);
        let message = format!("An alias with the name {arn} already exists");
        return Err(ServiceError::new(ErrorCode::AlreadyExists, message));
    }
    require_room(draft, require_target(draft, alias)?)?;
    draft.put(Row::Alias(Arc::new(AliasRecord {
        account: alias.account,
        name: name.clone(),
        target: alias.target,
        created_at: draft.now,
        updated_at: draft.now,
    })));
    Ok(Done::Nothing)
}

/// Points an alias at another key of the same type and usage. The key that it leaves may be in any state.
pub(crate) fn update(draft: &mut Draft<'_>, alias: &AliasTarget) -> Outcome {
    let record = require_alias(draft, alias.account, &alias.name)?;
    let target = require_target(draft, alias)?;
    if record.target != alias.target {
        require_same_kind(draft.key(record.target)?, target)?;
        require_room(draft, target)?;
    }
    let updated = AliasRecord { target: alias.target, updated_at: draft.now, ..AliasRecord::clone(record) };
    draft.put(Row::Alias(Arc::new(updated)));
    Ok(Done::Nothing)
}

/// Removes an alias; its key is not touched.
pub(crate) fn delete(draft: &mut Draft<'_>, account: AccountId, name: &AliasName) -> Outcome {
    require_alias(draft, account, name)?;
    draft.changes.push(Change::Delete(RowId::Alias(account, name.clone())));
    Ok(Done::Nothing)
}

fn require_alias<'a>(
    draft: &Draft<'a>,
    account: AccountId,
    name: &AliasName,
) -> Result<&'a Arc<AliasRecord>, ServiceError> {
    let missing = || {
        let arn = draft.state.alias_arn(account, name);
        ServiceError::new(ErrorCode::NotFound, format!("Alias {arn} is not found."))
    };
    draft.state.alias(account, name).ok_or_else(missing)
}

fn require_target<'a>(draft: &Draft<'a>, alias: &AliasTarget) -> Result<&'a Arc<KeyRecord>, ServiceError> {
    let key = draft.require(alias.target, Requirement::Editable)?;
    if key.account == alias.account { Ok(key) } else { Err(ServiceError::key_not_found(&draft.state.key_arn(key))) }
}

fn require_room(draft: &Draft<'_>, key: &KeyRecord) -> Result<(), ServiceError> {
    if draft.state.aliases_of(key.key_id).count() < ALIASES_PER_KEY {
        return Ok(());
    }
    let message = format!("A KMS key can have at most {ALIASES_PER_KEY} aliases.");
    Err(ServiceError::new(ErrorCode::LimitExceeded, message))
}

fn require_same_kind(current: &KeyRecord, new: &KeyRecord) -> Result<(), ServiceError> {
    if kind(current.spec) == kind(new.spec) && current.usage == new.usage {
        return Ok(());
    }
    let message = "The current and the new target key of an alias must have the same key type and key usage.";
    Err(ServiceError::new(ErrorCode::Validation, message))
}

/// The three types among which an alias cannot move.
#[derive(PartialEq, Eq)]
enum Kind {
    SymmetricEncryption,
    Hmac,
    Asymmetric,
}

fn kind(spec: KeySpec) -> Kind {
    match spec {
        KeySpec::SymmetricDefault => Kind::SymmetricEncryption,
        KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => Kind::Hmac,
        _ => Kind::Asymmetric,
    }
}
