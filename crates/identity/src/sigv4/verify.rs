//! Verification of signed requests.
//!
//! The order of the checks is that of the service: what is missing, then date, signed headers, algorithm, scope, access
//! key, and the signature last. Who knows no secret learns nothing but which access keys exist, which AWS tells as well.

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, DATE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use meridian_model::{Region, Timestamp};
use subtle::ConstantTimeEq;

use crate::caller::Caller;
use crate::credentials::{ACCESS_KEY_ID_LENGTH_MAX, AccessKey, Claimed, CredentialStore};
use crate::service_calls;
use crate::sigv4::authorization::{Authorization, Credential};
use crate::sigv4::canonical::{self, hex_sha256, must_be_signed};
use crate::sigv4::date::SignatureDate;
use crate::sigv4::error::ScopeFault;
use crate::sigv4::presigned::Presigned;
use crate::sigv4::signing_key::{SigningKey, SigningKeyCache};
use crate::sigv4::{ALGORITHM, Service, SignatureError, TERMINATOR};

/// How far the clock of a caller may be off, in either direction, as AWS KMS has it.
pub const SKEW_MAX: Duration = Duration::from_mins(5);

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What a listener accepts in a credential scope.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The Regions that it serves.
    pub regions: &'a [Region],
    /// The Regions that requests to IAM may be signed for, which belongs to none.
    pub regions_of_iam: &'a [Region],
    /// The Region that such requests are meant for, whatever they are signed for.
    pub home_of_iam: &'a Region,
    /// The services that it serves; the first one is named to callers of another service.
    pub services: &'a [Service],
}

/// A request whose sender is known.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who signed it.
    pub caller: Arc<Caller>,
    /// The Region that it is meant for.
    pub region: Region,
    /// The service that it is meant for.
    pub service: Service,
    /// When it was signed, by the clock of the caller.
    pub signed_at: Timestamp,
}

/// Verifies signatures against the access keys of a store. Shared by all connections.
pub struct Verifier<S> {
    store: S,
    keys: SigningKeyCache,
}

impl<S: CredentialStore> Verifier<S> {
    /// A verifier that knows the access keys in `store`.
    pub fn new(store: S) -> Self {
        Self { store, keys: SigningKeyCache::new() }
    }

    /// Verifies that the owner of an access key signed exactly this request, within [`SKEW_MAX`] of `now`.
    ///
    /// `body` is the whole body as received.
    ///
    /// # Errors
    /// [`SignatureError`]; nothing of the request may be acted upon then.
    pub fn verify(
        &self,
        parts: &Parts,
        body: &[u8],
        now: Timestamp,
        accepted: Accepted<'_>,
    ) -> Result<Verified, SignatureError> {
        let presigned = Presigned::read(parts)?;
        let (authorization, date) = match &presigned {
            Some(presigned) => by_query(presigned, parts, now)?,
            None => by_header(parts, now)?,
        };
        check_signed_headers(parts, authorization.signed_headers)?;
        let credential = Credential::parse(authorization.credential)?;
        let (region, service) = check_scope(credential, &date, accepted)?;
        let session_token = match &presigned {
            Some(presigned) => presigned.session_token(),
            None => text(single(&parts.headers, &AMZ_SECURITY_TOKEN)?)?,
        };
        let claimed = Claimed { access_key_id: credential.access_key_id, session_token, region: &region };
        let access_key = self.access_key(claimed)?;
        let body_hash = hex_sha256(body);
        check_body_hash(&parts.headers, &body_hash)?;
        let request_hash = canonical::request_hash(parts, authorization.signed_headers, &body_hash)?;
        self.check_signature(authorization, credential, date, &request_hash, &access_key)?;
        let caller = service_calls::caller_of(&self.store, access_key.caller, &parts.headers, &region)?;
        Ok(Verified { caller, region, service, signed_at: date.timestamp() })
    }

    /// The access key that the request claims, with its session token if it has one.
    fn access_key(&self, claimed: Claimed<'_>) -> Result<AccessKey, SignatureError> {
        if claimed.access_key_id.len() > ACCESS_KEY_ID_LENGTH_MAX {
            return Err(SignatureError::UnrecognizedClient);
        }
        Ok(self.store.lookup(claimed)?)
    }

