//! Users and roles of a test, made by commands: what the IAM protocol would do, without IAM and without signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use meridian_consensus::NodeName;
use meridian_identity::{Caller, CallerKind, CallerSource, Session};
use meridian_model::{AccountId, Clock, EntityKind, EntityName, EntityPath, Partition, Region, UniqueId};
use meridian_state::identities::change::{Entity, IdentityChange, NewRole, NewUser};
use meridian_state::{Command, Op, RegionState};

use crate::cluster::Cluster;

/// Someone who has an inline policy, or none.
#[derive(Clone, Debug)]
pub struct Identity {
    entity: Entity,
    /// What the front door knows of a request that the identity signed.
    pub caller: Arc<Caller>,
}

impl Cluster {
    /// Makes a user of `account` without any policy, in the Region where identities live.
    ///
    /// # Panics
    /// If that fails.
    pub async fn create_user(&self, account: AccountId, name: &str) -> Identity {
        let entity = Entity { account, kind: EntityKind::User, name: named(name) };
        let id = unique_id("AIDA", name);
        let user = NewUser {
            account,
            name: named(name),
            path: root_path(),
            id: id.clone(),
            tags: BTreeMap::new(),
            boundary: None,
        };
        self.change_identities(IdentityChange::CreateUser(user)).await;
        let caller = Caller::user(Partition::Aws, account, name, id.as_str(), "ASIATEST");
        Identity { entity, caller: Arc::new(Caller { session: Some(self.session()), ..caller }) }
    }

    /// Makes a role of `account` without any policy, and a session of it.
    ///
    /// # Panics
    /// If that fails.
    pub async fn create_role(&self, account: AccountId, name: &str) -> Identity {
        let entity = Entity { account, kind: EntityKind::Role, name: named(name) };
        let id = unique_id("AROA", name);
        let role = NewRole {
            account,
            name: named(name),
            path: root_path(),
            id: id.clone(),
            tags: BTreeMap::new(),
            boundary: None,
            trust: TRUST.into(),
            description: String::new(),
            session_seconds_max: 3_600,
            linked_service: None,
            attached: BTreeSet::new(),
        };
        self.change_identities(IdentityChange::CreateRole(role)).await;
        let caller = Caller {
            account,
            arn: format!("arn:aws:sts::{account}:assumed-role/{name}/session"),
            principal_id: format!("{id}:session"),
            access_key_id: "ASIATEST".to_owned(),
            kind: CallerKind::AssumedRole {
                role_arn: format!("arn:aws:iam::{account}:role/{name}"),
                session_name: "session".to_owned(),
            },
            source: CallerSource::Iam,
            session: Some(self.session()),
            service_call: None,
        };
        Identity { entity, caller: Arc::new(caller) }
    }

    /// Temporary credentials, which need no access key in the state.
    fn session(&self) -> Session {
        let now = self.clock().now();
        Session {
            issued_at: now,
            expires_at: now.plus(Duration::from_hours(1)),
            mfa_at: None,
            tags: BTreeMap::new(),
            transitive: BTreeSet::new(),
            policies: Vec::new(),
            policy_arns: Vec::new(),
            source_identity: None,
            federated_provider: None,
        }
    }

    /// Gives `identity` this inline policy and no other, or none.
    ///
    /// # Panics
    /// If that fails.
    pub async fn set_policy(&self, identity: &Identity, document: Option<&str>) {
        let leader = self.await_leader(&self.home().await).await;
        self.set_policy_on(&leader, identity, document).await;
    }

    /// As [`Cluster::set_policy`], by a node that leads the Region where identities live.
    ///
    /// # Panics
    /// If that fails.
    pub async fn set_policy_on(&self, leader: &NodeName, identity: &Identity, document: Option<&str>) {
        let (entity, policy) = (identity.entity.clone(), named("inline"));
        let change = match document {
            Some(document) => IdentityChange::PutInlinePolicy { entity, policy, document: document.into() },
            None if inline_policy_in(&self.group(leader).state(), identity).is_none() => return,
            None => IdentityChange::DeleteInlinePolicy { entity, policy },
        };
        self.change_identities_on(leader, change).await;
    }

