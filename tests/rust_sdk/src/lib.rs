//! Tests with the AWS SDK for Rust.
