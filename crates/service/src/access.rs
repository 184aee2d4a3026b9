//! From the identifier in a request to a key that the caller may use: resolve, authorize, check the state.
//!
//! What is decided on is put together here, and nowhere else: the key policy, the caller's own policies, the policy of the
//! endpoint, the grants, and the conditions. [`meridian_policy`] decides.

use std::cell::OnceCell;
use std::sync::Arc;

use meridian_crypto::{AttestedRecipient, CiphertextHeader};
use meridian_identity::Caller;
use meridian_model::ids::split_kms_arn;
use meridian_model::shapes::ReEncryptRequest;
use meridian_model::{AccountId, AliasName, ErrorCode, KeyArn, KeyId, Request, ServiceError, Timestamp};
use meridian_policy::action::{self, CreateGrant, InAccount, ListRetirableGrants, OnAlias, RetireGrant};
use meridian_policy::{
    AccountScope, Action, Allowed, AllowedInAccount, Cause, Denial, GrantTerms, GrantToRetire, Inquiry, Layer, Policy,
    PolicySet, Principal, PrincipalArn, RequestContext,
};
use meridian_state::key_states::Requirement;
use meridian_state::{GrantRecord, KeyRecord, RegionState};

use crate::caller_policies::CallerPolicies;
use crate::conditions::global::{Global, source_arn};
use crate::conditions::{self, Conditions, NewKey, Subject};
use crate::credentials::check_current;
use crate::forwarding::ForwardedCall;
use crate::grant_tokens::NamedGrants;
use crate::origin::{Origin, RequestOrigin};
use crate::policies;
use crate::trace::Trace;

/// Which identifiers an operation takes (AWS KMS Developer Guide, "Key identifiers").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Key ID and key ARN.
    Key,
    /// Key ID, key ARN, alias name and alias ARN.
    KeyOrAlias,
}

/// A request: who asks for what, whence, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) origin: Origin<'a>,
    pub(crate) request: &'a Request,
    pub(crate) now: Timestamp,
}

/// One request's view: a state that does not move, and who asks.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    pub(crate) state: Arc<RegionState>,
    pub(crate) caller: &'a Caller,
    asked: Asked<'a>,
    named_grants: NamedGrants,
    policies: OnceCell<CallerPolicies>,
    /// What the audit record tells of the decisions.
    pub(crate) trace: Trace,
    /// The request names a version of key material that this state does not know: forged, or newer than the state.
    pub(crate) lacks_version: bool,
    /// Whom the answer is to be sealed to.
    pub(crate) recipient: Option<Arc<AttestedRecipient>>,
}

impl<'a> Access<'a> {
    /// The view of a request in `state`.
    ///
    /// # Errors
    /// If whoever signed it has lost its credentials by the time of `state`.
    pub(crate) fn open(
        state: Arc<RegionState>,
        asked: Asked<'a>,
        named_grants: NamedGrants,
    ) -> Result<Self, ServiceError> {
        check_current(&state, asked.caller)?;
        let policies = OnceCell::new();
        let (caller, trace) = (asked.caller, Trace::default());
        Ok(Self { state, caller, asked, named_grants, policies, trace, lacks_version: false, recipient: None })
    }

    /// The same view, of a request whose answer is to be sealed to `recipient`.
    pub(crate) fn answering(self, recipient: Option<Arc<AttestedRecipient>>) -> Self {
        Self { recipient, ..self }
    }

    /// The same request's view of a newer state, on which everything is to be decided anew.
    pub(crate) fn renew(&mut self, state: Arc<RegionState>) {
        self.state = state;
        self.policies = OnceCell::new();
    }

    /// The request, for another Region to decide on. `origin` is the whole of what the view knows a part of.
    pub(crate) fn forwarded(&self, origin: &RequestOrigin) -> ForwardedCall {
        ForwardedCall::new(self.caller, origin, self.asked.request)
    }

    /// The account that the caller acts in.
    pub(crate) fn account(&self) -> AccountId {
        self.caller.account
    }

    /// The key that `identifier` names, if the caller may perform `A` on it.
    pub(crate) fn key<A: Action>(
        &mut self,
        identifier: &str,
        forms: Forms,
    ) -> Result<(Arc<KeyRecord>, Allowed<A>), ServiceError> {
        let key = self.find(identifier, forms)?;
        let allowed = self.allow(&key)?;
        Ok((key, allowed))
    }

