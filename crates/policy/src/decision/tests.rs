//! Tables of decisions: rules and examples of the AWS KMS Developer Guide and the AWS IAM User Guide.

mod scene;

use meridian_model::ErrorCode;

use self::scene::{KEY, OTHER, OWNER, Scene, answer, arn, document, grant, key, principal, scope};
use super::*;
use crate::action;
use crate::grant::GrantMismatch;
use crate::principal::{Party, PrincipalArn};
use crate::statement::{Effect, Mismatch};

#[test]
fn within_the_account() {
    let named = || Scene::default().key("Allow user/alice kms:Encrypt");
    for (what, scene, caller, expected) in [
        ("nothing", Scene::default().key("Allow user/nobody kms:*"), "user/alice", "no resource"),
        ("the creator or the root has no rights of its own", named(), "root", "no resource"),
        ("named", named(), "user/alice", "allowed"),
        ("somebody else is named", named(), "user/bob", "no resource"),
        ("another action", Scene::default().key("Allow user/alice kms:Decrypt"), "user/alice", "no resource"),
        ("IAM without the key policy", named().iam("Allow kms:* *"), "user/bob", "no resource"),
        ("the account is not its users", Scene::delegating(), "user/alice", "no identity"),
        ("the account is its root user", Scene::delegating(), "root", "allowed"),
        ("both", Scene::delegating().iam("Allow kms:Encrypt *"), "user/alice", "allowed"),
        (
            "IAM for another key",
            Scene::delegating().iam("Allow kms:* arn:aws:kms:*:*:key/0987*"),
            "user/alice",
            "no identity",
        ),
        ("everybody", Scene::default().key("Allow * kms:Encrypt"), "user/alice", "allowed"),
        ("a role by its session", Scene::default().key("Allow role/r kms:*"), "assumed-role/r/s", "allowed"),
        ("another role", Scene::default().key("Allow role/q kms:*"), "assumed-role/r/s", "no resource"),
        ("denied by IAM", named().iam("Deny kms:Encrypt *"), "user/alice", "deny identity"),
        ("denied by the key policy", named().key("Deny * kms:*"), "user/alice", "deny resource"),
        ("a deny of the account", named().key("Deny 111122223333 kms:*"), "user/alice", "deny resource"),
        ("a deny meets root", Scene::delegating().key("Deny * kms:Enc*"), "root", "deny resource"),
        ("a service", Scene::default().key("Allow service=s3.amazonaws.com kms:*"), "s3.amazonaws.com", "allowed"),
        (
            "another service",
            Scene::default().key("Allow service=ec2.amazonaws.com kms:*"),
            "s3.amazonaws.com",
            "no resource",
        ),
        ("a service is of no account", Scene::delegating().iam("Allow kms:* *"), "s3.amazonaws.com", "no resource"),
    ] {
        assert_eq!(scene.answer::<action::Encrypt>(caller), expected, "{what}");
    }
}

