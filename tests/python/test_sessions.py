"""STS: roles assumed within an account and across accounts, session tokens, presigned requests - with boto3, and the AWS CLI."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import boto3
import botocore.config
import pytest

from conftest import refused, refused_soon
from local_cluster import REGIONS, wait_until
from test_identities import policy, succeeds, user_with_key


def trust(principal, actions=("sts:AssumeRole",), **statement):
    """A trust policy with one statement."""
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": list(actions), **statement}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def iam(client_for, account):
    """The root of this test's account, at IAM."""
    return client_for(account, service="iam")


@pytest.fixture
def client_with(cluster):
    """Makes clients of temporary credentials: `client_with(credentials, service, region)`."""

    def make(credentials, service="kms", region=REGIONS[0]):
        return boto3.session.Session().client(
            service,
            region_name=region,
            endpoint_url=cluster.gateway,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            config=botocore.config.Config(parameter_validation=False),
        )

    return make


@pytest.fixture
def alice(iam, client_with):
    """The STS client of a user who may assume every role that trusts her account."""
    key = user_with_key(iam, "alice")
    iam.put_user_policy(UserName="alice", PolicyName="assume", PolicyDocument=policy("sts:*"))
    sts = client_with(key, "sts")
    wait_until(lambda: succeeds(sts.get_caller_identity), "the access key to work")
    sts.key = key
    return sts


def test_a_role_of_another_account(iam, alice, client_for, client_with, account):
    """Two accounts, a key in one of them, and a user of the other one who assumes a role there."""
    owner = f"{int(account) + 300_000_000:012}"
    owner_iam, owner_kms = client_for(owner, service="iam"), client_for(owner)
    key_id = owner_kms.create_key()["KeyMetadata"]["KeyId"]
    role = owner_iam.create_role(RoleName="user-of-keys", AssumeRolePolicyDocument=trust(account))["Role"]
    owner_iam.put_role_policy(RoleName="user-of-keys", PolicyName="p", PolicyDocument=policy(["kms:Encrypt", "kms:Decrypt"]))
    answer = alice.assume_role(RoleArn=role["Arn"], RoleSessionName="alice@work")
    session_arn = f"arn:aws:sts::{owner}:assumed-role/user-of-keys/alice@work"
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": f"{role['RoleId']}:alice@work", "Arn": session_arn}
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA") and "PackedPolicySize" not in answer
    assert client_with(credentials, "sts").get_caller_identity()["Arn"] == session_arn

    kms = client_with(credentials)
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"a secret")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"a secret"
    with refused("AccessDeniedException") as caught:
        kms.list_keys()
    assert f"User: {session_arn} is not authorized to perform: kms:ListKeys" in caught.value.response["Error"]["Message"]
    for region in REGIONS[1:3]:
        elsewhere = client_with(credentials, "sts", region)
        wait_until(lambda elsewhere=elsewhere: succeeds(elsewhere.get_caller_identity), f"the role in {region}")

    owner_iam.delete_role_policy(RoleName="user-of-keys", PolicyName="p")
    refused_soon("AccessDeniedException", None, lambda: kms.decrypt(CiphertextBlob=blob))
    owner_iam.delete_role(RoleName="user-of-keys")
    refused_soon("UnrecognizedClientException", None, lambda: kms.decrypt(CiphertextBlob=blob))


def test_who_may_not_assume_a_role(iam, alice, client_for, account):
    absent = f"arn:aws:iam::{account}:role/absent"
    me = f"arn:aws:iam::{account}:user/alice"

    def denied(arn):
        return f"User: {me} is not authorized to perform: sts:AssumeRole on resource: {arn}"

    with refused("AccessDenied", denied(absent)):
        alice.assume_role(RoleArn=absent, RoleSessionName="me")
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust("111122223333"))["Role"]["Arn"]
    with refused("AccessDenied") as caught:
        alice.assume_role(RoleArn=role, RoleSessionName="me")
    assert caught.value.response["Error"]["Message"].startswith(denied(role))
    with refused("AccessDenied", "Roles may not be assumed by root accounts."):
        client_for(account, service="sts").assume_role(RoleArn=role, RoleSessionName="me")
    with refused("ValidationError"):
        alice.assume_role(RoleArn="arn:aws:iam::1:role/r", RoleSessionName="me")
    with refused(
        "ValidationError",
        "1 validation error detected: Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy "
        r"regular expression pattern: [\w+=,.@-]*",
    ):
        alice.assume_role(RoleArn=role, RoleSessionName="a b")
    iam.delete_user_policy(UserName="alice", PolicyName="assume")
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust(account))
    refused_soon("AccessDenied", None, lambda: alice.assume_role(RoleArn=role, RoleSessionName="me"))