    fn check_signature(
        &self,
        authorization: Authorization<'_>,
        credential: Credential<'_>,
        date: SignatureDate,
        request_hash: &[u8; 64],
        access_key: &AccessKey,
    ) -> Result<(), SignatureError> {
        let mut given = [0; 32];
        hex::decode_to_slice(authorization.signature, &mut given).map_err(|_| SignatureError::Mismatch)?;
        let cached = self.keys.get(authorization.credential, &access_key.secret);
        let is_new = cached.is_none();
        let key = cached.unwrap_or_else(|| {
            SigningKey::derive(&access_key.secret, credential.date, credential.region, credential.service)
        });
        let expected = signature(&key, date, credential.scope, request_hash);
        if !bool::from(expected.ct_eq(&given)) {
            return Err(SignatureError::Mismatch);
        }
        if is_new {
            self.keys.put(authorization.credential, &access_key.secret, key);
        }
        Ok(())
    }
}

/// The service that a request claims to be signed for; `None` if it claims none that is known here.
///
/// Proves nothing: it chooses the protocol in which a refusal is told, and no more.
#[must_use]
pub fn claimed_service(parts: &Parts) -> Option<Service> {
    let presigned = Presigned::read(parts).ok()?;
    let authorization = match &presigned {
        Some(presigned) => presigned.authorization(),
        None => Authorization::parse(parts.headers.get(AUTHORIZATION)?.to_str().ok()?, true),
    };
    let credential = Credential::parse(authorization.ok()?.credential).ok()?;
    [Service::Kms, Service::Sts, Service::Iam].into_iter().find(|service| service.as_str() == credential.service)
}

/// Whether a request claims to carry its signature in the query string.
#[must_use]
pub fn is_presigned(parts: &Parts) -> bool {
    Presigned::is_claimed(parts)
}

/// The signature in the `Authorization` header, made at a time that is not far from now.
fn by_header(parts: &Parts, now: Timestamp) -> Result<(Authorization<'_>, SignatureDate), SignatureError> {
    let header = text(single(&parts.headers, &AUTHORIZATION)?)?;
    let header = header.ok_or(SignatureError::MissingAuthenticationToken)?;
    let amz_date = single(&parts.headers, &AMZ_DATE)?;
    let http_date = if amz_date.is_none() { single(&parts.headers, &DATE)? } else { None };
    let authorization = Authorization::parse(header, amz_date.or(http_date).is_some())?;
    let date = signature_date(text(amz_date)?, text(http_date)?)?;
    check_age(date, SKEW_MAX, now)?;
    Ok((authorization, date))
}

/// The signature in the query string, which is good for as long as it says.
fn by_query<'a>(
    presigned: &'a Presigned,
    parts: &Parts,
    now: Timestamp,
) -> Result<(Authorization<'a>, SignatureDate), SignatureError> {
    if parts.headers.contains_key(AUTHORIZATION) {
        return Err(SignatureError::TwoSignatures);
    }
    let authorization = presigned.authorization()?;
    let date = signature_date(presigned.date(), None)?;
    check_age(date, presigned.validity()?.unwrap_or(SKEW_MAX), now)?;
    Ok((authorization, date))
}

/// The signature over the string to sign.
pub(crate) fn signature(
    key: &SigningKey,
    date: SignatureDate,
    scope: &str,
    request_hash: &[u8; 64],
) -> zeroize::Zeroizing<[u8; 32]> {
    let lines: [&[u8]; 7] =
        [ALGORITHM.as_bytes(), b"\n", date.as_str().as_bytes(), b"\n", scope.as_bytes(), b"\n", request_hash];
    key.sign(&lines)
}

/// The one header called `name`.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a http::HeaderValue>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(SignatureError::DuplicateHeader { header: name.as_str().to_owned() });
    }
    Ok(value)
}

fn text(value: Option<&http::HeaderValue>) -> Result<Option<&str>, SignatureError> {
    value
        .map(|value| value.to_str().map(str::trim))
        .transpose()
        .map_err(|_| SignatureError::MalformedAuthorization("a header holds other than visible ASCII"))
}