/// AWS IAM User Guide, "Policy evaluation for requests within a single account".
#[test]
fn boundaries_and_sessions_bound_identities_but_not_who_is_named() {
    let (named, role) =
        (Scene::default().key("Allow user/alice,assumed-role/r/s kms:*"), Scene::default().key("Allow role/r kms:*"));
    let iam = || Scene::delegating().iam("Allow kms:* *");
    let (tight, wide) = ("Allow s3:* *", "Allow kms:Encrypt *");
    for (what, scene, caller, expected) in [
        ("identity and boundary", iam().boundary(wide), "user/alice", "allowed"),
        ("identity beyond the boundary", iam().boundary(tight), "user/alice", "no boundary"),
        ("a boundary gives nothing", Scene::delegating().boundary(wide), "user/alice", "no identity"),
        ("a user by name", named.clone().boundary(tight), "user/alice", "allowed"),
        ("a session by name", named.clone().boundary(tight).session(tight), "assumed-role/r/s", "allowed"),
        ("a role by name, bounded", role.clone().boundary(tight), "assumed-role/r/s", "no boundary"),
        ("a role by name, session bounded", role.clone().session(tight), "assumed-role/r/s", "no session"),
        ("a role by name, within", role.clone().boundary(wide).session(wide), "assumed-role/r/s", "allowed"),
        (
            "everybody",
            Scene::default().key("Allow * kms:*").boundary(tight).session(tight),
            "assumed-role/r/s",
            "allowed",
        ),
        ("identity beyond the session", iam().session(tight), "assumed-role/r/s", "no session"),
        ("one of two session policies", iam().session(tight).session(wide), "assumed-role/r/s", "allowed"),
        ("a deny in a boundary", named.clone().boundary("Deny kms:* *"), "user/alice", "deny boundary"),
        ("a deny in a session", named.clone().session("Deny kms:* *"), "assumed-role/r/s", "deny session"),
        ("a federated user without policies", iam(), "federated-user/bob", "no session"),
        ("a federated user with some", iam().session(wide), "federated-user/bob", "allowed"),
        (
            "a federated user by name",
            Scene::default().key("Allow federated-user/bob kms:*"),
            "federated-user/bob",
            "allowed",
        ),
        ("a federated user by its user", named.clone(), "federated-user/bob", "no session"),
        ("a federated user by its user, within", named.clone().session(wide), "federated-user/bob", "allowed"),
        (
            "a grant is not bounded",
            Scene::delegating().boundary(tight).grant("role/r", "Encrypt"),
            "assumed-role/r/s",
            "allowed",
        ),
    ] {
        assert_eq!(scene.answer::<action::Encrypt>(caller), expected, "{what}");
    }
}

/// AWS KMS Developer Guide, "Allowing users in other accounts to use a KMS key".
#[test]
fn other_accounts_need_both_sides() {
    const BOB: &str = "444455556666/user/bob";
    let shared = || Scene::delegating().key("Allow 444455556666 kms:Encrypt,kms:ScheduleKeyDeletion,kms:TagResource");
    for (what, scene, expected) in [
        ("the key policy alone", shared(), "no identity"),
        ("IAM alone", Scene::delegating().iam("Allow kms:* *"), "no resource"),
        ("both", shared().iam(&format!("Allow kms:Encrypt {KEY}")), "allowed"),
        ("IAM for another key", shared().iam("Allow kms:* arn:aws:kms:*:444455556666:key/*"), "no identity"),
        ("named, without IAM", Scene::default().key("Allow 444455556666/user/bob kms:*"), "no identity"),
        ("everybody, without IAM", Scene::default().key("Allow * kms:*"), "no identity"),
        ("everybody, with IAM", Scene::default().key("Allow * kms:*").iam("Allow kms:* *"), "allowed"),
        (
            "everybody but that account",
            Scene::default().key("Allow * kms:*").key("Deny 444455556666 kms:*").iam("Allow kms:* *"),
            "deny resource",
        ),
        ("beyond its boundary", shared().iam("Allow kms:* *").boundary("Allow s3:* *"), "no boundary"),
        ("a grant", Scene::delegating().grant(BOB, "Encrypt"), "allowed"),
        ("a grant to its account", account_grant(), "no identity"),
    ] {
        assert_eq!(scene.answer::<action::Encrypt>(BOB), expected, "{what}");
    }
    assert_eq!(account_grant().iam("Allow kms:Encrypt *").answer::<action::Encrypt>(BOB), "allowed");
    assert_eq!(
        shared().answer::<action::Encrypt>("arn:aws:iam::444455556666:root"),
        "allowed",
        "its root needs no IAM"
    );
    let everything = shared().iam("Allow kms:* *");
    assert_eq!(everything.answer::<action::ScheduleKeyDeletion>(BOB), "no resource", "does not cross accounts");
    assert_eq!(everything.answer::<action::TagResource>(BOB), "no resource", "does not cross accounts");
    let role = Scene::default().key("Allow 444455556666/role/ExampleRole kms:Encrypt").iam("Allow kms:* *");
    assert_eq!(role.answer::<action::Encrypt>("444455556666/assumed-role/ExampleRole/s"), "allowed");
    assert_eq!(role.answer::<action::Encrypt>("444455556666/assumed-role/Other/s"), "no resource");
}

