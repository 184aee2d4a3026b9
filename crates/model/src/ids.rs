//! Identifiers: parsed once, valid for ever after.
//!
//! Formats: AWS KMS Developer Guide, "Key identifiers (KeyId)".

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not the identifier it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {text}")]
pub struct ParseIdError {
    kind: &'static str,
    text: String,
}

pub(crate) fn invalid(kind: &'static str, text: &str) -> ParseIdError {
    ParseIdError { kind, text: text.to_owned() }
}

/// Serialises an identifier as its text in both readable and binary formats.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// A 12-digit AWS account number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

/// Its 12 digits where people read, the number elsewhere.
impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            return text.parse().map_err(D::Error::custom);
        }
        let number = u64::deserialize(deserializer)?;
        let is_account = number <= 999_999_999_999;
        is_account.then_some(Self(number)).ok_or_else(|| D::Error::custom("an account number has 12 digits"))
    }
}

impl FromStr for AccountId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self).map_err(|_| invalid("account id", text));
        }
        Err(invalid("account id", text))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut digits, mut rest) = ([b'0'; 12], self.0);
        for digit in digits.iter_mut().rev() {
            *digit += u8::try_from(rest % 10).expect("one digit");
            rest /= 10;
        }
        write_ascii(f, &digits)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A Region name such as `us-east-1`: `^([a-z]+-){2,3}\d+$`, at most 32 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

impl Region {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that AWS has Regions of such a name in. A node's own is configured, and may be another.
    #[must_use]
    pub fn usual_partition(&self) -> Partition {
        if self.0.starts_with("cn-") {
            Partition::AwsCn
        } else if self.0.starts_with("us-gov-") {
            Partition::AwsUsGov
        } else {
            Partition::Aws
        }
    }
}

impl FromStr for Region {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('-').collect();
        let Some((number, words)) = parts.split_last() else { return Err(invalid("Region", text)) };
        let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() <= 32 && is_number && (2..=3).contains(&words.len()) && words.iter().all(is_word) {
            Ok(Self(text.into()))
        } else {
            Err(invalid("Region", text))
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Region);

/// A partition of Regions; the second element of every ARN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Partition {
    /// `aws`
    #[default]
    #[serde(rename = "aws")]
    Aws,
    /// `aws-cn`, where SM2 and SM4 live
    #[serde(rename = "aws-cn")]
    AwsCn,
    /// `aws-us-gov`
    #[serde(rename = "aws-us-gov")]
    AwsUsGov,
}

impl Partition {
    /// The name, as it stands in an ARN.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
        }
    }
}

impl FromStr for Partition {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Aws, Self::AwsCn, Self::AwsUsGov]
            .into_iter()
            .find(|partition| partition.as_str() == text)
            .ok_or_else(|| invalid("partition", text))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key ID: a lower-case UUID with dashes, or `mrk-` and 32 hex digits for a multi-Region key.
///
/// Drawn at random (122 bits and more), so unique across accounts; keys of one multi-Region set share it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId {
    multi_region: bool,
    value: u128,
}

impl KeyId {
    /// The lowest of all key IDs.
    pub const LOWEST: Self = Self { multi_region: false, value: 0 };

    /// The single-Region key ID made of 16 random bytes (version and variant bits of RFC 9562 are set here).
    #[must_use]
    pub const fn single_region(random: [u8; 16]) -> Self {
        let value = u128::from_be_bytes(random);
        let value = (value & !(0xf << 76)) | (0x4 << 76);
        let value = (value & !(0x3 << 62)) | (0x2 << 62);
        Self { multi_region: false, value }
    }

    /// The multi-Region key ID made of 16 random bytes.
    #[must_use]
    pub const fn multi_region(random: [u8; 16]) -> Self {
        Self { multi_region: true, value: u128::from_be_bytes(random) }
    }

    /// Whether the key belongs to a multi-Region set.
    #[must_use]
    pub const fn is_multi_region(self) -> bool {
        self.multi_region
    }

