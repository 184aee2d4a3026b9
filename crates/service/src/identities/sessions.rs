//! STS: who a caller is, and temporary credentials.
//!
//! Source: AWS STS API Reference; AWS IAM User Guide, "Pass session tags in AWS STS", "Monitor and control actions taken with
//! assumed roles" (source identity) and "Session policies". Nothing of a session is kept: its token says everything.
//!
//! Always true: whether there is a role is told to nobody who may not assume it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meridian_identity::query::sts::{AssumeRole, GetFederationToken, SessionPolicies};
use meridian_identity::query::{Answer, Members, QueryCode, QueryError, StsCall, StsRequest, Tag, Value};
use meridian_identity::{Caller, CallerKind, Session};
use meridian_model::{AccountId, EntityName, PolicyArn, ServiceError};
use meridian_policy::{Policy, PolicyKind, StoredPolicy};
use meridian_state::RegionState;
use meridian_state::identities::RoleRecord;

use super::authority::Authority;
use super::facts::Facts;
use super::managed_policies;
use super::names::validation;
use crate::audit::CallContext;
use crate::call::Service;
use crate::credentials::{SessionGrant, SessionHolder, TemporaryCredentials};
use crate::trace::Trace;

/// How long a session lasts if the request does not say: of a role one hour, of a user twelve.
const ROLE_SECONDS_DEFAULT: u32 = 3600;
const USER_SECONDS_DEFAULT: u32 = 43_200;

/// How long a session may last that a session of a role begins, or a root user: one hour.
const CHAINED_SECONDS_MAX: u32 = 3600;

impl Service {
    pub(super) async fn answer_sts(
        &self,
        context: &CallContext,
        call: &StsCall,
        trace: &mut Trace,
    ) -> Result<Answer, QueryError> {
        if call.request == StsRequest::GetCallerIdentity {
            return Ok(Some(caller_identity(&context.caller)));
        }
        self.await_current_state().await?;
        let origin = context.origin();
        let authority = self.authority(&context.caller, &origin)?;
        let answer = self.answer_with(&authority, &call.request);
        trace.is_unrecorded = authority.is_denied_by_endpoint_alone();
        answer.map(Some)
    }

    fn answer_with(&self, authority: &Authority<'_>, request: &StsRequest) -> Result<Members, QueryError> {
        match request {
            StsRequest::AssumeRole(request) => self.assume_role(authority, request),
            StsRequest::GetCallerIdentity => Ok(caller_identity(authority.caller)),
            StsRequest::GetFederationToken(request) => self.federation_token(authority, request),
            StsRequest::GetSessionToken { seconds, shows_mfa } => self.session_token(authority, *seconds, *shows_mfa),
        }
    }

    fn assume_role(&self, authority: &Authority<'_>, request: &AssumeRole) -> Result<Members, QueryError> {
        refuse_mfa(request.shows_mfa)?;
        if request.shows_contexts {
            let message = "ProvidedContexts are not available in this version of the service.";
            return Err(QueryError::new(QueryCode::UnsupportedOperation, message));
        }
        if matches!(authority.caller.kind, CallerKind::Root) {
            return Err(QueryError::new(QueryCode::AccessDenied, "Roles may not be assumed by root accounts."));
        }
        let state = &authority.state;
        let not_authorized = || denied(authority.caller, "sts:AssumeRole", &request.role_arn);
        let role = find_role(state, &request.role_arn)?.ok_or_else(not_authorized)?;
        let inherited = Inherited::of(authority.caller);
        let source_identity = inherited.source_identity(request.source_identity.as_deref())?;
        let facts = role_facts(request, role, source_identity);
        authority.allow_by_trust("sts:AssumeRole", role, &facts)?;
        let tags = inherited.tags(&request.tags)?;
        if !tags.is_empty() {
            authority.allow_by_trust("sts:TagSession", role, &facts)?;
        }
        if source_identity.is_some() {
            authority.allow_by_trust("sts:SetSourceIdentity", role, &facts)?;
        }
        let transitive = inherited.transitive(&request.tags, &request.transitive_tag_keys)?;
        let seconds = role_seconds(authority.caller, role, request.seconds)?;
        let (policies, policy_arns) = session_policies(state, role.account, &request.policies)?;
        let session = Session {
            tags,
            transitive,
            policies,
            policy_arns,
            source_identity: source_identity.map(str::to_owned),
            ..new_session(authority, seconds)
        };
        let (id, session_name) = (role.id.clone(), request.session_name.clone());
        let is_packed = is_packed(&request.policies, &session);
        let holder = SessionHolder::Role { id, session_name };
        let issued = self.issue_session(SessionGrant { account: role.account, holder, session })?;
        let assumed = Members::new().text("AssumedRoleId", format!("{}:{}", role.id, request.session_name)).text(
            "Arn",
            format!(
                "arn:{}:sts::{}:assumed-role/{}/{}",
                state.partition(),
                role.account,
                role.name,
                request.session_name
            ),
        );
        let members = Members::new().nested("Credentials", credentials(&issued)).nested("AssumedRoleUser", assumed);
        Ok(with_packed_size(members, is_packed, &issued).optional("SourceIdentity", source_identity))
    }