/// An example of "Examining grants": the grantee is another account as a whole.
fn account_grant() -> Scene {
    let mut scene = Scene::delegating();
    scene.grants.push(grant("arn:aws:iam::444455556666:root", "Encrypt"));
    scene
}

#[test]
fn grants_allow_what_they_say_unless_a_policy_denies() {
    const CALLER: &str = "assumed-role/keyUserRole/s";
    let granted = || Scene::delegating().constrained("role/keyUserRole", "Decrypt", "Department=IT");
    assert_eq!(granted().pairs("Department=IT").answer::<action::Decrypt>(CALLER), "allowed");
    assert_eq!(granted().pairs("Department=HR").answer::<action::Decrypt>(CALLER), "no identity");
    assert_eq!(granted().pairs("Department=IT").answer::<action::Encrypt>(CALLER), "no identity");
    assert_eq!(
        granted().pairs("Department=IT").key("Deny * kms:Decrypt").answer::<action::Decrypt>(CALLER),
        "deny resource"
    );
    assert_eq!(granted().pairs("Department=IT").iam("Deny kms:* *").answer::<action::Decrypt>(CALLER), "deny identity");
    // As services have them.
    let name = "dynamodb.us-west-2.amazonaws.com";
    let of_service = |pairs: &str| {
        let subset = "aws:dynamodb:tableName=Services,aws:dynamodb:subscriberId=111122223333";
        Scene::delegating().constrained(name, "GenerateDataKey,DescribeKey,RetireGrant", subset).pairs(pairs)
    };
    let both = "aws:dynamodb:tableName=Services,aws:dynamodb:subscriberId=111122223333,more=x";
    assert_eq!(of_service(both).answer::<action::GenerateDataKey>(name), "allowed");
    assert_eq!(of_service("aws:dynamodb:tableName=Other").answer::<action::GenerateDataKey>(name), "no resource");
    assert_eq!(of_service("").answer::<action::DescribeKey>(name), "allowed");
}

#[test]
fn grants_let_create_grants_within_their_limits() {
    let child = |operations: &str| grant("user/anotherUser", operations);
    let create = |scene: &Scene, child: &GrantTerms| {
        let request = RequestContext::default();
        let decided = scene.ask("user/exampleUser", |inquiry| {
            inquiry.authorize_grant_creation(key(), &request, &scene.grants, child).map(|_| ())
        });
        answer(&decided)
    };
    let by_grant = Scene::delegating().grant("user/exampleUser", "GenerateDataKey,Decrypt,CreateGrant");
    assert_eq!(create(&by_grant, &child("Decrypt")), "allowed");
    assert_eq!(create(&by_grant, &child("ReEncryptFrom")), "no identity");
    assert_eq!(create(&by_grant.clone().key("Deny * kms:CreateGrant"), &child("Decrypt")), "deny resource");
    let by_policy = Scene::default().key("Allow user/exampleUser kms:CreateGrant");
    assert_eq!(create(&by_policy, &child("ReEncryptFrom")), "allowed", "a policy has no such limits");
}

