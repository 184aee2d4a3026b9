//! Data key pairs: asymmetric keys that are handed out, private half included (`GenerateDataKeyPair`).

use meridian_model::{DataKeyPairSpec, KeySpec, WireEnum};

use crate::key_errors::MaterialError;
use crate::material::KeyMaterial;
use crate::secret::SecretBytes;

/// A new key pair that belongs to whoever asked for it.
#[derive(Debug)]
pub struct DataKeyPair {
    /// The private key as PKCS#8 in DER.
    pub private_key_pkcs8: SecretBytes,
    /// The public key as a `SubjectPublicKeyInfo` in DER.
    pub public_key_der: Vec<u8>,
}

impl DataKeyPair {
    /// A new pair of `spec`. Blocks for RSA, as [`KeyMaterial::generate`] does.
    ///
    /// # Errors
    /// Only if the generator fails.
    pub fn generate(spec: DataKeyPairSpec) -> Result<Self, MaterialError> {
        Self::of(&KeyMaterial::generate(key_spec(spec))?)
    }

    /// The pair that new material makes; nothing else may be made of that material. Blocks for about a millisecond with RSA.
    ///
    /// # Errors
    /// [`MaterialError::NotGenerated`] if there are no pairs of that spec.
    pub fn of(material: &KeyMaterial) -> Result<Self, MaterialError> {
        let spec = material.spec();
        let private_key_pkcs8 = material.private_key_pkcs8().ok_or(MaterialError::NotGenerated(spec))?;
        let public_key_der = material.public_key_der()?.ok_or(MaterialError::NotGenerated(spec))?;
        Ok(Self { private_key_pkcs8, public_key_der })
    }
}

/// The spec of the material under a pair.
#[must_use]
pub fn key_spec(spec: DataKeyPairSpec) -> KeySpec {
    KeySpec::from_wire(spec.as_str()).expect("every spec of a data key pair is a key spec")
}