    fn federation_token(&self, authority: &Authority<'_>, request: &GetFederationToken) -> Result<Members, QueryError> {
        refuse_sessions(authority.caller, "GetFederationToken")?;
        let (account, partition) = (authority.account(), authority.state.partition());
        let arn = format!("arn:{partition}:sts::{account}:federated-user/{}", request.name);
        let facts = Facts::default().with_request_tags(&request.tags);
        authority.allow("sts:GetFederationToken", &arn, &facts)?;
        if !request.tags.is_empty() {
            authority.allow("sts:TagSession", &arn, &facts)?;
        }
        let seconds = user_seconds(authority.caller, request.seconds);
        let (policies, policy_arns) = session_policies(&authority.state, account, &request.policies)?;
        let tags = request.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
        let session = Session { tags, policies, policy_arns, ..new_session(authority, seconds) };
        let is_packed = is_packed(&request.policies, &session);
        let asker = match holder_of_caller(authority)? {
            SessionHolder::User { id } => Some(id),
            _ => None,
        };
        let holder = SessionHolder::Federated { name: request.name.clone(), issuer: asker };
        let issued = self.issue_session(SessionGrant { account, holder, session })?;
        let federated = Members::new().text("FederatedUserId", format!("{account}:{}", request.name)).text("Arn", arn);
        let members = Members::new().nested("Credentials", credentials(&issued)).nested("FederatedUser", federated);
        Ok(with_packed_size(members, is_packed, &issued))
    }

    /// Needs no permission, and none can be taken (AWS STS API Reference, `GetSessionToken`).
    fn session_token(
        &self,
        authority: &Authority<'_>,
        seconds: Option<u32>,
        shows_mfa: bool,
    ) -> Result<Members, QueryError> {
        refuse_mfa(shows_mfa)?;
        refuse_sessions(authority.caller, "GetSessionToken")?;
        let seconds = user_seconds(authority.caller, seconds);
        let (account, holder) = (authority.account(), holder_of_caller(authority)?);
        let session = new_session(authority, seconds);
        let issued = self.issue_session(SessionGrant { account, holder, session })?;
        Ok(Members::new().nested("Credentials", credentials(&issued)))
    }
}

fn caller_identity(caller: &Caller) -> Members {
    Members::new().text("UserId", &caller.principal_id).text("Account", caller.account).text("Arn", &caller.arn)
}

fn credentials(issued: &TemporaryCredentials) -> Members {
    Members::new()
        .text("AccessKeyId", &issued.access_key_id)
        .with("SecretAccessKey", Value::Secret(issued.secret.expose().to_owned().into()))
        .with("SessionToken", Value::Secret(issued.session_token.clone().into()))
        .time("Expiration", issued.expires_at)
}

/// Told only of sessions with policies or tags.
fn with_packed_size(members: Members, is_packed: bool, issued: &TemporaryCredentials) -> Members {
    if is_packed { members.with("PackedPolicySize", Value::Number(issued.packed_percent.into())) } else { members }
}

fn is_packed(policies: &SessionPolicies, session: &Session) -> bool {
    policies.document.is_some() || !policies.arns.is_empty() || !session.tags.is_empty()
}

/// A session that begins now, and nothing else.
fn new_session(authority: &Authority<'_>, seconds: u32) -> Session {
    Session {
        issued_at: authority.now,
        expires_at: authority.now.plus(Duration::from_secs(seconds.into())),
        mfa_at: None,
        tags: BTreeMap::new(),
        transitive: BTreeSet::new(),
        policies: Vec::new(),
        policy_arns: Vec::new(),
        source_identity: None,
        federated_provider: None,
    }
}