/// AWS KMS Developer Guide, "Retiring and revoking grants".
#[test]
fn who_may_retire() {
    let retire = |scene: &Scene, caller: &str, terms: &GrantTerms, issuer: &str| {
        let grant = GrantToRetire { terms, issuing_account: issuer.parse().expect("12 digits") };
        answer(&scene.ask(caller, |inquiry| inquiry.authorize_grant_retirement(key(), grant).map(|_| ())))
    };
    let plain = || Scene::delegating();
    let with_iam = || Scene::delegating().iam("Allow kms:RetireGrant *");
    let terms = |operations: &str, retiring: Option<&str>| GrantTerms {
        retiring: retiring.map(|name| Party::Principal(PrincipalArn::parse(&arn(name)).expect(name))),
        ..grant("444455556666/user/grantee", operations)
    };
    let root_of_other = "arn:aws:iam::444455556666:root";
    for (what, scene, caller, terms, expected) in [
        ("the retiring principal", plain(), "user/admin", terms("Decrypt", Some("user/admin")), "allowed"),
        (
            "the grantee without RetireGrant",
            plain(),
            "444455556666/user/grantee",
            terms("Decrypt", None),
            "no resource",
        ),
        ("the grantee with it", plain(), "444455556666/user/grantee", terms("Decrypt,RetireGrant", None), "allowed"),
        ("the owner's user without IAM", plain(), "user/bob", terms("Decrypt", None), "no identity"),
        ("the owner's user with IAM", with_iam(), "user/bob", terms("Decrypt", None), "allowed"),
        ("the owner's root", plain(), "root", terms("Decrypt", None), "allowed"),
        ("IAM of an unrelated account", with_iam(), "444455556666/user/x", terms("Decrypt", None), "no resource"),
        (
            "the retiring account, with IAM",
            with_iam(),
            "444455556666/user/x",
            terms("Decrypt", Some(root_of_other)),
            "allowed",
        ),
        (
            "the retiring account, without",
            plain(),
            "444455556666/user/x",
            terms("Decrypt", Some(root_of_other)),
            "no identity",
        ),
        (
            "a key policy cannot let",
            plain().key("Allow user/x kms:RetireGrant"),
            "user/x",
            terms("Decrypt", None),
            "no identity",
        ),
        (
            "a deny",
            plain().key("Deny * kms:RetireGrant"),
            "user/admin",
            terms("Decrypt", Some("user/admin")),
            "deny resource",
        ),
    ] {
        assert_eq!(retire(&scene, caller, &terms, OWNER), expected, "{what}");
    }
    let by_issuer = retire(&with_iam(), "444455556666/user/x", &terms("Decrypt", None), OTHER);
    assert_eq!(by_issuer, "allowed", "the account that created it");
}

#[test]
fn retirable_grants_are_listed_within_the_account() {
    let retiring = |name: &str| PrincipalArn::parse(&arn(name)).expect(name);
    let list = |scene: &Scene, name: &str| {
        scene.ask("user/alice", |inquiry| inquiry.authorize_listing_of_retirable(&scope(), &retiring(name)).map(|_| ()))
    };
    let scene = Scene::default().iam("Allow kms:ListRetirableGrants *");
    assert_eq!(answer(&list(&scene, "user/alice")), "allowed");
    assert_eq!(answer(&list(&scene, "444455556666/user/bob")), "no resource");
    assert_eq!(answer(&list(&Scene::delegating(), "user/alice")), "no identity");
}

#[test]
fn endpoints_restrict_and_never_give() {
    const ALICE: &str = "user/alice";
    let iam = || Scene::delegating().iam("Allow kms:* *");
    for (what, scene, expected) in [
        ("the default policy", iam().endpoint("Allow * *"), "allowed"),
        ("it lets", iam().endpoint("Allow user/alice kms:Encrypt,kms:ListKeys"), "allowed"),
        ("another action", iam().endpoint("Allow user/alice kms:Decrypt"), "no endpoint"),
        ("another user", iam().endpoint("Allow user/bob kms:*"), "no endpoint"),
        ("a deny alone", iam().endpoint("Deny user/bob kms:*"), "no endpoint"),
        ("a deny", iam().endpoint("Deny * kms:*"), "deny endpoint"),
        ("nothing else lets", Scene::delegating().endpoint("Allow * *"), "no identity"),
        (
            "a grant needs it, too",
            Scene::delegating().grant("user/alice", "Encrypt").endpoint("Allow user/bob *"),
            "no endpoint",
        ),
    ] {
        let decision = scene.decide::<action::Encrypt>(ALICE);
        assert_eq!(answer(&decision), expected, "{what}");
        let is_by_endpoint = decision.is_err_and(|denial| denial.is_by_endpoint_alone());
        assert_eq!(is_by_endpoint, expected.ends_with("endpoint"), "{what}");
    }
    let of_account = r#"Allow * * | "Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}"#;
    assert_eq!(
        iam().endpoint(of_account).fact("aws:PrincipalAccount=111122223333").answer::<action::Encrypt>(ALICE),
        "allowed"
    );
    assert_eq!(
        iam().endpoint(of_account).fact("aws:PrincipalAccount=444455556666").answer::<action::Encrypt>(ALICE),
        "no endpoint"
    );
}