    /// The key that `identifier` names, whoever asks. Nothing may be told of it before a decision.
    pub(crate) fn find(&self, identifier: &str, forms: Forms) -> Result<Arc<KeyRecord>, ServiceError> {
        self.resolve(identifier, forms).map(Arc::clone)
    }

    /// The key that `identifier`, an ID or ARN, names, if it belongs to the caller's account: for an action on no key, `A`, that
    /// tells of one all the same.
    pub(crate) fn own_key<A: InAccount>(&mut self, identifier: &str) -> Result<Arc<KeyRecord>, ServiceError> {
        let key = self.find(identifier, Forms::Key)?;
        let arn = self.involve(&key);
        if key.account == self.account() {
            return Ok(key);
        }
        let denial = Denial {
            cause: Cause::NoAllow(Layer::Resource),
            principal: self.caller.arn.clone(),
            action: A::FULL_NAME.to_owned(),
            resource: arn.to_string(),
        };
        Err(denial.into())
    }

    /// As [`Access::key`], for a key whose state must also meet `requirement`.
    pub(crate) fn key_in_state<A: Action>(
        &mut self,
        identifier: &str,
        forms: Forms,
        requirement: Requirement,
    ) -> Result<(Arc<KeyRecord>, Allowed<A>), ServiceError> {
        let (key, allowed) = self.key::<A>(identifier, forms)?;
        requirement.check(allowed.key(), key.state)?;
        Ok((key, allowed))
    }

    /// Whether the caller may perform `A` on `key`.
    pub(crate) fn allow<A: Action>(&mut self, key: &KeyRecord) -> Result<Allowed<A>, ServiceError> {
        let arn = self.involve(key);
        let decision = self.decide_on_key(A::NAME, key, |inquiry| {
            inquiry.authorize::<A>(arn, &self.request_context(A::NAME), self.grants_on(key.key_id))
        });
        self.told(decision)
    }

    /// Whether the caller may create a grant of `terms` on `key`.
    pub(crate) fn allow_grant_creation(
        &mut self,
        key: &KeyRecord,
        terms: &GrantTerms,
    ) -> Result<Allowed<CreateGrant>, ServiceError> {
        let arn = self.involve(key);
        let decision = self.decide_on_key(CreateGrant::NAME, key, |inquiry| {
            let context = self.request_context(CreateGrant::NAME);
            inquiry.authorize_grant_creation(arn, &context, self.grants_on(key.key_id), terms)
        });
        self.told(decision)
    }

    /// Whether the caller may retire `grant`, which is on `key`.
    pub(crate) fn allow_grant_retirement(
        &mut self,
        key: &KeyRecord,
        grant: &GrantRecord,
    ) -> Result<Allowed<RetireGrant>, ServiceError> {
        let arn = self.involve(key);
        let to_retire = GrantToRetire { terms: &grant.terms, issuing_account: grant.issuing_account };
        let decision =
            self.decide_on_key(RetireGrant::NAME, key, |inquiry| inquiry.authorize_grant_retirement(arn, to_retire));
        self.told(decision)
    }

    /// Whether the caller may list the grants that `retiring` may retire.
    pub(crate) fn allow_listing_of_retirable(
        &mut self,
        retiring: &PrincipalArn,
    ) -> Result<AllowedInAccount<ListRetirableGrants>, ServiceError> {
        let scope = self.scope();
        let decision = self.decide(ListRetirableGrants::NAME, Subject::Other, None, |inquiry| {
            inquiry.authorize_listing_of_retirable(&scope, retiring)
        });
        self.told(decision)
    }

    /// Whether the caller may perform `A`, which is about no particular key, in its account.
    pub(crate) fn allow_in_account<A: InAccount>(
        &mut self,
        subject: Subject<'_>,
    ) -> Result<AllowedInAccount<A>, ServiceError> {
        let scope = self.scope();
        let decision = self.decide(A::NAME, subject, None, |inquiry| inquiry.authorize_in_account::<A>(&scope));
        self.told(decision)
    }

    /// Whether the caller may make a key in this Region, and give it the tags of the request.
    pub(crate) fn allow_creation(
        &mut self,
        key: NewKey,
        with_tags: bool,
    ) -> Result<AllowedInAccount<action::CreateKey>, ServiceError> {
        let allowed = self.allow_in_account::<action::CreateKey>(Subject::NewKey(key))?;
        if with_tags {
            let (scope, subject) = (self.scope(), Subject::NewKey(key));
            let decision = self.decide(action::TagResource::NAME, subject, None, |inquiry| {
                inquiry.authorize_on_new_key::<action::TagResource>(&scope)
            });
            self.told(decision)?;
        }
        Ok(allowed)
    }

