"""Who may use a key: key policies, identity policies, boundaries, conditions, aliases and other accounts, through IAM and KMS together."""

import contextlib
import itertools
import json

import boto3
import pytest

from conftest import refused

_NAMES = itertools.count(1)
_HOMES = []
NODES = 3
ROOT = "arn:aws:iam::{}:root"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resource="*", **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def deny(actions, resource="*", **more):
    return {**allow(actions, resource, **more), "Effect": "Deny"}


class Account:
    """An account, its root user, and users that come with an access key and at most one policy."""

    def __init__(self, client_for, account):
        self.id = account
        self.client_for = client_for
        self.root = client_for(account)
        self.iam = client_for(account, service="iam")

    def user(self, *statements, boundary=None):
        """A new user with a policy of these statements: its name, its ARN and its clients."""
        user = User(self, f"user-{next(_NAMES)}", boundary)
        if statements:
            user.may(*statements)
        return user

    def delegating(self, *statements):
        """A key policy that lets the account use IAM policies, and more."""
        return policy({**allow("kms:*"), "Principal": {"AWS": ROOT.format(self.id)}}, *statements)

    def key(self, *statements, **members):
        """The metadata of a new key with that policy."""
        members.setdefault("Policy", self.delegating(*statements))
        return self.root.create_key(**members)["KeyMetadata"]


class User:
    def __init__(self, account, name, boundary):
        self.account, self.name = account, name
        members = {"PermissionsBoundary": boundary} if boundary else {}
        self.arn = account.iam.create_user(UserName=name, **members)["User"]["Arn"]
        self.access_key = account.iam.create_access_key(UserName=name)["AccessKey"]
        self.kms = self.client()

    def client(self, region="us-east-1", service="kms"):
        key = self.access_key
        return self.account.client_for(key["AccessKeyId"], region, service, secret=key["SecretAccessKey"])

    def may(self, *statements):
        """Replaces the policy of the user."""
        self.account.iam.put_user_policy(UserName=self.name, PolicyName="inline", PolicyDocument=policy(*statements))

    def named(self, effect, actions, **more):
        """A statement of a key policy about this user."""
        return {"Effect": effect, "Principal": {"AWS": self.arn}, "Action": actions, "Resource": "*", **more}


@pytest.fixture
def home(client_for, account):
    _HOMES.append(Account(client_for, account))
    yield _HOMES[-1]
    _HOMES.pop()


@pytest.fixture
def abroad(client_for, account):
    return Account(client_for, f"{int(account) + 200_000_000_000:012}")


@contextlib.contextmanager
def denied(action, why=None):
    """The call inside is denied, once every node knows what was changed before.

    A right that was taken away may still be used elsewhere for a second. Reads know everything that was acknowledged before
    them, and requests go to the nodes in turn: after one read on each, no node is behind.
    """
    for _ in range(NODES):
        _HOMES[-1].root.list_keys(Limit=1)
    with refused("AccessDeniedException") as caught:
        yield
    message = caught.value.response["Error"]["Message"]
    assert f"is not authorized to perform: kms:{action} on resource: " in message, message
    assert why is None or message.endswith(why), message


def no_policy(kind, action):
    return f"because no {kind} policy allows the kms:{action} action"


def encrypt(user, key, **members):
    return user.kms.encrypt(KeyId=key if isinstance(key, str) else key["Arn"], Plaintext=b"x", **members)


def test_a_user_may_nothing_until_a_policy_or_a_grant_says_so(home):
    key, alice = home.key(), home.user()
    with denied("Encrypt", no_policy("identity-based", "Encrypt")):
        encrypt(alice, key)
    alice.may(allow("kms:Encrypt", key["Arn"]))
    encrypt(alice, key)
    home.iam.delete_user_policy(UserName=alice.name, PolicyName="inline")
    home.root.put_key_policy(KeyId=key["KeyId"], Policy=home.delegating(alice.named("Allow", "kms:Decrypt")))
    blob = home.root.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    assert alice.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    home.root.create_grant(KeyId=key["KeyId"], GranteePrincipal=alice.arn, Operations=["DescribeKey"])
    assert alice.kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["Arn"] == key["Arn"]
    with denied("DisableKey"):
        alice.kms.disable_key(KeyId=key["KeyId"])


