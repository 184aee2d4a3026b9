//! Grants: created, listed, retired and revoked.
//!
//! What a grant allows is decided in `policy`. Always true: no record, list or log holds a grant token.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use meridian_audit::JsonText;
use meridian_crypto::random;
use meridian_model::shapes::{
    CreateGrantRequest, CreateGrantResponse, GrantConstraints, GrantListEntry, ListGrantsRequest, ListGrantsResponse,
    ListRetirableGrantsRequest, ListRetirableGrantsResponse, RetireGrantRequest, RetireGrantResponse,
    RevokeGrantRequest, RevokeGrantResponse,
};
use meridian_model::{ErrorCode, GrantId, KeyId, Partition, Request, Response, ServiceError};
use meridian_policy::{Constraints, ContextConstraint, GrantTerms, Party, PrincipalArn, action, grant_creation};
use meridian_state::command::CreateGrant;
use meridian_state::key_states::Requirement;
use meridian_state::{Done, GrantRecord, KeyRecord, Op, RegionState, grants};

use crate::access::{Access, Forms};
use crate::conditions::Subject;
use crate::grant_tokens::{encode_token, open_token, parse_token_unverified};
use crate::key_ring::{KeyRing, log_internal};
use crate::keys::validation;
use crate::pages;

use crate::work::check_dry_run;
use crate::writes::Plan;

/// Grants per page when the request does not say, and at most.
const PAGE_DEFAULT: u32 = 50;
const PAGE_MAX: u32 = 100;

/// `CreateGrant`
pub(crate) fn create(
    access: &mut Access<'_>,
    ring: &KeyRing,
    request: &CreateGrantRequest,
) -> Result<Plan, ServiceError> {
    let is_dry_run = request.dry_run;
    let terms = terms(access.state.partition(), request)?;
    grant_creation::check_terms(&terms)?;
    let key = access.find(&request.key_id, Forms::Key)?;
    let allowed = access.allow_grant_creation(&key, &terms)?;
    Requirement::Grantable.check(allowed.key(), key.state)?;
    grant_creation::check_support(allowed.key(), key.spec, key.usage, &terms)?;
    if is_dry_run == Some(true) {
        grants::check_quota(&access.state, key.key_id)?;
    }
    check_dry_run(is_dry_run)?;
    let op = Op::CreateGrant(CreateGrant {
        key_id: key.key_id,
        grant_id: random::grant_id().map_err(log_internal("drawing a grant ID"))?,
        name: request.name.clone(),
        issuing_account: access.account(),
        terms,
    });
    let salt = random::random_bytes().map_err(log_internal("drawing the salt of a grant token"))?;
    let tokens = Arc::clone(ring.grant_tokens());
    Ok(Plan::new(op, move |_, done| {
        let Done::Grant(grant) = done else { unreachable!("this command gives back its grant") };
        let token = tokens.issue(grant.key_id, grant.grant_id, salt);
        CreateGrantResponse { grant_token: encode_token(&token), grant_id: grant.grant_id.to_string() }
    }))
}

/// `RetireGrant`: the grant itself says who may.
pub(crate) fn retire(
    access: &mut Access<'_>,
    ring: &KeyRing,
    request: &RetireGrantRequest,
) -> Result<Plan, ServiceError> {
    let (key, grant_id) = grant_to_retire(access, ring, request)?;
    let grant = find(&access.state, key.key_id, grant_id)?;
    access.allow_grant_retirement(&key, &grant)?;
    check_dry_run(request.dry_run)?;
    Ok(Plan::new(Op::EndGrant { key_id: key.key_id, grant_id }, |_, _| RetireGrantResponse {}))
}

/// By token, or by key and grant ID.
fn grant_to_retire(
    access: &Access<'_>,
    ring: &KeyRing,
    request: &RetireGrantRequest,
) -> Result<(Arc<KeyRecord>, GrantId), ServiceError> {
    match (&request.grant_token, &request.key_id, &request.grant_id) {
        (Some(token), None, None) => {
            let token = open_token(ring.grant_tokens(), token)?;
            let key = access.state.key(token.key_id).ok_or_else(|| grants::not_found(token.grant_id))?;
            Ok((Arc::clone(key), token.grant_id))
        }
        (None, Some(identifier), Some(grant_id)) => {
            let grant_id = parse_grant_id(grant_id)?;
            Ok((access.find(identifier, Forms::Key)?, grant_id))
        }
        _ => Err(validation("Grant token OR (grant ID, key ID) must be specified")),
    }
}

/// What the audit record of `RetireGrant` says besides the request, whose parameters are not recorded; nothing for other
/// operations.
pub(crate) fn additional_event_data(request: &Request) -> Option<JsonText> {
    let Request::RetireGrant(request) = request else { return None };
    let named = request.grant_id.as_deref().and_then(|grant_id| grant_id.parse::<GrantId>().ok());
    let by_token = || request.grant_token.as_deref().and_then(parse_token_unverified).map(|token| token.grant_id);
    named.or_else(by_token).map(|grant_id| {
        JsonText::object(|object| {
            object.plain("grantId", grant_id);
        })
    })
}

