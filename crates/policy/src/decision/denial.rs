//! Why a request is denied, in the words of the service.
//!
//! AWS IAM User Guide, "Troubleshoot access denied error messages".

use std::fmt;

use meridian_model::{ErrorCode, ServiceError};

use crate::principal::Principal;

/// A kind of policy that takes part in decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The policy of the resource, such as a key policy.
    Resource,
    /// The policy of a role that says who may assume it.
    Trust,
    /// The policies of the identity and its groups.
    Identity,
    /// The permissions boundary of the identity.
    Boundary,
    /// The policies of the session.
    Session,
    /// The policy of the endpoint.
    Endpoint,
}

impl Layer {
    /// With its article, as it stands behind "no" and "a".
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Resource => ("a", "resource-based policy"),
            Self::Trust => ("the", "role trust policy"),
            Self::Identity => ("an", "identity-based policy"),
            Self::Boundary => ("a", "permissions boundary"),
            Self::Session => ("a", "session policy"),
            Self::Endpoint => ("a", "VPC endpoint policy"),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().1)
    }
}

/// What a request was denied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A matching `Deny` in a policy of this kind.
    ExplicitDeny(Layer),
    /// No matching `Allow` in the policies of this kind.
    NoAllow(Layer),
}

/// A denied request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Denial {
    /// What it was denied by; where several things were missing, one of them.
    pub cause: Cause,
    /// Who asked.
    pub principal: String,
    /// For which action.
    pub action: String,
    /// On which resource.
    pub resource: String,
}

impl Denial {
    pub(super) fn new(cause: Cause, principal: &Principal<'_>, action: &str, resource: &str) -> Self {
        Self { cause, principal: principal.arn.to_owned(), action: action.to_owned(), resource: resource.to_owned() }
    }

    /// The same, about another resource.
    pub(super) fn about(self, resource: &str) -> Self {
        Self { resource: resource.to_owned(), ..self }
    }

    /// Whether all policies but the endpoint's would allow. The endpoint's is looked at last.
    #[must_use]
    pub fn is_by_endpoint_alone(&self) -> bool {
        matches!(self.cause, Cause::ExplicitDeny(Layer::Endpoint) | Cause::NoAllow(Layer::Endpoint))
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, principal, action, resource } = self;
        write!(f, "User: {principal} is not authorized to perform: {action} on resource: {resource} ")?;
        match cause {
            Cause::ExplicitDeny(layer) => {
                let (article, name) = layer.words();
                write!(f, "with an explicit deny in {article} {name}")
            }
            Cause::NoAllow(layer) => write!(f, "because no {layer} allows the {action} action"),
        }
    }
}

impl From<Denial> for ServiceError {
    fn from(denial: Denial) -> Self {
        Self::new(ErrorCode::AccessDenied, denial.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wordings of the examples of the page.
    #[test]
    fn messages() {
        for (cause, words) in [
            (Cause::NoAllow(Layer::Identity), "because no identity-based policy allows the kms:Encrypt action"),
            (Cause::NoAllow(Layer::Resource), "because no resource-based policy allows the kms:Encrypt action"),
            (Cause::NoAllow(Layer::Boundary), "because no permissions boundary allows the kms:Encrypt action"),
            (Cause::NoAllow(Layer::Session), "because no session policy allows the kms:Encrypt action"),
            (Cause::NoAllow(Layer::Endpoint), "because no VPC endpoint policy allows the kms:Encrypt action"),
            (Cause::NoAllow(Layer::Trust), "because no role trust policy allows the kms:Encrypt action"),
            (Cause::ExplicitDeny(Layer::Identity), "with an explicit deny in an identity-based policy"),
            (Cause::ExplicitDeny(Layer::Resource), "with an explicit deny in a resource-based policy"),
            (Cause::ExplicitDeny(Layer::Boundary), "with an explicit deny in a permissions boundary"),
            (Cause::ExplicitDeny(Layer::Session), "with an explicit deny in a session policy"),
            (Cause::ExplicitDeny(Layer::Endpoint), "with an explicit deny in a VPC endpoint policy"),
            (Cause::ExplicitDeny(Layer::Trust), "with an explicit deny in the role trust policy"),
        ] {
            let denial = Denial {
                cause,
                principal: "arn:aws:iam::111122223333:user/alice".to_owned(),
                action: "kms:Encrypt".to_owned(),
                resource: "*".to_owned(),
            };
            let error = ServiceError::from(denial);
            assert_eq!(error.code, ErrorCode::AccessDenied);
            let start =
                "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: kms:Encrypt on resource: *";
            assert_eq!(error.message, format!("{start} {words}"));
        }
    }
}