def test_an_identity_policy_counts_only_where_the_key_policy_lets_the_account(home):
    alice = home.user(allow("kms:*"))
    owner = home.user(allow("kms:*"))
    key = home.key(Policy=policy(owner.named("Allow", "kms:*")), BypassPolicyLockoutSafetyCheck=True)
    for kms in (alice.kms, home.root):
        with denied("DescribeKey", no_policy("resource-based", "DescribeKey")):
            kms.describe_key(KeyId=key["KeyId"])
    owner.kms.describe_key(KeyId=key["KeyId"])


def test_an_explicit_deny_beats_every_allow_and_every_grant(home):
    alice = home.user(allow("kms:*"))
    key = home.key(alice.named("Deny", "kms:Encrypt"), alice.named("Allow", "kms:*"))
    home.root.create_grant(KeyId=key["KeyId"], GranteePrincipal=alice.arn, Operations=["Encrypt"])
    with denied("Encrypt", "with an explicit deny in a resource-based policy"):
        encrypt(alice, key)
    alice.may(allow("kms:*"), deny(["kms:DisableKey", "kms:ScheduleKeyDeletion"]))
    with denied("DisableKey", "with an explicit deny in an identity-based policy"):
        alice.kms.disable_key(KeyId=key["KeyId"])


def test_a_boundary_limits_what_identity_policies_give_and_not_what_a_key_policy_gives_by_name(home):
    boundary = home.iam.create_policy(PolicyName="boundary", PolicyDocument=policy(allow("s3:*")))["Policy"]["Arn"]
    alice = home.user(allow("kms:*"), boundary=boundary)
    with denied("Encrypt", "because no permissions boundary allows the kms:Encrypt action"):
        encrypt(alice, home.key())
    encrypt(alice, home.key(alice.named("Allow", "kms:Encrypt")))


def test_patterns_of_resources(home):
    first, second = home.key(), home.key()
    region, account = "us-east-1", home.id
    for resource, is_allowed in [
        (first["Arn"], True),
        (second["Arn"], False),
        (f"arn:aws:kms:*:{account}:key/*", True),
        (f"arn:aws:kms:{region}:{account}:key/*", True),
        (f"arn:aws:kms:us-west-2:{account}:key/*", False),
        (f"arn:aws:kms:*:444455556666:key/*", False),
        (f"arn:aws:kms:*:{account}:alias/*", False),
        ("*", True),
    ]:
        alice = home.user(allow(["kms:Encrypt"], resource))
        if is_allowed:
            encrypt(alice, first)
        else:
            with denied("Encrypt"):
                encrypt(alice, first)


def test_lists_need_an_identity_policy_for_everything(home):
    key = home.key({"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"})
    alice = home.user()
    for operation, call in {
        "ListKeys": alice.kms.list_keys,
        "ListAliases": alice.kms.list_aliases,
        "CreateKey": alice.kms.create_key,
        "GenerateRandom": lambda: alice.kms.generate_random(NumberOfBytes=8),
        "ListRetirableGrants": lambda: alice.kms.list_retirable_grants(RetiringPrincipal=alice.arn),
    }.items():
        alice.may(allow("kms:*", key["Arn"]))
        with denied(operation):
            call()
        alice.may(allow(f"kms:{operation}", f"arn:aws:kms:us-east-1:{home.id}:*"))
        call()