/// `RevokeGrant`
pub(crate) fn revoke(access: &mut Access<'_>, request: &RevokeGrantRequest) -> Result<Plan, ServiceError> {
    let grant_id = parse_grant_id(&request.grant_id)?;
    let (key, _) = access.key::<action::RevokeGrant>(&request.key_id, Forms::Key)?;
    find(&access.state, key.key_id, grant_id)?;
    check_dry_run(request.dry_run)?;
    Ok(Plan::new(Op::EndGrant { key_id: key.key_id, grant_id }, |_, _| RevokeGrantResponse {}))
}

/// `ListGrants`
pub(crate) fn list(access: &mut Access<'_>, request: &ListGrantsRequest) -> Result<Response, ServiceError> {
    let after: Option<GrantId> = pages::after(request.marker.as_deref())?;
    let grant_id = request.grant_id.as_deref().map(parse_grant_id).transpose()?;
    let grantee =
        at_most_one("Grantee", request.grantee_principal.as_ref(), request.grantee_service_principal.as_ref())?;
    let (key, _) = access.key::<action::ListGrants>(&request.key_id, Forms::Key)?;
    let (state, key_id) = (&access.state, key.key_id);
    let limit = pages::limit(request.limit, PAGE_DEFAULT, PAGE_MAX);
    let last = |grant: &&Arc<GrantRecord>| grant.grant_id.to_string();
    let page = match (grant_id, grantee) {
        (Some(grant_id), grantee) => {
            let found = state.grants().get(key_id, grant_id).into_iter();
            let is_wanted = |grant: &&Arc<GrantRecord>| {
                grantee.is_none_or(|name| grant.terms.grantee.name() == name)
                    && after.is_none_or(|after| grant.grant_id > after)
            };
            pages::page(found.filter(is_wanted), limit, last)
        }
        (None, Some(name)) => pages::page(state.grants().of_grantee(key_id, name.into(), after), limit, last),
        (None, None) => pages::page(state.grants().of_key(key_id, after), limit, last),
    };
    let truncated = page.next_marker.is_some();
    let grants = page.items.into_iter().map(|grant| entry(state, &key, grant)).collect();
    Ok(ListGrantsResponse { grants, next_marker: page.next_marker, truncated }.into())
}

/// `ListRetirableGrants`: on keys of whichever account, for a retiring principal of the caller's own. A service belongs to
/// no account; of its grants, those that the caller's account created or owns the keys of are listed.
pub(crate) fn list_retirable(
    access: &mut Access<'_>,
    request: &ListRetirableGrantsRequest,
) -> Result<Response, ServiceError> {
    let after: Option<Position> = pages::after(request.marker.as_deref())?;
    let (principal, service) = (request.retiring_principal.as_ref(), request.retiring_service_principal.as_ref());
    let name = at_most_one("Retiring", principal, service)?.ok_or_else(|| missing("retiringPrincipal"))?;
    if principal.is_some() {
        let arn = parse_principal(access.state.partition(), name)?;
        access.allow_listing_of_retirable(&arn)?;
    } else {
        access.allow_in_account::<action::ListRetirableGrants>(Subject::Other)?;
    }
    let (state, account) = (&access.state, access.account());
    let after = after.map(|position| (position.key_id, position.grant_id));
    let found =
        state.grants().of_retiring(name.into(), after).filter_map(|grant| Some((state.key(grant.key_id)?, grant)));
    let is_told = |(key, grant): &(&Arc<KeyRecord>, &Arc<GrantRecord>)| {
        principal.is_some() || key.account == account || grant.issuing_account == account
    };
    let limit = pages::limit(request.limit, PAGE_DEFAULT, PAGE_MAX);
    let page = pages::page(found.filter(is_told), limit, |(key, grant)| format!("{}/{}", key.key_id, grant.grant_id));
    let truncated = page.next_marker.is_some();
    let grants = page.items.into_iter().map(|(key, grant)| entry(state, key, grant)).collect();
    Ok(ListRetirableGrantsResponse { grants, next_marker: page.next_marker, truncated }.into())
}

/// Where a page of retirable grants ends.
struct Position {
    key_id: KeyId,
    grant_id: GrantId,
}

impl FromStr for Position {
    type Err = meridian_model::ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key_id, grant_id) = text.split_once('/').unwrap_or((text, ""));
        Ok(Self { key_id: key_id.parse()?, grant_id: grant_id.parse()? })
    }
}