    /// Whether the caller may perform `A` on its alias `name`. That the same holds for the keys is another decision.
    pub(crate) fn allow_on_alias<A: OnAlias>(&mut self, name: &AliasName) -> Result<(), ServiceError> {
        let account = self.account();
        let arn = self.state.alias_arn(account, name);
        let decision =
            self.decide(A::NAME, Subject::Other, None, |inquiry| inquiry.authorize_on_alias::<A>(&arn, account));
        self.told(decision)
    }

    /// The ARN of a key of the caller that is still to be made.
    pub(crate) fn arn_of_new(&self, key_id: KeyId) -> KeyArn {
        let AccountScope { partition, region, account } = self.scope();
        KeyArn { partition, region, account, key_id }
    }

    /// As [`Access::check_lockout`], for a key that is there.
    pub(crate) fn check_lockout_of(&self, key: &KeyRecord, policy: &Policy) -> Result<(), ServiceError> {
        self.check_lockout(Subject::Key(&self.state, key), &self.state.key_arn(key), policy)
    }

    /// Whether the caller could still change the policy of a key that had `policy` (AWS KMS Developer Guide, "Default key
    /// policy": the lockout safety check).
    pub(crate) fn check_lockout(
        &self,
        subject: Subject<'_>,
        key: &KeyArn,
        policy: &Policy,
    ) -> Result<(), ServiceError> {
        self.decide(action::PutKeyPolicy::NAME, subject, Some(policy), |inquiry| inquiry.check_lockout(key))
    }

    fn decide_on_key<T, E>(
        &self,
        action: &'static str,
        key: &KeyRecord,
        decide: impl FnOnce(&Inquiry<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let policy = policies::compiled(&self.state, key);
        self.decide(action, Subject::Key(&self.state, key), Some(&policy), decide)
    }

    fn decide<T>(
        &self,
        action: &'static str,
        subject: Subject<'_>,
        key_policy: Option<&Policy>,
        decide: impl FnOnce(&Inquiry<'_>) -> T,
    ) -> T {
        let of_caller = self.policies.get_or_init(|| CallerPolicies::of(&self.state, self.caller));
        let conditions = Conditions {
            global: Global {
                caller: self.caller,
                origin: self.asked.origin,
                region: self.state.region(),
                now: self.asked.now,
                tags: of_caller.tags(),
            },
            action,
            request: self.asked.request,
            subject,
            recipient: self.recipient.as_deref(),
            is_same_key: &|| self.is_same_key(action, subject),
        };
        let policies = PolicySet {
            resource: key_policy,
            identity: &of_caller.identity,
            boundary: of_caller.boundary.as_deref(),
            session: &of_caller.session,
            endpoint: self.asked.origin.endpoint.and_then(|endpoint| endpoint.policy()).map(Arc::as_ref),
        };
        decide(&Inquiry { principal: self.principal(), policies, context: &conditions })
    }

    /// A decision as the caller is told it, and as the record does.
    fn told<T>(&mut self, decision: Result<T, Denial>) -> Result<T, ServiceError> {
        decision.map_err(|denial| {
            self.trace.is_unrecorded = denial.is_by_endpoint_alone();
            denial.into()
        })
    }

    /// The caller, as policies see it.
    pub(crate) fn principal(&self) -> Principal<'a> {
        crate::caller_policies::principal(self.caller)
    }

    fn scope(&self) -> AccountScope {
        AccountScope { partition: self.state.partition(), region: self.state.region().clone(), account: self.account() }
    }

    /// What constraints of grants look at.
    fn request_context(&self, action: &str) -> RequestContext<'a> {
        let is_destination = action == action::ReEncryptTo::NAME;
        RequestContext {
            encryption_context: conditions::encryption_context(self.asked.request, is_destination),
            source_arn: source_arn(self.caller),
        }
    }

    /// Whether a re-encryption has one key on both sides; `subject` is the one that the decision is about.
    fn is_same_key(&self, action: &str, subject: Subject<'_>) -> bool {
        let (Request::ReEncrypt(request), Subject::Key(_, key)) = (self.asked.request, subject) else { return false };
        let other = if action == action::ReEncryptTo::NAME {
            self.source_of(request)
        } else {
            self.resolve(&request.destination_key_id, Forms::KeyOrAlias).ok().map(|key| key.key_id)
        };
        other == Some(key.key_id)
    }