    /// 17 bytes, injective: a kind byte (0 single-Region, 1 multi-Region), then the 128-bit value.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[0] = u8::from(self.multi_region);
        bytes[1..].copy_from_slice(&self.value.to_be_bytes());
        bytes
    }

    /// The inverse of [`KeyId::to_bytes`]; `None` for an unknown kind byte.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 17]) -> Option<Self> {
        let value = u128::from_be_bytes(bytes[1..].try_into().expect("17 - 1 = 16"));
        match bytes[0] {
            0 => Some(Self { multi_region: false, value }),
            1 => Some(Self { multi_region: true, value }),
            _ => None,
        }
    }
}

impl FromStr for KeyId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || invalid("key ID", text);
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if let Some(digits) = text.strip_prefix("mrk-") {
            if digits.len() != 32 || !digits.bytes().all(is_hex) {
                return Err(error());
            }
            return u128::from_str_radix(digits, 16)
                .map(|value| Self { multi_region: true, value })
                .map_err(|_| error());
        }
        let dashes = [8, 13, 18, 23];
        let well_formed = text.len() == 36
            && text
                .bytes()
                .enumerate()
                .all(|(at, byte)| if dashes.contains(&at) { byte == b'-' } else { is_hex(byte) });
        if !well_formed {
            return Err(error());
        }
        u128::from_str_radix(&text.replace('-', ""), 16)
            .map(|value| Self { multi_region: false, value })
            .map_err(|_| error())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        write_hex(&mut digits, &self.value.to_be_bytes());
        let mut text = [b'-'; 36];
        if self.multi_region {
            text[..3].copy_from_slice(b"mrk");
            text[4..].copy_from_slice(&digits);
        } else {
            for (group, at) in [(0..8, 0), (8..12, 9), (12..16, 14), (16..20, 19), (20..32, 24)] {
                text[at..at + group.len()].copy_from_slice(&digits[group]);
            }
        }
        write_ascii(f, &text)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of one version of key material: 32 bytes, 64 lower-case hex digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyMaterialId([u8; 32]);

impl KeyMaterialId {
    /// The id that consists of `bytes`.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for KeyMaterialId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex_32(text).map(Self).ok_or_else(|| invalid("key material ID", text))
    }
}

impl fmt::Display for KeyMaterialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        write_hex(&mut digits, &self.0);
        write_ascii(f, &digits)
    }
}

impl fmt::Debug for KeyMaterialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The 32 bytes that 64 lower-case hex digits stand for.
fn hex_32(text: &str) -> Option<[u8; 32]> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 64 || !text.bytes().all(is_hex) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// The id of a grant, unique within its key: 32 bytes, 64 lower-case hex digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GrantId([u8; 32]);

