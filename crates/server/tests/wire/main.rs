//! The server as clients meet it: over sockets, with an endpoint that does what it is told.

mod connections;
mod limits;
mod protocol;
mod support;
