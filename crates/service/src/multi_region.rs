//! `ReplicateKey`, on both sides: the primary's Region asks, reserves and waits; the other Region answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use meridian_model::shapes::{KeyMetadata, ReplicateKeyRequest, ReplicateKeyResponse};
use meridian_model::{
    AccountId, ErrorCode, KeyArn, KeyId, KeyState, MultiRegionKeyType, Partition, Region, Request, ServiceError,
};
use meridian_policy::{action, document};
use meridian_replication::AskError;
use meridian_state::command::ReserveReplica;
use meridian_state::key_states::Requirement;
use meridian_state::multi_region::not_a_primary;
use meridian_state::quotas::KEYS_PER_ACCOUNT;
use meridian_state::{KeyRecord, Op, RegionState, ReplicaStatus};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use crate::access::{Access, Asked, Forms};
use crate::call::Service;
use crate::conditions::{NewKey, Subject};
use crate::forwarding::ForwardedCall;
use crate::grant_tokens::NamedGrants;
use crate::keys::{metadata, tag_map};
use crate::origin::RequestOrigin;
use crate::policies;
use crate::writes::Rejected;

/// How long the other Region may take to say whether the replica can be made. With the next one, below the time that a
/// forwarded change may take.
const ASK_DEADLINE: Duration = Duration::from_secs(3);
/// How long the other Region may take to make the replica before the caller is told to repeat the request.
const CREATION_DEADLINE: Duration = Duration::from_secs(6);

/// What one Region asks another before anything is written. Whether the caller may is decided by the state of the Region that is
/// asked, which takes the asking Region's word for who calls.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// May the caller make a replica of this key in your Region, and could it be made?
    CreateReplica {
        /// Partition of the asking Region.
        partition: Partition,
        /// Owner of the key.
        account: AccountId,
        /// The key.
        key_id: KeyId,
        /// What the replica would be.
        replica: NewKey,
        /// The call of `ReplicateKey`.
        call: ForwardedCall,
    },
    /// May the caller make your key the primary, and could it become it?
    BecomePrimary {
        /// The key.
        key_id: KeyId,
        /// The call of `UpdatePrimaryRegion`.
        call: ForwardedCall,
    },
}

type Answer = Result<(), ServiceError>;

impl Service {
    /// `ReplicateKey`; returns once the other Region holds the key, in the state `Creating`.
    pub(crate) async fn replicate_key(
        &self,
        access: &mut Access<'_>,
        origin: &RequestOrigin,
        request: &ReplicateKeyRequest,
    ) -> Result<(Vec<u8>, u64), Rejected> {
        let region: Region = request.replica_region.parse().map_err(|_| unknown_region(&request.replica_region))?;
        let tags = tag_map(&request.tags)?;
        let (key, allowed) =
            access.key_in_state::<action::ReplicateKey>(&request.key_id, Forms::Key, Requirement::Replicable)?;
        policies::parse(request.policy.as_deref())?;
        let reserve = ReserveReplica {
            key_id: key.key_id,
            region: region.clone(),
            created_at: self.now(),
            description: request.description.clone().unwrap_or_default(),
            policy: request.policy.clone(),
            tags,
        };
        if must_ask(&access.state, &key, allowed.key(), &region)? {
            let question = Question::CreateReplica {
                partition: access.state.partition(),
                account: key.account,
                key_id: key.key_id,
                replica: NewKey::replica_of(&key),
                call: access.forwarded(origin),
            };
            self.ask(&region, &question).await?;
        }
        let replica = replica_metadata(&access.state, &key, &reserve);
        let committed = self.commit(Op::ReserveReplica(reserve)).await?;
        self.await_replica(key.key_id, &region).await?;
        access.trace.keys.push(KeyArn { region, ..allowed.key().clone() });
        let default_policy = || document::default_policy(access.state.partition(), key.account);
        let response = ReplicateKeyResponse {
            replica_key_metadata: replica,
            replica_policy: request.policy.clone().unwrap_or_else(default_policy),
            replica_tags: request.tags.clone(),
        };
        Ok((meridian_model::Response::from(response).to_json(), committed.log_index))
    }

    /// Asks `region`, which answers with its consent or with the refusal that the caller gets.
    pub(crate) async fn ask(&self, region: &Region, question: &Question) -> Result<(), ServiceError> {
        let payload = postcard::to_stdvec(question).expect("questions hold nothing that postcard cannot encode");
        let replicator = self.replicator().ok_or_else(|| unknown_region(region.as_str()))?;
        let answer = replicator.ask(region, payload.into(), ASK_DEADLINE).await.map_err(|error| {
            if matches!(error, AskError::UnknownRegion(_)) {
                return unknown_region(region.as_str());
            }
            tracing::warn!(%region, error = &error as &dyn std::error::Error, "a Region did not answer a question");
            let message = format!("The Region {region} cannot be reached; nothing was changed. Try the request again.");
            ServiceError::new(ErrorCode::KmsInternal, message)
        })?;
        postcard::from_bytes::<Answer>(&answer).map_err(|_| ServiceError::internal())?
    }

