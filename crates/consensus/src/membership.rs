//! Changing who belongs to a group, one member at a time.

use std::collections::BTreeSet;

use meridian_storage::raft_types::Member;
use openraft::ChangeMembers;
use openraft::errors::{ClientWriteError, RaftError};

use crate::group::Group;
use crate::names::NodeId;

/// Why the members were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// This node does not lead; nothing was changed.
    #[error("this node does not lead")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The change is not possible, for example because another one is under way.
    #[error("the members cannot be changed so: {0}")]
    Refused(String),
    /// The change may or may not take effect.
    #[error("it is not known whether the change takes effect")]
    Unknown,
    /// The group has stopped on this node.
    #[error("the group has stopped on this node")]
    Stopped,
}

impl Group {
    /// Adds a member: it is brought up to date first and votes then. Its node must be running, with this group's
    /// members and itself in its configuration. Safe to repeat.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn add_member(&self, node: NodeId, address: String) -> Result<(), MembershipError> {
        self.engine().add_learner(node.0, Member { address }, true).await.map_err(error)?;
        let change = ChangeMembers::AddVoterIds(BTreeSet::from([node.0]));
        self.engine().change_membership(change, false).await.map(drop).map_err(error)
    }

    /// Removes a member, which need not be running. Its number must never be used again. Safe to repeat.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub async fn remove_member(&self, node: NodeId) -> Result<(), MembershipError> {
        let members = BTreeSet::from([node.0]);
        let change = ChangeMembers::RemoveVoters(members.clone());
        self.engine().change_membership(change, false).await.map_err(error)?;
        let rest = self.status().members.iter().any(|member| member.node == node);
        if !rest {
            return Ok(());
        }
        let change = ChangeMembers::RemoveNodes(members);
        self.engine().change_membership(change, false).await.map(drop).map_err(error)
    }
}

type Refusal =
    RaftError<meridian_storage::raft_types::TypeConfig, ClientWriteError<meridian_storage::raft_types::TypeConfig>>;

fn error(error: Refusal) -> MembershipError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
            MembershipError::NotLeader { leader: to.leader_id.map(NodeId) }
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => MembershipError::Unknown,
        RaftError::APIError(error) => MembershipError::Refused(error.to_string()),
        RaftError::Fatal(_) => MembershipError::Stopped,
    }
}
