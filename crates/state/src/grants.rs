//! Grants of keys: making and ending them, and the table that finds them.
//!
//! What a grant allows is a rule of `policy`; a grant token is a matter of `crypto` and the service.
//!
//! Always true: a grant belongs to one key that exists, and a key has at most [`GRANTS_PER_KEY`] of them. Whatever is looked
//! for is found through an index, never by walking through the grants of a key.

use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use meridian_model::{AccountId, ErrorCode, GrantId, KeyId, ServiceError, Timestamp};
use meridian_policy::{GrantTerms, Party};
use serde::{Deserialize, Serialize};

use crate::apply::{Done, Draft, Outcome};
use crate::command::CreateGrant;
use crate::key_states::Requirement;
use crate::quotas::GRANTS_PER_KEY;
use crate::region_state::RegionState;
use crate::rows::{Change, Row, RowId};

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// The key.
    pub key_id: KeyId,
    /// Its id, unique within the key.
    pub grant_id: GrantId,
    /// The name that makes repeated requests one, 1 to 256 characters.
    pub name: Option<String>,
    /// When the grant was made.
    pub created_at: Timestamp,
    /// The account that made it.
    pub issuing_account: AccountId,
    /// What it gives.
    pub terms: GrantTerms,
}

/// Makes a grant. A request that repeats a named one, member by member, gets the grant that is there.
pub(crate) fn create(draft: &mut Draft<'_>, create: &CreateGrant) -> Outcome {
    draft.require(create.key_id, Requirement::Grantable)?;
    let grants = draft.state.grants();
    if let Some(existing) = grants.same_as(create) {
        return Ok(Done::Grant(Arc::clone(existing)));
    }
    check_quota(draft.state, create.key_id)?;
    if grants.get(create.key_id, create.grant_id).is_some() {
        // 256 random bits met again: the leader draws another id and tries again.
        return Err(ServiceError::internal());
    }
    let record = Arc::new(GrantRecord {
        key_id: create.key_id,
        grant_id: create.grant_id,
        name: create.name.clone(),
        created_at: draft.now,
        issuing_account: create.issuing_account,
        terms: create.terms.clone(),
    });
    draft.put(Row::Grant(Arc::clone(&record)));
    Ok(Done::Grant(record))
}

/// Checks that a key may get one more grant.
///
/// # Errors
/// `LimitExceededException`.
pub fn check_quota(state: &RegionState, key_id: KeyId) -> Result<(), ServiceError> {
    if state.grants().count(key_id) < GRANTS_PER_KEY {
        return Ok(());
    }
    let message = format!("A KMS key can have at most {GRANTS_PER_KEY} grants.");
    Err(ServiceError::new(ErrorCode::LimitExceeded, message))
}

/// Ends a grant, in whatever state its key is; retiring and revoking are the same here.
pub(crate) fn end(draft: &mut Draft<'_>, key_id: KeyId, grant_id: GrantId) -> Outcome {
    draft.key(key_id)?;
    draft.state.grants().get(key_id, grant_id).ok_or_else(|| not_found(grant_id))?;
    draft.changes.push(Change::Delete(RowId::Grant(key_id, grant_id)));
    Ok(Done::Nothing)
}

/// The refusal that there is no such grant.
#[must_use]
pub fn not_found(grant_id: GrantId) -> ServiceError {
    ServiceError::new(ErrorCode::NotFound, format!("Grant ID {grant_id} not found"))
}

/// Every grant of a Region, found by key, grantee, retiring principal and name.
#[derive(Clone, Debug, Default)]
pub struct GrantTable {
    rows: OrdMap<(KeyId, GrantId), Arc<GrantRecord>>,
    // Indexes, derived from the table above. A text is the name of a party or of a grant.
    by_grantee: OrdSet<(KeyId, Arc<str>, GrantId)>,
    by_retiring: OrdSet<(Arc<str>, KeyId, GrantId)>,
    by_name: OrdSet<(KeyId, Arc<str>, GrantId)>,
    counts: OrdMap<KeyId, usize>,
}

/// The lowest id; where the grants of a key begin.
const LOWEST: GrantId = GrantId::from_bytes([0; 32]);

impl GrantTable {
    /// A grant.
    #[must_use]
    pub fn get(&self, key_id: KeyId, grant_id: GrantId) -> Option<&Arc<GrantRecord>> {
        self.rows.get(&(key_id, grant_id))
    }