def test_two_accounts_must_both_agree(home, abroad):
    bob, carol = abroad.user(), abroad.user()
    actions = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:ScheduleKeyDeletion", "kms:TagResource"]
    key = home.key({**allow(actions), "Principal": {"AWS": ROOT.format(abroad.id)}})
    with denied("Encrypt", no_policy("identity-based", "Encrypt")):
        encrypt(bob, key)
    bob.may(allow("kms:*", key["Arn"]))
    blob = encrypt(bob, key)["CiphertextBlob"]
    assert bob.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    with denied("GenerateDataKey", no_policy("resource-based", "GenerateDataKey")):
        bob.kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
    with denied("ScheduleKeyDeletion"):  # works in no other account, whatever policies say
        bob.kms.schedule_key_deletion(KeyId=key["Arn"])
    with denied("TagResource"):
        bob.kms.tag_resource(KeyId=key["Arn"], Tags=[{"TagKey": "a", "TagValue": "b"}])
    with refused("NotFoundException"):  # a bare ID is one of the own account
        bob.kms.describe_key(KeyId=key["KeyId"])
    named = {**allow(actions), "Principal": {"AWS": carol.arn}}
    home.root.put_key_policy(KeyId=key["KeyId"], Policy=home.delegating(named))
    with denied("Encrypt"):
        encrypt(bob, key)
    with denied("Encrypt"):  # named, but its own account does not let it
        encrypt(carol, key)
    carol.may(allow("kms:Encrypt"))
    encrypt(carol, key)


def test_everybody_still_needs_the_own_account_abroad(home, abroad):
    key = home.key({"Effect": "Allow", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"})
    encrypt(home.user(), key)
    bob = abroad.user()
    with denied("Encrypt"):
        encrypt(bob, key)
    bob.may(allow("kms:Encrypt", key["Arn"]))
    encrypt(bob, key)
    caller = {"StringEquals": {"kms:CallerAccount": home.id}}
    only_home = {"Effect": "Allow", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*", "Condition": caller}
    home.root.put_key_policy(KeyId=key["KeyId"], Policy=home.delegating(only_home))
    with denied("Encrypt"):
        encrypt(bob, key)


def test_a_grant_lets_another_account_delegate(home, abroad):
    bob, key = abroad.user(), home.key()
    home.root.create_grant(KeyId=key["KeyId"], GranteePrincipal=ROOT.format(abroad.id), Operations=["Encrypt"])
    with denied("Encrypt"):
        encrypt(bob, key)
    bob.may(allow("kms:Encrypt", key["Arn"]))
    encrypt(bob, key)


def test_aliases_need_permission_on_the_alias_and_on_every_key(home):
    first, second = home.key(), home.key()
    prefix = f"arn:aws:kms:us-east-1:{home.id}:alias/"
    alice = home.user(allow("kms:*Alias", prefix + "test-*"))

    def create(name, key=first):
        return alice.kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])

    with denied("CreateAlias"):
        create("test-a")
    alice.may(allow("kms:*Alias", [prefix + "test-*", first["Arn"]]))
    create("test-a")
    with denied("CreateAlias"):
        create("other")
    with denied("CreateAlias"):
        create("test-b", second)
    with denied("UpdateAlias"):
        alice.kms.update_alias(AliasName="alias/test-a", TargetKeyId=second["KeyId"])
    alice.may(allow("kms:*Alias", [prefix + "test-*", second["Arn"]]))
    with denied("UpdateAlias"):  # not on the key that it names now
        alice.kms.update_alias(AliasName="alias/test-a", TargetKeyId=second["KeyId"])
    with denied("DeleteAlias"):
        alice.kms.delete_alias(AliasName="alias/test-a")
    alice.may(allow("kms:*Alias", [prefix + "test-*", first["Arn"], second["Arn"]]))
    alice.kms.update_alias(AliasName="alias/test-a", TargetKeyId=second["KeyId"])
    alice.kms.delete_alias(AliasName="alias/test-a")
    alice.may(allow("kms:CreateAlias"), deny("kms:CreateAlias", prefix + "Restricted*"))
    with denied("CreateAlias"):
        create("RestrictedX")
    create("restrictedX")


def test_the_alias_in_the_request_and_the_aliases_of_the_key(home):
    key, alice = home.key(), home.user()
    name = f"alias/alpha-{alice.name}"
    home.root.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
    arn = f"arn:aws:kms:us-east-1:{home.id}:{name}"
    condition = {"StringLike": {"kms:RequestAlias": "alias/alpha*"}}
    home.root.put_key_policy(
        KeyId=key["KeyId"], Policy=home.delegating(alice.named("Allow", "kms:Encrypt", Condition=condition))
    )
    for identifier in (name, arn):
        encrypt(alice, identifier)
    for identifier in (key["KeyId"], key["Arn"]):
        with denied("Encrypt"):
            encrypt(alice, identifier)
    bob = home.user(allow("kms:Encrypt", Condition={"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/alpha*"}}))
    encrypt(bob, key)
    home.root.delete_alias(AliasName=name)
    with denied("Encrypt"):
        encrypt(bob, key)