impl GrantId {
    /// The id that consists of `bytes`.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for GrantId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex_32(text).map(Self).ok_or_else(|| invalid("grant ID", text))
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `arn:<partition>:kms:<region>:<account>:key/<key id>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyArn {
    /// Partition of the Region.
    pub partition: Partition,
    /// Region that holds the key.
    pub region: Region,
    /// Account that owns the key.
    pub account: AccountId,
    /// The key.
    pub key_id: KeyId,
}

impl FromStr for KeyArn {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let arn = split_kms_arn(text).ok_or_else(|| invalid("key ARN", text))?;
        let key_id = arn.resource.strip_prefix("key/").ok_or_else(|| invalid("key ARN", text))?.parse()?;
        Ok(Self { partition: arn.partition, region: arn.region, account: arn.account, key_id })
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:{}:kms:{}:{}:key/{}", self.partition, self.region, self.account, self.key_id)
    }
}

impl fmt::Debug for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(KeyArn);

/// The parts of any ARN of the service, its resource still unparsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KmsArn<'a> {
    /// Partition.
    pub partition: Partition,
    /// Region.
    pub region: Region,
    /// Account.
    pub account: AccountId,
    /// `key/...` or `alias/...`.
    pub resource: &'a str,
}

/// Splits `arn:<partition>:kms:<region>:<account>:<resource>`; `None` if the text is not of that form.
#[must_use]
pub fn split_kms_arn(text: &str) -> Option<KmsArn<'_>> {
    let mut parts = text.splitn(6, ':');
    if parts.next()? != "arn" {
        return None;
    }
    let partition = parts.next()?.parse().ok()?;
    if parts.next()? != "kms" {
        return None;
    }
    let region = parts.next()?.parse().ok()?;
    let account = parts.next()?.parse().ok()?;
    Some(KmsArn { partition, region, account, resource: parts.next()? })
}

/// An alias name with its prefix: `alias/` and 1 to 250 of `A-Z a-z 0-9 / _ -`.
///
/// The model's pattern also admits `:`, which the service does not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasName(Arc<str>);

impl AliasName {
    /// The name with its prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is reserved for the provider (`alias/aws/...`).
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with("alias/aws/")
    }

    /// The ARN of the alias of this name in `account` and `region`.
    #[must_use]
    pub fn arn(&self, partition: Partition, region: &Region, account: AccountId) -> String {
        format!("arn:{partition}:kms:{region}:{account}:{self}")
    }
}

impl FromStr for AliasName {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
        match text.strip_prefix("alias/") {
            Some(rest) if !rest.is_empty() && text.len() <= 256 && rest.bytes().all(is_allowed) => {
                Ok(Self(text.into()))
            }
            _ => Err(invalid("alias name", text)),
        }
    }
}

impl fmt::Display for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AliasName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(AliasName);

/// Two lower-case digits for each byte. Ids stand several times in every answer and audit record, where `write!` digit by
/// digit was to be noticed.
fn write_hex(digits: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn write_ascii(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_str(std::str::from_utf8(text).expect("made of ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_that_are_not_identifiers_are_refused() {
        for text in ["", "us-east", "us-east-", "Us-east-1", "us--1", "a-b-c-d-1", "us-east-1x"] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
        for text in ["", "1234", "1234567890123", "12345678901x"] {
            assert!(text.parse::<AccountId>().is_err(), "{text}");
        }
        for text in ["mrk-", "mrk-1234", "1234ABCD-12ab-34cd-56ef-1234567890ab", "1234abcd-12ab-34cd-56ef-1234567890a"]
        {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
        for text in ["alias/", "key", "alias/a b", "alias/a.b", "alias/a:b", &format!("alias/{}", "x".repeat(251))] {
            assert!(text.parse::<AliasName>().is_err(), "{text}");
        }
    }

    #[test]
    fn alias_names_at_the_edges_are_accepted() {
        for text in ["alias/a", "alias/alias/ExampleAlias", "alias/awsmine", &format!("alias/{}", "x".repeat(250))] {
            assert!(!text.parse::<AliasName>().expect("valid").is_reserved(), "{text}");
        }
        assert!("alias/aws/mine".parse::<AliasName>().expect("valid").is_reserved());
    }

    proptest! {
        #[test]
        fn key_ids_survive_text_and_bytes(random in any::<[u8; 16]>(), multi in any::<bool>()) {
            let key_id = if multi { KeyId::multi_region(random) } else { KeyId::single_region(random) };
            prop_assert_eq!(key_id.to_string().parse::<KeyId>().expect("own text"), key_id);
            prop_assert_eq!(KeyId::from_bytes(key_id.to_bytes()), Some(key_id));
        }

        #[test]
        fn key_arns_survive_text(random in any::<[u8; 16]>(), account in 0u64..=999_999_999_999) {
            let arn = KeyArn {
                partition: Partition::Aws,
                region: "us-west-2".parse().expect("valid"),
                account: AccountId(account),
                key_id: KeyId::multi_region(random),
            };
            prop_assert_eq!(arn.to_string().parse::<KeyArn>().expect("own text"), arn);
        }
    }
}
