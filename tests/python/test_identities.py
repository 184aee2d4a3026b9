"""IAM: users, groups, roles, policies, access keys, tags - administered by boto3 as on AWS, and what they permit in AWS KMS."""

import json
import uuid

import botocore.exceptions
import pytest

from conftest import refused, refused_soon
from local_cluster import REGIONS, wait_until

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


def policy(actions, resource="*", effect="Allow", **statement):
    """A document with one statement."""
    statement = {"Effect": effect, "Action": actions, "Resource": resource, **statement}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def iam(client_for, account):
    """The root of this test's account, at IAM."""
    return client_for(account, service="iam")


@pytest.fixture
def client_of(client_for):
    """Makes clients with an access key of IAM: `client_of(created_key, service, region)`."""

    def make(key, service="kms", region=REGIONS[0], **settings):
        return client_for(key["AccessKeyId"], region, service, secret=key["SecretAccessKey"], **settings)

    return make


def user_with_key(iam, name):
    """A new user's access key."""
    iam.create_user(UserName=name)
    return iam.create_access_key(UserName=name)["AccessKey"]


def pages(operation, member, **request):
    """All items of a list operation of IAM, one per page."""
    found = []
    while True:
        answer = operation(**request, MaxItems=1)
        assert len(answer[member]) <= 1
        found += answer[member]
        if not answer["IsTruncated"]:
            assert "Marker" not in answer
            return found
        request["Marker"] = answer["Marker"]


def test_life_of_a_user(iam, account):
    tags = [{"Key": "Team", "Value": "a"}]
    made = iam.create_user(UserName="alice", Path="/staff/", Tags=tags)["User"]
    assert made["Arn"] == f"arn:aws:iam::{account}:user/staff/alice"
    assert made["UserId"].startswith("AIDA") and made["Tags"] == tags and made["Path"] == "/staff/"
    assert iam.get_user(UserName="alice")["User"] == made
    with refused("EntityAlreadyExists", "User with name ALICE already exists."):
        iam.create_user(UserName="ALICE")
    with refused("NoSuchEntity", "The user with name bob cannot be found."):
        iam.get_user(UserName="bob")

    iam.create_user(UserName="bob")
    assert [user["UserName"] for user in pages(iam.list_users, "Users")] == ["alice", "bob"]
    assert [user["UserName"] for user in iam.list_users(PathPrefix="/staff/")["Users"]] == ["alice"]
    assert "Tags" not in iam.list_users()["Users"][0]

    iam.tag_user(UserName="alice", Tags=[{"Key": "team", "Value": "b"}, {"Key": "Cost", "Value": ""}])
    found = {tag["Key"]: tag["Value"] for tag in pages(iam.list_user_tags, "Tags", UserName="alice")}
    assert found == {"Team": "b", "Cost": ""}, "keys are compared without regard to case and keep their spelling"
    iam.untag_user(UserName="alice", TagKeys=["TEAM", "absent"])
    assert iam.list_user_tags(UserName="alice")["Tags"] == [{"Key": "Cost", "Value": ""}]

    iam.update_user(UserName="alice", NewUserName="carol", NewPath="/")
    moved = iam.get_user(UserName="carol")["User"]
    assert (moved["UserId"], moved["Arn"]) == (made["UserId"], f"arn:aws:iam::{account}:user/carol")
    iam.delete_user(UserName="carol")
    with refused("NoSuchEntity"):
        iam.delete_user(UserName="carol")


def test_requests_that_break_the_model(iam):
    with refused(
        "ValidationError",
        "The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: "
        "+=,.@_-",
    ):
        iam.create_user(UserName="a b")
    with refused("ValidationError"):
        iam.create_user(UserName="a" * 65)
    with refused("ValidationError"):
        iam.create_user(UserName="a", Path="no-slashes")
    with refused("ValidationError"):
        iam.list_users(MaxItems=0)
    with refused("ValidationError"):
        iam.list_users(Marker="not-one-of-ours")
    with refused("InvalidInput"):
        iam.get_policy(PolicyArn="arn:aws:iam::aws:user/somebody")
    with refused("UnsupportedOperation"):
        iam.create_login_profile(UserName="a", Password="b")