    /// How many grants a key has.
    #[must_use]
    pub fn count(&self, key_id: KeyId) -> usize {
        self.counts.get(&key_id).copied().unwrap_or_default()
    }

    /// The grants of a key after `after`, in the order of their ids.
    pub fn of_key(&self, key_id: KeyId, after: Option<GrantId>) -> impl Iterator<Item = &Arc<GrantRecord>> + '_ {
        let start = after.map_or(Bound::Included((key_id, LOWEST)), |after| Bound::Excluded((key_id, after)));
        let rows = self.rows.range((start, Bound::Unbounded));
        rows.take_while(move |((owner, _), _)| *owner == key_id).map(|(_, row)| row)
    }

    /// The grants of a key whose grantee is called `grantee`, after `after`, in the order of their ids.
    pub fn of_grantee(
        &self,
        key_id: KeyId,
        grantee: Arc<str>,
        after: Option<GrantId>,
    ) -> impl Iterator<Item = &Arc<GrantRecord>> + '_ {
        self.named(&self.by_grantee, key_id, grantee, after)
    }

    /// The grants whose retiring principal is called `retiring`, after `after`, in the order of keys and ids.
    pub fn of_retiring(
        &self,
        retiring: Arc<str>,
        after: Option<(KeyId, GrantId)>,
    ) -> impl Iterator<Item = &Arc<GrantRecord>> + '_ {
        let start = match after {
            Some((key_id, grant_id)) => Bound::Excluded((Arc::clone(&retiring), key_id, grant_id)),
            None => Bound::Included((Arc::clone(&retiring), KeyId::LOWEST, LOWEST)),
        };
        self.by_retiring
            .range((start, Bound::Unbounded))
            .take_while(move |(name, ..)| *name == retiring)
            .filter_map(|(_, key_id, grant_id)| self.get(*key_id, *grant_id))
    }

    /// The named grant that equals what `create` asks for.
    fn same_as(&self, create: &CreateGrant) -> Option<&Arc<GrantRecord>> {
        let name = create.name.as_deref()?;
        let is_same =
            |row: &&Arc<GrantRecord>| row.issuing_account == create.issuing_account && row.terms == create.terms;
        self.named(&self.by_name, create.key_id, name.into(), None).find(is_same)
    }

    fn named<'a>(
        &'a self,
        index: &'a OrdSet<(KeyId, Arc<str>, GrantId)>,
        key_id: KeyId,
        name: Arc<str>,
        after: Option<GrantId>,
    ) -> impl Iterator<Item = &'a Arc<GrantRecord>> + 'a {
        let start = match after {
            Some(after) => Bound::Excluded((key_id, Arc::clone(&name), after)),
            None => Bound::Included((key_id, Arc::clone(&name), LOWEST)),
        };
        index
            .range((start, Bound::Unbounded))
            .take_while(move |(owner, found, _)| *owner == key_id && *found == name)
            .filter_map(move |(_, _, grant_id)| self.get(key_id, *grant_id))
    }

    /// Every row, in the order of their ids.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Arc<GrantRecord>> + '_ {
        self.rows.values()
    }

    pub(crate) fn put(&mut self, row: Arc<GrantRecord>) {
        let (key_id, grant_id) = (row.key_id, row.grant_id);
        self.delete(key_id, grant_id);
        self.by_grantee.insert((key_id, row.terms.grantee.name().into(), grant_id));
        if let Some(retiring) = retiring_name(&row) {
            self.by_retiring.insert((retiring, key_id, grant_id));
        }
        if let Some(name) = row.name.as_deref() {
            self.by_name.insert((key_id, name.into(), grant_id));
        }
        *self.counts.entry(key_id).or_default() += 1;
        self.rows.insert((key_id, grant_id), row);
    }

    pub(crate) fn delete(&mut self, key_id: KeyId, grant_id: GrantId) {
        let Some(former) = self.rows.remove(&(key_id, grant_id)) else { return };
        self.by_grantee.remove(&(key_id, Arc::from(former.terms.grantee.name()), grant_id));
        if let Some(retiring) = retiring_name(&former) {
            self.by_retiring.remove(&(retiring, key_id, grant_id));
        }
        if let Some(name) = former.name.as_deref() {
            self.by_name.remove(&(key_id, Arc::from(name), grant_id));
        }
        let count = self.counts.entry(key_id).or_default();
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&key_id);
        }
    }
}

fn retiring_name(row: &GrantRecord) -> Option<Arc<str>> {
    row.terms.retiring.as_ref().map(Party::name).map(Arc::from)
}