def test_an_external_id(iam, alice, account):
    condition = {"StringEquals": {"sts:ExternalId": "1234"}}
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(account, Condition=condition))["Role"]["Arn"]
    for external_id in ({}, {"ExternalId": "4321"}):
        with refused("AccessDenied"):
            alice.assume_role(RoleArn=role, RoleSessionName="me", **external_id)
    assert alice.assume_role(RoleArn=role, RoleSessionName="me", ExternalId="1234")["Credentials"]


def test_how_long_a_session_lasts(iam, alice, client_with, account):
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(account))["Role"]["Arn"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy("sts:AssumeRole"))
    with refused("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."):
        alice.assume_role(RoleArn=role, RoleSessionName="me", DurationSeconds=3601)
    iam.update_role(RoleName="r", MaxSessionDuration=7200)
    first = alice.assume_role(RoleArn=role, RoleSessionName="me", DurationSeconds=7200)
    chained = client_with(first["Credentials"], "sts")
    with refused(
        "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    ):
        chained.assume_role(RoleArn=role, RoleSessionName="again", DurationSeconds=3601)
    assert chained.assume_role(RoleArn=role, RoleSessionName="again")["Credentials"]
    with refused("AccessDenied", "Cannot call GetSessionToken with session credentials"):
        chained.get_session_token()


def test_session_tags_and_source_identity(iam, alice, client_with, kms, account):
    with_tags = trust(account, ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"))
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=with_tags)["Role"]["Arn"]
    condition = {"StringEquals": {"aws:PrincipalTag/Project": "alpha", "aws:SourceIdentity": "alice"}}
    statements = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*", "Condition": condition},
        {"Effect": "Allow", "Action": "sts:*", "Resource": "*"},
    ]})
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=statements)

    def assume(sts=alice, **request):
        return sts.assume_role(RoleArn=role, RoleSessionName="me", **request)

    answer = assume(Tags=[{"Key": "Project", "Value": "alpha"}], TransitiveTagKeys=["Project"], SourceIdentity="alice")
    assert answer["SourceIdentity"] == "alice" and 0 < answer["PackedPolicySize"] <= 100
    assert "Keys" in client_with(answer["Credentials"]).list_keys()
    other = assume(Tags=[{"Key": "Project", "Value": "beta"}], SourceIdentity="alice")
    with refused("AccessDeniedException"):
        client_with(other["Credentials"]).list_keys()
    chained = assume(client_with(answer["Credentials"], "sts"))
    assert chained["SourceIdentity"] == "alice"
    assert "Keys" in client_with(chained["Credentials"]).list_keys(), "transitive tags go on"
    with refused("ValidationError"):
        assume(client_with(answer["Credentials"], "sts"), Tags=[{"Key": "project", "Value": "beta"}])
    with refused("ValidationError"):
        assume(TransitiveTagKeys=["Project"])
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust(account))
    refused_soon("AccessDenied", None, lambda: assume(Tags=[{"Key": "Project", "Value": "alpha"}]))
    assert assume()["Credentials"]


def test_session_policies(iam, alice, client_with, kms, account):
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(account))["Role"]["Arn"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=policy("kms:*"))
    bounded = alice.assume_role(RoleArn=role, RoleSessionName="me", Policy=policy("kms:ListKeys"))
    assert 0 < bounded["PackedPolicySize"] <= 100
    session = client_with(bounded["Credentials"])
    assert "Keys" in session.list_keys()
    with refused("AccessDeniedException"):
        session.list_aliases()
    arn = iam.create_policy(PolicyName="aliases", PolicyDocument=policy("kms:ListAliases"))["Policy"]["Arn"]
    bounded = alice.assume_role(RoleArn=role, RoleSessionName="me", PolicyArns=[{"arn": arn}])
    session = client_with(bounded["Credentials"])
    assert "Aliases" in session.list_aliases()
    with refused("AccessDeniedException"):
        session.list_keys()
    with refused("MalformedPolicyDocument"):
        alice.assume_role(RoleArn=role, RoleSessionName="me", Policy="{}")
    with refused("ValidationError"):
        alice.assume_role(RoleArn=role, RoleSessionName="me", PolicyArns=[{"arn": f"{arn}-absent"}])
    tags = [{"Key": f"{number:03}" + "k" * 120, "Value": "v" * 250} for number in range(50)]
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust(account, ("sts:AssumeRole", "sts:TagSession")))
    wait_until(lambda: succeeds(lambda: alice.assume_role(RoleArn=role, RoleSessionName="me", Tags=tags[:1])), "tags")
    with refused("PackedPolicyTooLarge"):
        alice.assume_role(RoleArn=role, RoleSessionName="me", Tags=tags)