def test_access_keys(iam, client_of, client_for, account):
    key = user_with_key(iam, "alice")
    assert key["AccessKeyId"].startswith("AKIA") and len(key["SecretAccessKey"]) == 40
    assert (key["UserName"], key["Status"]) == ("alice", "Active")
    sts = client_of(key, "sts")
    identity = sts.get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{account}:user/alice"
    assert (identity["UserId"][:4], identity["Account"]) == ("AIDA", account)

    listed = iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]
    assert [(entry["AccessKeyId"], entry["Status"]) for entry in listed] == [(key["AccessKeyId"], "Active")]
    assert "SecretAccessKey" not in listed[0]
    iam.create_access_key(UserName="alice")
    with refused("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2"):
        iam.create_access_key(UserName="alice")

    iam.update_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    refused_soon("InvalidClientTokenId", None, sts.get_caller_identity)
    iam.update_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"], Status="Active")
    wait_until(lambda: succeeds(sts.get_caller_identity), "the access key to work again")
    with refused("DeleteConflict", "Cannot delete entity, must delete access keys first."):
        iam.delete_user(UserName="alice")
    for entry in iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="alice", AccessKeyId=entry["AccessKeyId"])
    refused_soon("InvalidClientTokenId", None, sts.get_caller_identity)
    with refused("NoSuchEntity", f"The Access Key with id {key['AccessKeyId']} cannot be found."):
        iam.delete_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"])
    with refused("SignatureDoesNotMatch"):
        client_for(account, service="sts", secret="wrong").get_caller_identity()


def succeeds(call):
    """Whether the call succeeds."""
    try:
        call()
    except botocore.exceptions.ClientError:
        return False
    return True


def test_groups(iam, account):
    group = iam.create_group(GroupName="admins", Path="/x/")["Group"]
    assert group["Arn"] == f"arn:aws:iam::{account}:group/x/admins" and group["GroupId"].startswith("AGPA")
    for name in ("alice", "bob"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="admins", UserName=name)
    answer = iam.get_group(GroupName="admins")
    assert answer["Group"] == group
    assert [user["UserName"] for user in pages(iam.get_group, "Users", GroupName="admins")] == ["alice", "bob"]
    assert iam.list_groups_for_user(UserName="bob")["Groups"] == [group]
    with refused("DeleteConflict", "Cannot delete entity, must remove users from group first."):
        iam.delete_group(GroupName="admins")
    iam.remove_user_from_group(GroupName="admins", UserName="bob")
    assert iam.list_groups_for_user(UserName="bob")["Groups"] == []
    iam.update_group(GroupName="admins", NewGroupName="owners", NewPath="/")
    assert iam.list_groups_for_user(UserName="alice")["Groups"][0]["Arn"] == f"arn:aws:iam::{account}:group/owners"
    iam.remove_user_from_group(GroupName="owners", UserName="alice")
    iam.delete_group(GroupName="owners")
    assert iam.list_groups()["Groups"] == []


def test_inline_policies_of_users_groups_and_roles(iam):
    iam.create_user(UserName="a")
    iam.create_group(GroupName="a")
    iam.create_role(RoleName="a", AssumeRolePolicyDocument=json.dumps(TRUST))
    document = policy("kms:ListKeys")
    for kind in ("user", "group", "role"):
        name = {f"{kind.title()}Name": "a"}
        put, get, delete = (getattr(iam, f"{verb}_{kind}_policy") for verb in ("put", "get", "delete"))
        listed = getattr(iam, f"list_{kind}_policies")
        for each in ("p", "q"):
            put(**name, PolicyName=each, PolicyDocument=document)
        assert pages(listed, "PolicyNames", **name) == ["p", "q"]
        found = get(**name, PolicyName="p")
        assert (found["PolicyDocument"], found["PolicyName"]) == (json.loads(document), "p")
        with refused("MalformedPolicyDocument"):
            put(**name, PolicyName="p", PolicyDocument="{}")
        with refused("DeleteConflict", "Cannot delete entity, must delete policies first."):
            getattr(iam, f"delete_{kind}")(**name)
        for each in ("p", "q"):
            delete(**name, PolicyName=each)
        with refused("NoSuchEntity", f"The {kind} policy with name p cannot be found."):
            get(**name, PolicyName="p")
        getattr(iam, f"delete_{kind}")(**name)


