//! Identities: what changes do, what they are refused for, and what the read view tells.

mod identity_world;

use std::collections::BTreeSet;

use identity_world::*;
use meridian_model::{EntityKind, ErrorCode, PolicyArn, Timestamp};
use meridian_state::identities::change::{Membership, NewSessionKey, Tagged};
use meridian_state::identities::table::{PolicyOrigin, PolicyUse};
use meridian_state::identities::{AccessKeyStatus, Entity, IdentityChange, SESSION_KEY_AGE_MIN};
use meridian_state::{IdentityRow, quotas};

/// The first byte of the ids of its rows.
const POLICY_VERSION_TABLE: u8 = 19;

/// A home with the user alice, the group admins, the role reader and the managed policy one.
fn home() -> Place {
    let mut home = Place::home();
    home.done(create_user("alice"));
    home.done(create_group("admins"));
    home.done(create_role("reader"));
    home.done(create_policy("one"));
    home
}

fn user(text: &str) -> Entity {
    entity(EntityKind::User, text)
}

fn put_inline(text: &str, document: &str) -> IdentityChange {
    IdentityChange::PutInlinePolicy { entity: user(text), policy: name("inline"), document: document.into() }
}

fn attach(entity: Entity, policy: &PolicyArn) -> IdentityChange {
    IdentityChange::AttachPolicy { entity, policy: policy.clone() }
}

#[test]
fn entities_are_made_and_found_by_their_names_and_ids() {
    let home = home();
    let identities = home.state.identities();
    let alice = identities.user(account(), &name("alice")).expect("made");
    assert_eq!(alice.arn(home.state.partition()), "arn:aws:iam::111122223333:user/team/alice");
    assert_eq!(alice.created_at, home.now());
    assert_eq!(identities.by_unique_id(alice.id.as_str()), Some(user("alice")));
    assert!(identities.user(account(), &name("Alice")).is_none(), "found as given only");
    assert!(identities.user(other_account(), &name("alice")).is_none());
    assert_eq!(identities.role(account(), &name("reader")).expect("made").session_seconds_max, 3_600);
    assert_eq!(identities.policy_by_arn(&policy_arn("one")).expect("made").default_version, 1);
    assert!(identities.policy_by_arn(&"arn:aws:iam::111122223333:policy/one".parse().expect("valid")).is_none());
}

#[test]
fn names_are_taken_whatever_their_case() {
    let mut home = home();
    for (change, message) in [
        (create_user("ALICE"), "User with name ALICE already exists."),
        (create_group("Admins"), "Group with name Admins already exists."),
        (create_role("Reader"), "Role with name Reader already exists."),
        (create_policy("ONE"), "A policy called ONE already exists. Duplicate names are not allowed."),
    ] {
        let error = home.refused(change);
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::IamEntityAlreadyExists, message));
    }
}

#[test]
fn nothing_is_changed_that_is_not_there() {
    let mut home = home();
    let missing: PolicyArn = policy_arn("missing");
    let id = access_key_id(9);
    for (change, message) in [
        (IdentityChange::DeleteEntity(user("bob")), "The user with name bob cannot be found."),
        (IdentityChange::DeleteEntity(entity(EntityKind::Role, "bob")), "The role with name bob cannot be found."),
        (IdentityChange::DeleteEntity(entity(EntityKind::Group, "bob")), "The group with name bob cannot be found."),
        (put_inline("bob", "{}"), "The user with name bob cannot be found."),
        (
            IdentityChange::DeleteInlinePolicy { entity: user("alice"), policy: name("inline") },
            "The user policy with name inline cannot be found.",
        ),
        (attach(user("bob"), &policy_arn("one")), "The user with name bob cannot be found."),
        (
            attach(user("alice"), &missing),
            "Policy arn:aws:iam::111122223333:policy/team/missing does not exist or is not attachable.",
        ),
        (
            IdentityChange::DetachPolicy { entity: user("alice"), policy: policy_arn("one") },
            "Policy arn:aws:iam::111122223333:policy/team/one was not found.",
        ),
        (IdentityChange::DeletePolicy { account: account(), policy: name("two") }, "Policy two was not found."),
        (
            IdentityChange::SetDefaultPolicyVersion { account: account(), policy: name("one"), version: 2 },
            "Policy arn:aws:iam::111122223333:policy/team/one version v2 does not exist or is not attachable.",
        ),
        (IdentityChange::AddUserToGroup(membership("alice", "nobody")), "The group with name nobody cannot be found."),
        (IdentityChange::AddUserToGroup(membership("bob", "admins")), "The user with name bob cannot be found."),
        (create_access_key(Some("bob"), 1), "The user with name AIDA000000000000BOB cannot be found."),
        (
            IdentityChange::DeleteAccessKey { account: account(), user: Some(user_id("alice")), id },
            "The Access Key with id AKIA0000000000000009 cannot be found.",
        ),
        (
            IdentityChange::SetBoundary { entity: user("alice"), boundary: None },
            "The user alice does not have a permissions boundary.",
        ),
    ] {
        let error = home.refused(change);
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::IamNoSuchEntity, message));
    }
}

