//! Clients of the AWS SDK for Rust, for clusters of the testkit.
//!
//! The tests of this package see what any program with that SDK sees; they look inside of the cluster only to wait.

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{Credentials, Region};
use meridian_testkit::HttpEndpoint;

/// A client of `account`'s root for a Region behind `endpoint`; it tries each request so many times.
#[must_use]
pub fn client(endpoint: &HttpEndpoint, region: &meridian_model::Region, account: &str, attempts: u32) -> Client {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version_latest()
        .region(Region::new(region.as_str().to_owned()))
        .endpoint_url(endpoint.url())
        .credentials_provider(Credentials::new(account, "test", None, None, "tests"))
        .retry_config(RetryConfig::standard().with_max_attempts(attempts))
        .build();
    Client::from_conf(config)
}