/// AWS KMS Developer Guide, "AWS KMS permissions": actions that are about no key.
#[test]
fn in_an_account_only_identity_policies_count() {
    let ask = |scene: &Scene, caller: &str| {
        scene.ask(caller, |inquiry| inquiry.authorize_in_account::<action::CreateKey>(&scope()).map(|_| ()))
    };
    for (what, scene, caller, expected) in [
        ("nothing", Scene::default(), "user/alice", "no identity"),
        ("a key policy means nothing", Scene::default().key("Allow user/alice kms:*"), "user/alice", "no identity"),
        ("on everything", Scene::default().iam("Allow kms:CreateKey *"), "user/alice", "allowed"),
        (
            "on all of the account",
            Scene::default().iam("Allow kms:Create* arn:aws:kms:us-west-2:111122223333:*"),
            "user/alice",
            "allowed",
        ),
        (
            "on all of another Region",
            Scene::default().iam("Allow kms:* arn:aws:kms:us-east-1:111122223333:*"),
            "user/alice",
            "no identity",
        ),
        (
            "on keys only",
            Scene::default().iam(&format!("Allow kms:* {KEY},arn:aws:kms:*:*:key/*")),
            "user/alice",
            "no identity",
        ),
        ("root", Scene::default(), "root", "allowed"),
        ("a denied root", Scene::default().endpoint("Deny * kms:*"), "root", "deny endpoint"),
        ("a service", Scene::default().iam("Allow kms:* *"), "s3.amazonaws.com", "no identity"),
    ] {
        assert_eq!(answer(&ask(&scene, caller)), expected, "{what}");
    }
    let denied = ask(&Scene::default(), "user/alice").expect_err("denied");
    assert_eq!(
        denied.to_string(),
        "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: kms:CreateKey on resource: * because no \
         identity-based policy allows the kms:CreateKey action"
    );
    let tag = |scene: &Scene| {
        let tagged = scene
            .ask("user/alice", |inquiry| inquiry.authorize_on_new_key::<action::TagResource>(&scope()).map(|_| ()));
        answer(&tagged)
    };
    assert_eq!(tag(&Scene::default().iam("Allow kms:TagResource arn:aws:kms:*:111122223333:key/*")), "allowed");
    assert_eq!(tag(&Scene::default().iam("Allow kms:TagResource *")), "allowed");
    assert_eq!(tag(&Scene::default().iam(&format!("Allow kms:TagResource {KEY}"))), "no identity");
    assert_eq!(tag(&Scene::default().key("Allow user/alice kms:TagResource")), "no identity");
}

/// AWS KMS Developer Guide, "Controlling access to aliases".
#[test]
fn aliases_are_resources_of_their_own() {
    let create = |scene: &Scene, name: &str| {
        let arn = format!("arn:aws:kms:us-west-2:111122223333:alias/{name}");
        let owner = key().account;
        answer(&scene.ask("user/alice", |inquiry| inquiry.authorize_on_alias::<action::CreateAlias>(&arn, owner)))
    };
    let alias = "arn:aws:kms:us-west-2:111122223333:alias";
    let one = Scene::default().iam(&format!("Allow kms:CreateAlias {alias}/test-key"));
    assert_eq!(create(&one, "test-key"), "allowed");
    assert_eq!(create(&one, "other"), "no identity");
    let but = Scene::default()
        .iam(&format!("Allow kms:*Alias {alias}/*"))
        .iam(&format!("Deny kms:*Alias {alias}/Restricted*"));
    assert_eq!(create(&but, "RestrictedX"), "deny identity");
    assert_eq!(create(&but, "restrictedX"), "allowed");
    assert_eq!(
        create(&Scene::default().key("Allow user/alice kms:*"), "test-key"),
        "no identity",
        "no key policy counts"
    );
    let by_alias = Scene::delegating().iam(&format!("Allow kms:Encrypt {alias}/test-key"));
    assert_eq!(by_alias.answer::<action::Encrypt>("user/alice"), "no identity", "an alias is never the key");
    for resource in ["*", KEY, "arn:aws:kms:us-west-2:111122223333:key/*", "arn:aws:kms:*:111122223333:key/*"] {
        let scene = Scene::delegating().iam(&format!("Allow kms:Encrypt {resource}"));
        assert_eq!(scene.answer::<action::Encrypt>("user/alice"), "allowed", "{resource}");
    }
}