def test_sessions_of_a_user(iam, alice, client_with, account):
    iam.put_user_policy(UserName="alice", PolicyName="kms", PolicyDocument=policy(["kms:ListKeys", "kms:ListAliases"]))
    credentials = alice.get_session_token(DurationSeconds=900)["Credentials"]
    assert client_with(credentials, "sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:user/alice"
    kms = client_with(credentials)
    wait_until(lambda: succeeds(kms.list_keys), "the policy to count")
    with refused("UnrecognizedClientException"):
        client_with({**credentials, "SessionToken": credentials["SessionToken"][:-4] + "AAAA"}).list_keys()
    with refused("UnrecognizedClientException"):
        client_with({**credentials, "SessionToken": None}).list_keys()
    with refused("InvalidSignatureException"):
        client_with({**credentials, "SecretAccessKey": "x" * 40}).list_keys()

    answer = alice.get_federation_token(Name="visitor", Policy=policy("kms:ListKeys"))
    assert answer["FederatedUser"] == {
        "FederatedUserId": f"{account}:visitor", "Arn": f"arn:aws:sts::{account}:federated-user/visitor",
    }
    visitor = client_with(answer["Credentials"])
    assert "Keys" in visitor.list_keys()
    with refused("AccessDeniedException"):
        visitor.list_aliases()
    with refused("AccessDenied", "Cannot call GetFederationToken with session credentials"):
        client_with(credentials, "sts").get_federation_token(Name="another")


def test_a_presigned_request_tells_who_signed_it(cluster, client_for, alice, account):
    root = client_for(account, service="sts")
    for sts, arn in ((root, f"arn:aws:iam::{account}:root"), (alice, f"arn:aws:iam::{account}:user/alice")):
        url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
        with urllib.request.urlopen(url) as answer:
            assert f"<Arn>{arn}</Arn>" in answer.read().decode()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url.replace("GetCallerIdentity", "GetSessionToken"))
        assert caught.value.code == 403 and b"SignatureDoesNotMatch" in caught.value.read()
    session = alice.get_session_token()["Credentials"]
    temporary = boto3.session.Session().client(
        "sts", region_name=REGIONS[0], endpoint_url=cluster.gateway, aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"],
    )
    url = temporary.generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert "user/alice" in answer.read().decode()


@pytest.fixture
def aws(cluster, tmp_path):
    """Runs `aws ...` with these credentials and returns its parsed output, or the text of its error."""

    def run(credentials, *arguments, region=REGIONS[0], fails=False):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }
        if "SessionToken" in credentials:
            environment["AWS_SESSION_TOKEN"] = credentials["SessionToken"]
        command = [sys.executable, "-m", "awscli", "--endpoint-url", cluster.gateway, "--region", region, "--output", "json"]
        done = subprocess.run(
            command + list(arguments), env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120, check=False,
        )
        if fails:
            assert done.returncode != 0, done.stdout
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


def test_the_aws_cli_across_two_accounts(aws, account):
    """`aws iam`, `aws sts` and `aws kms`: a key in one account, used by a user of another one through a role."""
    guest = {"AccessKeyId": account, "SecretAccessKey": "test"}
    owner_account = f"{int(account) + 400_000_000:012}"
    owner = {"AccessKeyId": owner_account, "SecretAccessKey": "test"}
    key_id = aws(owner, "kms", "create-key")["KeyMetadata"]["KeyId"]
    role = aws(owner, "iam", "create-role", "--role-name", "crypto", "--assume-role-policy-document", trust(account))["Role"]
    aws(owner, "iam", "put-role-policy", "--role-name", "crypto", "--policy-name", "use",
        "--policy-document", policy(["kms:Encrypt", "kms:DescribeKey"]))
    assert aws(owner, "iam", "list-role-policies", "--role-name", "crypto") == {"PolicyNames": ["use"]}

    aws(guest, "iam", "create-user", "--user-name", "bob", "--tags", "Key=Team,Value=a")
    aws(guest, "iam", "put-user-policy", "--user-name", "bob", "--policy-name", "assume",
        "--policy-document", policy("sts:AssumeRole", role["Arn"]))
    bob = aws(guest, "iam", "create-access-key", "--user-name", "bob")["AccessKey"]
    assert aws(bob, "sts", "get-caller-identity", region=REGIONS[0])["Arn"] == f"arn:aws:iam::{account}:user/bob"
    answer = aws(bob, "sts", "assume-role", "--role-arn", role["Arn"], "--role-session-name", "bob")
    session = answer["Credentials"]
    described = aws(session, "kms", "describe-key", "--key-id", key_id)
    assert described["KeyMetadata"]["Arn"] == f"arn:aws:kms:{REGIONS[0]}:{owner_account}:key/{key_id}"
    assert "AccessDeniedException" in aws(session, "kms", "disable-key", "--key-id", key_id, fails=True)
    assert "AccessDenied" in aws(bob, "iam", "list-users", fails=True)
    assert "NoSuchEntity" in aws(guest, "iam", "get-user", "--user-name", "eve", fails=True)
    token = aws(bob, "sts", "get-session-token", "--duration-seconds", "900")["Credentials"]
    assert aws(token, "sts", "get-caller-identity")["Arn"].endswith(":user/bob")
