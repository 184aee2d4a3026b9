//! `Principal` and `NotPrincipal` of statements: whom they name, and in which of its roles a principal is named.
//!
//! AWS IAM User Guide, "AWS JSON policy elements: Principal" and "NotPrincipal".

use meridian_model::AccountId;

use crate::json::Json;
use crate::principal::{Principal, PrincipalArn, PrincipalKind};

/// By which of its names a principal is meant; what is later in this list needs less besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// By its account: the policy only lets the account decide by its own policies.
    Account,
    /// By the role of its session, or the user of its federated session: boundaries and session policies still bind it.
    Role,
    /// By its own name, or because everybody is meant.
    Itself,
}

/// Whom a statement applies to.
#[derive(Clone, Debug)]
pub(crate) enum Principals {
    Only(Box<[Name]>),
    Except(Box<[Name]>),
}

/// A name in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Anyone,
    Account(AccountId),
    /// The ARN of a user, a role, a session or a federated user.
    Arn(Box<str>),
    /// `AIDA...` of a user, `AROA...` of a role.
    UniqueId(Box<str>),
    Service(Box<str>),
    /// A canonical user or an identity provider: nobody who calls this service.
    Nobody,
}

/// Why an element is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalFault {
    /// It has not the form of one.
    Form,
    /// A name in it can be nobody's: its kind, and itself.
    Name(String, String),
}

impl Principals {
    pub(crate) fn names(&self) -> &[Name] {
        let (Self::Only(names) | Self::Except(names)) = self;
        names
    }

    /// By which name an `Allow` or, if `denies`, a `Deny` means `principal`; `None` if it does not.
    pub(crate) fn via(&self, principal: &Principal<'_>, denies: bool, has_boundary: bool) -> Option<Via> {
        match self {
            Self::Only(names) => names.iter().filter_map(|name| name.via(principal)).max(),
            Self::Except(names) if denies => {
                // AWS IAM User Guide, "Permissions boundaries": such a Deny always meets whoever has a boundary.
                let is_excepted = !has_boundary && has_all_names(names, principal);
                (!is_excepted).then_some(Via::Itself)
            }
            Self::Except(names) => {
                let is_excepted = names.iter().any(|name| name.via(principal).is_some());
                (!is_excepted).then_some(Via::Itself)
            }
        }
    }
}

/// Whether each of the names of `principal`, from its account down to itself, is among `names`: who is to be left out of
/// a `Deny` must be named on every level.
fn has_all_names(names: &[Name], principal: &Principal<'_>) -> bool {
    let has = |via: Via| names.iter().any(|name| *name == Name::Anyone || name.via(principal) == Some(via));
    match principal.kind {
        PrincipalKind::Root => has(Via::Account),
        PrincipalKind::Session { .. } => has(Via::Account) && has(Via::Role) && has(Via::Itself),
        PrincipalKind::User | PrincipalKind::FederatedUser { .. } => has(Via::Account) && has(Via::Itself),
        PrincipalKind::Service { .. } => has(Via::Itself),
    }
}

impl Name {
    fn via(&self, principal: &Principal<'_>) -> Option<Via> {
        match self {
            Self::Anyone => Some(Via::Itself),
            Self::Account(account) => {
                (principal.service().is_none() && principal.account == *account).then_some(Via::Account)
            }
            Self::Arn(arn) if **arn == *principal.arn => Some(Via::Itself),
            Self::Arn(arn) => (principal.origin() == Some(arn)).then_some(Via::Role),
            Self::UniqueId(id) if principal.unique_id == Some(id) => {
                Some(if matches!(principal.kind, PrincipalKind::User) { Via::Itself } else { Via::Role })
            }
            Self::Service(name) => (principal.service() == Some(name)).then_some(Via::Itself),
            Self::UniqueId(_) | Self::Nobody => None,
        }
    }

    fn parse(kind: &str, text: &str) -> Option<Self> {
        match kind {
            "AWS" => Self::parse_aws(text),
            "Service" => is_service_name(text).then(|| Self::Service(text.into())),
            "Federated" => (!text.is_empty() && text.is_ascii()).then_some(Self::Nobody),
            "CanonicalUser" => {
                let is_id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_id.then_some(Self::Nobody)
            }
            _ => None,
        }
    }

    fn parse_aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Anyone);
        }
        if let Ok(account) = text.parse() {
            return Some(Self::Account(account));
        }
        if is_unique_id(text) {
            return Some(Self::UniqueId(text.into()));
        }
        let arn = PrincipalArn::parse(text).filter(|_| !text.contains(['*', '?']))?;
        Some(if arn.is_root() { Self::Account(arn.account()) } else { Self::Arn(text.into()) })
    }
}

/// Parses the value of a `Principal` or `NotPrincipal`.
pub(crate) fn parse_names(value: &Json) -> Result<Box<[Name]>, PrincipalFault> {
    let kinds = match value {
        Json::Text(text) if text == "*" => return Ok(Box::new([Name::Anyone])),
        Json::Text(text) => return Err(PrincipalFault::Name("AWS".to_owned(), text.clone())),
        Json::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err(PrincipalFault::Form),
    };
    let mut names = Vec::new();
    for (kind, values) in kinds {
        for text in values.texts().ok_or(PrincipalFault::Form)? {
            names.push(Name::parse(kind, text).ok_or_else(|| PrincipalFault::Name(kind.clone(), text.to_owned()))?);
        }
    }
    Ok(names.into())
}