#[test]
fn conditions_that_key_policies_cannot_have() {
    const ALICE: &str = "user/alice";
    let tagged = r#""Condition":{"StringEquals":{"aws:ResourceTag/Purpose":"Test"}}"#;
    let aliased = r#""Condition":{"ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/test*"}}"#;
    for (condition, fact) in
        [(tagged, "aws:ResourceTag/purpose=Test"), (aliased, "kms:ResourceAliases=alias/prod,alias/test1")]
    {
        let by_iam = Scene::delegating().iam(&format!("Allow kms:Encrypt * | {condition}"));
        assert_eq!(by_iam.clone().fact(fact).answer::<action::Encrypt>(ALICE), "allowed", "{fact}");
        assert_eq!(by_iam.answer::<action::Encrypt>(ALICE), "no identity", "{fact}");
        let by_key = Scene::default().key(&format!("Allow user/alice kms:Encrypt | {condition}")).fact(fact);
        assert_eq!(by_key.answer::<action::Encrypt>(ALICE), "no resource", "{fact}");
    }
}

/// Whole statements of the AWS KMS Developer Guide.
#[test]
fn examples_of_the_guide() {
    let ebs = r#"Allow * kms:Encrypt,kms:CreateGrant | "Condition":{"StringEquals":
        {"kms:CallerAccount":"111122223333","kms:ViaService":"ec2.us-west-2.amazonaws.com"}}"#;
    let trail = r#"Allow service=cloudtrail.amazonaws.com kms:Encrypt | "Condition":{"ArnEquals":{"aws:SourceArn":
        ["arn:aws:cloudtrail:us-west-2:111122223333:trail/finance"]},"StringLike":{"kms:EncryptionContext:aws:cloudtrail:arn":
        ["arn:aws:cloudtrail:*:111122223333:trail/*"]}}"#;
    let via_endpoint =
        r#"Deny * kms:Encrypt | "Condition":{"StringNotEquals":{"aws:sourceVpce":"vpce-1234abcdf5678c90a"}}"#;
    let of_user = r#"Allow role/TestTeam kms:Encrypt | "Condition":{"StringEquals":{"kms:EncryptionContext:user":"${aws:username}"}}"#;
    let for_services = r#"Allow user/alice kms:Encrypt | "Condition":{"Bool":{"kms:GrantIsForAWSResource":true}}"#;
    let (ec2, here) = ("kms:ViaService=ec2.us-west-2.amazonaws.com", "kms:CallerAccount=111122223333");
    let source = "aws:SourceArn=arn:aws:cloudtrail:us-west-2:111122223333:trail/finance";
    let context = |account: &str| {
        format!("kms:encryptioncontext:aws:cloudtrail:arn=arn:aws:cloudtrail:us-east-1:{account}:trail/x")
    };
    let key = |statement: &str| Scene::default().key(statement);
    for (what, scene, caller, allowed) in [
        ("through the service", key(ebs).fact(ec2).fact(here), "user/alice", true),
        ("directly", key(ebs).fact(here), "user/alice", false),
        ("another account", key(ebs).fact(ec2).fact("kms:CallerAccount=444455556666"), "user/alice", false),
        ("the trail", key(trail).fact(source).fact(&context(OWNER)), "cloudtrail.amazonaws.com", true),
        (
            "a trail of another account",
            key(trail).fact(source).fact(&context(OTHER)),
            "cloudtrail.amazonaws.com",
            false,
        ),
        ("no source", key(trail).fact(&context(OWNER)), "cloudtrail.amazonaws.com", false),
        ("a user", key(trail).fact(source).fact(&context(OWNER)), "user/alice", false),
        (
            "the endpoint",
            key("Allow * kms:*").key(via_endpoint).fact("aws:SourceVpce=vpce-1234abcdf5678c90a"),
            "user/alice",
            true,
        ),
        ("no endpoint", key("Allow * kms:*").key(via_endpoint), "user/alice", false),
        (
            "its own context",
            key(of_user).fact("aws:username=bob").fact("kms:EncryptionContext:USER=bob"),
            "assumed-role/TestTeam/s",
            true,
        ),
        (
            "another's context",
            key(of_user).fact("aws:username=bob").fact("kms:EncryptionContext:user=alice"),
            "assumed-role/TestTeam/s",
            false,
        ),
        (
            "the variable as text",
            key(of_user).fact("kms:EncryptionContext:user=${aws:username}"),
            "assumed-role/TestTeam/s",
            false,
        ),
        ("for a service", key(for_services).fact("kms:GrantIsForAWSResource=true"), "user/alice", true),
        ("not for a service", key(for_services).fact("kms:GrantIsForAWSResource=false"), "user/alice", false),
    ] {
        assert_eq!(scene.answer::<action::Encrypt>(caller) == "allowed", allowed, "{what}");
    }
}