/// The user or root user that the caller is.
fn holder_of_caller(authority: &Authority<'_>) -> Result<SessionHolder, QueryError> {
    let CallerKind::IamUser { user_name } = &authority.caller.kind else { return Ok(SessionHolder::Root) };
    let name: Option<EntityName> = user_name.parse().ok();
    let user = name.and_then(|name| authority.state.identities().user(authority.account(), &name));
    let user = user.filter(|_| !authority.caller.is_configured()).ok_or_else(|| {
        let message = "The user stands in the configuration of the service only; it has no temporary credentials.";
        QueryError::new(QueryCode::AccessDenied, message)
    })?;
    Ok(SessionHolder::User { id: user.id.clone() })
}

/// Temporary credentials beget none of users, and whom a service calls for gives it none.
fn refuse_sessions(caller: &Caller, action: &str) -> Result<(), QueryError> {
    let is_long_term = matches!(caller.kind, CallerKind::Root | CallerKind::IamUser { .. })
        && caller.session.is_none()
        && caller.service_call.is_none();
    if is_long_term {
        return Ok(());
    }
    Err(QueryError::new(QueryCode::AccessDenied, format!("Cannot call {action} with session credentials")))
}

fn refuse_mfa(shows_mfa: bool) -> Result<(), QueryError> {
    let message = "MultiFactorAuthentication failed, unable to validate MFA code. Please verify your MFA serial number is \
                   valid and associated with this user.";
    if shows_mfa { Err(QueryError::new(QueryCode::AccessDenied, message)) } else { Ok(()) }
}

/// The message of AWS about a role that may not be assumed, or is not there.
fn denied(caller: &Caller, action: &str, resource: &str) -> QueryError {
    let message = format!("User: {} is not authorized to perform: {action} on resource: {resource}", caller.arn);
    QueryError::new(QueryCode::AccessDenied, message)
}

/// The role that `arn` names, path included.
fn find_role<'a>(state: &'a RegionState, arn: &str) -> Result<Option<&'a RoleRecord>, ServiceError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let resource = match parts.as_slice() {
        ["arn", _, "iam", "", account, resource] => resource.strip_prefix("role/").map(|role| (*account, role)),
        _ => None,
    };
    let Some((account, role)) = resource else { return Err(validation(format!("{arn} is invalid"))) };
    let Ok(account) = account.parse::<AccountId>() else { return Err(validation(format!("{arn} is invalid"))) };
    let name = role.rsplit('/').next().and_then(|name| name.parse::<EntityName>().ok());
    let found = name.and_then(|name| state.identities().role(account, &name));
    Ok(found.map(AsRef::as_ref).filter(|role: &&RoleRecord| role.arn(state.partition()) == arn))
}

/// What trust policies may ask of a request (AWS IAM User Guide, "IAM and AWS STS condition context keys").
fn role_facts(request: &AssumeRole, role: &RoleRecord, source_identity: Option<&str>) -> Facts {
    Facts::default()
        .with("sts:rolesessionname", &request.session_name)
        .with_some("sts:externalid", request.external_id.as_deref())
        .with_some("sts:sourceidentity", source_identity)
        .with_all("sts:transitivetagkeys", request.transitive_tag_keys.iter().cloned())
        .with_request_tags(&request.tags)
        .with_resource_tags(&role.tags)
}

/// How long a session of `role` lasts.
fn role_seconds(caller: &Caller, role: &RoleRecord, wanted: Option<u32>) -> Result<u32, ServiceError> {
    let seconds = wanted.unwrap_or(ROLE_SECONDS_DEFAULT);
    let is_chained = matches!(caller.kind, CallerKind::AssumedRole { .. });
    if is_chained && seconds > CHAINED_SECONDS_MAX {
        let message =
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(validation(message.to_owned()));
    }
    if seconds > role.session_seconds_max {
        let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(validation(message.to_owned()));
    }
    Ok(seconds)
}

/// How long a session of a user lasts; that of a root user is cut to one hour.
fn user_seconds(caller: &Caller, wanted: Option<u32>) -> u32 {
    match caller.kind {
        CallerKind::Root => wanted.map_or(CHAINED_SECONDS_MAX, |seconds| seconds.min(CHAINED_SECONDS_MAX)),
        _ => wanted.unwrap_or(USER_SECONDS_DEFAULT),
    }
}

