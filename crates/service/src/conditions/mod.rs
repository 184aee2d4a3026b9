//! The values that conditions of policies are compared with: what one decision is about, by the names of condition keys.
//!
//! Nothing is computed before a policy asks for it. Whether a key has a value depends on the operation: an absent key is
//! not an empty one (AWS KMS Developer Guide, "AWS KMS condition keys", and "Permissions reference").
//!
//! [`global`] holds the keys that every service has, [`request`] those that tell of a request's parameters. Here stand the keys
//! of the KMS key itself, and which of all of them one decision has.

pub(crate) mod global;
mod request;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use meridian_crypto::AttestedRecipient;
use meridian_crypto::attestation::Measured;
use meridian_model::{
    AccountId, GrantOperation, KeySpec, KeyUsageType, MultiRegionKeyType, OriginType, Request, WireEnum,
};
use meridian_policy::{ConditionContext, ContextKey, ContextValue};
use meridian_state::{KeyRecord, RegionState};
use serde::{Deserialize, Serialize};

use self::global::Global;
pub(crate) use self::request::encryption_context;

/// What one decision is about.
pub(crate) struct Conditions<'a> {
    pub(crate) global: Global<'a>,
    /// The action that is decided on, without its prefix.
    pub(crate) action: &'static str,
    pub(crate) request: &'a Request,
    pub(crate) subject: Subject<'a>,
    /// Whom the answer is sealed to.
    pub(crate) recipient: Option<&'a AttestedRecipient>,
    /// Of a re-encryption: whether both keys are one.
    pub(crate) is_same_key: &'a dyn Fn() -> bool,
}

/// What the action is performed on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    /// A KMS key.
    Key(&'a RegionState, &'a KeyRecord),
    /// A KMS key that does not exist yet.
    NewKey(NewKey),
    /// Custom key stores: only the caller's account is known.
    KeyStores,
    /// An alias, or nothing in particular. There are no condition keys of AWS KMS then.
    Other,
}

/// A KMS key that is to be made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct NewKey {
    pub(crate) spec: KeySpec,
    pub(crate) usage: KeyUsageType,
    pub(crate) origin: OriginType,
    pub(crate) multi_region: Option<MultiRegionKeyType>,
}

impl NewKey {
    /// A replica of `primary`.
    pub(crate) fn replica_of(primary: &KeyRecord) -> Self {
        let KeyRecord { spec, usage, origin, .. } = *primary;
        Self { spec, usage, origin, multi_region: Some(MultiRegionKeyType::Replica) }
    }
}

impl ConditionContext for Conditions<'_> {
    fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
        let (service, name) = key.name().split_once(':')?;
        match (service, key.attribute()) {
            ("kms", None) => self.kms(name),
            ("kms", Some(attribute)) => self.kms_attribute(name, attribute),
            ("aws", None) => self.aws(name),
            ("aws", Some(attribute)) => self.aws_attribute(name, attribute),
            _ => None,
        }
    }
}