    /// Gives `identity`, a user, an access key: its id, and what the front door knows of requests that are signed with it.
    ///
    /// # Panics
    /// If that fails.
    pub async fn create_access_key(&self, identity: &Identity) -> Arc<Caller> {
        let leader = self.await_leader(&self.home().await).await;
        let root = self.client_on(&leader).with_account(identity.entity.account);
        let answer = root.iam("CreateAccessKey", &format!("UserName={}", identity.entity.name)).await;
        let id = answer.split("<AccessKeyId>").nth(1).and_then(|rest| rest.split('<').next()).expect("an id");
        let caller = Caller::clone(&identity.caller);
        Arc::new(Caller { access_key_id: id.to_owned(), session: None, ..caller })
    }

    /// Removes `identity`, and whatever hangs on it.
    ///
    /// # Panics
    /// If that fails.
    pub async fn delete_on(&self, leader: &NodeName, identity: &Identity) {
        self.set_policy_on(leader, identity, None).await;
        self.change_identities_on(leader, IdentityChange::DeleteEntity(identity.entity.clone())).await;
    }

    /// Waits until every Region knows the policy that the home Region gives `identity`.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn await_policy_everywhere(&self, identity: &Identity) {
        let expected = self.inline_policy(&self.home().await, identity);
        for region in self.regions() {
            for name in self.running(region) {
                self.await_state(&name, "the policy is the one of the home Region", |state| {
                    inline_policy_in(state, identity) == expected
                })
                .await;
            }
        }
    }

    /// Proposes a change of identities where they live.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn change_identities(&self, change: IdentityChange) {
        let leader = self.await_leader(&self.home().await).await;
        self.change_identities_on(&leader, change).await;
    }

    async fn change_identities_on(&self, leader: &NodeName, change: IdentityChange) {
        let command = Command { at: self.clock().now(), op: Op::Identity(Box::new(change)) };
        let committed = self.group(leader).propose(&command).await.expect("proposed");
        if let Err(refusal) = committed.outcome {
            panic!("a change of identities was refused: {refusal}");
        }
    }

    /// The Region where identities live: the first one, as soon as its leader has said so.
    async fn home(&self) -> Region {
        let region = self.regions()[0].clone();
        let is_home = |state: &RegionState| state.identities().regions().is_some_and(|known| known.home == region);
        self.await_state(&region, "the first Region is the home of identities", is_home).await;
        region
    }

    fn inline_policy(&self, region: &Region, identity: &Identity) -> Option<String> {
        let name: NodeName = self.running(region).into_iter().next().expect("a node runs");
        inline_policy_in(&self.group(&name).state(), identity)
    }
}

fn inline_policy_in(state: &RegionState, identity: &Identity) -> Option<String> {
    let Entity { account, kind, name } = &identity.entity;
    let policies = match kind {
        EntityKind::User => state.identities().user(*account, name).map(|user| &user.policies),
        _ => state.identities().role(*account, name).map(|role| &role.policies),
    };
    policies.and_then(|policies| policies.inline.get(&named("inline"))).map(|policy| policy.text().to_owned())
}

fn named(name: &str) -> EntityName {
    name.parse().expect("a valid name")
}

fn root_path() -> EntityPath {
    "/".parse().expect("a valid path")
}

/// A unique id made from a name, so that the same test always has the same.
fn unique_id(prefix: &str, name: &str) -> UniqueId {
    let letters = name.to_ascii_uppercase().replace(|letter: char| !letter.is_ascii_alphabetic(), "X");
    format!("{prefix}{letters:A<17.17}").parse().expect("a valid id")
}

const TRUST: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}}"#;
