//! One audit record per request, written before the answer is sent.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use meridian_audit::record::{EVENT_SOURCE_KMS, RESOURCE_KEY};
use meridian_audit::{
    AuditRecord, EventType, IdentityType, JsonText, Resource, SessionContext, SessionIssuer, SourceAddress, TlsDetails,
    UserIdentity, ids, response_elements,
};
use meridian_identity::{Caller, CallerKind, Session};
use meridian_model::{AccountId, ErrorCode, KeyArn, Operation, Response, ServiceError};
use uuid::Uuid;

use crate::call::Service;
use crate::origin::{Origin, RequestOrigin, VpcEndpoint};

/// What the front door knows about a request besides its content.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// The id that the client receives as well.
    pub request_id: String,
    /// Who asks; the signature was verified.
    pub caller: Arc<Caller>,
    /// Where the request came from.
    pub source_ip: IpAddr,
    /// The client's own name.
    pub user_agent: Option<String>,
    /// How the connection is protected; `None` on plain TCP.
    pub tls: Option<TlsContext>,
    /// The private way that the request came.
    pub endpoint: Option<VpcEndpoint>,
}

impl CallContext {
    /// Where the request came from, as decisions see it.
    pub(crate) fn view(&self) -> Origin<'_> {
        Origin {
            source_ip: self.source_ip,
            user_agent: self.user_agent.as_deref(),
            is_secure: self.tls.is_some(),
            endpoint: self.endpoint.as_ref(),
        }
    }

    /// The same, for the leader and for other Regions.
    pub(crate) fn origin(&self) -> RequestOrigin {
        RequestOrigin {
            request_id: self.request_id.clone(),
            source_ip: self.source_ip,
            user_agent: self.user_agent.clone(),
            is_secure: self.tls.is_some(),
            endpoint: self.endpoint.clone(),
        }
    }
}

/// How a connection is protected, by the names of the TLS registries.
#[derive(Clone, Debug)]
pub struct TlsContext {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_128_GCM_SHA256`.
    pub cipher_suite: String,
    /// Such as `X25519MLKEM768`.
    pub key_exchange: Option<String>,
    /// The host that the client asked for.
    pub host_header: Option<String>,
}

/// What a record tells of a request besides its outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told<'a> {
    /// The members that may be recorded.
    pub(crate) parameters: Option<&'a JsonText>,
    /// Facts that no recorded member shows.
    pub(crate) additional: Option<&'a JsonText>,
}

impl Service {
    /// Records a request that was refused before it could be understood.
    ///
    /// # Errors
    /// If the record cannot be written; then the client must get that error instead.
    pub async fn refuse(
        &self,
        context: &CallContext,
        operation: Operation,
        error: &ServiceError,
    ) -> Result<(), ServiceError> {
        self.record(context, operation, Told::default(), Err(error), &[]).await.map(drop)
    }

    /// Records one request with its outcome: in the account of the caller and, if it succeeded, in that of every key that
    /// it was about. Gives the id of the caller's record.
    pub(crate) async fn record(
        &self,
        context: &CallContext,
        operation: Operation,
        told: Told<'_>,
        outcome: Result<&Response, &ServiceError>,
        involved: &[KeyArn],
    ) -> Result<Uuid, ServiceError> {
        let state = self.state();
        let resources: Vec<Resource<'_>> = involved.iter().map(resource).collect();
        let elements = outcome.ok().and_then(|response| response_elements(response, involved.last()));
        let identity = identity(&context.caller);
        let record = AuditRecord {
            identity: &identity,
            event_time: self.now(),
            event_source: EVENT_SOURCE_KMS,
            event_name: operation.name(),
            region: state.region(),
            source_address: SourceAddress::Ip(context.source_ip),
            user_agent: context.user_agent.as_deref(),
            error: outcome.err().map(Into::into),
            request_parameters: told.parameters,
            response_elements: elements.as_ref(),
            additional_event_data: told.additional,
            request_id: Some(&context.request_id),
            event_id: ids::unique_id(),
            read_only: operation.is_read_only(),
            resources: Some(&resources),
            event_type: EventType::AwsApiCall,
            recipient_account: context.caller.account,
            service_event_details: None,
            tls: context.tls.as_ref().map(tls_details),
            vpc_endpoint_id: context.endpoint.as_ref().map(VpcEndpoint::id),
        };
        self.write_record(&record).await?;
        if outcome.is_ok() {
            for account in other_accounts(context.caller.account, involved) {
                let copy = AuditRecord { event_id: ids::unique_id(), recipient_account: account, ..record };
                self.write_record(&copy).await?;
            }
        }
        Ok(record.event_id)
    }

    pub(crate) async fn write_record(&self, record: &AuditRecord<'_>) -> Result<(), ServiceError> {
        self.trail().record(record).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "an audit record could not be written");
            let message = "The request could not be recorded in the audit trail. Try the request again.";
            ServiceError::new(ErrorCode::KmsInternal, message)
        })
    }
}

pub(crate) fn identity(caller: &Caller) -> UserIdentity<'_> {
    let invoked_by = caller.service_call.as_ref().map(|call| call.service.as_str());
    let (kind, user_name) = match &caller.kind {
        CallerKind::Root => (IdentityType::Root, None),
        CallerKind::IamUser { user_name } => (IdentityType::IamUser, Some(user_name.as_str())),
        CallerKind::AssumedRole { .. } => (IdentityType::AssumedRole, None),
        CallerKind::FederatedUser { .. } => (IdentityType::FederatedUser, None),
        CallerKind::Service { .. } => {
            return UserIdentity { kind: Some(IdentityType::AwsService), invoked_by, ..UserIdentity::default() };
        }
    };
    UserIdentity {
        kind: Some(kind),
        principal_id: Some(&caller.principal_id),
        arn: Some(&caller.arn),
        account: Some(caller.account),
        access_key_id: Some(&caller.access_key_id),
        user_name,
        session: caller.session.as_ref().map(|session| session_context(caller, session)),
        invoked_by,
    }
}

fn session_context<'a>(caller: &'a Caller, session: &Session) -> SessionContext<'a> {
    let issuer = match &caller.kind {
        CallerKind::AssumedRole { role_arn, .. } => Some(SessionIssuer {
            principal_id: caller.entity_id().unwrap_or_default(),
            arn: role_arn,
            account: caller.account,
            role_name: role_arn.rsplit('/').next().unwrap_or_default(),
        }),
        _ => None,
    };
    SessionContext { mfa_authenticated: session.mfa_at.is_some(), creation_date: session.issued_at, issuer }
}

/// The accounts other than the caller's that own `keys`, each once; two keys at most are involved.
fn other_accounts(caller: AccountId, keys: &[KeyArn]) -> impl Iterator<Item = AccountId> + '_ {
    let is_first = |at: usize, account: AccountId| keys[..at].iter().all(|earlier| earlier.account != account);
    let owners = keys.iter().map(|key| key.account).enumerate();
    owners.filter(move |(at, account)| *account != caller && is_first(*at, *account)).map(|(_, account)| account)
}

pub(crate) fn resource(key: &KeyArn) -> Resource<'static> {
    Resource { account: key.account, kind: RESOURCE_KEY, arn: Cow::Owned(key.to_string()) }
}

pub(crate) fn tls_details(tls: &TlsContext) -> TlsDetails<'_> {
    TlsDetails {
        version: &tls.version,
        cipher_suite: &tls.cipher_suite,
        key_exchange: tls.key_exchange.as_deref(),
        host_header: tls.host_header.as_deref(),
    }
}