def test_tags_of_the_key_and_of_the_request(home):
    test = [{"TagKey": "Purpose", "TagValue": "Test"}]
    key, other = home.key(Tags=test), home.key()
    condition = {"StringEquals": {"aws:ResourceTag/Purpose": "Test"}}
    alice = home.user(allow("kms:Encrypt", Condition=condition))
    encrypt(alice, key)
    with denied("Encrypt"):
        encrypt(alice, other)
    home.root.untag_resource(KeyId=key["KeyId"], TagKeys=["Purpose"])
    home.root.tag_resource(KeyId=other["KeyId"], Tags=test)
    encrypt(alice, other)
    with denied("Encrypt"):
        encrypt(alice, key)
    in_key_policy = {**allow("kms:Encrypt", Condition=condition), "Principal": "*"}
    home.root.put_key_policy(KeyId=other["KeyId"], Policy=home.delegating(in_key_policy))
    with denied("Encrypt"):  # tags of keys are for identity policies
        encrypt(home.user(), other)
    restricted = {"ForAnyValue:StringEquals": {"aws:TagKeys": "Restricted"}}
    bob = home.user(allow("kms:*"), deny(["kms:TagResource", "kms:UntagResource"], Condition=restricted))
    bob.kms.tag_resource(KeyId=key["KeyId"], Tags=test)
    with denied("TagResource"):
        bob.kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "Restricted", "TagValue": "x"}])
    removal = {"StringEquals": {"aws:RequestTag/Purpose": "Test"}}
    carol = home.user(allow("kms:UntagResource", Condition=removal))
    home.root.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "Other", "TagValue": "x"}])
    with denied("UntagResource"):
        carol.kms.untag_resource(KeyId=key["KeyId"], TagKeys=["Other"])
    carol.kms.untag_resource(KeyId=key["KeyId"], TagKeys=["Purpose"])


def test_creating_a_key_with_tags_needs_both_permissions(home):
    alice = home.user(allow("kms:CreateKey"))
    tags = [{"TagKey": "a", "TagValue": "b"}]
    before = len(home.root.list_keys()["Keys"])
    with denied("TagResource"):
        alice.kms.create_key(Tags=tags)
    assert len(home.root.list_keys()["Keys"]) == before
    alice.may(allow("kms:CreateKey"), allow("kms:TagResource", f"arn:aws:kms:*:{home.id}:key/*"))
    alice.kms.create_key(Tags=tags)


