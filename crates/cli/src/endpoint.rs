//! What the front door sees of a Region: one node, or several of them in turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use meridian_consensus::NodeName;
use meridian_identity::query::{Answer, Form, QueryError};
use meridian_identity::{AccessKey, Caller, Claimed, CredentialFault, CredentialStore};
use meridian_model::{ErrorCode, Operation, Region, Request, ServiceError};
use meridian_server::{CallContext, Endpoint, NodeReadiness};
use meridian_service::{Service, TlsContext, VpcEndpoint};

/// The nodes of one Region that run in this process. Each request goes to the next one.
#[derive(Debug)]
pub struct RegionEndpoint {
    region: Region,
    nodes: RwLock<Arc<Vec<(NodeName, Service)>>>,
    next: AtomicUsize,
}

impl RegionEndpoint {
    /// An endpoint of `region` without nodes yet.
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self { region, nodes: RwLock::default(), next: AtomicUsize::new(0) }
    }

    /// Adds a node, or puts it in the place of its former self.
    pub fn add(&self, name: NodeName, service: Service) {
        self.change(|nodes| {
            nodes.retain(|(known, _)| *known != name);
            nodes.push((name, service));
        });
    }

    /// Takes a node out: no request goes there any more.
    pub fn remove(&self, name: &NodeName) {
        self.change(|nodes| nodes.retain(|(known, _)| known != name));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(NodeName, Service)>)) {
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Vec::clone(&nodes);
        change(&mut changed);
        *nodes = Arc::new(changed);
    }

    fn nodes(&self) -> Arc<Vec<(NodeName, Service)>> {
        Arc::clone(&self.nodes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The service of the node whose turn it is.
    fn next(&self) -> Result<Service, ServiceError> {
        let nodes = self.nodes();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let chosen = turn.checked_rem(nodes.len()).and_then(|turn| nodes.get(turn));
        chosen.map(|(_, service)| service.clone()).ok_or_else(|| {
            ServiceError::new(ErrorCode::ServiceUnavailable, "No node of the Region is running. Try again.")
        })
    }
}

/// The access keys of identities, as the Regions of this process have them. Of the nodes of a Region the one that has applied most
/// is asked.
#[derive(Debug)]
pub struct IdentityCredentials(Vec<Arc<RegionEndpoint>>);

impl IdentityCredentials {
    /// Those of the Regions behind `endpoints`.
    #[must_use]
    pub fn new(endpoints: Vec<Arc<RegionEndpoint>>) -> Self {
        Self(endpoints)
    }

    fn ask<T>(
        &self,
        region: &Region,
        question: impl FnOnce(&Service) -> Result<T, CredentialFault>,
    ) -> Result<T, CredentialFault> {
        let nodes = self.0.iter().find(|endpoint| endpoint.region == *region).map(|endpoint| endpoint.nodes());
        let nodes = nodes.ok_or(CredentialFault::Unrecognized)?;
        let newest = match nodes.as_slice() {
            [(_, only)] => Some(only),
            several => several.iter().map(|(_, service)| service).max_by_key(|service| service.applied_index()),
        };
        newest.map_or(Err(CredentialFault::Unavailable), question)
    }
}

impl CredentialStore for IdentityCredentials {
    fn lookup(&self, claimed: Claimed<'_>) -> Result<AccessKey, CredentialFault> {
        self.ask(claimed.region, |service| service.lookup(claimed))
    }

    fn represented(&self, service: &Caller, arn: &str, region: &Region) -> Result<Caller, CredentialFault> {
        self.ask(region, |node| node.represented(service, arn, region))
    }
}

impl Endpoint for RegionEndpoint {
    fn region(&self) -> &Region {
        &self.region
    }

    fn call(&self, context: CallContext, request: Request) -> BoxFuture<'_, Result<Vec<u8>, ServiceError>> {
        async move {
            let response = self.next()?.call(service_context(&context), request).await?;
            Ok(response.to_json())
        }
        .boxed()
    }

    fn query(
        &self,
        context: CallContext,
        service: meridian_identity::Service,
        form: Form,
    ) -> BoxFuture<'_, Result<Answer, QueryError>> {
        async move { self.next()?.query(service_context(&context), service, form).await }.boxed()
    }

    fn refuse<'a>(
        &'a self,
        context: &'a CallContext,
        operation: Operation,
        error: &'a ServiceError,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        async move { self.next()?.refuse(&service_context(context), operation, error).await }.boxed()
    }

    fn readiness(&self) -> Vec<NodeReadiness> {
        let nodes = self.nodes();
        nodes.iter().map(|(name, service)| readiness(name, service)).collect()
    }
}

/// The same nodes by a private way: every request that comes through it says so.
#[derive(Debug)]
pub struct BehindVpcEndpoint {
    nodes: Arc<RegionEndpoint>,
    endpoint: VpcEndpoint,
}

impl BehindVpcEndpoint {
    /// The way to `nodes` through `endpoint`.
    #[must_use]
    pub const fn new(nodes: Arc<RegionEndpoint>, endpoint: VpcEndpoint) -> Self {
        Self { nodes, endpoint }
    }

    fn context(&self, context: &CallContext) -> meridian_service::CallContext {
        meridian_service::CallContext { endpoint: Some(self.endpoint.clone()), ..service_context(context) }
    }
}

impl Endpoint for BehindVpcEndpoint {
    fn region(&self) -> &Region {
        &self.nodes.region
    }

    fn call(&self, context: CallContext, request: Request) -> BoxFuture<'_, Result<Vec<u8>, ServiceError>> {
        async move {
            let response = self.nodes.next()?.call(self.context(&context), request).await?;
            Ok(response.to_json())
        }
        .boxed()
    }

    fn query(
        &self,
        context: CallContext,
        service: meridian_identity::Service,
        form: Form,
    ) -> BoxFuture<'_, Result<Answer, QueryError>> {
        async move { self.nodes.next()?.query(self.context(&context), service, form).await }.boxed()
    }

    fn refuse<'a>(
        &'a self,
        context: &'a CallContext,
        operation: Operation,
        error: &'a ServiceError,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        async move { self.nodes.next()?.refuse(&self.context(context), operation, error).await }.boxed()
    }

    fn readiness(&self) -> Vec<NodeReadiness> {
        self.nodes.readiness()
    }
}

fn readiness(name: &NodeName, service: &Service) -> NodeReadiness {
    let readiness = service.readiness();
    NodeReadiness {
        node: name.to_string(),
        ready: readiness.is_ready(),
        sealed: readiness.is_sealed,
        leader_known: readiness.has_leader,
        fresh: readiness.is_fresh,
        recording: readiness.can_record,
    }
}

fn service_context(context: &CallContext) -> meridian_service::CallContext {
    meridian_service::CallContext {
        request_id: context.request_id.clone(),
        caller: Arc::clone(&context.caller),
        source_ip: context.source_ip,
        user_agent: context.user_agent.clone(),
        tls: context.tls.as_ref().map(|tls| TlsContext {
            version: tls.version.to_owned(),
            cipher_suite: tls.cipher_suite.to_owned(),
            key_exchange: tls.key_exchange.map(str::to_owned),
            host_header: context.host_header.clone(),
        }),
        endpoint: None,
    }
}
