//! How the shapes of the API become JSON and JSON becomes shapes.
//!
//! [`member`] holds the trait of everything that can be the value of a member, [`scalars`] and [`containers`] its
//! implementations, [`limits`] the constraints, [`report`] the refusals, [`structure`] the macro that declares a shape.
//!
//! Always true: unknown members are ignored, `null` means absent, a member given twice is refused (two readers of one
//! request must never see two requests), and no message repeats a secret.

pub(crate) mod containers;
pub(crate) mod limits;
pub(crate) mod member;
pub(crate) mod report;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod scalars;
pub(crate) mod structure;
#[cfg(test)]
mod table;
pub(crate) mod token;

use crate::{ErrorCode, ServiceError};
use member::{Encoded, Slot, Wire};
use report::{Path, Report};

/// Decodes a body. An empty one counts as `{}`, as the service has it for operations without required members.
///
/// # Errors
/// `SerializationException` if the body is not one JSON object whose members have the right JSON types;
/// `ValidationException` with every violated constraint.
pub(crate) fn decode<T: Wire<Limits = ()>>(body: &[u8]) -> Result<T, ServiceError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let mut report = Report::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let slot = T::decode(&mut deserializer, &(), &Path::ROOT, &mut report)
        .and_then(|slot| deserializer.end().map(|()| slot))
        .map_err(|error| serialization_error(&error))?;
    match slot {
        Slot::Good(value) => report.into_error().map_or(Ok(value), Err),
        Slot::Null | Slot::Unset => Err(ServiceError::new(ErrorCode::Serialization, token::UNEXPECTED_SCALAR)),
        Slot::Bad => Err(report.into_error().expect("a bad value is always reported")),
    }
}

/// Encodes a shape as a JSON object.
pub(crate) fn encode<T: Wire>(shape: &T) -> Vec<u8> {
    let mut body = Vec::with_capacity(shape.size());
    serde_json::to_writer(&mut body, &Encoded(shape))
        .expect("shapes hold text keys and finite numbers only, and a vector takes all bytes");
    body
}

fn serialization_error(error: &serde_json::Error) -> ServiceError {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = match error.classify() {
        // Only texts of `token` and `member` get here; they hold nothing of the request.
        serde_json::error::Category::Data => error.to_string().trim_end_matches(place.as_str()).to_owned(),
        _ => format!("The request body is not valid JSON{place}"),
    };
    ServiceError::new(ErrorCode::Serialization, message)
}
