//! Changing the primary of a multi-Region set: the old primary hands over, and never takes back what was taken.
//!
//! The old primary commits to the next epoch with the other Region as its primary and is a replica from that moment, in the
//! state `Updating`. The other Region becomes the primary only by applying the hand-over, and tells everybody; hearing of it
//! ends `Updating`. If it cannot become the primary it refuses, and the old primary takes the next epoch itself.
//!
//! Always true: an epoch has at most one primary, and no Region acts as primary while another one may.
//!
//! The crate `meridian-protocol-model` specifies this; "model:" names the action there.

use std::sync::Arc;

use meridian_model::{ErrorCode, KeyArn, KeyId, KeyState, MultiRegionKeyType, Region, ServiceError};

use crate::apply::{Done, Draft, Outcome};
use crate::command::UpdatePrimaryRegion;
use crate::import::settled;
use crate::key_states::Requirement;
use crate::links::{HandOver, Membership, Message, NewPrimary};
use crate::multi_region::{membership, not_a_primary};
use crate::region_state::RegionState;
use crate::rows::{KeyRecord, MultiRegion, ReplicaStatus};
use crate::shared_rotation::{is_complete, take_over};

/// Hands the role of the primary to the replica in another Region. Repeating the command while that goes on succeeds.
/// (model: `update`)
pub(crate) fn update(draft: &mut Draft<'_>, update: &UpdatePrimaryRegion) -> Outcome {
    let key = draft.key(update.key_id)?;
    if is_under_way(key, &update.region) {
        return Ok(Done::Key(Arc::clone(key)));
    }
    let set = check(draft.state, key, &update.region)?;
    let mut handed_over = MultiRegion { epoch: set.epoch + 1, version: set.version + 1, ..set.clone() };
    exchange(&mut handed_over, &update.region, draft.state.region());
    let hand_over = HandOver {
        membership: membership(key.key_id, &handed_over),
        account: key.account,
        request: update.request.clone(),
    };
    draft.send(&update.region, Message::HandOver(hand_over));
    let multi_region = Some(handed_over);
    Ok(draft.put_key(KeyRecord { state: KeyState::Updating, multi_region, ..KeyRecord::clone(key) }))
}

/// Whether this very change was begun before and goes on.
fn is_under_way(key: &KeyRecord, region: &Region) -> bool {
    key.state == KeyState::Updating && key.multi_region.as_ref().is_some_and(|set| &set.primary == region)
}

/// Whether the key of this Region can hand its role over to `region`; gives its set.
///
/// # Errors
/// Why it cannot, in the order in which the service checks.
pub fn check<'a>(state: &RegionState, key: &'a KeyRecord, region: &Region) -> Result<&'a MultiRegion, ServiceError> {
    let (here, arn) = (state.region(), state.key_arn(key));
    let Some(set) = key.multi_region.as_ref() else { return Err(not_a_primary(&arn)) };
    if key.state == KeyState::Updating {
        return Err(ServiceError::key_state(&arn, key.state)); // to another Region than the one asked for
    }
    if set.role(here) != MultiRegionKeyType::Primary {
        return Err(not_a_primary(&arn));
    }
    Requirement::Replicable.check(&arn, key.state)?;
    if region == here {
        let message = format!("{arn} is the primary key already.");
        return Err(ServiceError::new(ErrorCode::UnsupportedOperation, message));
    }
    match set.replicas.get(region) {
        None => return Err(ServiceError::key_not_found(&KeyArn { region: region.clone(), ..arn })),
        Some(ReplicaStatus::Reserved) => return Err(busy(&arn, "a replica key is being created")),
        Some(ReplicaStatus::Created) => {}
    }
    // Only this primary knows what it has promised to whom: what is under way is finished before the role moves.
    if set.replicas.values().any(|status| *status == ReplicaStatus::Reserved) {
        return Err(busy(&arn, "a replica key is being created"));
    }
    let pending = state.rotation(key.key_id).and_then(|rotation| rotation.pending.as_ref());
    if pending.is_some_and(|pending| pending.waiting_for.contains(region)) {
        return Err(busy(&arn, "new key material is on its way to that Region"));
    }
    Ok(set)
}

