//! Regions with identities, and the changes that tests make to them.

#![allow(dead_code)] // each test file uses a part of it

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meridian_crypto::{DomainKeyId, SealedSecret, SessionKeyId};
use meridian_model::{
    AccessKeyId, AccountId, EntityKind, EntityName, Partition, PolicyArn, Region, ServiceError, Timestamp, UniqueId,
};
use meridian_state::identities::IdentityChange;
use meridian_state::identities::change::{Entity, NewAccessKey, NewGroup, NewPolicy, NewRole, NewUser};
use meridian_state::{Command, IdentityRow, Op, RegionState, apply};

/// One Region and its time.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) state: RegionState,
    now: Timestamp,
}

impl Place {
    pub(crate) fn new(region: &str) -> Self {
        let state = RegionState::new(self::region(region), Partition::Aws);
        Self { state, now: Timestamp::from_millis(1_700_000_000_000) }
    }

    /// The home of identities, and the only Region.
    pub(crate) fn home() -> Self {
        let mut home = Self::new("us-east-1");
        home.done(regions("us-east-1", &["us-east-1"]));
        home
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    pub(crate) fn run(&mut self, op: Op) -> meridian_state::Outcome {
        let command = Command { at: self.now, op };
        let command = Command::decode(&command.encode()).expect("own bytes");
        apply(&mut self.state, &command).outcome
    }

    /// The row that a change leaves; that of the Regions for a removal.
    pub(crate) fn done(&mut self, change: IdentityChange) -> IdentityRow {
        match self.run(Op::Identity(Box::new(change))).expect("not refused") {
            meridian_state::Done::Identity(row) => row,
            _ => IdentityRow::Regions(self.state.identities().regions().expect("known").clone()),
        }
    }

    pub(crate) fn refused(&mut self, change: IdentityChange) -> ServiceError {
        let before: Vec<_> = self.state.rows().collect();
        let error = self.run(Op::Identity(Box::new(change))).expect_err("refused");
        assert!(self.state.rows().skip(1).eq(before.into_iter().skip(1)), "a refusal changes nothing but the clock");
        error
    }
}

pub(crate) fn region(name: &str) -> Region {
    name.parse().expect("a valid Region")
}

pub(crate) fn account() -> AccountId {
    "111122223333".parse().expect("12 digits")
}

pub(crate) fn other_account() -> AccountId {
    "444455556666".parse().expect("12 digits")
}

pub(crate) fn name(text: &str) -> EntityName {
    text.parse().expect("a valid name")
}

pub(crate) fn entity(kind: EntityKind, text: &str) -> Entity {
    Entity { account: account(), kind, name: name(text) }
}

pub(crate) fn policy_arn(text: &str) -> PolicyArn {
    format!("arn:aws:iam::111122223333:policy/team/{text}").parse().expect("a valid ARN")
}

pub(crate) fn access_key_id(number: u8) -> AccessKeyId {
    format!("AKIA{number:016}").parse().expect("valid")
}

pub(crate) fn session_key_id(number: u8) -> SessionKeyId {
    SessionKeyId([number; 16])
}

pub(crate) fn sealed() -> SealedSecret {
    SealedSecret { domain_key_id: DomainKeyId([1; 16]), nonce: [2; 12], ciphertext: vec![3; 56] }
}

/// The unique id of a user that [`create_user`] makes.
pub(crate) fn user_id(text: &str) -> UniqueId {
    unique_id("AIDA", text)
}

fn unique_id(prefix: &str, text: &str) -> UniqueId {
    let letters: String = text.to_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{prefix}{letters:0>15}").parse().expect("valid")
}

pub(crate) fn regions(home: &str, all: &[&str]) -> IdentityChange {
    IdentityChange::SetRegions { home: region(home), regions: all.iter().map(|name| region(name)).collect() }
}

pub(crate) fn create_user(text: &str) -> IdentityChange {
    IdentityChange::CreateUser(NewUser {
        account: account(),
        name: name(text),
        path: "/team/".parse().expect("valid"),
        id: unique_id("AIDA", text),
        tags: BTreeMap::from([("Project".to_owned(), "Alpha".to_owned())]),
        boundary: None,
    })
}

/// In the other account, which has no user.
pub(crate) fn create_administrator(text: &str, number: u8) -> IdentityChange {
    let account = other_account();
    let id = unique_id("AIDA", text);
    let user = Some(id.clone());
    IdentityChange::CreateAdministrator {
        user: NewUser {
            account,
            name: name(text),
            path: "/".parse().expect("valid"),
            id,
            tags: BTreeMap::new(),
            boundary: None,
        },
        policy: "arn:aws:iam::aws:policy/AdministratorAccess".parse().expect("valid"),
        key: NewAccessKey { id: access_key_id(number), account, user, sealed: sealed() },
    }
}

pub(crate) fn create_group(text: &str) -> IdentityChange {
    let path = "/".parse().expect("valid");
    IdentityChange::CreateGroup(NewGroup { account: account(), name: name(text), path, id: unique_id("AGPA", text) })
}

fn role(text: &str) -> NewRole {
    NewRole {
        account: account(),
        name: name(text),
        path: "/".parse().expect("valid"),
        id: unique_id("AROA", text),
        tags: BTreeMap::new(),
        boundary: None,
        trust: "{}".into(),
        description: String::new(),
        session_seconds_max: 3_600,
        linked_service: None,
        attached: BTreeSet::new(),
    }
}

pub(crate) fn create_role(text: &str) -> IdentityChange {
    IdentityChange::CreateRole(role(text))
}

pub(crate) fn service_linked_role(text: &str) -> NewRole {
    NewRole { linked_service: Some("mrk.kms.amazonaws.com".to_owned()), ..role(text) }
}

pub(crate) fn create_policy(text: &str) -> IdentityChange {
    IdentityChange::CreatePolicy(NewPolicy {
        account: account(),
        name: name(text),
        path: "/team/".parse().expect("valid"),
        id: unique_id("ANPA", text),
        description: String::new(),
        tags: BTreeMap::new(),
        document: format!("{text} v1").as_str().into(),
    })
}

/// The second version, if it comes first.
pub(crate) fn new_version(policy: &str, set_as_default: bool) -> IdentityChange {
    let document = format!("{policy} v2").as_str().into();
    IdentityChange::CreatePolicyVersion { account: account(), policy: name(policy), document, set_as_default }
}

pub(crate) fn create_access_key(user: Option<&str>, number: u8) -> IdentityChange {
    let (id, user) = (access_key_id(number), user.map(user_id));
    IdentityChange::CreateAccessKey(NewAccessKey { id, account: account(), user, sealed: sealed() })
}
