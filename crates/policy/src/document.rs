//! Policy documents: parsed and compiled once, and the key policy that a key gets when none is given.
//!
//! AWS IAM User Guide, "Grammar of the IAM JSON policy language"; AWS KMS Developer Guide, "Key policies in AWS KMS".
//! Messages of refusals are those of the services where they are public.

use meridian_model::{AccountId, ErrorCode, Partition, ServiceError};

use crate::compile::{Strictness, compile, deny_everything};
use crate::principal_element::{Name, Principals, Via};
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
        names.flat_map(Principals::names).filter_map(|name| if let Name::Arn(arn) = name { Some(&**arn) } else { None })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(document: &str, kind: PolicyKind) -> String {
        let error = Policy::parse(document, kind).expect_err(document);
        assert_eq!(error.code, ErrorCode::MalformedPolicyDocument, "{document}");
        error.message
    }

    /// A document with the one statement `{"Effect":"Allow", ...}`.
    fn with(rest: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",{rest}}}}}"#)
    }

    #[test]
    fn the_default_policy_is_valid() {
        let policy = default_policy(Partition::Aws, "111122223333".parse().expect("12 digits"));
        let parsed = Policy::parse(&policy, PolicyKind::Key).expect("valid");
        assert_eq!(parsed.statements().len(), 1);
        assert!(policy.contains("arn:aws:iam::111122223333:root"));
    }

    /// Every form that the AWS KMS Developer Guide shows.
    #[test]
    fn forms_of_key_policies() {
        for document in [
            r#"{"Statement":[{"Effect":"Allow","Principal":"*"}]}"#.to_owned(),
            r#"{"Version":"2008-10-17","Id":"x","Statement":{"Sid":"a b","Effect":"Deny","Principal":{"AWS":"*"}}}"#.to_owned(),
            with(r#""Principal":{"AWS":["111122223333","arn:aws:iam::444455556666:role/a"]},"Action":["kms:*"],"Resource":["*"]"#),
            with(r#""NotPrincipal":{"Service":"s3.amazonaws.com"},"NotAction":"kms:Get*","NotResource":"x""#),
            with(r#""Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"Bool":{"kms:MultiRegion":true}}"#),
            with(r#""Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"Bool":{"kms:MultiRegion":"true"},
                "NumericLessThan":{"kms:RotationPeriodInDays":[90,"365"]}}"#),
            r#"{"Statement":[{"Sid":"same","Effect":"Allow","Principal":"*"},{"Sid":"same","Effect":"Deny","Principal":"*"}]}"#
                .to_owned(),
        ] {
            Policy::parse(&document, PolicyKind::Key).unwrap_or_else(|error| panic!("{error}: {document}"));
        }
    }

    #[test]
    fn what_is_no_policy() {
        let syntax = "Syntax errors in policy.";
        for document in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"Statement":[]}"#,
            r#"{"Statement":["Allow"]}"#,
            r#"{"Statement":[{"Effect":"Maybe","Principal":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow"}]}"#,
            r#"{"Statement":[{"Principal":"*"}]}"#,
            r#"{"Version":"2013-01-01","Statement":[{"Effect":"Allow","Principal":"*"}]}"#,
            r#"{"Id":1,"Statement":[{"Effect":"Allow","Principal":"*"}]}"#,
            r#"{"Statements":[{"Effect":"Allow","Principal":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Sid":1}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Principals":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","NotPrincipal":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Effect":"Deny","Principal":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","NotAction":"kms:*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":{}}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":[1],"Resource":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Condition":"kms:CallerAccount"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Condition":{"Bool":[]}}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Condition":{"Bool":{"kms:MultiRegion":null}}}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Principal":["*"]}]}"#,
            // The trailing comma of an example of the guide.
            r#"{"Statement":[{"Effect":"Allow","Principal":"*"},]}"#,
        ] {
            assert_eq!(refused(document, PolicyKind::Key), syntax, "{document}");
        }
    }

    #[test]
    fn refusals_of_key_policies() {
        let statement = r#""Action":"kms:*","Resource":"*""#;
        let invalid = "Policy contains a statement with one or more invalid principals.";
        let vendor = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
        let group = r#""Principal":{"AWS":"arn:aws:iam::111122223333:group/g"}"#;
        for (kind, document, message) in [
            (PolicyKind::Key, with(&format!("{group},{statement}")), invalid),
            (PolicyKind::Key, with(r#""Principal":{"Service":"nobody"}"#), invalid),
            (PolicyKind::Key, with(r#""Principal":"111122223333""#), invalid),
            (PolicyKind::Key, with(r#""Principal":"*","Action":"Encrypt""#), vendor),
            (PolicyKind::Key, with(r#""Principal":"*","Condition":{"StringEquals":{"CallerAccount":"1"}}"#), vendor),
            (
                PolicyKind::Key,
                with(r#""Principal":"*","Condition":{"StringIs":{"kms:CallerAccount":"1"}}"#),
                "Invalid Condition type : StringIs.",
            ),
            (
                PolicyKind::Key,
                with(r#""Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"corp"}}"#),
                "Invalid value for the condition operator IpAddress.",
            ),
        ] {
            assert_eq!(refused(&document, kind), message, "{document}");
        }
    }

    #[test]
    fn refusals_of_identity_policies() {
        let statement = r#""Action":"kms:*","Resource":"*""#;
        for (kind, document, message) in [
            (
                PolicyKind::Identity,
                with(&format!(r#""Principal":"*",{statement}"#)),
                "Policy document should not specify a principal.",
            ),
            (PolicyKind::Identity, with(r#""Action":"kms:*""#), "Policy statement must contain resources."),
            (PolicyKind::Identity, with(r#""Resource":"*""#), "Policy statement must contain actions."),
            (
                PolicyKind::Identity,
                with(r#""Action":"kms:a:b","Resource":"*""#),
                "Actions/Condition can contain only one colon.",
            ),
            (PolicyKind::Identity, with(r#""Action":"k_s:a","Resource":"*""#), "Vendor k_s is not valid"),
            (
                PolicyKind::Identity,
                with(r#""Action":"kms:*","Resource":"alias/a""#),
                r#"Resource alias/a must be in ARN format or "*"."#,
            ),
            (
                PolicyKind::Identity,
                with(&format!(r#""Sid":"a b",{statement}"#)),
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
            ),
            (
                PolicyKind::Identity,
                format!(
                    r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"a","Effect":"Allow",{statement}}},
                {{"Sid":"a","Effect":"Deny",{statement}}}]}}"#
                ),
                "Statement IDs (SID) in a single policy must be unique.",
            ),
            (
                PolicyKind::Identity,
                with(statement).replace("2012", "2008"),
                "Policy document must be version 2012-10-17 or greater.",
            ),
        ] {
            assert_eq!(refused(&document, kind), message, "{document}");
        }
    }

    #[test]
    fn refusals_of_trust_and_endpoint_policies() {
        let statement = r#""Action":"kms:*","Resource":"*""#;
        let group = r#""Principal":{"AWS":"arn:aws:iam::111122223333:group/g"}"#;
        for (kind, document, message) in [
            (PolicyKind::Trust, with(r#""Action":"sts:AssumeRole""#), "Missing required field Principal"),
            (
                PolicyKind::Trust,
                with(r#""Principal":"*","Action":"sts:AssumeRole","Resource":"*""#),
                "Has prohibited field Resource",
            ),
            (
                PolicyKind::Trust,
                with(r#""Principal":"*","Action":"kms:*""#),
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ),
            (
                PolicyKind::Trust,
                with(&format!(r#"{group},"Action":"sts:AssumeRole""#)),
                r#"Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:group/g""#,
            ),
            (PolicyKind::Endpoint, with(statement), "Syntax errors in policy."),
        ] {
            assert_eq!(refused(&document, kind), message, "{document}");
        }
    }

    /// AWS KMS Developer Guide, "kms:EncryptionContext:context-key".
    #[test]
    fn conditions_that_mean_more_than_they_say() {
        let with_condition = |key: &str| {
            with(&format!(
                r#""Principal":"*","Action":"kms:*","Resource":"*","Condition":{{"ForAllValues:StringEquals":{{"{key}":"x"}}}}"#
            ))
        };
        let context = "OverlyPermissiveCondition:EncryptionContext: Using the ForAllValues set operator with a single-valued \
            condition key matches requests without the specified encryption context or with an unspecified encryption \
            context. To fix, remove ForAllValues.";
        let tag = "OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued condition key \
            matches requests without the specified tag or with an unspecified tag. To fix, remove ForAllValues.";
        for (key, message) in [("kms:EncryptionContext:Department", context), ("aws:requestTag/x", tag)] {
            assert_eq!(refused(&with_condition(key), PolicyKind::Key), message);
            assert_eq!(Policy::stored(&with_condition(key), PolicyKind::Key).statements()[0].effect, Effect::Allow);
        }
        Policy::parse(&with_condition("kms:EncryptionContextKeys"), PolicyKind::Key)
            .expect("a key with several values");
        Policy::parse(&with_condition("aws:TagKeys"), PolicyKind::Key).expect("a key with several values");
    }

    #[test]
    fn sizes() {
        let rest = r#"{"Id":"","Statement":{"Effect":"Allow","Principal":"*"}}"#;
        let with_id = |length: usize| rest.replacen(r#""""#, &format!(r#""{}""#, "x".repeat(length - rest.len())), 1);
        Policy::parse(&with_id(32_768), PolicyKind::Key).expect("just small enough");
        let error = Policy::parse(&with_id(32_769), PolicyKind::Key).expect_err("too long");
        assert_eq!(error.code, ErrorCode::LimitExceeded);
        let spacious = with(r#""Action":"kms:*","Resource":"*""#) + &" ".repeat(20_000);
        Policy::parse(&spacious, PolicyKind::Session).expect("white space does not count");
        let error = Policy::parse(&(spacious + &" ".repeat(120_000)), PolicyKind::Session).expect_err("within bounds");
        assert_eq!(error.code, ErrorCode::LimitExceeded);
        assert_eq!(policy_size(" { \n\t\"ä\" : 1 } "), 7);
    }

    #[test]
    fn who_is_named() {
        let document = with(
            r#""Principal":{"AWS":["arn:aws:iam::111122223333:role/a","111122223333","*"],
            "Service":"s3.amazonaws.com"}"#,
        );
        let policy = Policy::parse(&document, PolicyKind::Key).expect("a policy");
        assert_eq!(policy.named_arns().collect::<Vec<_>>(), ["arn:aws:iam::111122223333:role/a"]);
    }
}
