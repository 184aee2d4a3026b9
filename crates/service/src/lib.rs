//! meridian-service.
