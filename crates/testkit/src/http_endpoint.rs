//! A Region behind HTTP, for clients that know nothing of tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use meridian::SystemClock;
use meridian::endpoint::{IdentityCredentials, RegionEndpoint};
use meridian_audit::Metrics;
use meridian_identity::{CredentialStore, DevCredentials, EitherStore, Verifier};
use meridian_server::{Gateway, Limits, Listener, SharedVerifier};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A listener that serves as long as this lives. Takes the credentials of dev mode and those of identities.
#[derive(Debug)]
pub struct HttpEndpoint {
    address: SocketAddr,
    _stop: DropGuard,
}

impl HttpEndpoint {
    pub(crate) async fn serve(endpoint: Arc<RegionEndpoint>) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let identities = IdentityCredentials::new(vec![Arc::clone(&endpoint)]);
        let store = EitherStore(DevCredentials::danger_well_known(), identities);
        let store: Arc<dyn CredentialStore> = Arc::new(store);
        let verifier: SharedVerifier = Arc::new(Verifier::new(store));
        let (home, limits) = (meridian_server::Endpoint::region(&*endpoint).clone(), Limits::default());
        let listener = Listener::new(&limits, None);
        // Signatures carry real time, whatever clock the Region lives by.
        let gateway = Gateway::new(vec![endpoint], &home, verifier, Arc::new(SystemClock), Metrics::new(), limits);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move { listener.serve(socket, Arc::new(gateway), stopped).await });
        Self { address, _stop: stop.drop_guard() }
    }

    /// Such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
