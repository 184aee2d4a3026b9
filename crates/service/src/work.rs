//! What a cryptographic request comes to once it was permitted: an answer, or work that this thread must not do.

use meridian_crypto::KeyMaterial;
use meridian_model::{ErrorCode, KeySpec, Response, ServiceError};

use crate::workshop::Workshop;

/// The rest of a request.
#[allow(clippy::large_enum_variant)] // moved once, and the large variant is the common one
pub(crate) enum Work {
    /// Nothing: this is the answer.
    Done(Response),
    /// A private operation that takes long.
    Private(Box<dyn FnOnce() -> Result<Response, ServiceError> + Send>),
    /// A new key, and what is done with it.
    NewKey(KeySpec, Box<dyn FnOnce(KeyMaterial) -> Result<Response, ServiceError> + Send>),
}

impl Work {
    /// An answer that is there.
    pub(crate) fn done(response: impl Into<Response>) -> Self {
        Self::Done(response.into())
    }

    /// Does `job` at once, or leaves it to the workshop if it is slow.
    pub(crate) fn of<R: Into<Response>>(
        is_slow: bool,
        job: impl FnOnce() -> Result<R, ServiceError> + Send + 'static,
    ) -> Result<Self, ServiceError> {
        if is_slow {
            return Ok(Self::Private(Box::new(|| job().map(Into::into))));
        }
        job().map(|response| Self::Done(response.into()))
    }

    /// Ends the work.
    pub(crate) async fn finish(self, workshop: &Workshop) -> Result<Response, ServiceError> {
        match self {
            Self::Done(response) => Ok(response),
            Self::Private(job) => workshop.run(job).await?,
            Self::NewKey(spec, job) => {
                let material = workshop.make(spec).await?;
                if is_slow(spec) { workshop.run(move || job(material)).await? } else { job(material) }
            }
        }
    }
}

/// Whether using the private half of a key of `spec`, and preparing it, takes so long that the runtime would feel it.
pub(crate) const fn is_slow(spec: KeySpec) -> bool {
    use KeySpec as S;
    matches!(spec, S::Rsa2048 | S::Rsa3072 | S::Rsa4096 | S::MlDsa44 | S::MlDsa65 | S::MlDsa87)
}

/// Ends a dry run that nothing was wrong with.
pub(crate) fn check_dry_run(dry_run: Option<bool>) -> Result<(), ServiceError> {
    if dry_run == Some(true) { Err(would_have_succeeded()) } else { Ok(()) }
}

/// The service's own exception for the success of a dry run.
pub(crate) fn would_have_succeeded() -> ServiceError {
    let message = "The request would have succeeded, but the DryRun option is set.";
    ServiceError::new(ErrorCode::DryRunOperation, message)
}