/// AWS KMS API Reference, `PutKeyPolicy`.
#[test]
fn whoever_sets_a_policy_must_be_able_to_change_it_again() {
    let check = |scene: &Scene, caller: &str| scene.ask(caller, |inquiry| inquiry.check_lockout(&key()));
    for (what, scene, caller, passes) in [
        ("named", Scene::default().key("Allow user/alice kms:Put*"), "user/alice", true),
        ("only users", Scene::default().key("Allow role/user kms:Encrypt"), "user/alice", false),
        ("the account, with IAM", Scene::delegating().iam("Allow kms:PutKeyPolicy *"), "user/alice", true),
        ("the account, without IAM", Scene::delegating().iam("Allow kms:CreateKey *"), "user/alice", false),
        ("root", Scene::delegating(), "root", true),
        ("denied", Scene::delegating().key("Deny * kms:PutKeyPolicy"), "root", false),
        ("another account", Scene::default().key("Allow * kms:*").iam("Allow kms:* *"), "444455556666/user/bob", false),
        ("an endpoint does not count", Scene::delegating().endpoint("Deny * kms:PutKeyPolicy"), "root", true),
    ] {
        let checked = check(&scene, caller);
        assert_eq!(checked.is_ok(), passes, "{what}");
        if let Err(error) = checked {
            assert_eq!(error.code, ErrorCode::MalformedPolicyDocument);
            assert_eq!(error.message, "The new key policy will not allow you to update the key policy in the future.");
        }
    }
}

