//! The client wire: sockets, TLS, HTTP, and the protocols of KMS, STS and IAM on top of them.
//!
//! A [`Listener`] accepts connections for a [`Gateway`], which finds the [`Endpoint`] of the Region that a request is
//! signed for, has the signature verified there, decodes the request and sends the answer. This crate decides nothing
//! about keys or callers. Only it knows HTTP towards clients; replication and Raft have servers of their own.
//!
//! Always true: every queue, head, body, connection and wait has a limit (see [`Limits`]), and all but the shutdown's
//! apply before anybody is authenticated.

mod activity;
mod answer;
mod body;
mod endpoint;
mod gateway;
mod health;
pub mod limits;
mod listener;
mod query;
pub mod tls;

pub use endpoint::{CallContext, Endpoint, NodeReadiness};
pub use gateway::{Gateway, SharedVerifier};
pub use limits::Limits;
pub use listener::Listener;
pub use tls::TlsSession;