fn membership(user: &str, group: &str) -> Membership {
    Membership { account: account(), user: name(user), group: name(group) }
}

#[test]
fn a_user_goes_when_nothing_hangs_on_it() {
    let mut home = home();
    home.done(create_access_key(Some("alice"), 1));
    home.done(IdentityChange::AddUserToGroup(membership("alice", "admins")));
    home.done(put_inline("alice", "{}"));
    home.done(attach(user("alice"), &policy_arn("one")));
    let alice = || Some(user_id("alice"));
    let ties = [
        (
            "Cannot delete entity, must delete access keys first.",
            IdentityChange::DeleteAccessKey { account: account(), user: alice(), id: access_key_id(1) },
        ),
        (
            "Cannot delete entity, must remove users from group first.",
            IdentityChange::RemoveUserFromGroup(membership("alice", "admins")),
        ),
        (
            "Cannot delete entity, must detach all policies first.",
            IdentityChange::DetachPolicy { entity: user("alice"), policy: policy_arn("one") },
        ),
        (
            "Cannot delete entity, must delete policies first.",
            IdentityChange::DeleteInlinePolicy { entity: user("alice"), policy: name("inline") },
        ),
    ];
    for (message, untie) in ties {
        let error = home.refused(IdentityChange::DeleteEntity(user("alice")));
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::IamDeleteConflict, message));
        home.done(untie);
    }
    home.done(IdentityChange::DeleteEntity(user("alice")));
    assert!(!home.state.identities().exists(&user("alice")));
    assert!(home.state.identities().by_unique_id("AIDA0000000000ALICE").is_none());
}

#[test]
fn a_group_goes_when_it_is_empty_and_a_policy_when_nobody_has_it() {
    let mut home = home();
    home.done(IdentityChange::AddUserToGroup(membership("alice", "admins")));
    let error = home.refused(IdentityChange::DeleteEntity(entity(EntityKind::Group, "admins")));
    assert_eq!(error.message, "Cannot delete entity, must remove users from group first.");
    let boundary = Some(policy_arn("one"));
    home.done(IdentityChange::SetBoundary { entity: entity(EntityKind::Role, "reader"), boundary });
    let delete = || IdentityChange::DeletePolicy { account: account(), policy: name("one") };
    assert_eq!(home.refused(delete()).message, "Cannot delete a policy attached to entities.");
    let used: Vec<_> = home.state.identities().users_of_policy(&policy_arn("one")).collect();
    assert_eq!(used, [(PolicyUse::Boundary, entity(EntityKind::Role, "reader"))]);
    home.done(IdentityChange::SetBoundary { entity: entity(EntityKind::Role, "reader"), boundary: None });
    home.done(new_version("one", false));
    assert!(home.refused(delete()).message.starts_with("This policy has more than one version."));
    home.done(IdentityChange::DeletePolicyVersion { account: account(), policy: name("one"), version: 2 });
    home.done(delete());
    assert!(home.state.identities().policy(account(), &name("one")).is_none());
    assert!(home.state.rows().all(|(id, _)| id[0] != POLICY_VERSION_TABLE), "its version went with it");
}

