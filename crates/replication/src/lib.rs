//! meridian-replication.