    /// Waits until the other Region has confirmed the replica, or has refused it.
    async fn await_replica(&self, key_id: KeyId, region: &Region) -> Result<(), ServiceError> {
        let deadline = Instant::now() + CREATION_DEADLINE;
        let mut applied = self.group().applied();
        loop {
            applied.borrow_and_update();
            let state = self.state();
            let set = state.key(key_id).and_then(|key| key.multi_region.as_ref());
            match set.and_then(|set| set.replicas.get(region)) {
                Some(ReplicaStatus::Created) => return Ok(()),
                Some(ReplicaStatus::Reserved) => {}
                None => {
                    let message = format!("The Region {region} refused the replica.");
                    return Err(ServiceError::new(ErrorCode::AlreadyExists, message));
                }
            }
            if !matches!(timeout_at(deadline, applied.changed()).await, Ok(Ok(()))) {
                let message = format!(
                    "The replica in {region} is reserved, but the Region has not confirmed it yet. Repeat the request."
                );
                return Err(ServiceError::new(ErrorCode::KmsInternal, message));
            }
        }
    }

    /// Answers a question of another Region; runs on the leader.
    pub(crate) fn answer_question(&self, payload: &[u8]) -> Bytes {
        let answer: Answer = match postcard::from_bytes(payload) {
            Ok(Question::CreateReplica { partition, account, key_id, replica, call }) => {
                let state = self.state();
                check_partition(&state, partition)
                    .and_then(|()| self.may_create(&state, key_id, replica, call))
                    .and_then(|()| can_replicate(&state, account, key_id))
            }
            Ok(Question::BecomePrimary { key_id, call }) => self.can_become_primary(key_id, call),
            Err(_) => Err(ServiceError::internal()),
        };
        postcard::to_stdvec(&answer).expect("answers hold nothing that postcard cannot encode").into()
    }
}

impl Service {
    /// Whether the caller of a `ReplicateKey` may make the replica here, with the tags and the policy that it asks for.
    fn may_create(&self, state: &Arc<RegionState>, key_id: KeyId, replica: NewKey, call: ForwardedCall) -> Answer {
        let (caller, origin, request) = call.decode()?;
        let Request::ReplicateKey(replicate) = &request else { return Err(ServiceError::internal()) };
        let asked = Asked { caller: &caller, origin: origin.view(), request: &request, now: self.now() };
        let mut access = Access::open(Arc::clone(state), asked, NamedGrants::default())?;
        access.allow_creation(replica, !replicate.tags.is_empty())?;
        let Some(policy) = policies::parse(replicate.policy.as_deref())? else { return Ok(()) };
        policies::check_principals(state, &policy)?;
        if replicate.bypass_policy_lockout_safety_check == Some(true) {
            return Ok(());
        }
        access.check_lockout(Subject::NewKey(replica), &access.arn_of_new(key_id), &policy)
    }
}

/// Checks all that the primary's Region knows; tells whether the other Region has to be asked.
fn must_ask(state: &RegionState, key: &KeyRecord, arn: &KeyArn, region: &Region) -> Result<bool, ServiceError> {
    let here = state.region();
    let set = key.multi_region.as_ref().filter(|set| set.role(here) == MultiRegionKeyType::Primary);
    let Some(set) = set else {
        return Err(not_a_primary(arn));
    };
    // The state machine refuses a Region that holds a key of the set, and resumes one that is reserved.
    Ok(region != here && !set.replicas.contains_key(region))
}

/// Sets do not cross partitions: accounts and ARNs of one mean nothing in another, and neither do the algorithms of its keys.
fn check_partition(state: &RegionState, partition: Partition) -> Answer {
    if state.partition() == partition {
        return Ok(());
    }
    let message = format!("The Region {} is not in the partition {partition}.", state.region());
    Err(ServiceError::new(ErrorCode::UnsupportedOperation, message))
}

fn can_replicate(state: &RegionState, account: AccountId, key_id: KeyId) -> Answer {
    if let Some(key) = state.key(key_id) {
        let message = format!("{} already exists.", state.key_arn(key));
        return Err(ServiceError::new(ErrorCode::AlreadyExists, message));
    }
    if state.key_count(account) >= KEYS_PER_ACCOUNT {
        let message = format!("The account has reached its quota of keys in {}.", state.region());
        return Err(ServiceError::new(ErrorCode::LimitExceeded, message));
    }
    Ok(())
}

/// The replica as the other Region makes it: its own description, shared properties, still being created.
fn replica_metadata(state: &RegionState, key: &Arc<KeyRecord>, reserve: &ReserveReplica) -> KeyMetadata {
    let mut set = key.multi_region.clone().expect("only a multi-Region key is replicated");
    set.replicas.entry(reserve.region.clone()).or_insert(ReplicaStatus::Reserved);
    let replica = KeyRecord {
        created_at: reserve.created_at,
        description: reserve.description.clone(),
        state: KeyState::Creating,
        deletion: None,
        multi_region: Some(set),
        ..KeyRecord::clone(key)
    };
    metadata(&RegionState::new(reserve.region.clone(), state.partition()), &replica)
}

pub(crate) fn unknown_region(region: &str) -> ServiceError {
    ServiceError::new(ErrorCode::UnsupportedOperation, format!("The Region {region} is not part of this cluster."))
}
