//! Encrypting, decrypting, data keys and random bytes, on the local applied state.
//!
//! Order of checks, the same everywhere: key, permission, key state, usage and algorithm, content, dry run. A dry run goes through
//! whatever could refuse the request, and ends where the answer would be given.

use std::collections::BTreeMap;
use std::sync::Arc;

use meridian_crypto::algorithms::max_plaintext_len;
use meridian_crypto::{CiphertextHeader, MaterialCipher, SecretBytes};
use meridian_model::shapes::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, GenerateDataKeyRequest, GenerateDataKeyResponse,
    GenerateDataKeyWithoutPlaintextRequest, GenerateDataKeyWithoutPlaintextResponse, GenerateRandomRequest,
    GenerateRandomResponse, ReEncryptRequest, ReEncryptResponse,
};
use meridian_model::{
    Blob, DataKeySpec, DryRunModifierType, EncryptionAlgorithmSpec, ErrorCode, KeyMaterialId, KeySpec, KeyUsageType,
    Response, SecretBlob, ServiceError,
};
use meridian_policy::{Action, Allowed, action};
use meridian_state::KeyRecord;
use meridian_state::key_states::Requirement;

use crate::access::{Access, Forms};
use crate::conditions::Subject;
use crate::key_ring::{KeyRing, log_internal};
use crate::key_use::KeyInUse;
use crate::keys::validation;
use crate::recipients::Told;
use crate::work::{Work, check_dry_run, would_have_succeeded};

pub(crate) type Context = BTreeMap<String, String>;

/// `Encrypt`
pub(crate) fn encrypt(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &EncryptRequest,
) -> Result<Work, ServiceError> {
    let (algorithm, context) = (request.encryption_algorithm, &request.encryption_context);
    let sealer = Sealer::find::<action::Encrypt>(access, ring, &request.key_id, algorithm, context)?;
    sealer.check_len(request.plaintext.len())?;
    check_dry_run(request.dry_run)?;
    let (context, plaintext) = (context.clone(), request.plaintext.duplicate());
    Work::of(sealer.is_slow(), move || {
        let ciphertext_blob = sealer.seal(&context, plaintext.expose())?;
        Ok(EncryptResponse { ciphertext_blob, key_id: sealer.key_arn(), encryption_algorithm: sealer.algorithm })
    })
}

/// `Decrypt`
pub(crate) fn decrypt(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &DecryptRequest,
) -> Result<Work, ServiceError> {
    let source = Source {
        blob: request.ciphertext_blob.as_ref(),
        identifier: request.key_id.as_deref(),
        algorithm: request.encryption_algorithm.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault),
        context: &request.encryption_context,
    };
    if ignores_ciphertext(request.dry_run, &request.dry_run_modifiers)? {
        source.permitted::<action::Decrypt>(access, ring, "KeyId")?;
        return Err(would_have_succeeded());
    }
    let opener = source.open_by::<action::Decrypt>(access, ring)?;
    let (dry_run, recipient) = (request.dry_run, access.recipient.clone());
    Work::of(opener.is_slow(), move || {
        let plaintext = opener.open()?;
        check_dry_run(dry_run)?;
        let told = Told::to(recipient.as_deref(), &plaintext)?;
        Ok(DecryptResponse {
            key_material_id: opener.material_id().filter(|_| recipient.is_none()), // as the API model has it
            key_id: opener.key.arn(),
            plaintext: told.plaintext,
            encryption_algorithm: opener.algorithm,
            ciphertext_for_recipient: told.sealed,
        })
    })
}

/// `ReEncrypt`: two keys, two permissions; the plaintext never leaves this function.
pub(crate) fn re_encrypt(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &ReEncryptRequest,
) -> Result<Work, ServiceError> {
    let source = Source {
        blob: request.ciphertext_blob.as_ref(),
        identifier: request.source_key_id.as_deref(),
        algorithm: request.source_encryption_algorithm.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault),
        context: &request.source_encryption_context,
    };
    let ignores_ciphertext = ignores_ciphertext(request.dry_run, &request.dry_run_modifiers)?;
    let opener = if ignores_ciphertext {
        source.permitted::<action::ReEncryptFrom>(access, ring, "SourceKeyId")?;
        None
    } else {
        Some(source.open_by::<action::ReEncryptFrom>(access, ring)?)
    };
    let (destination, algorithm) = (&request.destination_key_id, request.destination_encryption_algorithm);
    let context = request.destination_encryption_context.clone();
    let sealer = Sealer::find::<action::ReEncryptTo>(access, ring, destination, algorithm, &context)?;
    let dry_run = request.dry_run;
    let Some(opener) = opener else { return Err(would_have_succeeded()) };
    Work::of(opener.is_slow() || sealer.is_slow(), move || {
        let plaintext = opener.open()?;
        let ciphertext_blob = sealer.seal(&context, plaintext.expose())?;
        check_dry_run(dry_run)?;
        Ok(ReEncryptResponse {
            ciphertext_blob,
            source_key_id: opener.key.arn(),
            source_key_material_id: opener.material_id(),
            destination_key_material_id: sealer.material_id(),
            key_id: sealer.key_arn(),
            source_encryption_algorithm: opener.algorithm,
            destination_encryption_algorithm: sealer.algorithm,
        })
    })
}

