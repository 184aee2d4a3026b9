//! meridian-storage.