fn signature_date(amz_date: Option<&str>, http_date: Option<&str>) -> Result<SignatureDate, SignatureError> {
    let (date, parsed) = match (amz_date, http_date) {
        (Some(date), _) => (date, SignatureDate::parse_basic(date)),
        (None, date) => (date.unwrap_or_default(), SignatureDate::parse_http(date.unwrap_or_default())),
    };
    parsed.ok_or_else(|| SignatureError::MalformedDate { date: date.to_owned() })
}

/// The signature is no older than `validity`, and from no later than clocks may differ.
fn check_age(date: SignatureDate, validity: Duration, now: Timestamp) -> Result<(), SignatureError> {
    let signed = date.timestamp();
    let text = |at: Timestamp| SignatureDate::from_timestamp(at).as_str().to_owned();
    // To the second, as the message tells it.
    let now = Timestamp::from_millis(now.as_millis() / 1000 * 1000);
    if now.since(signed) > validity {
        let seconds = validity.as_secs();
        let earliest = Timestamp::from_millis(now.as_millis().saturating_sub(seconds * 1000));
        let validity =
            if seconds.is_multiple_of(60) { format!("{} min.", seconds / 60) } else { format!("{seconds} sec.") };
        return Err(SignatureError::Expired {
            signed: text(signed),
            earliest: text(earliest),
            now: text(now),
            validity,
        });
    }
    if signed.since(now) > SKEW_MAX {
        let latest = now.plus(SKEW_MAX);
        return Err(SignatureError::NotYetCurrent { signed: text(signed), latest: text(latest), now: text(now) });
    }
    Ok(())
}

/// The names must be in lower case and ascending, so that there is one spelling; host and all `x-amz-` headers among
/// them, so that nobody on the way can aim the request elsewhere or turn it into another operation.
fn check_signed_headers(parts: &Parts, signed_headers: &str) -> Result<(), SignatureError> {
    let mut last = "";
    for name in signed_headers.split(';') {
        if name <= last || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(SignatureError::MalformedAuthorization(
                "SignedHeaders must be in lower case, sorted and unique",
            ));
        }
        last = name;
    }
    let is_signed = |wanted: &str| signed_headers.split(';').any(|name| name == wanted);
    if !is_signed(HOST.as_str()) {
        return Err(SignatureError::HostNotSigned);
    }
    let unsigned = parts.headers.keys().find(|name| must_be_signed(name.as_str()) && !is_signed(name.as_str()));
    unsigned.map_or(Ok(()), |name| Err(SignatureError::HeaderNotSigned { header: name.as_str().to_owned() }))
}

fn check_scope(
    credential: Credential<'_>,
    date: &SignatureDate,
    accepted: Accepted<'_>,
) -> Result<(Region, Service), SignatureError> {
    let service = accepted.services.iter().find(|service| service.as_str() == credential.service);
    let is_iam = service == Some(&Service::Iam);
    let regions = if is_iam { accepted.regions_of_iam } else { accepted.regions };
    let region = regions.iter().find(|region| region.as_str() == credential.region);
    let region = region.map(|region| if is_iam { accepted.home_of_iam } else { region });
    let is_terminated = credential.terminator == TERMINATOR;
    let is_same_day = credential.date == date.day();
    if let (Some(region), Some(service), true, true) = (region, service, is_terminated, is_same_day) {
        return Ok((region.clone(), *service));
    }
    let named = accepted.services.first().copied().unwrap_or(Service::Kms);
    let faults = [
        region.is_none().then_some(ScopeFault::Region(credential.region)),
        service.is_none().then_some(ScopeFault::Service(named)),
        (!is_terminated).then_some(ScopeFault::Terminator(credential.terminator)),
        (!is_same_day).then(|| ScopeFault::Date { scope: credential.date, signed: date.as_str() }),
    ];
    Err(SignatureError::wrong_scope(&faults.into_iter().flatten().collect::<Vec<_>>()))
}

/// Clients that send the hash of the body must send the right one; those that do not are covered by the signature.
fn check_body_hash(headers: &HeaderMap, body_hash: &[u8; 64]) -> Result<(), SignatureError> {
    match single(headers, &AMZ_CONTENT_SHA256)? {
        Some(given) if given.as_bytes().trim_ascii() != body_hash => Err(SignatureError::BodyHashMismatch),
        _ => Ok(()),
    }
}