def test_managed_policies(iam, account):
    made = iam.create_policy(
        PolicyName="readers", Path="/team/", PolicyDocument=policy("kms:ListKeys"), Description="may list",
        Tags=[{"Key": "a", "Value": "b"}],
    )["Policy"]
    arn = made["Arn"]
    assert arn == f"arn:aws:iam::{account}:policy/team/readers" and made["PolicyId"].startswith("ANPA")
    assert (made["DefaultVersionId"], made["AttachmentCount"], made["IsAttachable"]) == ("v1", 0, True)
    assert iam.get_policy(PolicyArn=arn)["Policy"] == made
    with refused("EntityAlreadyExists", "A policy called readers already exists. Duplicate names are not allowed."):
        iam.create_policy(PolicyName="readers", PolicyDocument=policy("kms:ListKeys"))

    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("kms:ListAliases"), SetAsDefault=True)
    assert (version["PolicyVersion"]["VersionId"], version["PolicyVersion"]["IsDefaultVersion"]) == ("v2", True)
    found = iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert found["Document"]["Statement"][0]["Action"] == "kms:ListAliases"
    assert [entry["VersionId"] for entry in pages(iam.list_policy_versions, "Versions", PolicyArn=arn)] == ["v2", "v1"]
    with refused("DeleteConflict", "Cannot delete the default version of a policy."):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("kms:ListAliases"))
    with refused("LimitExceeded"):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("kms:ListAliases"))
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    for name in ("v2", "v3", "v4", "v5"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=name)

    iam.create_user(UserName="alice")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST), PermissionsBoundary=arn)
    iam.attach_user_policy(UserName="alice", PolicyArn=arn)
    iam.attach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    attached = pages(iam.list_attached_user_policies, "AttachedPolicies", UserName="alice")
    assert sorted(entry["PolicyName"] for entry in attached) == ["AdministratorAccess", "readers"]
    used = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (used["AttachmentCount"], used["PermissionsBoundaryUsageCount"]) == (1, 1)
    entities = iam.list_entities_for_policy(PolicyArn=arn)
    assert [user["UserName"] for user in entities["PolicyUsers"]] == ["alice"]
    assert [role["RoleName"] for role in entities["PolicyRoles"]] == ["r"]
    assert iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="User")["PolicyRoles"] == []
    with refused("DeleteConflict", "Cannot delete a policy attached to entities."):
        iam.delete_policy(PolicyArn=arn)
    missing = f"arn:aws:iam::{account}:policy/absent"
    with refused("NoSuchEntity", f"Policy {missing} does not exist or is not attachable."):
        iam.attach_user_policy(UserName="alice", PolicyArn=missing)
    with refused("DeleteConflict", "Cannot delete entity, must detach all policies first."):
        iam.delete_user(UserName="alice")

    local = pages(iam.list_policies, "Policies", Scope="Local")
    assert [entry["Arn"] for entry in local] == [arn]
    everything = {entry["PolicyName"] for entry in pages(iam.list_policies, "Policies")}
    assert {"readers", "AdministratorAccess", "AWSKeyManagementServicePowerUser"} <= everything
    attached_only = {entry["PolicyName"] for entry in iam.list_policies(OnlyAttached=True)["Policies"]}
    assert attached_only == {"readers", "AdministratorAccess"}
    iam.detach_user_policy(UserName="alice", PolicyArn=arn)
    iam.delete_role_permissions_boundary(RoleName="r")
    iam.delete_policy(PolicyArn=arn)
    with refused("InvalidInput"):
        iam.delete_policy(PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


def test_roles(iam, account):
    made = iam.create_role(
        RoleName="app", Path="/service/", AssumeRolePolicyDocument=json.dumps(TRUST), Description="an app",
        MaxSessionDuration=7200, Tags=[{"Key": "a", "Value": "b"}],
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{account}:role/service/app" and made["RoleId"].startswith("AROA")
    assert (made["AssumeRolePolicyDocument"], made["MaxSessionDuration"]) == (TRUST, 7200)
    assert iam.get_role(RoleName="app")["Role"] == made
    iam.update_role(RoleName="app", Description="another", MaxSessionDuration=3600)
    assert iam.update_role_description(RoleName="app", Description="third")["Role"]["Description"] == "third"
    other = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": account}}]}
    iam.update_assume_role_policy(RoleName="app", PolicyDocument=json.dumps(other))
    found = iam.get_role(RoleName="app")["Role"]
    assert found["AssumeRolePolicyDocument"] == other and found["MaxSessionDuration"] == 3600
    with refused("MalformedPolicyDocument"):
        iam.update_assume_role_policy(RoleName="app", PolicyDocument=policy("sts:AssumeRole"))
    iam.tag_role(RoleName="app", Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_role(RoleName="app", TagKeys=["a"])
    assert iam.list_role_tags(RoleName="app")["Tags"] == [{"Key": "c", "Value": "d"}]
    assert [role["RoleName"] for role in iam.list_roles(PathPrefix="/service/")["Roles"]] == ["app"]
    iam.delete_role(RoleName="app")
    with refused("NoSuchEntity", "The role with name app cannot be found."):
        iam.get_role(RoleName="app")


def test_service_linked_roles(iam, account):
    role = iam.create_service_linked_role(AWSServiceName="mrk.kms.amazonaws.com")["Role"]
    name = "AWSServiceRoleForKeyManagementServiceMultiRegionKeys"
    assert role["Arn"] == f"arn:aws:iam::{account}:role/aws-service-role/mrk.kms.amazonaws.com/{name}"
    with refused("InvalidInput", "Cannot find Service Linked Role template for unknown.amazonaws.com"):
        iam.create_service_linked_role(AWSServiceName="unknown.amazonaws.com")
    with refused("InvalidInput"):
        iam.create_service_linked_role(AWSServiceName="mrk.kms.amazonaws.com")
    with refused("UnmodifiableEntity"):
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy("kms:*"))
    with refused("UnmodifiableEntity"):
        iam.delete_role(RoleName=name)
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"


def test_what_a_user_may_do_is_what_its_policies_say(iam, kms, client_of, account):
    alice = user_with_key(iam, "alice")
    as_alice = client_of(alice)
    with refused("AccessDeniedException"):
        as_alice.list_keys()
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="alice")
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=policy(["kms:ListKeys", "kms:Encrypt"]))
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    wait_until(lambda: succeeds(as_alice.list_keys), "the policy of the group to count")
    assert as_alice.encrypt(KeyId=key_id, Plaintext=b"a")["KeyId"].endswith(key_id)
    iam.put_user_policy(UserName="alice", PolicyName="d", PolicyDocument=policy("kms:Encrypt", effect="Deny"))
    refused_soon("AccessDeniedException", None, lambda: as_alice.encrypt(KeyId=key_id, Plaintext=b"a"))
    iam.delete_user_policy(UserName="alice", PolicyName="d")
    boundary = iam.create_policy(PolicyName="b", PolicyDocument=policy("kms:ListKeys"))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=boundary)
    assert iam.get_user(UserName="alice")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    refused_soon("AccessDeniedException", None, lambda: as_alice.encrypt(KeyId=key_id, Plaintext=b"a"))
    iam.delete_user_permissions_boundary(UserName="alice")
    wait_until(lambda: succeeds(lambda: as_alice.encrypt(KeyId=key_id, Plaintext=b"a")), "the boundary to be gone")


