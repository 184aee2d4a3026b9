//! The condition keys of one request to IAM or STS, besides those that every request has.
//!
//! Source: AWS IAM User Guide, "IAM and AWS STS condition context keys", and "Actions, resources, and condition keys for AWS
//! Identity and Access Management (IAM)". They are few and cheap, so that all of them are put together at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;

use meridian_identity::query::Tag;
use meridian_policy::{ConditionContext, ContextKey, ContextValue};
use meridian_state::identities::Tags;

use crate::conditions::global::Global;

/// What a decision may ask of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts(BTreeMap<String, Vec<String>>);

impl Facts {
    /// With one value of the key `name`, in lower case.
    pub(super) fn with(mut self, name: &str, value: &(impl Display + ?Sized)) -> Self {
        self.0.insert(name.to_owned(), vec![value.to_string()]);
        self
    }

    /// With one value of the key `name`, if there is one.
    pub(super) fn with_some(self, name: &str, value: Option<&(impl Display + ?Sized)>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With one value of the key `name`, unless the request itself gives one.
    pub(super) fn with_default(mut self, name: &str, value: &(impl Display + ?Sized)) -> Self {
        self.0.entry(name.to_owned()).or_insert_with(|| vec![value.to_string()]);
        self
    }

    /// With several values of the key `name`; none mean that it is absent.
    pub(super) fn with_all(mut self, name: &str, values: impl IntoIterator<Item = String>) -> Self {
        let values: Vec<String> = values.into_iter().collect();
        if !values.is_empty() {
            self.0.insert(name.to_owned(), values);
        }
        self
    }

    /// With the tags that the request brings.
    pub(super) fn with_request_tags(mut self, tags: &[Tag]) -> Self {
        for Tag { key, value } in tags {
            self = self.with(&format!("aws:requesttag/{}", key.to_lowercase()), value);
        }
        self.with_tag_keys(tags.iter().map(|tag| tag.key.clone()))
    }

    /// With the keys of tags that the request is about.
    pub(super) fn with_tag_keys(self, keys: impl IntoIterator<Item = String>) -> Self {
        self.with_all("aws:tagkeys", keys)
    }

    /// With the tags of what the request is about.
    pub(super) fn with_resource_tags(mut self, tags: &Tags) -> Self {
        for (key, value) in tags {
            for prefix in ["aws:resourcetag", "iam:resourcetag"] {
                self = self.with(&format!("{prefix}/{}", key.to_lowercase()), value);
            }
        }
        self
    }
}

/// Everything that one decision may ask.
pub(super) struct Circumstances<'a> {
    pub(super) global: Global<'a>,
    pub(super) facts: &'a Facts,
}

impl ConditionContext for Circumstances<'_> {
    fn value(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
        let name = match key.attribute() {
            Some(attribute) => format!("{}/{}", key.name(), attribute.to_lowercase()),
            None => key.name().to_owned(),
        };
        match self.facts.0.get(&name).map(Vec::as_slice) {
            Some([value]) if name != "aws:tagkeys" => Some(ContextValue::One(Cow::Borrowed(value))),
            Some(values) => {
                Some(ContextValue::Many(values.iter().map(|value| Cow::Borrowed(value.as_str())).collect()))
            }
            None => self.of_every_request(key),
        }
    }
}

impl Circumstances<'_> {
    fn of_every_request(&self, key: &ContextKey) -> Option<ContextValue<'_>> {
        let name = key.name().strip_prefix("aws:")?;
        match key.attribute() {
            Some(attribute) => self.global.attribute(name, attribute),
            None => self.global.value(name),
        }
    }
}
