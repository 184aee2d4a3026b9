//! From the identifier in a request to a key that the caller may use: resolve, authorize, check the state.

use std::sync::Arc;

use meridian_crypto::AttestedRecipient;
use meridian_identity::{Caller, CallerKind};
use meridian_model::ids::split_kms_arn;
use meridian_model::{AccountId, AliasName, ErrorCode, KeyArn, KeyId, ServiceError};
use meridian_policy::action::{CreateGrant, RetireGrant};
use meridian_policy::{
    Action, Allowed, GrantTerms, GrantToRetire, Principal, authorize, authorize_grant_creation,
    authorize_grant_retirement,
};
use meridian_state::key_states::Requirement;
use meridian_state::{GrantRecord, KeyRecord, RegionState};

use crate::request_facts::RequestFacts;

/// Which identifiers an operation takes (AWS KMS Developer Guide, "Key identifiers").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Key ID and key ARN.
    Key,
    /// Key ID, key ARN, alias name and alias ARN.
    KeyOrAlias,
}

/// One request's view: a state that does not move, and who asks.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    pub(crate) state: Arc<RegionState>,
    pub(crate) caller: &'a Caller,
    /// What else of the request counts in decisions.
    facts: RequestFacts<'a>,
    /// The keys that the request was found to be about, for the audit record.
    pub(crate) involved: Vec<KeyArn>,
    /// The request names a version of key material that this state does not know: forged, or newer than the state.
    pub(crate) lacks_version: bool,
    /// Whom the answer is to be sealed to.
    pub(crate) recipient: Option<Arc<AttestedRecipient>>,
}

impl<'a> Access<'a> {
    pub(crate) fn new(state: Arc<RegionState>, caller: &'a Caller, facts: RequestFacts<'a>) -> Self {
        Self { state, caller, facts, involved: Vec::new(), lacks_version: false, recipient: None }
    }

    /// The same view, of a request whose answer is to be sealed to `recipient`.
    pub(crate) fn answering(self, recipient: Option<Arc<AttestedRecipient>>) -> Self {
        Self { recipient, ..self }
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
        authorize::<A>(&self.principal(), arn, &self.facts.context::<A>(), self.grants_on(key.key_id))
    }

    /// Whether the caller may create a grant of `terms` on `key`.
    pub(crate) fn allow_grant_creation(
        &mut self,
        key: &KeyRecord,
        terms: &GrantTerms,
    ) -> Result<Allowed<CreateGrant>, ServiceError> {
        let arn = self.involve(key);
        let (context, grants) = (self.facts.context::<CreateGrant>(), self.grants_on(key.key_id));
        authorize_grant_creation(&self.principal(), arn, &context, grants, terms)
    }

    /// Whether the caller may retire `grant`, which is on `key`.
    pub(crate) fn allow_grant_retirement(
        &mut self,
        key: &KeyRecord,
        grant: &GrantRecord,
    ) -> Result<Allowed<RetireGrant>, ServiceError> {
        let arn = self.involve(key);
        let to_retire = GrantToRetire { terms: &grant.terms, issuing_account: grant.issuing_account };
        authorize_grant_retirement(&self.principal(), arn, to_retire)
    }

    /// The caller, as policies see it.
    pub(crate) fn principal(&self) -> Principal<'a> {
        let (role_arn, service) = match &self.caller.kind {
            CallerKind::AssumedRole { role_arn, .. } => (Some(role_arn.as_str()), None),
            CallerKind::Service { name } => (None, Some(name.as_str())),
            CallerKind::Root | CallerKind::IamUser { .. } | CallerKind::FederatedUser { .. } => (None, None),
        };
        Principal { account: self.caller.account, arn: &self.caller.arn, role_arn, service }
    }

    fn involve(&mut self, key: &KeyRecord) -> KeyArn {
        let arn = self.state.key_arn(key);
        self.involved.push(arn.clone());
        arn
    }

    /// The grants on a key that may be for the caller, those that the request names first. Costs nothing until it is
    /// asked for the first one.
    fn grants_on(&self, key_id: KeyId) -> impl Iterator<Item = &GrantTerms> + '_ {
        let grants = self.state.grants();
        let named = self.facts.named_grants(key_id).filter_map(move |grant_id| grants.get(key_id, grant_id));
        let principals =
            std::iter::once_with(|| self.principal().names(self.state.partition()).collect::<Vec<_>>()).flatten();
        let of_caller = principals.flat_map(move |name| grants.of_grantee(key_id, name.into(), None));
        named.chain(of_caller).map(|grant| &grant.terms)
    }

    fn resolve(&self, identifier: &str, forms: Forms) -> Result<&Arc<KeyRecord>, ServiceError> {
        if identifier.starts_with("arn:") {
            return self.resolve_arn(identifier, forms);
        }
        if identifier.starts_with("alias/") && forms == Forms::KeyOrAlias {
            return self.resolve_alias(self.account(), identifier);
        }
        let key_id = identifier.parse().map_err(|_| invalid_key_id(identifier))?;
        self.resolve_id(self.account(), key_id)
    }

    fn resolve_arn(&self, identifier: &str, forms: Forms) -> Result<&Arc<KeyRecord>, ServiceError> {
        let invalid = || ServiceError::new(ErrorCode::InvalidArn, format!("Invalid arn {identifier}"));
        let arn = split_kms_arn(identifier).ok_or_else(invalid)?;
        if &arn.region != self.state.region() || arn.partition != self.state.partition() {
            // The service's own text names the Region that the ARN was for.
            return Err(ServiceError::new(ErrorCode::NotFound, format!("Invalid arn {}", arn.region)));
        }
        if let Some(key_id) = arn.resource.strip_prefix("key/") {
            return self.resolve_id(arn.account, key_id.parse().map_err(|_| invalid_key_id(key_id))?);
        }
        match forms {
            Forms::KeyOrAlias if arn.resource.starts_with("alias/") => self.resolve_alias(arn.account, arn.resource),
            Forms::Key if arn.resource.starts_with("alias/") => Err(invalid_key_id(identifier)),
            _ => Err(invalid()),
        }
    }

    /// A bare key ID belongs to the caller's account; a key ARN says whose it is.
    fn resolve_id(&self, account: AccountId, key_id: KeyId) -> Result<&Arc<KeyRecord>, ServiceError> {
        let missing = || {
            let (partition, region) = (self.state.partition(), self.state.region().clone());
            ServiceError::key_not_found(&KeyArn { partition, region, account, key_id })
        };
        self.state.key(key_id).filter(|key| key.account == account).ok_or_else(missing)
    }

    fn resolve_alias(&self, account: AccountId, name: &str) -> Result<&Arc<KeyRecord>, ServiceError> {
        let missing = || {
            let (partition, region) = (self.state.partition(), self.state.region());
            let arn = format!("arn:{partition}:kms:{region}:{account}:{name}");
            ServiceError::new(ErrorCode::NotFound, format!("Alias {arn} is not found."))
        };
        let parsed: AliasName = name.parse().map_err(|_| missing())?;
        let alias = self.state.alias(account, &parsed).ok_or_else(missing)?;
        self.state.key(alias.target).ok_or_else(missing)
    }
}

fn invalid_key_id(identifier: &str) -> ServiceError {
    ServiceError::new(ErrorCode::NotFound, format!("Invalid keyId '{identifier}'"))
}
