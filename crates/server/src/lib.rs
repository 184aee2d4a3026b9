//! meridian-server.
