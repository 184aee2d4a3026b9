//! The context of a request: what conditions and policy variables look at.
//!
//! Values come from whoever knows the request, one at a time and only when a statement asks for them.

use std::borrow::Cow;
use std::fmt;

/// The name of a value in the context of a request, such as `aws:username` or `kms:EncryptionContext:AppName`.
///
/// Names are not case-sensitive (AWS IAM User Guide, "IAM JSON policy elements: Condition").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextKey {
    text: Box<str>,
    name: Box<str>,
    attribute_at: Option<usize>,
}

impl ContextKey {
    /// Parses `service:Name`, `service:Name/attribute` or `service:Name:attribute`; `None` if there is no service or no
    /// name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (service, rest) = text.split_once(':')?;
        let (name, attribute) = rest.split_once([':', '/']).map_or((rest, None), |(name, rest)| (name, Some(rest)));
        if service.is_empty() || name.is_empty() || attribute == Some("") {
            return None;
        }
        let name_len = service.len() + 1 + name.len();
        let name = text[..name_len].to_ascii_lowercase().into();
        Some(Self { text: text.into(), name, attribute_at: attribute.map(|_| name_len + 1) })
    }

    /// The name in lower case, without its variable part: `kms:encryptioncontext` of `kms:EncryptionContext:AppName`,
    /// `aws:resourcetag` of `aws:ResourceTag/Project`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The variable part as it is written; to be compared without regard to ASCII case.
    #[must_use]
    pub fn attribute(&self) -> Option<&str> {
        self.attribute_at.map(|at| &self.text[at..])
    }

    /// Whether key policies cannot see the value (AWS KMS Developer Guide, "ABAC for AWS KMS").
    fn is_hidden_from_key_policies(&self) -> bool {
        matches!(&*self.name, "aws:resourcetag" | "kms:resourcealiases")
    }
}

/// The name as it is written.
impl fmt::Display for ContextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the context of a request holds under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextValue<'a> {
    /// The value of a key that can only have one.
    One(Cow<'a, str>),
    /// The values of a key that can have several. None at all counts as the absence of the key.
    Many(Vec<Cow<'a, str>>),
}

impl<'a> ContextValue<'a> {
    /// One value.
    pub fn one(value: impl Into<Cow<'a, str>>) -> Self {
        Self::One(value.into())
    }

    /// A truth value, as policies write it.
    #[must_use]
    pub const fn truth(value: bool) -> Self {
        Self::One(Cow::Borrowed(if value { "true" } else { "false" }))
    }

    /// All values.
    pub(crate) fn all(&self) -> &[Cow<'a, str>] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Gives the values of a request.
pub trait ConditionContext {
    /// What the request has under `key`; `None` if it has nothing.
    fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>>;
}

/// The context of a request that has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoContext;

impl ConditionContext for NoContext {
    fn value(&self, _: &ContextKey) -> Option<ContextValue<'_>> {
        None
    }
}

/// A context as the statements of one policy see it.
#[derive(Clone, Copy)]
pub(crate) struct Lookup<'a> {
    pub(crate) context: &'a dyn ConditionContext,
    pub(crate) by_key_policy: bool,
}

impl<'a> Lookup<'a> {
    pub(crate) fn value(&self, key: &ContextKey) -> Option<ContextValue<'a>> {
        if self.by_key_policy && key.is_hidden_from_key_policies() {
            return None;
        }
        self.context.value(key).filter(|value| !value.all().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_attributes() {
        for (text, name, attribute) in [
            ("aws:UserName", "aws:username", None),
            ("kms:EncryptionContext:AppName", "kms:encryptioncontext", Some("AppName")),
            ("kms:encryptioncontext:aws:geo:arn", "kms:encryptioncontext", Some("aws:geo:arn")),
            ("aws:ResourceTag/Project", "aws:resourcetag", Some("Project")),
            ("aws:RequestTag/a:b/c", "aws:requesttag", Some("a:b/c")),
            ("kms:RecipientAttestation:PCR1", "kms:recipientattestation", Some("PCR1")),
            ("cognito-identity.amazonaws.com:sub", "cognito-identity.amazonaws.com:sub", None),
            ("oidc.example.com/id/1:sub", "oidc.example.com/id/1:sub", None),
        ] {
            let key = ContextKey::parse(text).expect(text);
            assert_eq!((key.name(), key.attribute()), (name, attribute), "{text}");
        }
        for text in ["", "username", ":username", "aws:", "aws:ResourceTag/", "kms:EncryptionContext:"] {
            assert_eq!(ContextKey::parse(text), None, "{text}");
        }
    }

    #[test]
    fn key_policies_do_not_see_tags_and_aliases_of_the_key() {
        struct Everything;
        impl ConditionContext for Everything {
            fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
                let nothing = key.attribute() == Some("none");
                Some(if nothing { ContextValue::Many(Vec::new()) } else { ContextValue::one("value") })
            }
        }
        let seen = |text: &str, by_key_policy: bool| {
            let lookup = Lookup { context: &Everything, by_key_policy };
            lookup.value(&ContextKey::parse(text).expect(text)).is_some()
        };
        for text in ["aws:ResourceTag/Project", "kms:ResourceAliases"] {
            assert!(!seen(text, true) && seen(text, false), "{text}");
        }
        assert!(seen("aws:RequestTag/Project", true), "what the request says is for everybody");
        assert!(!seen("aws:RequestTag/none", false), "no value is an absent key");
    }
}
