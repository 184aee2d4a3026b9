//! Bytes on the wire: base64 strings in JSON, byte vectors here.
//!
//! [`Blob`] holds what may be shown (ciphertext, signatures, public keys); [`SecretBlob`] and [`SecretString`] hold what
//! may not, and wipe it when dropped. The type of a member decides, never its name.
//!
//! Always true: `Debug` of a secret tells its type and length only.

use std::fmt;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that are no secret.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(Vec<u8>);

impl Blob {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, given away without a copy.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// Decodes padded standard base64 (RFC 4648, section 4); `None` if the text is anything else.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().map(Self)
    }

    /// The bytes as padded standard base64, written without an intermediate string.
    #[must_use]
    pub fn base64(&self) -> impl fmt::Display + '_ {
        Base64Display::new(&self.0, &STANDARD)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

/// Secret bytes: plaintext, data keys, shared secrets, messages to be signed. Wiped on drop, compared in constant time.
pub struct SecretBlob(Zeroizing<Vec<u8>>);

impl SecretBlob {
    /// The only door to the bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, given away without a copy and still wiped on drop.
    #[must_use]
    pub fn into_zeroizing(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// How many bytes there are; no secret.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A second copy of the secret, named so that every copy is found by searching.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Decodes padded standard base64 (RFC 4648, section 4); `None` if the text is anything else, with nothing left
    /// in memory of what had been decoded.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
        let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
        bytes.truncate(length);
        Some(Self(bytes))
    }

    /// The bytes as padded standard base64. This is how a secret goes into an answer to the caller who may have it;
    /// nothing else has a reason to call it.
    #[must_use]
    pub fn expose_base64(&self) -> impl fmt::Display + '_ {
        Base64Display::new(&self.0, &STANDARD)
    }
}

impl From<Vec<u8>> for SecretBlob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretBlob {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for SecretBlob {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl PartialEq for SecretBlob {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretBlob {}

impl fmt::Debug for SecretBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBlob({} bytes)", self.0.len())
    }
}

/// A secret text: a password or an access key of another system. Wiped on drop, compared in constant time.
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// The only door to the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second copy of the secret, named so that every copy is found by searching.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretString {}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretString({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_tells_its_length_only() {
        assert_eq!(format!("{:?}", SecretBlob::from(b"hunter2".as_slice())), "SecretBlob(7 bytes)");
        assert_eq!(format!("{:?}", SecretString::from("hunter2")), "SecretString(7 bytes)");
    }

    #[test]
    fn base64_is_standard_padded_and_canonical() {
        for text in ["AAA", "AA==\n", "-_-_", "AB==", "A", "=", "AA=A", " AAAA"] {
            assert_eq!(Blob::from_base64(text), None, "{text:?}");
            assert_eq!(SecretBlob::from_base64(text), None, "{text:?}");
        }
        for (text, bytes) in [("", &b""[..]), ("+/8=", &[0xfb, 0xff]), ("AAAA", &[0, 0, 0])] {
            assert_eq!(Blob::from_base64(text).expect("valid").as_slice(), bytes);
            assert_eq!(SecretBlob::from_base64(text).expect("valid").expose(), bytes);
            assert_eq!(Blob::from(bytes).base64().to_string(), text);
            assert_eq!(SecretBlob::from(bytes).expose_base64().to_string(), text);
        }
    }

    #[test]
    fn secrets_of_equal_bytes_are_equal() {
        assert_eq!(SecretBlob::from(vec![1, 2]), SecretBlob::from(vec![1, 2]).duplicate());
        assert_ne!(SecretBlob::from(vec![1, 2]), SecretBlob::from(vec![1, 2, 3]));
        assert_eq!(SecretString::from("a"), SecretString::from("a").duplicate());
        assert_ne!(SecretString::from("a"), SecretString::from("b"));
    }
}
