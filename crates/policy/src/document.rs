//! Policy documents: parsed and compiled once, and the key policy that a key gets when none is given.
//!
//! AWS IAM User Guide, "Grammar of the IAM JSON policy language"; AWS KMS Developer Guide, "Key policies in AWS KMS".
//! Messages of refusals are those of the services where they are public.

use meridian_model::{AccountId, ErrorCode, Partition, ServiceError};

use crate::compile::{Strictness, compile, deny_everything};
use crate::principal_element::{Name, Via};
use crate::statement::{Asked, Effect, Statement};

/// Largest key policy, in bytes (AWS KMS quota "Key policy document size").
pub const MAX_BYTES: usize = 32_768;

/// What a policy is attached to. It decides which elements the document has, and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// A KMS key.
    Key,
    /// A user, a group or a role; inline, managed, or as a permissions boundary.
    Identity,
    /// A role: who may assume it.
    Trust,
    /// An endpoint that requests come through.
    Endpoint,
    /// A session, when it is made.
    Session,
}

impl PolicyKind {
    /// The largest document, in bytes for a key and otherwise in characters that are not white space. What an identity may
    /// have besides (2,048 for a user, 5,120 for a group, 6,144 for a managed policy) is for its keeper to count with
    /// [`policy_size`].
    ///
    /// AWS IAM User Guide, "IAM and AWS STS quotas"; AWS PrivateLink Guide, "Quotas".
    #[must_use]
    pub const fn size_max(self) -> usize {
        match self {
            Self::Key => MAX_BYTES,
            Self::Identity => 10_240,
            Self::Trust => 4_096,
            Self::Endpoint => 20_480,
            Self::Session => 2_048,
        }
    }

    /// Whether statements say whom they are about.
    pub(crate) const fn has_principals(self) -> bool {
        matches!(self, Self::Key | Self::Trust | Self::Endpoint)
    }
}

/// Characters that are not white space, as the quotas of IAM count them.
#[must_use]
pub fn policy_size(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

/// A policy: a document that was parsed and compiled.
#[derive(Clone, Debug)]
pub struct Policy {
    kind: PolicyKind,
    statements: Box<[Statement]>,
}

/// What a policy says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Denies,
    /// As what it means the principal.
    Allows(Via),
    SaysNothing,
}

impl Policy {
    /// Parses a document that somebody sends.
    ///
    /// # Errors
    /// `LimitExceededException` for one that is too long; `MalformedPolicyDocumentException` for one that is no policy, or
    /// one that would mean something else than it seems to.
    pub fn parse(document: &str, kind: PolicyKind) -> Result<Self, ServiceError> {
        check_size(document, kind)?;
        let statements = compile(document, kind, Strictness::Received)?;
        Ok(Self { kind, statements })
    }

    /// Parses a document that was accepted before. One that cannot be read (any more) denies everything.
    #[must_use]
    pub fn stored(document: &str, kind: PolicyKind) -> Self {
        let statements = compile(document, kind, Strictness::Stored).unwrap_or_else(|_| deny_everything());
        Self { kind, statements }
    }

    /// What the policy is attached to.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// The ARNs of the users, roles and sessions that the policy names, with repetitions.
    pub fn named_arns(&self) -> impl Iterator<Item = &str> {
        let names = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        names
            .flat_map(|principals| principals.names())
            .filter_map(|name| if let Name::Arn(arn) = name { Some(&**arn) } else { None })
    }

    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// What the policy says about a request.
    pub(crate) fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let mut verdict = Verdict::SaysNothing;
        for statement in &self.statements {
            let Ok(via) = statement.check(asked, self.kind) else { continue };
            match (statement.effect, verdict) {
                (Effect::Deny, _) => return Verdict::Denies,
                (Effect::Allow, Verdict::Allows(before)) => verdict = Verdict::Allows(before.max(via)),
                (Effect::Allow, _) => verdict = Verdict::Allows(via),
            }
        }
        verdict
    }
}

fn check_size(document: &str, kind: PolicyKind) -> Result<(), ServiceError> {
    let max = kind.size_max();
    let (size, unit) = match kind {
        PolicyKind::Key => (document.len(), "bytes"),
        _ => (policy_size(document), "characters"),
    };
    if size <= max && document.len() <= DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    let message = format!("The policy document has {size} {unit}; at most {max} are allowed.");
    Err(ServiceError::new(ErrorCode::LimitExceeded, message))
}

/// Longest document that is looked at, white space and all (AWS IAM API Reference, `CreatePolicy`).
const DOCUMENT_BYTES_MAX: usize = 131_072;

/// The refusal of a policy that names somebody who does not exist or cannot be a principal.
#[must_use]
pub fn invalid_principals() -> ServiceError {
    malformed("Policy contains a statement with one or more invalid principals.")
}

/// The refusal of a policy document.
pub(crate) fn malformed(message: impl Into<String>) -> ServiceError {
    ServiceError::new(ErrorCode::MalformedPolicyDocument, message)
}

/// The policy of a key that was given none: the account may do everything, and may delegate by IAM policies.
#[must_use]
pub fn default_policy(partition: Partition, account: AccountId) -> String {
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:{partition}:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// Checks a key policy that somebody sends.
///
/// # Errors
/// As [`Policy::parse`].
pub fn validate(policy: &str) -> Result<(), ServiceError> {
    Policy::parse(policy, PolicyKind::Key).map(|_| ())
}