@pytest.mark.parametrize("condition, permitted, refused_members", [
    ({"StringEquals": {"kms:KeyOrigin": "AWS_KMS"}}, [{}, {"Origin": "AWS_KMS"}], [{"Origin": "EXTERNAL"}]),
    ({"StringLike": {"kms:KeySpec": "ECC_*"}}, [{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}], [{}]),
    ({"StringLike": {"kms:CustomerMasterKeySpec": "ECC_*"}},
     [{"CustomerMasterKeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}], [{}]),
    ({"StringEquals": {"kms:KeyUsage": "ENCRYPT_DECRYPT"}}, [{}],
     [{"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}]),
    ({"Bool": {"kms:MultiRegion": "false"}}, [{}, {"MultiRegion": False}], [{"MultiRegion": True}]),
    ({"StringEquals": {"aws:RequestTag/a": "b"}}, [], [{}]),
])
def test_conditions_on_the_key_that_is_made(home, condition, permitted, refused_members):
    alice = home.user(allow("kms:CreateKey", Condition=condition))
    for members in permitted:
        alice.kms.create_key(**members)
    for members in refused_members:
        with denied("CreateKey"):
            alice.kms.create_key(**members)


APP, STAGE = {"AppName": "ExampleApp"}, {"Stage": "Restricted"}


@pytest.mark.parametrize("condition, permitted, refused_contexts", [
    ({"StringEquals": {"kms:EncryptionContext:AppName": "ExampleApp"}},
     [APP, {**APP, "x": "y"}, {"APPNAME": "ExampleApp"}], [{}, {"AppName": "exampleapp"}, {"x": "y"}]),
    ({"StringEquals": {"kms:EncryptionContext:AppName": "ExampleApp"},
      "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["AppName"]}}, [APP], [{**APP, "x": "y"}, {}]),
    ({"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "AppName"}},
     [APP, {"AppName": "y", "b": "c"}], [{}, {"appname": "x"}]),
    ({"Null": {"kms:EncryptionContextKeys": False}}, [APP], [{}]),
    ({"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["AppName"]}}, [{}, APP], [{"Other": "x"}]),
    ({"StringEquals": {"kms:EncryptionContext:user": "${aws:username}"}}, [], [{"user": "${aws:username}"}, {}]),
])
def test_conditions_on_the_encryption_context(home, condition, permitted, refused_contexts):
    key = home.key()
    alice = home.user(allow("kms:Encrypt", Condition=condition))
    for context in permitted:
        encrypt(alice, key, EncryptionContext=context)
    for context in refused_contexts:
        with denied("Encrypt"):
            encrypt(alice, key, EncryptionContext=context)


def test_a_variable_stands_for_the_caller(home):
    key, condition = home.key(), {"StringEquals": {"kms:EncryptionContext:user": "${aws:username}"}}
    alice = home.user(allow("kms:Encrypt", Condition=condition))
    encrypt(alice, key, EncryptionContext={"user": alice.name})
    with denied("Encrypt"):
        encrypt(alice, key, EncryptionContext={"user": "somebody"})


def test_a_denied_encryption_context(home):
    key = home.key()
    condition = {"StringEquals": {"kms:EncryptionContext:Stage": ["Restricted", "Production"]}}
    alice = home.user(allow("kms:Encrypt"), deny("kms:Encrypt", Condition=condition))
    for context in ({"Stage": "Test"}, {}):
        encrypt(alice, key, EncryptionContext=context)
    for stage in ("Restricted", "Production"):
        with denied("Encrypt"):
            encrypt(alice, key, EncryptionContext={"Stage": stage})


def test_an_encryption_context_condition_allows_nothing_that_has_none(home):
    condition = {"StringEquals": {"kms:EncryptionContext:Department": "IT"}}
    alice = home.user(allow(["kms:GenerateDataKey", "kms:DescribeKey"], Condition=condition))
    key = home.key()
    alice.kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext={"Department": "IT"})
    with denied("DescribeKey"):
        alice.kms.describe_key(KeyId=key["KeyId"])


def test_conditions_on_grants(home):
    key = home.key()
    role = f"arn:aws:iam::{home.id}:role/r"
    create = {"KeyId": key["KeyId"], "GranteePrincipal": role, "Operations": ["Encrypt"]}
    for condition, permitted, refused_members in [
        ({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextEquals"}},
         {"Constraints": {"EncryptionContextEquals": APP}}, {"Constraints": {"EncryptionContextSubset": APP}}),
        ({"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "ReEncryptTo"]}},
         {"Operations": ["Encrypt", "ReEncryptTo"]}, {"Operations": ["Encrypt", "Decrypt"]}),
        ({"StringEquals": {"kms:RetiringPrincipal": role}}, {"RetiringPrincipal": role}, {}),
        ({"StringEquals": {"kms:GranteePrincipal": role}}, {}, {"GranteePrincipal": f"{role}2"}),
        ({"StringEquals": {"kms:EncryptionContext:AppName": "ExampleApp"}},
         {"Constraints": {"EncryptionContextSubset": APP}}, {}),
    ]:
        alice = home.user(allow("kms:CreateGrant", Condition=condition))
        alice.kms.create_grant(**{**create, **permitted})
        with denied("CreateGrant"):
            alice.kms.create_grant(**{**create, **refused_members})
    alice = home.user(allow("kms:CreateGrant", Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}}))
    with denied("CreateGrant"):
        alice.kms.create_grant(**create)


def test_whoever_may_create_grants_by_a_policy_may_give_what_it_has_not(home):
    key, bob = home.key(), home.user()
    alice = home.user(allow("kms:CreateGrant"))
    alice.kms.create_grant(KeyId=key["KeyId"], GranteePrincipal=bob.arn, Operations=["Encrypt"])
    encrypt(bob, key)
    with denied("Encrypt"):
        encrypt(alice, key)


def test_conditions_on_re_encryption(home):
    first, second = home.key(), home.key()
    blob = home.root.encrypt(KeyId=first["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    alice = home.user(allow("kms:ReEncrypt*", Condition={"Bool": {"kms:ReEncryptOnSameKey": True}}))
    alice.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=first["Arn"])
    with denied("ReEncryptFrom"):
        alice.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=second["KeyId"])
    bob = home.user(allow("kms:ReEncryptFrom", first["Arn"]))
    with denied("ReEncryptTo"):
        bob.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=second["KeyId"])
    bob.may(allow("kms:ReEncryptFrom", first["Arn"]), allow("kms:ReEncryptTo", second["Arn"]))
    bob.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=second["KeyId"])


def test_conditions_on_parameters(home):
    key = home.key()
    window = {"NumericLessThanEquals": {"kms:ScheduleKeyDeletionPendingWindowInDays": "21"}}
    alice = home.user(allow("kms:*"), deny("kms:ScheduleKeyDeletion", Condition=window))
    with denied("ScheduleKeyDeletion"):
        alice.kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=21)
    alice.kms.schedule_key_deletion(KeyId=key["KeyId"])
    signing = home.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    sign = {"KeyId": signing["KeyId"], "Message": b"x" * 32, "SigningAlgorithm": "ECDSA_SHA_256"}
    bob = home.user(allow("kms:Sign", Condition={"StringEquals": {"kms:MessageType": "RAW"}}))
    bob.kms.sign(**sign)
    with denied("Sign"):
        bob.kms.sign(**sign, MessageType="DIGEST")


def test_the_lockout_safety_check(home):
    key, alice = home.key(), home.user(allow("kms:*"))
    nobody = policy({**allow("kms:*"), "Principal": {"AWS": home.user().arn}})
    with refused("MalformedPolicyDocumentException",
                 "The new key policy will not allow you to update the key policy in the future."):
        alice.kms.put_key_policy(KeyId=key["KeyId"], Policy=nobody)
    with refused("MalformedPolicyDocumentException"):
        alice.kms.create_key(Policy=nobody)
    only_alice = policy(alice.named("Allow", "kms:*"))
    alice.kms.create_key(Policy=only_alice)
    alice.kms.create_key(Policy=nobody, BypassPolicyLockoutSafetyCheck=True)
    bypass = {"Bool": {"kms:BypassPolicyLockoutSafetyCheck": "true"}}
    alice.may(allow("kms:*"), deny(["kms:CreateKey", "kms:PutKeyPolicy"], Condition=bypass))
    with denied("CreateKey"):
        alice.kms.create_key(BypassPolicyLockoutSafetyCheck=True)
    with denied("PutKeyPolicy"):
        alice.kms.put_key_policy(KeyId=key["KeyId"], Policy=home.delegating(), BypassPolicyLockoutSafetyCheck=True)
    alice.kms.put_key_policy(KeyId=key["KeyId"], Policy=home.delegating(), BypassPolicyLockoutSafetyCheck=False)


def test_groups_and_managed_policies(home):
    key, alice = home.key(), home.user()
    group = f"group-{alice.name}"
    home.iam.create_group(GroupName=group)
    home.iam.put_group_policy(GroupName=group, PolicyName="p", PolicyDocument=policy(allow("kms:Encrypt")))
    home.iam.add_user_to_group(GroupName=group, UserName=alice.name)
    encrypt(alice, key)
    home.iam.remove_user_from_group(GroupName=group, UserName=alice.name)
    with denied("Encrypt"):
        encrypt(alice, key)
    power = "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser"
    home.iam.attach_user_policy(UserName=alice.name, PolicyArn=power)
    alice.kms.create_alias(AliasName=f"alias/{alice.name}", TargetKeyId=key["KeyId"])
    alice.kms.list_grants(KeyId=key["KeyId"])
    for action, call in {
        "Encrypt": lambda: encrypt(alice, key),
        "DisableKey": lambda: alice.kms.disable_key(KeyId=key["KeyId"]),
        "UpdateAlias": lambda: alice.kms.update_alias(AliasName=f"alias/{alice.name}", TargetKeyId=key["KeyId"]),
    }.items():
        with denied(action):
            call()
    home.iam.detach_user_policy(UserName=alice.name, PolicyArn=power)
    with denied("ListGrants"):
        alice.kms.list_grants(KeyId=key["KeyId"])


def test_a_role_that_was_assumed(home, cluster):
    key, bob = home.key(), home.user()
    role = f"Engineering-{bob.name}"
    trust = policy({"Effect": "Allow", "Principal": {"AWS": bob.arn}, "Action": "sts:AssumeRole"})
    made = home.iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)["Role"]
    home.iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy(allow(["kms:Encrypt", "kms:Decrypt"])))
    sts = bob.client(service="sts")

    def assumed(**members):
        given = sts.assume_role(RoleArn=made["Arn"], RoleSessionName="session", **members)["Credentials"]
        return boto3.client(
            "kms", region_name="us-east-1", endpoint_url=cluster.gateway, aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
        )

    blob = assumed().encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    assert assumed().decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    with denied("Encrypt"):
        encrypt(bob, key)
    session = assumed(Policy=policy(allow("kms:Decrypt")))
    assert session.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    with denied("Encrypt", "because no session policy allows the kms:Encrypt action"):
        session.encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_a_replica_needs_a_permission_in_its_own_region(home):
    key = home.key(MultiRegion=True)
    alice = home.user(allow("kms:ReplicateKey"))
    replicate = {"KeyId": key["KeyId"], "ReplicaRegion": "eu-west-1"}
    with denied("CreateKey"):
        alice.kms.replicate_key(**replicate)
    alice.may(allow("kms:ReplicateKey"), allow("kms:CreateKey", f"arn:aws:kms:us-west-2:{home.id}:*"))
    with denied("CreateKey"):
        alice.kms.replicate_key(**replicate)
    here = {"StringEquals": {"kms:ReplicaRegion": "us-west-2"}}
    alice.may(allow("kms:ReplicateKey", Condition=here), allow("kms:CreateKey"))
    with denied("ReplicateKey"):
        alice.kms.replicate_key(**replicate)


def test_an_access_key_that_was_deleted_or_switched_off(home):
    key = home.key()
    alice = home.user(allow("kms:*"))
    encrypt(alice, key)
    access_key = alice.access_key["AccessKeyId"]
    home.iam.update_access_key(UserName=alice.name, AccessKeyId=access_key, Status="Inactive")
    for _ in range(5):
        with refused("UnrecognizedClientException"):
            alice.kms.list_keys()
    home.iam.update_access_key(UserName=alice.name, AccessKeyId=access_key, Status="Active")
    alice.kms.list_keys()
    home.iam.delete_access_key(UserName=alice.name, AccessKeyId=access_key)
    for call in (alice.kms.list_keys, lambda: alice.kms.disable_key(KeyId=key["KeyId"])):
        with refused("UnrecognizedClientException"):
            call()