    fn source_of(&self, request: &ReEncryptRequest) -> Option<KeyId> {
        if let Some(identifier) = &request.source_key_id {
            return self.resolve(identifier, Forms::KeyOrAlias).ok().map(|key| key.key_id);
        }
        let blob = request.ciphertext_blob.as_ref()?;
        CiphertextHeader::parse(blob.as_slice()).ok().map(|header| header.key_id)
    }

    fn involve(&mut self, key: &KeyRecord) -> KeyArn {
        let arn = self.state.key_arn(key);
        self.trace.keys.push(arn.clone());
        arn
    }

    /// The grants on a key that may be for the caller, those that the request names first. Costs nothing until it is
    /// asked for the first one.
    fn grants_on(&self, key_id: KeyId) -> impl Iterator<Item = &GrantTerms> + '_ {
        let grants = self.state.grants();
        let named = self.named_grants.on(key_id).filter_map(move |grant_id| grants.get(key_id, grant_id));
        let principals =
            std::iter::once_with(|| self.principal().names(self.state.partition()).collect::<Vec<_>>()).flatten();
        let of_caller = principals.flat_map(move |name| grants.of_grantee(key_id, name.into(), None));
        named.chain(of_caller).map(|grant| &grant.terms)
    }

    fn resolve(&self, identifier: &str, forms: Forms) -> Result<&Arc<KeyRecord>, ServiceError> {
        resolve(&self.state, self.account(), identifier, forms)
    }
}

/// The key that `identifier` names for a caller of `account`.
///
/// # Errors
/// `NotFoundException`, `InvalidArnException`.
pub(crate) fn resolve<'a>(
    state: &'a RegionState,
    account: AccountId,
    identifier: &str,
    forms: Forms,
) -> Result<&'a Arc<KeyRecord>, ServiceError> {
    if identifier.starts_with("arn:") {
        return resolve_arn(state, identifier, forms);
    }
    if identifier.starts_with("alias/") && forms == Forms::KeyOrAlias {
        return resolve_alias(state, account, identifier);
    }
    let key_id = identifier.parse().map_err(|_| invalid_key_id(identifier))?;
    resolve_id(state, account, key_id)
}

fn resolve_arn<'a>(state: &'a RegionState, identifier: &str, forms: Forms) -> Result<&'a Arc<KeyRecord>, ServiceError> {
    let invalid = || ServiceError::new(ErrorCode::InvalidArn, format!("Invalid arn {identifier}"));
    let arn = split_kms_arn(identifier).ok_or_else(invalid)?;
    if &arn.region != state.region() || arn.partition != state.partition() {
        // The service's own text names the Region that the ARN was for.
        return Err(ServiceError::new(ErrorCode::NotFound, format!("Invalid arn {}", arn.region)));
    }
    if let Some(key_id) = arn.resource.strip_prefix("key/") {
        return resolve_id(state, arn.account, key_id.parse().map_err(|_| invalid_key_id(key_id))?);
    }
    match forms {
        Forms::KeyOrAlias if arn.resource.starts_with("alias/") => resolve_alias(state, arn.account, arn.resource),
        Forms::Key if arn.resource.starts_with("alias/") => Err(invalid_key_id(identifier)),
        _ => Err(invalid()),
    }
}

/// A bare key ID belongs to the caller's account; a key ARN says whose it is.
fn resolve_id(state: &RegionState, account: AccountId, key_id: KeyId) -> Result<&Arc<KeyRecord>, ServiceError> {
    let missing = || {
        let (partition, region) = (state.partition(), state.region().clone());
        ServiceError::key_not_found(&KeyArn { partition, region, account, key_id })
    };
    state.key(key_id).filter(|key| key.account == account).ok_or_else(missing)
}

fn resolve_alias<'a>(
    state: &'a RegionState,
    account: AccountId,
    name: &str,
) -> Result<&'a Arc<KeyRecord>, ServiceError> {
    let missing = || {
        let (partition, region) = (state.partition(), state.region());
        let arn = format!("arn:{partition}:kms:{region}:{account}:{name}");
        ServiceError::new(ErrorCode::NotFound, format!("Alias {arn} is not found."))
    };
    let parsed: AliasName = name.parse().map_err(|_| missing())?;
    let alias = state.alias(account, &parsed).ok_or_else(missing)?;
    state.key(alias.target).ok_or_else(missing)
}

fn invalid_key_id(identifier: &str) -> ServiceError {
    ServiceError::new(ErrorCode::NotFound, format!("Invalid keyId '{identifier}'"))
}