#[test]
fn quotas_hold() {
    let mut home = home();
    for number in 1..=quotas::ACCESS_KEYS_PER_USER {
        home.done(create_access_key(Some("alice"), u8::try_from(number).expect("few")));
    }
    for number in 0..quotas::GROUPS_PER_USER {
        home.done(create_group(&format!("group-{number}")));
        home.done(IdentityChange::AddUserToGroup(membership("alice", &format!("group-{number}"))));
    }
    for number in 0..=quotas::ATTACHED_POLICIES {
        home.done(create_policy(&format!("policy-{number}")));
    }
    for number in 0..quotas::ATTACHED_POLICIES {
        home.done(attach(user("alice"), &policy_arn(&format!("policy-{number}"))));
    }
    for _ in 1..quotas::VERSIONS_PER_POLICY {
        home.done(new_version("one", false));
    }
    let tags = (0..=quotas::TAGS_PER_IDENTITY).map(|number| (number.to_string(), String::new())).collect();
    let blank = " ".repeat(5_000); // does not count
    let size = |size: usize| format!("{blank}{}", "x".repeat(size));
    home.done(put_inline("alice", &size(quotas::INLINE_SIZE_PER_USER)));
    let trust = size(quotas::TRUST_POLICY_SIZE + 1);
    for (change, message) in [
        (create_access_key(Some("alice"), 9), "Cannot exceed quota for AccessKeysPerUser: 2"),
        (IdentityChange::AddUserToGroup(membership("alice", "admins")), "Cannot exceed quota for GroupsPerUser: 10"),
        (attach(user("alice"), &policy_arn("policy-10")), "Cannot exceed quota for PoliciesPerUser: 10"),
        (
            new_version("one", true),
            "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing \
             version.",
        ),
        (
            IdentityChange::Tag { resource: Tagged::User(account(), name("alice")), tags },
            "Cannot exceed quota for TagsPerResource: 50",
        ),
        (
            put_inline("alice", &size(quotas::INLINE_SIZE_PER_USER + 1)),
            "Maximum policy size of 2048 bytes exceeded for user alice",
        ),
        (
            IdentityChange::UpdateAssumeRolePolicy {
                account: account(),
                role: name("reader"),
                document: trust.as_str().into(),
            },
            "Cannot exceed quota for ACLSizePerRole: 2048",
        ),
        (
            put_inline("alice", &" ".repeat(70_000)),
            "The policies, tags and description together are too large to be kept.",
        ),
    ] {
        let error = home.refused(change);
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::IamLimitExceeded, message));
    }
}

#[test]
fn accounts_have_their_own_quotas() {
    let mut home = Place::home();
    for number in 0..quotas::GROUPS_PER_ACCOUNT {
        home.done(create_group(&format!("group-{number}")));
    }
    assert_eq!(home.refused(create_group("further")).message, "Cannot exceed quota for GroupsPerAccount: 300");
    home.done(IdentityChange::DeleteEntity(entity(EntityKind::Group, "group-7")));
    home.done(create_group("further"));
}

#[test]
fn versions_of_a_policy_are_numbered_once() {
    let mut home = home();
    let IdentityRow::PolicyVersion(made) = home.done(new_version("one", true)) else { panic!("a version") };
    assert_eq!(made.version, 2);
    let policy = || home_policy(&home);
    assert_eq!((policy().default_version, policy().newest_version), (2, 2));
    home.done(IdentityChange::DeletePolicyVersion { account: account(), policy: name("one"), version: 1 });
    let error =
        home.refused(IdentityChange::DeletePolicyVersion { account: account(), policy: name("one"), version: 2 });
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::IamDeleteConflict, "Cannot delete the default version of a policy.")
    );
    home.done(new_version("one", false));
    let versions: Vec<u32> =
        home.state.identities().policy_versions(home_policy(&home)).map(|row| row.version).collect();
    assert_eq!(versions, [2, 3]);
    home.done(IdentityChange::SetDefaultPolicyVersion { account: account(), policy: name("one"), version: 3 });
    assert_eq!(home_policy(&home).default_version, 3);
}

fn home_policy(home: &Place) -> &meridian_state::identities::ManagedPolicyRecord {
    home.state.identities().policy(account(), &name("one")).expect("there")
}