/// `GenerateDataKey`
pub(crate) fn generate_data_key(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &GenerateDataKeyRequest,
) -> Result<Response, ServiceError> {
    let len = data_key_len(request.key_spec, request.number_of_bytes)?;
    let sealer = Sealer::for_data_keys::<action::GenerateDataKey>(access, ring, &request.key_id)?;
    check_dry_run(request.dry_run)?;
    let data_key = SecretBytes::random(len).map_err(log_internal("generating a data key"))?;
    let told = Told::to(access.recipient.as_deref(), &data_key)?;
    Ok(GenerateDataKeyResponse {
        ciphertext_blob: sealer.seal(&request.encryption_context, data_key.expose())?,
        plaintext: told.plaintext,
        key_material_id: sealer.material_id(),
        key_id: sealer.key_arn(),
        ciphertext_for_recipient: told.sealed,
    }
    .into())
}

/// `GenerateDataKeyWithoutPlaintext`
pub(crate) fn generate_data_key_without_plaintext(
    access: &mut Access<'_>,
    ring: &Arc<KeyRing>,
    request: &GenerateDataKeyWithoutPlaintextRequest,
) -> Result<Response, ServiceError> {
    let len = data_key_len(request.key_spec, request.number_of_bytes)?;
    let sealer = Sealer::for_data_keys::<action::GenerateDataKeyWithoutPlaintext>(access, ring, &request.key_id)?;
    check_dry_run(request.dry_run)?;
    let data_key = SecretBytes::random(len).map_err(log_internal("generating a data key"))?;
    Ok(GenerateDataKeyWithoutPlaintextResponse {
        ciphertext_blob: sealer.seal(&request.encryption_context, data_key.expose())?,
        key_material_id: sealer.material_id(),
        key_id: sealer.key_arn(),
    }
    .into())
}

/// `GenerateRandom`
pub(crate) fn generate_random(
    access: &mut Access<'_>,
    request: &GenerateRandomRequest,
) -> Result<Response, ServiceError> {
    if request.custom_key_store_id.is_some() {
        let message = "GenerateRandom does not support custom key stores yet.";
        return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
    }
    let len = request.number_of_bytes.ok_or_else(|| {
        validation("1 validation error detected: Value null at 'numberOfBytes' failed to satisfy constraint: Member must not be null")
    })?;
    access.allow_in_account::<action::GenerateRandom>(Subject::Other)?;
    let bytes = SecretBytes::random(len as usize).map_err(log_internal("generating random bytes"))?;
    let told = Told::to(access.recipient.as_deref(), &bytes)?;
    Ok(GenerateRandomResponse { plaintext: told.plaintext, ciphertext_for_recipient: told.sealed }.into())
}

/// A key that the caller may encrypt under, its current material at hand if it is a symmetric one.
pub(crate) struct Sealer<A> {
    key: KeyInUse<A>,
    algorithm: EncryptionAlgorithmSpec,
    cipher: Option<Arc<MaterialCipher>>,
}

impl Sealer<()> {
    /// A key for `Encrypt` and the like; without an algorithm, the one of symmetric keys.
    fn find<A: Action>(
        access: &mut Access<'_>,
        ring: &Arc<KeyRing>,
        identifier: &str,
        algorithm: Option<EncryptionAlgorithmSpec>,
        context: &Context,
    ) -> Result<Sealer<A>, ServiceError> {
        let algorithm = algorithm.unwrap_or(EncryptionAlgorithmSpec::SymmetricDefault);
        check_context(algorithm, context)?;
        let key = KeyInUse::<A>::find(access, ring, identifier, KeyUsageType::EncryptDecrypt)?;
        key.require(key.algorithms().encryption, algorithm)?;
        Sealer::new(key, algorithm)
    }