impl<'a> Conditions<'a> {
    fn aws(&self, name: &str) -> Option<ContextValue<'_>> {
        match name {
            "tagkeys" => some_of(request::tag_keys(self.request)),
            "resourceaccount" => Some(text(self.resource_account().to_string())),
            _ => self.global.value(name),
        }
    }

    fn aws_attribute(&self, name: &str, tag: &str) -> Option<ContextValue<'_>> {
        match name {
            "resourcetag" => self.tag_of_key(tag).map(one),
            "requesttag" => self.request_tag(tag).map(one),
            _ => self.global.attribute(name, tag),
        }
    }

    fn kms_attribute(&self, name: &str, attribute: &str) -> Option<ContextValue<'_>> {
        match name {
            "encryptioncontext" => many_or_one(matching(self.context_pairs(), attribute)),
            "recipientattestation" => self.recipient.and_then(|recipient| attested(recipient, attribute)).map(text),
            _ => None,
        }
    }

    fn kms(&self, name: &str) -> Option<ContextValue<'_>> {
        match name {
            "encryptioncontextkeys" => some_of(self.context_pairs().map(|(name, _)| name)),
            "calleraccount" => match self.subject {
                Subject::Other => None,
                _ => Some(text(self.global.caller.account.to_string())),
            },
            "viaservice" => match self.subject {
                Subject::Other | Subject::KeyStores => None,
                _ => self.global.via_service().map(ContextValue::One),
            },
            "reencryptonsamekey" => self.is_re_encryption().then(|| boolean((self.is_same_key)())),
            "grantisforawsresource" => self.is_for_resource(),
            "encryptionalgorithm" => request::encryption_algorithm(self.request, self.is_destination()).map(one),
            "requestalias" => {
                let alias = request::alias(self.request, self.is_destination());
                alias.filter(|_| matches!(self.subject, Subject::Key(..))).map(one)
            }
            _ => self.kms_of_key(name).or_else(|| self.kms_of_request(name)),
        }
    }

    /// The keys that every decision about a KMS key has.
    fn kms_of_key(&self, name: &str) -> Option<ContextValue<'_>> {
        match name {
            "keyspec" | "customermasterkeyspec" => self.new_or_found()?.spec.as_str().pipe(),
            "keyusage" | "customermasterkeyusage" => self.new_or_found()?.usage.as_str().pipe(),
            "keyorigin" => self.new_or_found()?.origin.as_str().pipe(),
            "multiregion" => Some(boolean(self.new_or_found()?.multi_region.is_some())),
            "multiregionkeytype" => self.new_or_found()?.multi_region?.as_str().pipe(),
            "resourcealiases" => {
                let Subject::Key(state, key) = self.subject else { return None };
                some_of(state.aliases_of(key.key_id).map(|alias| alias.name.as_str()))
            }
            _ => None,
        }
    }

    /// The keys of parameters; a companion of the action that was asked for, such as the tagging of a new key, has none.
    fn kms_of_request(&self, name: &str) -> Option<ContextValue<'_>> {
        let is_creation = self.action == "CreateKey" && matches!(self.request, Request::ReplicateKey(_));
        let is_own = self.request.operation().name() == self.action;
        (is_own || is_creation).then(|| request::value(self.request, is_creation, name)).flatten()
    }

    fn new_or_found(&self) -> Option<NewKey> {
        match self.subject {
            Subject::Key(state, key) => {
                let role = key.multi_region.as_ref().map(|set| set.role(state.region()));
                Some(NewKey { spec: key.spec, usage: key.usage, origin: key.origin, multi_region: role })
            }
            Subject::NewKey(key) => Some(key),
            Subject::KeyStores | Subject::Other => None,
        }
    }

    fn resource_account(&self) -> AccountId {
        match self.subject {
            Subject::Key(_, key) => key.account,
            Subject::NewKey(_) | Subject::KeyStores | Subject::Other => self.global.caller.account,
        }
    }

    fn tag_of_key(&self, tag: &str) -> Option<&'a str> {
        let Subject::Key(state, key) = self.subject else { return None };
        let tags = state.tags(key.key_id)?;
        find(tags.iter().map(|(name, value)| (name.as_str(), value.as_str())), tag)
    }

    /// A tag of the request; of one that takes tags off, what the key has under the name.
    fn request_tag(&self, tag: &str) -> Option<&'a str> {
        if let Request::UntagResource(request) = self.request {
            let name = request.tag_keys.iter().find(|name| name.eq_ignore_ascii_case(tag))?;
            let Subject::Key(state, key) = self.subject else { return None };
            return state.tags(key.key_id)?.get(name).map(String::as_str);
        }
        find(request::tags(self.request), tag)
    }

    fn context_pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        request::encryption_context(self.request, self.is_destination())
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn is_for_resource(&self) -> Option<ContextValue<'_>> {
        let has_it = matches!(self.request, Request::CreateGrant(_) | Request::ListGrants(_) | Request::RevokeGrant(_));
        has_it.then(|| boolean(self.global.via_service().is_some()))
    }

    fn is_re_encryption(&self) -> bool {
        matches!(self.request, Request::ReEncrypt(_))
    }

    /// Whether the decision is about the key that a re-encryption seals under.
    fn is_destination(&self) -> bool {
        self.action == GrantOperation::ReEncryptTo.as_str()
    }
}

/// The measurement called `name` of an attested recipient, in lower-case hexadecimal digits.
fn attested(recipient: &AttestedRecipient, name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let register = |index: &str| index.parse().ok().and_then(|index| recipient.register(index));
    let bytes = match recipient.measured {
        Measured::Enclave if name == "imagesha384" => recipient.image_sha384(),
        Measured::Enclave => register(name.strip_prefix("pcr")?),
        Measured::Tpm => register(name.strip_prefix("nitrotpmpcr")?),
    }?;
    Some(bytes.iter().fold(String::with_capacity(96), |text, byte| text + &format!("{byte:02x}")))
}

/// The values of `pairs` whose names are `name`. Names of condition keys know no case, those of encryption contexts do.
fn matching<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, name: &str) -> impl Iterator<Item = &'a str> {
    pairs.filter(move |pair| pair.0.eq_ignore_ascii_case(name)).map(|pair| pair.1)
}

/// The value of the pair called `name`, before those of names that differ in case.
fn find<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone, name: &str) -> Option<&'a str> {
    let exact = pairs.clone().find(|pair| pair.0 == name).map(|pair| pair.1);
    exact.or_else(|| matching(pairs, name).next())
}

fn many_or_one<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<ContextValue<'a>> {
    let first = values.next()?;
    let rest: Vec<Cow<'a, str>> = values.map(Cow::Borrowed).collect();
    if rest.is_empty() {
        return Some(one(first));
    }
    Some(ContextValue::Many(std::iter::once(Cow::Borrowed(first)).chain(rest).collect()))
}

/// A list; an empty one counts as absent.
fn some_of<'a>(values: impl Iterator<Item = &'a str>) -> Option<ContextValue<'a>> {
    let values: Vec<Cow<'a, str>> = values.map(Cow::Borrowed).collect();
    (!values.is_empty()).then_some(ContextValue::Many(values))
}

fn one(value: &str) -> ContextValue<'_> {
    ContextValue::One(Cow::Borrowed(value))
}

fn text(value: String) -> ContextValue<'static> {
    ContextValue::One(Cow::Owned(value))
}

fn boolean(value: bool) -> ContextValue<'static> {
    one(if value { "true" } else { "false" })
}

/// `Some(one(value))`, at the end of a chain of `?`.
trait Pipe {
    fn pipe(self) -> Option<ContextValue<'static>>;
}

impl Pipe for &'static str {
    fn pipe(self) -> Option<ContextValue<'static>> {
        Some(one(self))
    }
}
