//! The query protocol of STS and IAM: forms in, XML out.
//!
//! [`form`] reads parameters within the constraints of the API models, [`iam`] and [`sts`] say what each action takes,
//! [`answer`] holds what is told back, [`error`] why something is refused. Who may do what, and what an action does, is
//! decided elsewhere.
//!
//! Source: the public API references of both services ("Actions", "Common parameters", "Common errors").

pub mod answer;
mod constraints;
pub mod error;
mod form;
pub mod iam;
pub mod sts;

use crate::sigv4::Service;

pub use answer::{Answer, Members, QueryAnswer, Value};
pub use error::{QueryCode, QueryError};
pub use form::{Form, Tag};
pub use iam::{IamCall, IamRequest};
pub use sts::{StsCall, StsRequest};

/// The content type of every answer.
pub const CONTENT_TYPE: &str = "text/xml";

/// What a well-formed form asks for.
#[derive(Debug, PartialEq)]
pub enum QueryCall {
    /// An action of IAM.
    Iam(IamCall),
    /// An action of STS.
    Sts(StsCall),
}

impl QueryCall {
    /// Reads what `form` asks `service` for.
    ///
    /// # Errors
    /// `InvalidAction` for an action that the service does not have, `UnsupportedOperation` for one that it has only
    /// elsewhere, `ValidationError` with every violated constraint.
    pub fn read(service: Service, form: &Form) -> Result<Self, QueryError> {
        match service {
            Service::Iam => IamCall::read(form).map(Self::Iam),
            Service::Sts | Service::Kms => StsCall::read(form).map(Self::Sts),
        }
    }

    /// The name of the action.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Iam(call) => call.action,
            Self::Sts(call) => call.action,
        }
    }
}

/// The XML namespace of the answers of `service`.
pub(crate) const fn namespace(service: Service) -> &'static str {
    match service {
        Service::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
        Service::Sts | Service::Kms => "https://sts.amazonaws.com/doc/2011-06-15/",
    }
}

/// One action of a table: its name, and what reads its parameters.
type Row<T> = (&'static str, fn(&mut form::Reader<'_>) -> T);

/// Reads the parameters of the action that `form` names: one of `rows`, which are in the order of their names.
fn read<T>(
    form: &Form,
    version: &str,
    rows: &[Row<T>],
    absent: &[&str],
    is_plain: bool,
) -> Result<(&'static str, T), QueryError> {
    let found = rows.binary_search_by_key(&form.action(), |(name, _)| name).ok().filter(|_| form.version() == version);
    let Some((action, parse)) = found.map(|at| rows[at]) else {
        return Err(unknown_action(form, version, absent));
    };
    let mut reader = form::Reader::new(form, is_plain);
    let request = parse(&mut reader);
    reader.finish().map(|()| (action, request))
}

fn unknown_action(form: &Form, version: &str, absent: &[&str]) -> QueryError {
    let (action, asked) = (form.action(), form.version());
    if asked == version && absent.contains(&action) {
        let message = format!("{action} is not available in this version of the service.");
        return QueryError::new(QueryCode::UnsupportedOperation, message);
    }
    QueryError::new(QueryCode::InvalidAction, format!("Could not find operation {action} for version {asked}"))
}
