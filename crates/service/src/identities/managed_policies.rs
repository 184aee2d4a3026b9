//! The managed policies of the provider: known to the policy engine, the same in every account, and never changed.

use meridian_model::{AccountId, Partition, PolicyArn, ServiceError, Timestamp};
use meridian_policy::managed::{self, ManagedPolicy};
use meridian_state::RegionState;
use meridian_state::identities::refusals;
use meridian_state::identities::table::PolicyUse;
use sha2::{Digest, Sha256};

use super::shown::Uses;

/// The only version of a managed policy of the provider.
pub(super) const PROVIDED_VERSION: u32 = 1;

/// When the managed policies of the provider were made: 6 February 2015, 18:39:46 UTC, the day that AWS published its first.
pub(super) const PROVIDED_AT: Timestamp = Timestamp::from_millis(1_423_247_986_000);

/// A managed policy of the provider.
#[derive(Clone, Debug)]
pub(super) struct Provided {
    pub(super) arn: PolicyArn,
    /// `ANPA…`, the same everywhere.
    pub(super) id: String,
    pub(super) description: &'static str,
    pub(super) document: &'static str,
}

/// Every managed policy of the provider, in the order of their names.
pub(super) fn provided(partition: Partition) -> impl Iterator<Item = Provided> {
    let mut all: Vec<&ManagedPolicy> = managed::ALL.iter().collect();
    all.sort_unstable_by_key(|policy| policy.name);
    all.into_iter().map(move |policy| {
        let text = format!("arn:{partition}:iam::aws:policy/{}", policy.name);
        let arn: PolicyArn = text.parse().expect("the policies of the provider have ARNs");
        Provided { id: id(policy.name), arn, description: policy.description, document: policy.document }
    })
}

/// The managed policy of the provider with the ARN `arn`.
pub(super) fn find_provided(arn: &PolicyArn, partition: Partition) -> Result<Provided, ServiceError> {
    provided(partition).find(|policy| policy.arn == *arn).ok_or_else(|| refusals::no_such_policy(arn))
}

/// `ANPA` and 17 characters of base32.
fn id(name: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(name);
    let letters = digest.iter().take(17).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    "ANPA".chars().chain(letters).collect()
}

/// How often the users, groups and roles of `account` use a policy.
pub(super) fn uses(state: &RegionState, account: AccountId, arn: &PolicyArn) -> Uses {
    let mut uses = Uses::default();
    for (policy_use, entity) in state.identities().users_of_policy(arn) {
        let count = match policy_use {
            PolicyUse::Attached => &mut uses.attached,
            PolicyUse::Boundary => &mut uses.as_boundary,
        };
        *count += u64::from(entity.account == account);
    }
    uses
}