#[test]
fn the_policies_of_a_user_are_its_own_and_those_of_its_groups() {
    let mut home = home();
    home.done(put_inline("alice", "own"));
    home.done(attach(entity(EntityKind::Group, "admins"), &policy_arn("one")));
    home.done(IdentityChange::AddUserToGroup(membership("alice", "admins")));
    let boundary = Some(policy_arn("one"));
    home.done(IdentityChange::SetBoundary { entity: user("alice"), boundary });
    let texts = |home: &Place| -> Vec<String> {
        let alice = home.state.identities().user(account(), &name("alice")).expect("there");
        let policies = home.state.identities().policies_of_user(alice);
        let text = |policy: &meridian_state::identities::table::AttachedPolicy<'_>| {
            policy.document.expect("known").text().to_owned()
        };
        let boundary = policies.boundary.as_ref().map(|boundary| format!("boundary {}", text(boundary)));
        policies.identity.iter().map(text).chain(boundary).collect()
    };
    assert_eq!(texts(&home), ["own", "one v1", "boundary one v1"]);
    home.done(new_version("one", true));
    assert_eq!(texts(&home), ["own", "one v2", "boundary one v2"], "the default version counts");
    home.done(IdentityChange::RemoveUserFromGroup(membership("alice", "admins")));
    assert_eq!(texts(&home), ["own", "boundary one v2"]);
    let reader = home.state.identities().role(account(), &name("reader")).expect("there");
    assert!(home.state.identities().policies_of_role(reader).identity.is_empty());
    let one = policy_arn("one");
    assert_eq!(home.state.identities().managed(&one).origin, PolicyOrigin::Managed(&one));
}

#[test]
fn a_role_that_is_linked_to_a_service_is_changed_by_nobody_else() {
    let mut home = home();
    home.done(IdentityChange::CreateRole(service_linked_role("AWSServiceRoleForKMS")));
    let linked = || entity(EntityKind::Role, "AWSServiceRoleForKMS");
    for change in [
        attach(linked(), &policy_arn("one")),
        IdentityChange::DeleteEntity(linked()),
        IdentityChange::UpdateAssumeRolePolicy { account: account(), role: linked().name, document: "{}".into() },
        IdentityChange::Untag { resource: Tagged::Role(account(), linked().name), keys: BTreeSet::new() },
        IdentityChange::SetBoundary { entity: linked(), boundary: Some(policy_arn("one")) },
    ] {
        assert_eq!(home.refused(change).code, ErrorCode::IamUnmodifiableEntity);
    }
    let description = Some("ours".to_owned());
    let (account, role) = (account(), linked().name);
    home.done(IdentityChange::UpdateRole { account, role: role.clone(), description, session_seconds_max: None });
    let ordinary = IdentityChange::DeleteServiceLinkedRole { account, role: name("reader") };
    assert_eq!(home.refused(ordinary).code, ErrorCode::IamInvalidInput);
    home.done(IdentityChange::DeleteServiceLinkedRole { account, role });
    assert!(!home.state.identities().exists(&linked()));
}

#[test]
fn access_keys_belong_to_users_and_to_root_users() {
    let mut home = home();
    home.done(create_access_key(Some("alice"), 1));
    home.done(create_access_key(None, 2));
    let owners = |user: Option<&str>| -> Vec<String> {
        let user = user.map(user_id);
        home.state.identities().access_keys_of(account(), user.as_ref()).map(|row| row.id.to_string()).collect()
    };
    assert_eq!(owners(Some("alice")), ["AKIA0000000000000001"]);
    assert_eq!(owners(None), ["AKIA0000000000000002"]);
    let update = |user: Option<&str>, id| IdentityChange::UpdateAccessKey {
        account: account(),
        user: user.map(user_id),
        id: access_key_id(id),
        status: AccessKeyStatus::Inactive,
    };
    home.done(update(Some("alice"), 1));
    let row = home.state.identities().access_key("AKIA0000000000000001").expect("there");
    assert_eq!(row.status, AccessKeyStatus::Inactive);
    assert_eq!(home.refused(update(Some("alice"), 2)).code, ErrorCode::IamNoSuchEntity, "the key of somebody else");
}

