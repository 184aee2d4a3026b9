//! Custom key stores: not offered yet. Who may not ask is told that first.

use meridian_model::{Request, Response, ServiceError};
use meridian_policy::action;

use crate::access::Access;
use crate::conditions::Subject;
use crate::writes::unsupported;

/// Decides, and then says what there is to say.
pub(crate) fn answer(access: &mut Access<'_>, request: &Request) -> Result<Response, ServiceError> {
    let stores = Subject::KeyStores;
    match request {
        Request::ConnectCustomKeyStore(_) => {
            access.allow_in_account::<action::ConnectCustomKeyStore>(stores)?;
        }
        Request::CreateCustomKeyStore(_) => {
            access.allow_in_account::<action::CreateCustomKeyStore>(stores)?;
        }
        Request::DeleteCustomKeyStore(_) => {
            access.allow_in_account::<action::DeleteCustomKeyStore>(stores)?;
        }
        Request::DescribeCustomKeyStores(_) => {
            access.allow_in_account::<action::DescribeCustomKeyStores>(stores)?;
        }
        Request::DisconnectCustomKeyStore(_) => {
            access.allow_in_account::<action::DisconnectCustomKeyStore>(stores)?;
        }
        Request::UpdateCustomKeyStore(_) => {
            access.allow_in_account::<action::UpdateCustomKeyStore>(stores)?;
        }
        _ => {}
    }
    Err(unsupported(request))
}
