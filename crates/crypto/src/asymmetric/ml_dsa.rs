//! ML-DSA-44, ML-DSA-65 and ML-DSA-87 (FIPS 204): pure signatures with an empty context, hedged.
//!
//! Material is the seed of 32 bytes. Whole messages go through AWS-LC. It takes no external mu, so those go through
//! `ml-dsa`, which expands the seed for each of them: the expanded key is large, and they are rare.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    self, KeyPair as _, ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};
use meridian_model::KeySpec;
use ml_dsa::pkcs8::DecodePublicKey;
use ml_dsa::pkcs8::spki::AssociatedAlgorithmIdentifier;
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Signature, SigningKey, VerifyingKey};
use p256::pkcs8::SubjectPublicKeyInfoRef;
use zeroize::Zeroize;

use crate::algorithms::Signed;
use crate::key_errors::KeyUseError;
use crate::random::SystemGenerator;
use crate::secret::{SecretBytes, on_wiped_stack};

/// Length of a seed in bytes.
pub(crate) const SEED_LEN: usize = 32;

/// The `SubjectPublicKeyInfo` (RFC 9881) of the private key `seed`.
pub(crate) fn public_der(spec: KeySpec, seed: &[u8]) -> Option<Vec<u8>> {
    let key = PqdsaKeyPair::from_seed(parameters(spec)?.0, seed).ok()?;
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().ok()?;
    Some(der.as_ref().to_vec())
}

/// A private key that signs.
pub(crate) struct Signer {
    spec: KeySpec,
    key: PqdsaKeyPair,
    seed: SecretBytes,
}

impl Signer {
    pub(crate) fn new(spec: KeySpec, seed: &[u8]) -> Option<Self> {
        let key = PqdsaKeyPair::from_seed(parameters(spec)?.0, seed).ok()?;
        Some(Self { spec, key, seed: SecretBytes::copy_from(seed) })
    }

    pub(crate) fn sign(&self, signed: Signed<'_>) -> Result<Vec<u8>, KeyUseError> {
        match signed {
            Signed::Raw(message) => {
                let mut signature = vec![0; self.key.algorithm().signature_len()];
                let len = self.key.sign(message, &mut signature).map_err(|_| KeyUseError::Engine)?;
                signature.truncate(len);
                Ok(signature)
            }
            Signed::Mu(mu) => on_wiped_stack::<MU_STACK, _>(|| match self.spec {
                KeySpec::MlDsa44 => sign_mu::<MlDsa44>(self.seed.expose(), mu),
                KeySpec::MlDsa65 => sign_mu::<MlDsa65>(self.seed.expose(), mu),
                KeySpec::MlDsa87 => sign_mu::<MlDsa87>(self.seed.expose(), mu),
                _ => Err(KeyUseError::Engine),
            }),
            Signed::Digest(_) => Err(KeyUseError::Engine),
        }
    }
}

/// A public key that verifies.
pub(crate) struct Public {
    spec: KeySpec,
    key: ParsedPublicKey,
}

impl Public {
    pub(crate) fn new(spec: KeySpec, der: &[u8]) -> Option<Self> {
        let (_, verification) = parameters(spec)?;
        let is_named = match spec {
            KeySpec::MlDsa44 => names::<MlDsa44>(der),
            KeySpec::MlDsa65 => names::<MlDsa65>(der),
            KeySpec::MlDsa87 => names::<MlDsa87>(der),
            _ => false,
        };
        let key = ParsedPublicKey::new(verification, der).ok().filter(|_| is_named)?;
        Some(Self { spec, key })
    }

    /// `der` is what this key was made from.
    pub(crate) fn verify(&self, der: &[u8], signed: Signed<'_>, signature: &[u8]) -> Result<(), KeyUseError> {
        let is_valid = match signed {
            Signed::Raw(message) => self.key.verify_sig(message, signature).is_ok(),
            Signed::Mu(mu) => match self.spec {
                KeySpec::MlDsa44 => verify_mu::<MlDsa44>(der, mu, signature),
                KeySpec::MlDsa65 => verify_mu::<MlDsa65>(der, mu, signature),
                KeySpec::MlDsa87 => verify_mu::<MlDsa87>(der, mu, signature),
                _ => return Err(KeyUseError::Engine),
            },
            Signed::Digest(_) => return Err(KeyUseError::Engine),
        };
        is_valid.then_some(()).ok_or(KeyUseError::InvalidSignature)
    }
}

fn parameters(spec: KeySpec) -> Option<(&'static PqdsaSigningAlgorithm, &'static PqdsaVerificationAlgorithm)> {
    match spec {
        KeySpec::MlDsa44 => Some((&signature::ML_DSA_44_SIGNING, &signature::ML_DSA_44)),
        KeySpec::MlDsa65 => Some((&signature::ML_DSA_65_SIGNING, &signature::ML_DSA_65)),
        KeySpec::MlDsa87 => Some((&signature::ML_DSA_87_SIGNING, &signature::ML_DSA_87)),
        _ => None,
    }
}

/// Whether a `SubjectPublicKeyInfo` names the parameters `P`. AWS-LC would also take the bare key.
fn names<P: AssociatedAlgorithmIdentifier>(der: &[u8]) -> bool {
    SubjectPublicKeyInfoRef::try_from(der)
        .is_ok_and(|info| info.algorithm.oid == P::ALGORITHM_IDENTIFIER.oid && info.algorithm.parameters.is_none())
}

fn sign_mu<P: MlDsaParams>(seed: &[u8], mu: &[u8; 64]) -> Result<Vec<u8>, KeyUseError> {
    let mut seed = ml_dsa::Seed::try_from(seed).map_err(|_| KeyUseError::Engine)?;
    let key = SigningKey::<P>::from_seed(&seed);
    seed.zeroize();
    let signature = key.expanded_key().sign_mu_randomized(&(*mu).into(), &mut SystemGenerator);
    signature.map(|signature| signature.encode().to_vec()).map_err(|_| KeyUseError::Engine)
}

fn verify_mu<P>(der: &[u8], mu: &[u8; 64], signature: &[u8]) -> bool
where
    P: MlDsaParams,
    VerifyingKey<P>: DecodePublicKey,
{
    let Ok(key) = VerifyingKey::<P>::from_public_key_der(der) else { return false };
    Signature::<P>::try_from(signature).is_ok_and(|signature| key.verify_mu(&(*mu).into(), &signature))
}

/// The stack that `ml-dsa` uses in unoptimised builds; it keeps its matrices on the heap and wipes them itself.
const MU_STACK: usize = 128 * 1024;
