//! Calls of services: a service that is configured as trusted says for which resource, and on whose behalf, it calls.
//!
//! | header | what it says |
//! |---|---|
//! | `x-amz-source-account` | the account of the resource: `aws:SourceAccount` |
//! | `x-amz-source-arn` | the ARN of the resource: `aws:SourceArn` |
//! | `x-amz-meridian-on-behalf-of` | the ARN of the user or role whose request the service carries out |
//!
//! All of them are signed, as every `x-amz-` header has to be. From anybody but a service they are refused, so that nobody believes
//! to be believed.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use meridian_model::Region;

use crate::caller::{Caller, CallerKind, ServiceCall};
use crate::credentials::CredentialStore;
use crate::sigv4::SignatureError;

/// See the table of this module.
pub const SOURCE_ACCOUNT: HeaderName = HeaderName::from_static("x-amz-source-account");
/// See the table of this module.
pub const SOURCE_ARN: HeaderName = HeaderName::from_static("x-amz-source-arn");
/// See the table of this module.
pub const ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-amz-meridian-on-behalf-of");

/// Longest ARN that is read.
const ARN_LENGTH_MAX: usize = 2_048;

/// The caller as the request means it: the signer itself, or whom a service calls for.
pub(crate) fn caller_of(
    store: &impl CredentialStore,
    signer: Arc<Caller>,
    headers: &HeaderMap,
    region: &Region,
) -> Result<Arc<Caller>, SignatureError> {
    let CallerKind::Service { name } = &signer.kind else {
        let is_sent = [SOURCE_ACCOUNT, SOURCE_ARN, ON_BEHALF_OF].iter().any(|name| headers.contains_key(name));
        return if is_sent { Err(SignatureError::NotAService) } else { Ok(signer) };
    };
    let source_account = match text(headers, &SOURCE_ACCOUNT)? {
        Some(account) => Some(account.parse().map_err(|_| SignatureError::MalformedServiceCall)?),
        None => None,
    };
    let source_arn = text(headers, &SOURCE_ARN)?.map(str::to_owned);
    let service_call = Some(ServiceCall { service: name.clone(), source_account, source_arn });
    let caller = match text(headers, &ON_BEHALF_OF)? {
        Some(arn) => store.represented(&signer, arn, region)?,
        None => Caller::clone(&signer),
    };
    Ok(Arc::new(Caller { service_call, ..caller }))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(SignatureError::DuplicateHeader { header: name.as_str().to_owned() });
    }
    let value = value.map(|value| value.to_str().map(str::trim)).transpose();
    let value = value.map_err(|_| SignatureError::MalformedServiceCall)?;
    let fits = value.is_none_or(|value| (1..=ARN_LENGTH_MAX).contains(&value.len()));
    if fits { Ok(value) } else { Err(SignatureError::MalformedServiceCall) }
}