    /// A key that data keys and data key pairs are made under: a symmetric encryption key.
    pub(crate) fn for_data_keys<A: Action>(
        access: &mut Access<'_>,
        ring: &Arc<KeyRing>,
        identifier: &str,
    ) -> Result<Sealer<A>, ServiceError> {
        let key = KeyInUse::<A>::find(access, ring, identifier, KeyUsageType::EncryptDecrypt)?;
        if key.record.spec != KeySpec::SymmetricDefault {
            let message = "You cannot generate a data key with an asymmetric CMK";
            return Err(ServiceError::new(ErrorCode::InvalidKeyUsage, message));
        }
        Sealer::new(key, EncryptionAlgorithmSpec::SymmetricDefault)
    }
}

impl<A: Action> Sealer<A> {
    fn new(key: KeyInUse<A>, algorithm: EncryptionAlgorithmSpec) -> Result<Self, ServiceError> {
        let is_symmetric = algorithm == EncryptionAlgorithmSpec::SymmetricDefault;
        let cipher = is_symmetric.then(|| key.ring.current(&key.allowed, &key.state, &key.record)).transpose()?;
        Ok(Self { key, algorithm, cipher })
    }

    pub(crate) fn key_arn(&self) -> String {
        self.key.arn()
    }

    /// The material that seals; only symmetric keys have one to tell.
    pub(crate) fn material_id(&self) -> Option<String> {
        self.cipher.as_ref().map(|cipher| cipher.material_id().to_string())
    }

    fn is_slow(&self) -> bool {
        self.key.is_slow_in_public()
    }

    fn check_len(&self, len: usize) -> Result<(), ServiceError> {
        let (algorithm, spec) = (self.algorithm, self.key.record.spec);
        match max_plaintext_len(spec, algorithm) {
            Some(max) if len > max => {
                let message =
                    format!("Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {max} bytes.");
                Err(validation(message))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn seal(&self, context: &Context, plaintext: &[u8]) -> Result<Blob, ServiceError> {
        if let Some(cipher) = &self.cipher {
            return cipher.encrypt(context, plaintext).map(Blob::from).map_err(log_internal("encrypting"));
        }
        self.check_len(plaintext.len())?;
        let sealed = self.key.prepared()?.encrypt(self.algorithm, plaintext);
        sealed.map(Blob::from).map_err(|error| self.key.refusal(error))
    }
}

/// A ciphertext, and what the request says about its key.
struct Source<'a> {
    blob: Option<&'a Blob>,
    identifier: Option<&'a str>,
    algorithm: EncryptionAlgorithmSpec,
    context: &'a Context,
}

impl Source<'_> {
    /// The key that the request names, without a look at any ciphertext; `member` is what names it.
    fn permitted<A: Action>(
        &self,
        access: &mut Access<'_>,
        ring: &Arc<KeyRing>,
        member: &str,
    ) -> Result<(), ServiceError> {
        check_context(self.algorithm, self.context)?;
        let identifier = self.identifier.ok_or_else(|| {
            validation(format!("{member} is required when DryRunModifiers is set to IGNORE_CIPHERTEXT."))
        })?;
        let key = KeyInUse::<A>::find(access, ring, identifier, KeyUsageType::EncryptDecrypt)?;
        key.require(key.algorithms().encryption, self.algorithm)
    }

    /// The key, with the material of the ciphertext at hand if it is a symmetric one.
    fn open_by<A: Action>(&self, access: &mut Access<'_>, ring: &Arc<KeyRing>) -> Result<Opener<A>, ServiceError> {
        let blob = required_ciphertext(self.blob)?;
        check_context(self.algorithm, self.context)?;
        let is_symmetric = self.algorithm == EncryptionAlgorithmSpec::SymmetricDefault;
        let header = CiphertextHeader::parse(blob.as_slice()).map_err(|_| invalid_ciphertext());
        let (record, allowed) = match self.identifier {
            Some(identifier) => access.key_in_state::<A>(identifier, Forms::KeyOrAlias, Requirement::Usable)?,
            None if !is_symmetric => return Err(validation("A key ID is required to decrypt with an asymmetric key.")),
            None => key_of_ciphertext::<A>(access, header.as_ref().map_err(Clone::clone)?)?,
        };
        let key = KeyInUse::of(access, ring, record, allowed, KeyUsageType::EncryptDecrypt)?;
        key.require(key.algorithms().encryption, self.algorithm)?;
        let cipher = if is_symmetric { Some(cipher_of(access, &key, &header?)?) } else { None };
        let (blob, context) = (blob.clone(), self.context.clone());
        Ok(Opener { key, algorithm: self.algorithm, cipher, blob, context })
    }
}

/// A ciphertext with the key that the caller may open it with.
struct Opener<A> {
    key: KeyInUse<A>,
    algorithm: EncryptionAlgorithmSpec,
    cipher: Option<Arc<MaterialCipher>>,
    blob: Blob,
    context: Context,
}

impl<A: Action> Opener<A> {
    fn material_id(&self) -> Option<String> {
        self.cipher.as_ref().map(|cipher| cipher.material_id().to_string())
    }

