//! Attested recipients: whom an answer is sealed to in place of being told (`Recipient`, `CiphertextForRecipient`).
//!
//! Documents are verified before anything else of a request is looked at, since what they say is part of what policies decide on.
//!
//! Always true: a request that names a recipient is answered with a sealed secret or not at all.

use std::sync::Arc;

use meridian_crypto::{AttestationError, AttestedRecipient, SecretBytes};
use meridian_model::shapes::RecipientInfo;
use meridian_model::{Blob, ErrorCode, Request, SecretBlob, ServiceError};

use crate::call::Service;
use crate::cryptography::to_blob;
use crate::key_ring::log_internal;
use crate::keys::validation;

impl Service {
    /// The verified recipient of a request, if it names one.
    pub(crate) async fn recipient_of(&self, request: &Request) -> Result<Option<Arc<AttestedRecipient>>, ServiceError> {
        let Some(info) = named(request) else { return Ok(None) };
        let (Some(document), Some(_only_one)) = (&info.attestation_document, info.key_encryption_algorithm) else {
            return Err(validation("Recipient needs an AttestationDocument and a KeyEncryptionAlgorithm."));
        };
        let (roots, document, now) = (Arc::clone(self.attestation_roots()), document.clone(), self.now());
        let verified = self.workshop().run(move || roots.verify(document.as_slice(), now)).await?;
        verified.map(|recipient| Some(Arc::new(recipient))).map_err(|error| refusal(&error))
    }
}

/// What an answer holds of a secret: itself, or what only the recipient opens.
pub(crate) struct Told {
    pub(crate) plaintext: Option<SecretBlob>,
    pub(crate) sealed: Option<Blob>,
}

impl Told {
    pub(crate) fn to(recipient: Option<&AttestedRecipient>, secret: &SecretBytes) -> Result<Self, ServiceError> {
        let Some(recipient) = recipient else { return Ok(Self { plaintext: Some(to_blob(secret)), sealed: None }) };
        let sealed = recipient.seal(secret).map_err(log_internal("sealing an answer"))?;
        Ok(Self { plaintext: None, sealed: Some(sealed.into()) })
    }
}

fn named(request: &Request) -> Option<&RecipientInfo> {
    match request {
        Request::Decrypt(request) => request.recipient.as_ref(),
        Request::DeriveSharedSecret(request) => request.recipient.as_ref(),
        Request::GenerateDataKey(request) => request.recipient.as_ref(),
        Request::GenerateDataKeyPair(request) => request.recipient.as_ref(),
        Request::GenerateRandom(request) => request.recipient.as_ref(),
        _ => None,
    }
}

fn refusal(error: &AttestationError) -> ServiceError {
    if *error == AttestationError::NoRoots {
        let message = "Attested recipients are not supported here: no attestation root is configured.";
        return ServiceError::new(ErrorCode::UnsupportedOperation, message);
    }
    validation(format!("The attestation document is not valid: {error}."))
}
