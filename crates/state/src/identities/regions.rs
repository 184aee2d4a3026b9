//! Which Regions there are, and which of them is the home of identities.

use std::collections::BTreeSet;
use std::sync::Arc;

use meridian_model::{ErrorCode, Region, ServiceError};

use super::messages::{self, IdentityMessage};
use super::records::ClusterRegions;
use super::{IdentityRow, IdentityTable};
use crate::apply::{Done, Draft};
use crate::region_state::RegionState;
use crate::rows::Row;

impl IdentityTable {
    /// Whether `region` is the home of identities.
    #[must_use]
    pub fn is_home(&self, region: &Region) -> bool {
        self.regions().is_some_and(|known| known.home == *region)
    }
}

/// Checks that identities may be changed here.
pub(super) fn require_home(state: &RegionState) -> Result<(), ServiceError> {
    match state.identities().regions() {
        Some(known) if known.home == *state.region() => Ok(()),
        Some(known) => {
            let message = format!("Identities are changed in the Region {} only.", known.home);
            Err(ServiceError::new(ErrorCode::IamInvalidInput, message))
        }
        None => {
            let message = "This Region does not know yet which one is the home of identities. Try the request again.";
            Err(ServiceError::new(ErrorCode::IamServiceFailure, message))
        }
    }
}

/// Takes in what the configuration of the leader says.
///
/// The home Region tells everything to each Region that is new to it, and to all when it becomes the home; any other Region asks
/// a home that is new to it. Whichever of two Regions learns of a change of home last, everything is told after that.
pub(super) fn set(draft: &mut Draft<'_>, home: &Region, regions: &BTreeSet<Region>) -> Done {
    let here = draft.state.region().clone();
    let known = draft.state.identities().regions().cloned();
    let is_new_home = known.as_ref().is_none_or(|known| known.home != *home);
    let row = Arc::new(ClusterRegions { home: home.clone(), regions: regions.clone() });
    if known.as_ref() == Some(&row) {
        return Done::Nothing;
    }
    draft.put(Row::Identity(IdentityRow::Regions(Arc::clone(&row))));
    if here != *home {
        if is_new_home {
            draft.send_identity(home, IdentityMessage::Ask);
        }
        return Done::Identity(IdentityRow::Regions(row));
    }
    let was_told =
        |region: &&Region| !is_new_home && known.as_ref().is_some_and(|known| known.regions.contains(*region));
    for region in regions.iter().filter(|region| **region != here && !was_told(region)) {
        messages::tell_everything(draft, region);
    }
    Done::Identity(IdentityRow::Regions(row))
}