/// AWS IAM User Guide, "IAM identifiers": `AIDA` of a user, `AROA` of a role, and capital letters and digits.
fn is_unique_id(text: &str) -> bool {
    let is_id = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (text.starts_with("AIDA") || text.starts_with("AROA")) && (16..=128).contains(&text.len()) && is_id(text)
}

/// A name of domain form, such as `cloudtrail.amazonaws.com`.
fn is_service_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.contains('.') && text.len() <= 256 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/r/s";
    const ROLE: &str = "arn:aws:iam::111122223333:role/r";

    fn session() -> Principal<'static> {
        let account = "111122223333".parse().expect("12 digits");
        let kind = PrincipalKind::Session { role_arn: ROLE };
        Principal { account, arn: SESSION, kind, unique_id: Some("AROAEXAMPLEEXAMPLE123") }
    }

    fn names(text: &str) -> Result<Box<[Name]>, PrincipalFault> {
        parse_names(&Json::parse(text).expect("JSON"))
    }

    #[test]
    fn who_is_named_how() {
        for (principal, via) in [
            (r#""*""#, Some(Via::Itself)),
            (r#"{"AWS":"*"}"#, Some(Via::Itself)),
            (r#"{"AWS":"111122223333"}"#, Some(Via::Account)),
            (r#"{"AWS":"arn:aws:iam::111122223333:root"}"#, Some(Via::Account)),
            (r#"{"AWS":["444455556666","arn:aws:iam::111122223333:role/r"]}"#, Some(Via::Role)),
            (r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/r/s"}"#, Some(Via::Itself)),
            (r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/r/t"}"#, None),
            (r#"{"AWS":"AROAEXAMPLEEXAMPLE123"}"#, Some(Via::Role)),
            (r#"{"AWS":"AROAEXAMPLEEXAMPLE124"}"#, None),
            (r#"{"AWS":["111122223333","arn:aws:iam::111122223333:role/r"]}"#, Some(Via::Role)),
            (r#"{"Service":"s3.amazonaws.com","AWS":"444455556666"}"#, None),
            (r#"{"Federated":"cognito-identity.amazonaws.com"}"#, None),
            (r#"{"AWS":[]}"#, None),
        ] {
            let found = Principals::Only(names(principal).expect(principal)).via(&session(), false, false);
            assert_eq!(found, via, "{principal}");
        }
    }

    #[test]
    fn services_belong_to_no_account() {
        let name = "s3.amazonaws.com";
        let service = Principal { arn: name, kind: PrincipalKind::Service { name }, unique_id: None, ..session() };
        for (principal, via) in [
            (r#"{"Service":["ec2.amazonaws.com","s3.amazonaws.com"]}"#, Some(Via::Itself)),
            (r#"{"Service":"ec2.amazonaws.com"}"#, None),
            (r#"{"AWS":"111122223333"}"#, None),
            (r#"{"AWS":"*"}"#, Some(Via::Itself)),
        ] {
            let found = Principals::Only(names(principal).expect(principal)).via(&service, false, false);
            assert_eq!(found, via, "{principal}");
        }
    }

    /// The example of "AWS JSON policy elements: NotPrincipal": session, role and account must all be named.
    #[test]
    fn exceptions_from_a_deny_name_every_level() {
        let all = format!(r#"{{"AWS":["{SESSION}","{ROLE}","111122223333"]}}"#);
        let principals = |text: &str| Principals::Except(names(text).expect(text));
        assert_eq!(principals(&all).via(&session(), true, false), None);
        assert_eq!(principals(&all).via(&session(), true, true), Some(Via::Itself), "with a boundary");
        for missing in [SESSION, ROLE, "111122223333"] {
            let other = all.replace(&format!(r#""{missing}""#), r#""444455556666""#);
            assert_eq!(principals(&other).via(&session(), true, false), Some(Via::Itself), "without {missing}");
            assert_eq!(principals(&other).via(&session(), false, false), None, "an Allow leaves out whoever is named");
        }
        assert_eq!(principals(r#"{"AWS":"444455556666"}"#).via(&session(), false, false), Some(Via::Itself));
        assert_eq!(principals(r#""*""#).via(&session(), true, false), None);
    }

    #[test]
    fn names_that_are_nobodys() {
        for text in [
            r#""everybody""#,
            r#"{"AWS":""}"#,
            r#"{"AWS":"1234"}"#,
            r#"{"AWS":"arn:aws:iam::111122223333:group/admins"}"#,
            r#"{"AWS":"arn:aws:iam::111122223333:user/*"}"#,
            r#"{"AWS":"AIDAlower1234567890"}"#,
            r#"{"Service":"cloudtrail"}"#,
            r#"{"Service":"*"}"#,
            r#"{"CanonicalUser":"79a5"}"#,
            r#"{"Everyone":"*"}"#,
        ] {
            assert!(matches!(names(text), Err(PrincipalFault::Name(..))), "{text}");
        }
        for text in ["{}", "[]", r#"["*"]"#, r#"{"AWS":{}}"#, r#"{"AWS":[1]}"#, "null"] {
            assert_eq!(names(text), Err(PrincipalFault::Form), "{text}");
        }
    }
}