#[test]
fn lists_go_on_behind_a_name() {
    let mut home = home();
    for user in ["Bob", "carol", "dave"] {
        home.done(create_user(user));
        home.done(IdentityChange::AddUserToGroup(membership(user, "admins")));
    }
    let identities = home.state.identities();
    let names = |after: Option<&str>| -> Vec<String> {
        identities.users(account(), after.map(name).as_ref()).map(|row| row.name.to_string()).collect()
    };
    assert_eq!(names(None), ["alice", "Bob", "carol", "dave"]);
    assert_eq!(names(Some("Bob")), ["carol", "dave"]);
    assert_eq!(identities.users(other_account(), None).count(), 0);
    let admins = identities.group(account(), &name("admins")).expect("made");
    let members: Vec<String> =
        identities.users_in(admins, Some(&name("Bob"))).map(|row| row.name.to_string()).collect();
    assert_eq!(members, ["carol", "dave"]);
}

#[test]
fn identities_are_changed_in_their_home_only() {
    let mut nowhere = Place::new("eu-west-1");
    assert_eq!(nowhere.refused(create_user("alice")).code, ErrorCode::IamServiceFailure);
    nowhere.done(regions("us-east-1", &["us-east-1", "eu-west-1"]));
    let error = nowhere.refused(create_user("alice"));
    assert_eq!(error.message, "Identities are changed in the Region us-east-1 only.");
}

#[test]
fn keys_for_session_tokens_settle_and_stay_until_their_tokens_have_expired() {
    let mut home = Place::home();
    let add =
        |number: u8| IdentityChange::AddSessionKey(NewSessionKey { id: session_key_id(number), sealed: sealed() });
    home.done(add(1));
    let sealing = |home: &Place| home.state.identities().sealing_session_key(home.now()).expect("one").id;
    assert_eq!(sealing(&home), session_key_id(1), "the only one seals at once");
    assert_eq!(home.refused(add(2)).code, ErrorCode::IamConcurrentModification);
    home.wait(SESSION_KEY_AGE_MIN);
    home.done(add(2));
    assert_eq!(sealing(&home), session_key_id(1), "the new one is not known everywhere yet");
    home.wait(std::time::Duration::from_hours(1));
    assert_eq!(sealing(&home), session_key_id(2));
    home.wait(SESSION_KEY_AGE_MIN);
    home.done(add(3));
    let ids: Vec<_> = home.state.identities().session_keys().map(|row| row.id).collect();
    assert_eq!(ids, [session_key_id(2), session_key_id(3)]);
    assert_eq!(home.state.identities().sealing_session_key(Timestamp::default()).expect("one").id, session_key_id(2));
}

#[test]
fn a_user_keeps_everything_under_another_name() {
    let mut home = home();
    home.done(create_access_key(Some("alice"), 1));
    home.done(IdentityChange::AddUserToGroup(membership("alice", "admins")));
    home.done(attach(user("alice"), &policy_arn("one")));
    let update = |from: Entity, to: &str| IdentityChange::UpdateEntity {
        entity: from,
        path: Some("/other/".parse().expect("valid")),
        name: Some(name(to)),
    };
    home.done(update(user("alice"), "Alicia"));
    home.done(update(entity(EntityKind::Group, "admins"), "Admins")); // another case of the same name
    let identities = home.state.identities();
    assert!(!identities.exists(&user("alice")));
    let alicia = identities.user(account(), &name("Alicia")).expect("renamed");
    assert_eq!(alicia.arn(home.state.partition()), "arn:aws:iam::111122223333:user/other/Alicia");
    assert_eq!(identities.groups_of(alicia).map(|group| group.name.as_str()).collect::<Vec<_>>(), ["Admins"]);
    assert_eq!(identities.access_keys_of(account(), Some(&alicia.id)).count(), 1);
    assert_eq!(
        identities.users_of_policy(&policy_arn("one")).map(|(_, used_by)| used_by).collect::<Vec<_>>(),
        [user("Alicia")]
    );
    home.done(create_user("carol"));
    assert_eq!(home.refused(update(user("carol"), "ALICIA")).code, ErrorCode::IamEntityAlreadyExists);
    assert_eq!(home.refused(update(entity(EntityKind::Role, "reader"), "writer")).code, ErrorCode::IamInvalidInput);
}