/// The decision is not tied to keys: roles and identities have their own policies and actions.
#[test]
fn roles_and_identities() {
    let trust = |principal: &str| {
        let statement =
            format!(r#"{{"Effect":"Allow","Principal":{{"AWS":"{}"}},"Action":"sts:AssumeRole"}}"#, arn(principal));
        Policy::parse(&document(&[statement]), PolicyKind::Trust).expect("a policy")
    };
    let assume = |scene: &Scene, caller: &str, trust: &Policy| {
        let decided = scene.ask(caller, |inquiry| {
            let policies = PolicySet { resource: Some(trust), ..inquiry.policies };
            let owner = OWNER.parse().expect("12 digits");
            Inquiry { policies, ..inquiry }.decide(
                "sts:AssumeRole",
                "arn:aws:iam::111122223333:role/Engineering",
                owner,
            )
        });
        answer(&decided)
    };
    let iam = Scene::default().iam("Allow sts:AssumeRole *");
    assert_eq!(assume(&Scene::default(), "user/bob", &trust("user/bob")), "allowed", "by name");
    assert_eq!(assume(&Scene::default(), "user/eve", &trust("user/bob")), "no trust");
    assert_eq!(assume(&Scene::default(), "user/bob", &trust(OWNER)), "no identity");
    assert_eq!(assume(&iam, "user/bob", &trust(OWNER)), "allowed");
    assert_eq!(assume(&Scene::default(), "444455556666/user/bob", &trust("444455556666/user/bob")), "no identity");
    assert_eq!(assume(&iam, "444455556666/user/bob", &trust("444455556666/user/bob")), "allowed");

    let manage = |scene: &Scene, caller: &str| {
        let owner = OWNER.parse().expect("12 digits");
        answer(
            &scene.ask(caller, |inquiry| inquiry.decide("iam:GetUser", "arn:aws:iam::111122223333:user/alice", owner)),
        )
    };
    let own = "Allow iam:Get* arn:aws:iam::111122223333:user/${aws:username}";
    assert_eq!(manage(&Scene::default(), "user/alice"), "no identity");
    assert_eq!(manage(&Scene::default(), "root"), "allowed");
    assert_eq!(manage(&Scene::default().iam(own).fact("aws:username=alice"), "user/alice"), "allowed");
    assert_eq!(manage(&Scene::default().iam(own).fact("aws:username=bob"), "user/bob"), "no identity");
    assert_eq!(
        manage(&Scene::default().iam("Allow iam:* *"), "444455556666/user/bob"),
        "no resource",
        "another account"
    );
}

#[test]
fn what_cannot_be_read_denies() {
    let broken = Policy::stored("{", PolicyKind::Key);
    let inquiry = |policies| Inquiry {
        principal: principal("arn:aws:iam::111122223333:root", ""),
        policies,
        context: &crate::NoContext,
    };
    let policies = PolicySet { resource: Some(&broken), ..PolicySet::default() };
    let denied =
        inquiry(policies).authorize::<action::Encrypt>(key(), &RequestContext::default(), []).expect_err("denied");
    assert_eq!(denied.cause, Cause::ExplicitDeny(Layer::Resource));
    let missing = inquiry(PolicySet::default());
    let denied =
        missing.authorize::<action::Encrypt>(key(), &RequestContext::default(), []).expect_err("no key policy");
    assert_eq!(denied.cause, Cause::NoAllow(Layer::Resource));
}

#[test]
fn explanations_name_everything_that_took_part() {
    let condition =
        r#"Allow * kms:Encrypt | "Condition":{"StringEquals":{"kms:ViaService":"ec2.us-west-2.amazonaws.com"}}"#;
    let scene = Scene::default()
        .key(condition)
        .key("Allow user/bob kms:*")
        .key("Allow 111122223333 kms:*")
        .iam("Allow kms:Decrypt *")
        .iam(&format!("Deny kms:Encrypt {KEY}x"))
        .grant("user/alice", "Decrypt")
        .constrained("user/alice", "Encrypt", "a=b")
        .grant("user/bob", "Encrypt");
    let request = RequestContext { encryption_context: Some(&scene.pairs), source_arn: None };
    let key = key();
    let grants: Vec<&GrantTerms> = scene.grants.iter().collect();
    let target = Target::Key { key: &key, request };
    let explained = scene.ask("user/alice", |inquiry| inquiry.explain("kms:Encrypt", target, &grants));
    assert_eq!(explained.decision, scene.decide::<action::Encrypt>("user/alice"));
    assert_eq!(answer(&explained.decision), "no identity");
    let failed = Mismatch::Condition { operator: "StringEquals".to_owned(), key: "kms:ViaService".to_owned() };
    let expected = [
        (Layer::Resource, 0, 0, Effect::Allow, Err(failed)),
        (Layer::Resource, 0, 1, Effect::Allow, Err(Mismatch::Principal)),
        (Layer::Resource, 0, 2, Effect::Allow, Ok(Via::Account)),
        (Layer::Identity, 0, 0, Effect::Allow, Err(Mismatch::Action)),
        (Layer::Identity, 1, 0, Effect::Deny, Err(Mismatch::Resource)),
    ];
    let found = explained
        .statements
        .iter()
        .map(|report| (report.place.layer, report.place.index, report.index, report.effect, report.outcome.clone()));
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let outcomes: Vec<GrantOutcome> = explained.grants.iter().map(|report| report.outcome).collect();
    let expected =
        [GrantMismatch::Operation, GrantMismatch::Constraints, GrantMismatch::Grantee].map(GrantOutcome::DoesNotApply);
    assert_eq!(outcomes, expected);
}
