//! The condition keys that all services have: who asks, whence, when, and on whose behalf.
//!
//! AWS IAM User Guide, "AWS global condition context keys". There are no organizations here, and none of the keys about them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use meridian_identity::{Caller, CallerKind, ServiceCall, Session};
use meridian_model::{Region, Timestamp};
use meridian_policy::ContextValue;

use super::{boolean, find, one, text};
use crate::origin::Origin;

/// What every decision knows of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Global<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) origin: Origin<'a>,
    pub(crate) region: &'a Region,
    pub(crate) now: Timestamp,
    /// The tags of the user, or of the role of a session; those of the session itself come before them.
    pub(crate) tags: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Global<'a> {
    /// The value of `aws:<name>`.
    pub(crate) fn value(&self, name: &str) -> Option<ContextValue<'a>> {
        match name {
            "currenttime" => Some(text(meridian_audit::iso_seconds(self.now))),
            "epochtime" => Some(text((self.now.as_millis() / 1000).to_string())),
            "requestedregion" => Some(one(self.region.as_str())),
            _ => self.of_connection(name).or_else(|| self.of_principal(name)).or_else(|| self.of_service(name)),
        }
    }

    /// The value of `aws:<name>/<attribute>`.
    pub(crate) fn attribute(&self, name: &str, attribute: &str) -> Option<ContextValue<'a>> {
        if name != "principaltag" {
            return None;
        }
        let session = self.caller.session.as_ref().map(|session| &session.tags);
        let tag = |tags: &'a BTreeMap<String, String>| {
            find(tags.iter().map(|(name, value)| (name.as_str(), value.as_str())), attribute)
        };
        session.and_then(tag).or_else(|| self.tags.and_then(tag)).map(one)
    }

    /// Through an endpoint of a private network there is no address that means anything to a policy.
    fn of_connection(&self, name: &str) -> Option<ContextValue<'a>> {
        let origin = &self.origin;
        match name {
            "securetransport" => Some(boolean(origin.is_secure)),
            "useragent" => origin.user_agent.map(one),
            "sourceip" if origin.endpoint.is_none() => Some(text(origin.source_ip.to_string())),
            "vpcsourceip" if origin.endpoint.is_some() => Some(text(origin.source_ip.to_string())),
            "sourcevpce" => origin.endpoint.map(|endpoint| one(endpoint.id())),
            "sourcevpc" => origin.endpoint.and_then(|endpoint| endpoint.vpc_id()).map(one),
            _ => None,
        }
    }

    fn of_principal(&self, name: &str) -> Option<ContextValue<'a>> {
        let caller = self.caller;
        match name {
            "principalarn" => self.principal_arn().map(one),
            "principalaccount" => self.is_of_account().then(|| text(caller.account.to_string())),
            "principaltype" => self.principal_type().map(one),
            "principalisawsservice" => Some(boolean(!self.is_of_account())),
            "principalservicename" => self.service_name().map(one),
            "userid" => Some(one(&caller.principal_id)),
            "username" => caller.user_name().map(one),
            _ => self.of_session(caller.session.as_ref()?, name),
        }
    }

    /// Only temporary credentials say whether a second factor was used.
    fn of_session(&self, session: &'a Session, name: &str) -> Option<ContextValue<'a>> {
        let age = |mfa: Timestamp| text(self.now.since(mfa).as_secs().to_string());
        match name {
            "tokenissuetime" => Some(text(meridian_audit::iso_seconds(session.issued_at))),
            "multifactorauthpresent" => Some(boolean(session.mfa_at.is_some())),
            "multifactorauthage" => session.mfa_at.map(age),
            "sourceidentity" => session.source_identity.as_deref().map(one),
            "federatedprovider" => session.federated_provider.as_deref().map(one),
            _ => None,
        }
    }

    /// What a service says of its call. It stands in the context only if a service makes the call.
    fn of_service(&self, name: &str) -> Option<ContextValue<'a>> {
        if name == "viaawsservice" {
            return Some(boolean(self.via_service().is_some()));
        }
        match name {
            "sourcearn" => source_arn(self.caller).map(one),
            "sourceaccount" => own_call(self.caller)?.source_account.map(|account| text(account.to_string())),
            _ => None,
        }
    }

    /// The service that makes the request for the caller, by its name in this Region.
    pub(crate) fn via_service(&self) -> Option<Cow<'a, str>> {
        let call = self.caller.service_call.as_ref().filter(|_| self.is_of_account())?;
        Some(match call.service.strip_suffix(SERVICE_SUFFIX) {
            Some(service) if !service.contains('.') => Cow::Owned(format!("{service}.{}{SERVICE_SUFFIX}", self.region)),
            _ => Cow::Borrowed(&call.service),
        })
    }

    fn is_of_account(&self) -> bool {
        self.service_name().is_none()
    }

    fn service_name(&self) -> Option<&'a str> {
        match &self.caller.kind {
            CallerKind::Service { name } => Some(name),
            _ => None,
        }
    }

    /// Of a session, the role.
    fn principal_arn(&self) -> Option<&'a str> {
        match &self.caller.kind {
            CallerKind::AssumedRole { role_arn, .. } => Some(role_arn),
            CallerKind::Root | CallerKind::IamUser { .. } | CallerKind::FederatedUser { .. } => Some(&self.caller.arn),
            CallerKind::Service { .. } => None,
        }
    }

    fn principal_type(&self) -> Option<&'static str> {
        match self.caller.kind {
            CallerKind::Root => Some("Account"),
            CallerKind::IamUser { .. } => Some("User"),
            CallerKind::AssumedRole { .. } => Some("AssumedRole"),
            CallerKind::FederatedUser { .. } => Some("FederatedUser"),
            CallerKind::Service { .. } => None,
        }
    }
}

/// The resource that a service acts for when it calls for itself.
pub(crate) fn source_arn(caller: &Caller) -> Option<&str> {
    own_call(caller)?.source_arn.as_deref()
}

/// What a service says of a call that it makes for itself.
fn own_call(caller: &Caller) -> Option<&ServiceCall> {
    caller.service_call.as_ref().filter(|_| matches!(caller.kind, CallerKind::Service { .. }))
}

/// Names of services end so in every partition (AWS KMS Developer Guide, "kms:ViaService").
const SERVICE_SUFFIX: &str = ".amazonaws.com";
