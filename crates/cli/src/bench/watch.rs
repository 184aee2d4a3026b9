//! Waiting until a Region shows a change, by asking it again and again.
//!
//! A sighting is late by up to the time between two looks; that time is recorded with it.

use std::time::{Duration, Instant};

use meridian_model::{
    DescribeKeyRequest, GetKeyRotationStatusRequest, KeyMetadata, KeyState, Region, Request, Response,
};

use super::client::{CallError, KmsClient};

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// The key is `Enabled`.
    Enabled,
    /// The key's set has a replica in this Region.
    ReplicaIn(Region),
    /// Automatic rotation of the key is on.
    Rotation,
}

impl Sight {
    fn request(&self, key_id: &str) -> Request {
        let key_id = key_id.to_owned();
        match self {
            Self::Enabled | Self::ReplicaIn(_) => DescribeKeyRequest { key_id, ..DescribeKeyRequest::default() }.into(),
            Self::Rotation => GetKeyRotationStatusRequest { key_id }.into(),
        }
    }

    fn is_shown_by(&self, response: &Response) -> bool {
        match (self, response) {
            (Self::Enabled, Response::DescribeKey(described)) => described.key_metadata.key_state == KeyState::Enabled,
            (Self::ReplicaIn(region), Response::DescribeKey(described)) => has_replica(&described.key_metadata, region),
            (Self::Rotation, Response::GetKeyRotationStatus(status)) => status.key_rotation_enabled,
            _ => false,
        }
    }
}

fn has_replica(key: &KeyMetadata, region: &Region) -> bool {
    let set = key.multi_region_configuration.as_ref();
    set.is_some_and(|set| set.replica_keys.iter().any(|replica| replica.region == region.as_str()))
}

/// How often and how long to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// From the beginning of a look to that of the next, if it is answered by then.
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

/// A change that was seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    /// When the answer that shows it had come.
    pub(super) at: Instant,
    /// From the beginning of the last look that did not show it until `at`; of the only look, if it is the first.
    pub(super) granularity: Duration,
    /// How often was looked.
    pub(super) looks: u32,
}

/// Why a change was not seen.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unseen {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("not seen within {} s, in {looks} looks", .after.as_secs())]
    Timeout { after: Duration, looks: u32 },
}

/// Looks until the Region of `client` shows `sight` of the key. That the key does not exist there is no error: its replica
/// may be on its way.
pub(super) async fn watch(client: &mut KmsClient, key_id: &str, sight: &Sight, pace: Pace) -> Result<Sighting, Unseen> {
    let began = Instant::now();
    let (mut looks, mut last_look) = (0, None);
    loop {
        let look = Instant::now();
        let shown = match client.call(sight.request(key_id)).await {
            Ok(response) => sight.is_shown_by(&response),
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error.into()),
        };
        let at = Instant::now();
        looks += 1;
        if shown {
            return Ok(Sighting { at, granularity: at - last_look.unwrap_or(look), looks });
        }
        if at - began > pace.timeout {
            return Err(Unseen::Timeout { after: pace.timeout, looks });
        }
        last_look = Some(look);
        // The timer's ticks are whole milliseconds; it wakes up late rather than early.
        tokio::time::sleep_until((look + pace.interval).into()).await;
    }
}

#[cfg(test)]
mod tests {
    use meridian_identity::ClientCredentials;

    use super::*;
    use crate::bench::test_server::{KEY_ID, TestServer};

    fn client(server: &TestServer) -> KmsClient {
        let region = "us-west-2".parse().expect("a Region");
        KmsClient::new(server.endpoint(), ClientCredentials::new("test", "test"), region)
    }

    const PACE: Pace = Pace { interval: Duration::from_millis(1), timeout: Duration::from_secs(30) };

    #[tokio::test]
    async fn a_change_is_seen_when_it_is_shown() {
        let server = TestServer::start().await;
        let mut client = client(&server);
        let first = watch(&mut client, KEY_ID, &Sight::Enabled, PACE).await.expect("seen");
        assert_eq!(first.looks, 1);
        server.show_replicas_after(3);
        let replica = Sight::ReplicaIn("eu-west-1".parse().expect("a Region"));
        let later = watch(&mut client, KEY_ID, &replica, PACE).await.expect("seen");
        assert_eq!(later.looks, 4);
        assert!(later.granularity >= PACE.interval);
        assert_eq!(server.connections(), 1);
    }

    #[tokio::test]
    async fn a_key_that_does_not_exist_may_come() {
        let server = TestServer::start().await;
        let pace = Pace { timeout: Duration::from_millis(20), ..PACE };
        let unseen = watch(&mut client(&server), "absent", &Sight::Enabled, pace).await.expect_err("never");
        assert!(matches!(unseen, Unseen::Timeout { looks, .. } if looks > 1), "{unseen}");
    }

    #[tokio::test]
    async fn other_errors_end_the_watch() {
        let server = TestServer::start().await;
        let unseen = watch(&mut client(&server), KEY_ID, &Sight::Rotation, PACE).await.expect_err("unknown there");
        assert_eq!(unseen.to_string(), "GetKeyRotationStatus: UnsupportedOperationException: no such operation");
    }
}