/// The policies that bound a session. Managed ones are those of the provider or of the account of the session.
fn session_policies(
    state: &RegionState,
    account: AccountId,
    policies: &SessionPolicies,
) -> Result<(Vec<StoredPolicy>, Vec<PolicyArn>), ServiceError> {
    if let Some(document) = &policies.document {
        Policy::parse(document, PolicyKind::Session)?;
    }
    let documents = policies.document.iter().map(|document| document.as_str().into()).collect();
    let find = |text: &String| {
        let arn = text.parse::<PolicyArn>().ok().filter(|arn| match arn.owner() {
            Some(owner) => owner == account && state.identities().policy_by_arn(arn).is_some(),
            None => managed_policies::find_provided(arn, state.partition()).is_ok(),
        });
        arn.ok_or_else(|| validation(format!("Policy {text} does not exist or is not attachable.")))
    };
    Ok((documents, policies.arns.iter().map(find).collect::<Result<_, _>>()?))
}

/// What a session of a role hands on to the next one.
#[derive(Debug, Default)]
struct Inherited<'a> {
    tags: BTreeMap<&'a str, &'a str>,
    source_identity: Option<&'a str>,
}

impl<'a> Inherited<'a> {
    fn of(caller: &'a Caller) -> Self {
        let Some(session) = &caller.session else { return Self::default() };
        let is_transitive = |(key, _): &(&String, &String)| session.transitive.contains(*key);
        let tags = session.tags.iter().filter(is_transitive);
        Self {
            tags: tags.map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            source_identity: session.source_identity.as_deref(),
        }
    }

    /// Who stands behind the session: once said, it cannot be changed.
    fn source_identity<'b>(&self, wanted: Option<&'b str>) -> Result<Option<&'b str>, ServiceError>
    where
        'a: 'b,
    {
        match (self.source_identity, wanted) {
            (Some(inherited), Some(wanted)) if inherited != wanted => {
                let message = "The source identity of the calling session cannot be changed.";
                Err(validation(message.to_owned()))
            }
            (Some(inherited), _) => Ok(Some(inherited)),
            (None, wanted) => Ok(wanted),
        }
    }

    /// The tags of the new session: those of the request, and those that the caller's session hands on.
    fn tags(&self, wanted: &[Tag]) -> Result<BTreeMap<String, String>, ServiceError> {
        let is_inherited = |key: &str| self.tags.keys().any(|inherited| inherited.to_lowercase() == key.to_lowercase());
        if wanted.iter().any(|tag| is_inherited(&tag.key)) {
            let message = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag \
                           key from the calling session.";
            return Err(validation(message.to_owned()));
        }
        let inherited = self.tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Ok(inherited.chain(wanted.iter().map(|tag| (tag.key.clone(), tag.value.clone()))).collect())
    }

    /// The keys of the tags that go on from the new session.
    fn transitive(&self, tags: &[Tag], wanted: &[String]) -> Result<BTreeSet<String>, ServiceError> {
        let mut keys: BTreeSet<String> = self.tags.keys().map(|key| (*key).to_owned()).collect();
        for key in wanted {
            let tag = tags.iter().find(|tag| tag.key.to_lowercase() == key.to_lowercase());
            let tag = tag.ok_or_else(|| {
                validation("The specified transitive tag key must be included in the requested tags.".to_owned())
            })?;
            keys.insert(tag.key.clone());
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn transitive_tags_go_on_and_cannot_be_replaced() {
        let inherited = Inherited { tags: BTreeMap::from([("Team", "a")]), source_identity: Some("me") };
        let tags = inherited.tags(&[tag("Other", "b")]).expect("no conflict");
        assert_eq!(tags, BTreeMap::from([("Team".to_owned(), "a".to_owned()), ("Other".to_owned(), "b".to_owned())]));
        assert!(inherited.tags(&[tag("team", "b")]).is_err());
        let transitive = inherited.transitive(&[tag("Other", "b")], &["other".to_owned()]).expect("of the request");
        assert_eq!(transitive, BTreeSet::from(["Other".to_owned(), "Team".to_owned()]));
        assert!(inherited.transitive(&[], &["Other".to_owned()]).is_err());
    }

    #[test]
    fn a_source_identity_stays() {
        let inherited = Inherited { source_identity: Some("me"), ..Inherited::default() };
        assert_eq!(inherited.source_identity(None), Ok(Some("me")));
        assert_eq!(inherited.source_identity(Some("me")), Ok(Some("me")));
        assert!(inherited.source_identity(Some("you")).is_err());
        assert_eq!(Inherited::default().source_identity(Some("you")), Ok(Some("you")));
    }
}