    fn is_slow(&self) -> bool {
        self.key.is_slow()
    }

    fn open(&self) -> Result<SecretBytes, ServiceError> {
        if let Some(cipher) = &self.cipher {
            return cipher.decrypt(self.blob.as_slice(), &self.context).map_err(|_| invalid_ciphertext());
        }
        let opened = self.key.prepared()?.decrypt(self.algorithm, self.blob.as_slice());
        opened.map_err(|error| self.key.refusal(error))
    }
}

/// The version of the material of `key` that a ciphertext of it names.
fn cipher_of<A: Action>(
    access: &mut Access<'_>,
    key: &KeyInUse<A>,
    header: &CiphertextHeader,
) -> Result<Arc<MaterialCipher>, ServiceError> {
    if header.key_id != key.record.key_id {
        let message = "The key ID in the request does not identify a CMK that can perform this operation.";
        return Err(ServiceError::new(ErrorCode::IncorrectKey, message));
    }
    if key.state.material(header.key_id, header.material_id).is_none() {
        access.lacks_version = true;
        return Err(missing_material(&key.record, header.material_id, &key.allowed));
    }
    key.ring.version(&key.allowed, &key.state, &key.record, header.material_id)
}

/// The key that a ciphertext names, when the request names none.
fn key_of_ciphertext<A: Action>(
    access: &mut Access<'_>,
    header: &CiphertextHeader,
) -> Result<(Arc<KeyRecord>, Allowed<A>), ServiceError> {
    let key = access.state.key(header.key_id).cloned().ok_or_else(|| {
        let message = "The ciphertext refers to a customer master key that does not exist, does not exist in this \
             region, or you are not allowed to access.";
        ServiceError::new(ErrorCode::AccessDenied, message)
    })?;
    let allowed = access.allow::<A>(&key)?;
    Requirement::Usable.check(allowed.key(), key.state)?;
    Ok((key, allowed))
}

/// A version that the set has but this replica still waits for is a matter of time; any other is a forged header.
fn missing_material<A>(key: &KeyRecord, material_id: KeyMaterialId, allowed: &Allowed<A>) -> ServiceError {
    let is_on_its_way = key.multi_region.as_ref().is_some_and(|set| set.missing_materials.contains(&material_id));
    if is_on_its_way {
        let message = format!("{} has not received this version of its key material yet.", allowed.key());
        return ServiceError::new(ErrorCode::KeyUnavailable, message);
    }
    invalid_ciphertext()
}

/// The standard algorithms of asymmetric encryption have no place for a context.
fn check_context(algorithm: EncryptionAlgorithmSpec, context: &Context) -> Result<(), ServiceError> {
    if algorithm == EncryptionAlgorithmSpec::SymmetricDefault || context.is_empty() {
        return Ok(());
    }
    Err(validation("EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs."))
}

/// Whether a dry run asks for the permission only; modifiers of anything but a dry run are refused.
fn ignores_ciphertext(dry_run: Option<bool>, modifiers: &[DryRunModifierType]) -> Result<bool, ServiceError> {
    if !modifiers.is_empty() && dry_run != Some(true) {
        return Err(validation("DryRunModifiers is valid only when DryRun is true."));
    }
    Ok(modifiers.contains(&DryRunModifierType::IgnoreCiphertext))
}

fn required_ciphertext(blob: Option<&Blob>) -> Result<&Blob, ServiceError> {
    blob.ok_or_else(|| {
        validation("1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null")
    })
}

/// The length of a data key in bytes: by spec or by number, exactly one of them.
fn data_key_len(spec: Option<DataKeySpec>, number_of_bytes: Option<u32>) -> Result<usize, ServiceError> {
    match (spec, number_of_bytes) {
        (Some(DataKeySpec::Aes256), None) => Ok(32),
        (Some(DataKeySpec::Aes128), None) => Ok(16),
        (None, Some(number)) => Ok(number as usize),
        _ => Err(validation("Please specify either number of bytes or key spec.")),
    }
}

/// The service says nothing about what is wrong with a ciphertext.
fn invalid_ciphertext() -> ServiceError {
    ServiceError::new(ErrorCode::InvalidCiphertext, "")
}

pub(crate) fn to_blob(bytes: &SecretBytes) -> SecretBlob {
    SecretBlob::from(bytes.expose().to_vec())
}
