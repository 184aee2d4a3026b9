//! Aliases: every operation is about the alias and about the key that it names.

use meridian_model::shapes::{
    AliasListEntry, CreateAliasRequest, CreateAliasResponse, DeleteAliasRequest, DeleteAliasResponse,
    ListAliasesRequest, ListAliasesResponse, UpdateAliasRequest, UpdateAliasResponse,
};
use meridian_model::{AliasName, ErrorCode, Response, ServiceError};
use meridian_policy::action;
use meridian_state::command::AliasTarget;
use meridian_state::{AliasRecord, Op};

use crate::access::{Access, Forms};
use crate::conditions::Subject;
use crate::keys::validation;
use crate::pages;
use crate::writes::Plan;

/// `CreateAlias`
pub(crate) fn create(access: &mut Access<'_>, request: &CreateAliasRequest) -> Result<Plan, ServiceError> {
    let name = alias_name(&request.alias_name)?;
    access.allow_on_alias::<action::CreateAlias>(&name)?;
    let (key, _) = access.key::<action::CreateAlias>(&request.target_key_id, Forms::Key)?;
    let target = AliasTarget { account: access.account(), name, target: key.key_id };
    Ok(Plan::new(Op::CreateAlias(target), |_, _| CreateAliasResponse {}))
}

/// `UpdateAlias`: needs permission on the alias, on the key that the alias names now and on the one that it shall name.
pub(crate) fn update(access: &mut Access<'_>, request: &UpdateAliasRequest) -> Result<Plan, ServiceError> {
    let name = alias_name(&request.alias_name)?;
    access.allow_on_alias::<action::UpdateAlias>(&name)?;
    allow_current_target::<action::UpdateAlias>(access, &name)?;
    let (key, _) = access.key::<action::UpdateAlias>(&request.target_key_id, Forms::Key)?;
    let target = AliasTarget { account: access.account(), name, target: key.key_id };
    Ok(Plan::new(Op::UpdateAlias(target), |_, _| UpdateAliasResponse {}))
}

/// `DeleteAlias`
pub(crate) fn delete(access: &mut Access<'_>, request: &DeleteAliasRequest) -> Result<Plan, ServiceError> {
    let name = alias_name(&request.alias_name)?;
    access.allow_on_alias::<action::DeleteAlias>(&name)?;
    allow_current_target::<action::DeleteAlias>(access, &name)?;
    Ok(Plan::new(Op::DeleteAlias { account: access.account(), name }, |_, _| DeleteAliasResponse {}))
}

fn allow_current_target<A: meridian_policy::Action>(
    access: &mut Access<'_>,
    name: &AliasName,
) -> Result<(), ServiceError> {
    let state = std::sync::Arc::clone(&access.state);
    let target = state.alias(access.account(), name).and_then(|alias| state.key(alias.target));
    match target {
        Some(key) => access.allow::<A>(key).map(drop),
        None => Ok(()), // the state machine says that there is no such alias
    }
}

/// `ListAliases`
pub(crate) fn list(access: &mut Access<'_>, request: &ListAliasesRequest) -> Result<Response, ServiceError> {
    let after: Option<AliasName> = pages::after(request.marker.as_deref())?;
    let limit = pages::limit(request.limit, 50, 100);
    let last = |alias: &&std::sync::Arc<AliasRecord>| alias.name.to_string();
    access.allow_in_account::<action::ListAliases>(Subject::Other)?;
    let find = |identifier: &String| access.own_key::<action::ListAliases>(identifier);
    let key = request.key_id.as_ref().map(find).transpose()?;
    let page = match &key {
        Some(key) => {
            let of_key = access.state.aliases_of(key.key_id);
            pages::page(of_key.filter(|alias| after.as_ref().is_none_or(|after| &alias.name > after)), limit, last)
        }
        None => pages::page(access.state.aliases_in(access.account(), after.as_ref()), limit, last),
    };
    let entry = |alias: &std::sync::Arc<AliasRecord>| AliasListEntry {
        alias_name: alias.name.to_string(),
        alias_arn: access.state.alias_arn(alias.account, &alias.name),
        target_key_id: Some(alias.target.to_string()),
        creation_date: Some(alias.created_at),
        last_updated_date: Some(alias.updated_at),
    };
    let truncated = page.next_marker.is_some();
    let aliases = page.items.into_iter().map(entry).collect();
    Ok(ListAliasesResponse { aliases, next_marker: page.next_marker, truncated }.into())
}

/// The alias name of a request: with its prefix, of allowed characters, not reserved.
fn alias_name(text: &str) -> Result<AliasName, ServiceError> {
    if !text.starts_with("alias/") {
        return Err(validation("Invalid identifier"));
    }
    let name: AliasName = text.parse().map_err(|_| {
        validation(
            "Alias must begin with \"alias/\" and contain only alphanumeric characters, slashes (/), \
             underscores (_) and dashes (-)",
        )
    })?;
    if name.is_reserved() {
        return Err(ServiceError::new(
            ErrorCode::NotAuthorized,
            "Alias names that begin with alias/aws/ are reserved.",
        ));
    }
    Ok(name)
}