fn busy(key: &KeyArn, why: &str) -> ServiceError {
    ServiceError::new(ErrorCode::KmsInvalidState, format!("{key} cannot change its primary Region while {why}."))
}

/// Makes `new` the primary and `former` a replica.
fn exchange(set: &mut MultiRegion, new: &Region, former: &Region) {
    set.replicas.remove(new);
    set.replicas.insert(former.clone(), ReplicaStatus::Created);
    set.primary = new.clone();
}

/// Becomes the primary, as the former one in `from` wants, or refuses. (model: `take`)
pub(crate) fn take(draft: &mut Draft<'_>, from: &Region, hand_over: &HandOver) {
    let offered = &hand_over.membership;
    let Some(key) = draft.state.key(offered.key_id).filter(|key| can_take(draft.state, key, from, offered)) else {
        let refusal = Message::HandOverRefused { key_id: offered.key_id, epoch: offered.epoch };
        return draft.send(from, refusal);
    };
    let set = MultiRegion { version: offered.version + 1, ..MultiRegion::from(offered) };
    assume(draft, &KeyRecord { multi_region: Some(set), ..KeyRecord::clone(key) });
    let here = draft.state.region().clone();
    let event = NewPrimary { account: key.account, key_id: key.key_id, request: hand_over.request.clone() };
    draft.send(&here, Message::PrimaryUpdated(event));
}

/// Whether the key can become the primary: the former primary offers it, it is enabled, and it holds every version.
fn can_take(state: &RegionState, key: &KeyRecord, from: &Region, offered: &Membership) -> bool {
    let is_offered_by_primary =
        |set: &MultiRegion| &set.primary == from && offered.epoch > set.epoch && &offered.primary == state.region();
    let is_offered = key.multi_region.as_ref().is_some_and(is_offered_by_primary);
    is_offered && key.state == KeyState::Enabled && is_complete(state, key.key_id)
}

/// Stores `key` as the primary of its epoch and tells every replica: who is who, how the key is rotated, what is pending.
/// (model: `assume`)
fn assume(draft: &mut Draft<'_>, key: &KeyRecord) {
    let Some(set) = &key.multi_region else { return };
    for region in set.replicas.keys() {
        draft.send(region, Message::PrimaryChanged(membership(key.key_id, set)));
    }
    take_over(draft, key);
    draft.put_key(key.clone());
}

/// The Region that was to become the primary did not: this one is the primary again, in an epoch of its own.
/// (model: `take_back`)
pub(crate) fn take_back(draft: &mut Draft<'_>, from: &Region, key_id: KeyId, epoch: u64) {
    let Some(key) = draft.state.key(key_id).filter(|key| key.state == KeyState::Updating) else { return };
    let is_refused = |set: &&MultiRegion| set.epoch == epoch && &set.primary == from;
    let Some(set) = key.multi_region.as_ref().filter(is_refused) else { return };
    let mut taken_back = MultiRegion { epoch: epoch + 1, version: set.version + 1, ..set.clone() };
    exchange(&mut taken_back, draft.state.region(), from);
    let multi_region = Some(taken_back);
    let state = settled(draft.state, key);
    assume(draft, &KeyRecord { state, multi_region, ..KeyRecord::clone(key) });
}

/// Learns of a new primary in `from`; a Region that has no key of the set any more says so. (model: `follow`)
///
/// Nobody else can: the deletion was told to a former primary, which has no say any more. It is said once per epoch at most,
/// because only a new primary's first words are answered like this.
pub(crate) fn learn(draft: &mut Draft<'_>, from: &Region, announced: &Membership) {
    let Some(key) = draft.state.key(announced.key_id) else {
        let answer = Message::ReplicaMissing { key_id: announced.key_id, epoch: announced.epoch };
        return draft.send(from, answer);
    };
    let Some(set) = &key.multi_region else { return };
    let is_newer = (announced.epoch, announced.version) > (set.epoch, set.version);
    if !is_newer || &announced.primary != from {
        return;
    }
    let missing_materials = set.missing_materials.clone();
    let state = if key.state == KeyState::Updating { settled(draft.state, key) } else { key.state };
    let multi_region = Some(MultiRegion { missing_materials, ..MultiRegion::from(announced) });
    draft.put_key(KeyRecord { state, multi_region, ..KeyRecord::clone(key) });
}
