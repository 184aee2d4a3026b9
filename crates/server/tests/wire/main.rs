//! The server as clients meet it: over sockets, with an endpoint that does what it is told.

mod connections;
mod hostile;
mod limits;
mod protocol;
mod support;