/// What the service tells about a grant. One without a name has an empty one, one of a service shows it as both kinds of
/// principal.
fn entry(state: &RegionState, key: &KeyRecord, grant: &GrantRecord) -> GrantListEntry {
    let terms = &grant.terms;
    let name = |party: &Party| party.name().to_owned();
    let service = |party: &Party| matches!(party, Party::Service(_)).then(|| name(party));
    GrantListEntry {
        key_id: state.key_arn(key).to_string(),
        grant_id: grant.grant_id.to_string(),
        name: Some(grant.name.clone().unwrap_or_default()),
        creation_date: grant.created_at,
        grantee_principal: Some(name(&terms.grantee)),
        retiring_principal: terms.retiring.as_ref().map(name),
        issuing_account: PrincipalArn::root(state.partition(), grant.issuing_account).to_string(),
        operations: terms.operations.iter().copied().collect(),
        constraints: constraints_entry(&terms.constraints),
        grantee_service_principal: service(&terms.grantee),
        retiring_service_principal: terms.retiring.as_ref().and_then(service),
    }
}

fn constraints_entry(constraints: &Constraints) -> Option<GrantConstraints> {
    if *constraints == Constraints::default() {
        return None;
    }
    let (equals, subset) = match constraints.encryption_context.clone() {
        Some(ContextConstraint::Equals(pairs)) => (Some(pairs), None),
        Some(ContextConstraint::Subset(pairs)) => (None, Some(pairs)),
        None => (None, None),
    };
    Some(GrantConstraints {
        encryption_context_equals: equals,
        encryption_context_subset: subset,
        source_arn: constraints.source_arn.clone(),
    })
}

/// What a request wants a grant to give.
fn terms(partition: Partition, request: &CreateGrantRequest) -> Result<GrantTerms, ServiceError> {
    let party = |kind, principal, service| parse_party(partition, kind, principal, service);
    let (principal, service) = (request.grantee_principal.as_ref(), request.grantee_service_principal.as_ref());
    let grantee = party("Grantee", principal, service)?.ok_or_else(|| missing("granteePrincipal"))?;
    let (principal, service) = (request.retiring_principal.as_ref(), request.retiring_service_principal.as_ref());
    let retiring = party("Retiring", principal, service)?;
    let constraints = request.constraints.as_ref().map(constraints).transpose()?.unwrap_or_default();
    if matches!(grantee, Party::Service(_)) && (constraints.source_arn.is_none() || retiring.is_none()) {
        let message = "A grant to a GranteeServicePrincipal must have a SourceArn constraint and a RetiringPrincipal or \
                       RetiringServicePrincipal.";
        return Err(validation(message));
    }
    Ok(GrantTerms { grantee, retiring, operations: request.operations.iter().copied().collect(), constraints })
}

/// An empty map counts as not given, as SDKs send one for the constraint that is not used.
fn constraints(constraints: &GrantConstraints) -> Result<Constraints, ServiceError> {
    let given = |pairs: &Option<BTreeMap<String, String>>| pairs.clone().filter(|pairs| !pairs.is_empty());
    let encryption_context =
        match (given(&constraints.encryption_context_equals), given(&constraints.encryption_context_subset)) {
            (Some(_), Some(_)) => return Err(validation("More than one constraint supplied")),
            (Some(pairs), None) => Some(ContextConstraint::Equals(pairs)),
            (None, Some(pairs)) => Some(ContextConstraint::Subset(pairs)),
            (None, None) => None,
        };
    Ok(Constraints { encryption_context, source_arn: constraints.source_arn.clone() })
}

fn parse_party(
    partition: Partition,
    kind: &str,
    principal: Option<&String>,
    service: Option<&String>,
) -> Result<Option<Party>, ServiceError> {
    let name = at_most_one(kind, principal, service)?;
    match (principal, name) {
        (_, None) => Ok(None),
        (Some(_), Some(name)) => parse_principal(partition, name).map(|arn| Some(Party::Principal(arn))),
        (None, Some(name)) => Ok(Some(Party::Service(name.to_owned()))),
    }
}

fn at_most_one<'a>(
    kind: &str,
    principal: Option<&'a String>,
    service: Option<&'a String>,
) -> Result<Option<&'a str>, ServiceError> {
    if principal.is_some() && service.is_some() {
        return Err(validation(format!("Specify either {kind}Principal or {kind}ServicePrincipal, not both.")));
    }
    Ok(principal.or(service).map(String::as_str))
}

fn parse_principal(partition: Partition, text: &str) -> Result<PrincipalArn, ServiceError> {
    let arn = PrincipalArn::parse(text).filter(|arn| arn.partition() == partition);
    arn.ok_or_else(|| ServiceError::new(ErrorCode::InvalidArn, "ARN does not refer to a valid principal"))
}

fn parse_grant_id(text: &str) -> Result<GrantId, ServiceError> {
    text.parse().map_err(|_| ServiceError::new(ErrorCode::InvalidGrantId, format!("Invalid grant ID {text}")))
}

fn find(state: &RegionState, key_id: KeyId, grant_id: GrantId) -> Result<Arc<GrantRecord>, ServiceError> {
    state.grants().get(key_id, grant_id).cloned().ok_or_else(|| grants::not_found(grant_id))
}

fn missing(member: &str) -> ServiceError {
    validation(format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    ))
}