def test_who_may_administer(iam, client_of, account):
    alice = user_with_key(iam, "alice")
    as_alice = client_of(alice, "iam")
    denied = f"User: arn:aws:iam::{account}:user/alice is not authorized to perform: iam:GetUser on resource: "
    with refused("AccessDenied") as caught:
        as_alice.get_user(UserName="nobody")
    assert caught.value.response["Error"]["Message"].startswith(f"{denied}arn:aws:iam::{account}:user/nobody because no")
    for call in (as_alice.list_users, lambda: as_alice.create_user(UserName="eve"), as_alice.get_account_summary):
        with refused("AccessDenied"):
            call()
    own = policy(["iam:GetUser", "iam:CreateUser"], f"arn:aws:iam::{account}:user/${{aws:username}}*")
    iam.put_user_policy(UserName="alice", PolicyName="own", PolicyDocument=own)
    wait_until(lambda: succeeds(as_alice.get_user), "the policy to count")
    assert as_alice.get_user()["User"]["UserName"] == "alice"
    assert as_alice.create_user(UserName="alice2")["User"]["UserName"] == "alice2"
    with refused("AccessDenied"):
        as_alice.get_user(UserName="bob")
    only_with_boundary = policy(
        "iam:CreateUser", Condition={"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::aws:policy/IAMFullAccess"}}
    )
    iam.put_user_policy(UserName="alice", PolicyName="own", PolicyDocument=only_with_boundary)
    refused_soon("AccessDenied", None, as_alice.get_user)
    with refused("AccessDenied"):
        as_alice.create_user(UserName="carol")
    as_alice.create_user(UserName="carol", PermissionsBoundary="arn:aws:iam::aws:policy/IAMFullAccess")


def test_accounts_see_nothing_of_each_other(iam, client_for, account):
    arn = iam.create_policy(PolicyName="p", PolicyDocument=policy("kms:*"))["Policy"]["Arn"]
    iam.create_user(UserName="alice")
    other = client_for(f"{int(account) + 500_000_000:012}", service="iam")
    with refused("NoSuchEntity"):
        other.get_user(UserName="alice")
    with refused("AccessDenied"):
        other.get_policy(PolicyArn=arn)
    assert other.list_users()["Users"] == []
    other.create_user(UserName="alice")


def test_identities_reach_every_region(iam, client_of):
    """One access key works in every Region, and stops working in every Region."""
    key = user_with_key(iam, "alice")
    regions = [client_of(key, "sts", region) for region in REGIONS[:3]]
    for sts in regions:
        wait_until(lambda sts=sts: succeeds(sts.get_caller_identity), "the access key to arrive")
    iam.delete_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"])
    for sts in regions:
        wait_until(lambda sts=sts: not succeeds(sts.get_caller_identity), "the access key to go")


def test_a_region_that_is_not_the_home_refuses_changes(cluster, client_for, account):
    elsewhere = client_for(
        account, REGIONS[1], "iam", endpoint=f"http://127.0.0.1:{cluster.ports[REGIONS[1]]}"
    )
    assert elsewhere.list_users()["Users"] == []
    with refused(
        "UnsupportedOperation",
        f"Identities are changed in the Region {REGIONS[0]} only. Send the request to an endpoint there.",
    ):
        elsewhere.create_user(UserName="alice")


def test_every_answer_is_what_the_public_model_says(iam):
    """Each member of an answer is one that the model of botocore declares, and every required one is there."""
    name = f"u{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    iam.create_group(GroupName=name)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    arn = iam.create_policy(PolicyName=name, PolicyDocument=policy("kms:*"))["Policy"]["Arn"]
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy("kms:*"))
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    reads = {
        "GetUser": {"UserName": name}, "GetRole": {"RoleName": name}, "GetGroup": {"GroupName": name},
        "GetPolicy": {"PolicyArn": arn}, "GetPolicyVersion": {"PolicyArn": arn, "VersionId": "v1"},
        "GetUserPolicy": {"UserName": name, "PolicyName": name}, "GetAccountSummary": {},
        "ListUsers": {}, "ListGroups": {}, "ListRoles": {}, "ListPolicies": {}, "ListPolicyVersions": {"PolicyArn": arn},
        "ListUserPolicies": {"UserName": name}, "ListAttachedUserPolicies": {"UserName": name},
        "ListEntitiesForPolicy": {"PolicyArn": arn}, "ListUserTags": {"UserName": name}, "ListPolicyTags": {"PolicyArn": arn},
        "ListAccessKeys": {"UserName": name}, "ListGroupsForUser": {"UserName": name},
        "CreateAccessKey": {"UserName": name}, "UpdateRole": {"RoleName": name},
    }
    for operation, request in reads.items():
        model = iam.meta.service_model.operation_model(operation)
        answer = getattr(iam, botocore.xform_name(operation))(**request)
        answer.pop("ResponseMetadata")
        check_shape(model.output_shape, answer, operation)


def check_shape(shape, value, path):
    """Fails where `value` is not of `shape`."""
    if shape is None or shape.type_name != "structure":
        if shape is not None and shape.type_name == "list":
            for item in value:
                check_shape(shape.member, item, path)
        return
    unknown = set(value) - set(shape.members)
    assert not unknown, f"{path}: {unknown}"
    missing = set(shape.required_members) - set(value)
    assert not missing, f"{path}: {missing}"
    for name, inner in value.items():
        check_shape(shape.members[name], inner, f"{path}.{name}")
