"""Grants: who gets what, under which constraints, for how long; and the tokens that name them."""

import base64
import contextlib

import pytest

from conftest import refused, refused_soon

GRANTEE = "arn:aws:iam::{}:root"
IT = {"Department": "IT"}
IT_TEST = {"Department": "IT", "Purpose": "Test"}
INVALID_TOKEN = "A grant token in the request is not valid."


@pytest.fixture
def other_account(account):
    """Another account."""
    return f"{int(account) + 100_000_000_000:012}"


@pytest.fixture
def other(client_for, other_account):
    """A client of that account."""
    return client_for(other_account)


@pytest.fixture
def grant(kms, key, other_account):
    """Makes a grant to the other account: `grant(["Decrypt"], Name="n")`."""

    def make(operations, **members):
        members = {"GranteePrincipal": GRANTEE.format(other_account), **members}
        return kms.create_grant(KeyId=key["Arn"], Operations=operations, **members)

    return make


@contextlib.contextmanager
def denied(action, key):
    """The call inside is denied, in the words that name action and key."""
    with refused("AccessDeniedException") as caught:
        yield
    message = caught.value.response["Error"]["Message"]
    assert f"is not authorized to perform: kms:{action} on resource: {key['Arn']}" in message


def test_a_principal_of_another_account_decrypts_within_the_constraints(kms, other, key, grant):
    blobs = {
        name: kms.encrypt(KeyId=key["Arn"], Plaintext=b"x", EncryptionContext=context)["CiphertextBlob"]
        for name, context in {"it": IT, "both": IT_TEST, "hr": {"Department": "HR"}}.items()
    }
    with denied("Decrypt", key):
        other.decrypt(KeyId=key["Arn"], CiphertextBlob=blobs["it"], EncryptionContext=IT)
    grant(["Decrypt"], Constraints={"EncryptionContextSubset": IT})
    for blob, context in (("it", IT), ("both", IT_TEST)):
        answer = other.decrypt(CiphertextBlob=blobs[blob], EncryptionContext=context)
        assert answer["Plaintext"] == b"x"
        assert answer["KeyId"] == key["Arn"]
    with denied("Decrypt", key):
        other.decrypt(CiphertextBlob=blobs["hr"], EncryptionContext={"Department": "HR"})
    with denied("Encrypt", key):
        other.encrypt(KeyId=key["Arn"], Plaintext=b"x", EncryptionContext=IT)
    with refused("NotFoundException"):  # a bare key ID is one of the caller's own account
        other.decrypt(KeyId=key["KeyId"], CiphertextBlob=blobs["it"], EncryptionContext=IT)


def test_equals_permits_no_other_pair(other, key, grant):
    grant(["Encrypt", "DescribeKey"], Constraints={"EncryptionContextEquals": IT})
    other.encrypt(KeyId=key["Arn"], Plaintext=b"x", EncryptionContext=IT)
    for context in (IT_TEST, {"Purpose": "Test"}, {}, {"Department": "it"}):
        with denied("Encrypt", key):
            other.encrypt(KeyId=key["Arn"], Plaintext=b"x", EncryptionContext=context)
    assert other.describe_key(KeyId=key["Arn"])["KeyMetadata"]["Arn"] == key["Arn"]  # has no context to constrain


def test_each_side_of_a_re_encryption_has_its_own_permission_and_context(kms, other, key, grant):
    blob = kms.encrypt(KeyId=key["Arn"], Plaintext=b"x", EncryptionContext=IT)["CiphertextBlob"]
    own = other.create_key()["KeyMetadata"]["Arn"]
    grant(["ReEncryptFrom"], Constraints={"EncryptionContextEquals": IT})
    other.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=IT, DestinationKeyId=own)
    with denied("ReEncryptTo", key):
        other.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=IT, DestinationKeyId=key["Arn"])
    grant(["ReEncryptTo"], Constraints={"EncryptionContextEquals": IT_TEST})
    destination = {"DestinationKeyId": key["Arn"], "DestinationEncryptionContext": IT_TEST}
    other.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=IT, **destination)
    with denied("ReEncryptTo", key):
        destination["DestinationEncryptionContext"] = IT
        other.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=IT, **destination)


def test_the_entry_of_a_grant(kms, account, key, other_account, grant):
    made = grant(["Decrypt", "Encrypt"], RetiringPrincipal=GRANTEE.format(account),
                 Constraints={"EncryptionContextSubset": IT})
    assert set(made) == {"GrantToken", "GrantId", "ResponseMetadata"}
    assert len(made["GrantId"]) == 64 and int(made["GrantId"], 16)
    answer = kms.list_grants(KeyId=key["KeyId"])
    assert answer["Truncated"] is False and "NextMarker" not in answer
    [entry] = answer["Grants"]
    assert entry.pop("CreationDate")
    assert entry == {
        "KeyId": key["Arn"],
        "GrantId": made["GrantId"],
        "Name": "",
        "GranteePrincipal": GRANTEE.format(other_account),
        "RetiringPrincipal": GRANTEE.format(account),
        "IssuingAccount": GRANTEE.format(account),
        "Operations": ["Decrypt", "Encrypt"],
        "Constraints": {"EncryptionContextSubset": IT},
    }


def test_a_name_makes_repeated_requests_one(kms, key, grant):
    first, again = grant(["Decrypt"], Name="n"), grant(["Decrypt"], Name="n")
    assert first["GrantId"] == again["GrantId"]
    assert first["GrantToken"] != again["GrantToken"]
    others = [grant(["Encrypt"], Name="n"), grant(["Decrypt"]), grant(["Decrypt"])]
    ids = {first["GrantId"], *(made["GrantId"] for made in others)}
    assert len(ids) == 4
    listed = kms.list_grants(KeyId=key["Arn"])["Grants"]
    assert {entry["GrantId"] for entry in listed} == ids
    kms.retire_grant(GrantToken=again["GrantToken"])  # any token of the grant will do
    assert len(kms.list_grants(KeyId=key["Arn"])["Grants"]) == 3


def test_pages_and_filters(kms, key, grant, account):
    ids = sorted(grant(["Decrypt"])["GrantId"] for _ in range(5))
    mine = kms.create_grant(KeyId=key["Arn"], GranteePrincipal=GRANTEE.format(account), Operations=["Encrypt"])
    pages = list(kms.get_paginator("list_grants").paginate(KeyId=key["Arn"], PaginationConfig={"PageSize": 2}))
    assert [len(page["Grants"]) for page in pages] == [2, 2, 2]
    found = [entry["GrantId"] for page in pages for entry in page["Grants"]]
    assert found == sorted([*ids, mine["GrantId"]])
    by_grantee = kms.list_grants(KeyId=key["Arn"], GranteePrincipal=GRANTEE.format(account))["Grants"]
    assert [entry["GrantId"] for entry in by_grantee] == [mine["GrantId"]]
    by_id = kms.list_grants(KeyId=key["Arn"], GrantId=ids[0])["Grants"]
    assert [entry["GrantId"] for entry in by_id] == [ids[0]]
    with refused("InvalidGrantIdException"):
        kms.list_grants(KeyId=key["Arn"], GrantId="nonsense")
    with refused("InvalidMarkerException"):
        kms.list_grants(KeyId=key["Arn"], Marker="nonsense")


def test_retirable_grants_of_ones_own_account_on_keys_of_any(kms, other, other_account, key, grant):
    retirer = GRANTEE.format(other_account)
    own_key = other.create_key()["KeyMetadata"]["Arn"]
    ids = {grant(["Decrypt"], RetiringPrincipal=retirer)["GrantId"]}
    ids.add(other.create_grant(
        KeyId=own_key, GranteePrincipal=retirer, RetiringPrincipal=retirer, Operations=["Encrypt"])["GrantId"])
    grant(["Decrypt"])  # nobody is named to retire it
    first = other.list_retirable_grants(RetiringPrincipal=retirer, Limit=1)
    second = other.list_retirable_grants(RetiringPrincipal=retirer, Marker=first["NextMarker"])
    assert {entry["GrantId"] for page in (first, second) for entry in page["Grants"]} == ids
    assert second["Truncated"] is False
    with refused("AccessDeniedException"):
        kms.list_retirable_grants(RetiringPrincipal=retirer)
    with refused("ValidationException"):
        kms.list_retirable_grants()


@pytest.mark.parametrize("operations", [["Decrypt", "RetireGrant"], ["Decrypt"]])
def test_a_grantee_retires_only_what_says_so(other, key, grant, operations):
    made = grant(operations)
    if "RetireGrant" in operations:
        other.retire_grant(KeyId=key["Arn"], GrantId=made["GrantId"])
        with refused("NotFoundException"):
            other.retire_grant(GrantToken=made["GrantToken"])
    else:
        with denied("RetireGrant", key):
            other.retire_grant(GrantToken=made["GrantToken"])


def test_a_retiring_principal_retires(kms, other, other_account, key, grant, account):
    made = grant(["Encrypt"], GranteePrincipal=GRANTEE.format(account), RetiringPrincipal=GRANTEE.format(other_account))
    other.retire_grant(GrantToken=made["GrantToken"])
    assert kms.list_grants(KeyId=key["Arn"])["Grants"] == []


def test_what_is_revoked_is_gone_and_its_token_is_worth_nothing(kms, other, key, grant):
    made, twin = grant(["Encrypt"]), grant(["Encrypt"])
    token = [made["GrantToken"]]
    with denied("RevokeGrant", key):
        other.revoke_grant(KeyId=key["Arn"], GrantId=made["GrantId"])
    kms.revoke_grant(KeyId=key["KeyId"], GrantId=made["GrantId"])
    other.encrypt(KeyId=key["Arn"], Plaintext=b"x", GrantTokens=token)  # through the twin
    kms.revoke_grant(KeyId=key["Arn"], GrantId=twin["GrantId"])
    refused_soon("AccessDeniedException", None,
                 lambda: other.encrypt(KeyId=key["Arn"], Plaintext=b"x", GrantTokens=token))
    with refused("NotFoundException"):
        kms.revoke_grant(KeyId=key["Arn"], GrantId=made["GrantId"])
    with refused("InvalidGrantIdException"):
        kms.revoke_grant(KeyId=key["Arn"], GrantId="nonsense")


def test_tokens_are_verified_and_give_nothing_to_others(kms, client_for, account, other, key, grant):
    token = grant(["Encrypt"])["GrantToken"]
    other.encrypt(KeyId=key["Arn"], Plaintext=b"x", GrantTokens=[token])
    own_key = other.create_key()["KeyMetadata"]["Arn"]
    other.encrypt(KeyId=own_key, Plaintext=b"x", GrantTokens=[token])  # about another key: means nothing
    stranger = client_for(f"{int(account) + 200_000_000_000:012}")
    with denied("Encrypt", key):
        stranger.encrypt(KeyId=key["Arn"], Plaintext=b"x", GrantTokens=[token])
    forged = bytearray(base64.b64decode(token))
    forged[20] ^= 1
    for bad in (base64.b64encode(forged).decode(), "nonsense", token[:-4]):
        with refused("InvalidGrantTokenException", INVALID_TOKEN):
            other.encrypt(KeyId=key["Arn"], Plaintext=b"x", GrantTokens=[token, bad])
        with refused("InvalidGrantTokenException", INVALID_TOKEN):
            kms.retire_grant(GrantToken=bad)
    elsewhere = client_for(account, region="us-west-2")
    with refused("InvalidGrantTokenException", INVALID_TOKEN):
        elsewhere.retire_grant(GrantToken=token)


def test_a_grant_works_at_once_on_every_node(kms, other, key, grant):
    for _ in range(12):
        token = grant(["GenerateDataKey"])["GrantToken"]
        other.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256", GrantTokens=[token])
        kms.retire_grant(GrantToken=token)


def test_grantees_who_create_grants_are_bound_by_their_own(kms, other, client_for, account, key, grant):
    grant(["GenerateDataKey", "Decrypt", "CreateGrant"], Constraints={"EncryptionContextSubset": IT})
    third_account = f"{int(account) + 300_000_000_000:012}"
    third = client_for(third_account)

    def child(client, operations, **constraints):
        return client.create_grant(
            KeyId=key["Arn"], GranteePrincipal=GRANTEE.format(third_account), Operations=operations,
            **({"Constraints": constraints} if constraints else {}))

    for operations, constraints in (
        (["ReEncryptFrom", "Decrypt"], {"EncryptionContextEquals": IT}),
        (["Decrypt"], {}),
        (["Decrypt"], {"EncryptionContextSubset": {"Purpose": "X"}}),
        (["Decrypt"], {"EncryptionContextSubset": {"Department": "HR"}}),
    ):
        with denied("CreateGrant", key):
            child(other, operations, **constraints)
    child(other, ["Decrypt"], EncryptionContextSubset=IT_TEST)
    child(other, ["CreateGrant", "Decrypt"], EncryptionContextEquals=IT)
    child(third, ["Decrypt"], EncryptionContextEquals=IT)
    for operations, constraints in (
        (["Decrypt"], {"EncryptionContextSubset": IT}),
        (["GenerateDataKey"], {"EncryptionContextEquals": IT}),
    ):
        with denied("CreateGrant", key):
            child(third, operations, **constraints)
    issuers = {entry["IssuingAccount"] for entry in kms.list_grants(KeyId=key["Arn"])["Grants"]}
    assert len(issuers) == 3


@pytest.mark.parametrize(("members", "code", "message"), [
    ({"Operations": ["Sign"]}, "ValidationException", None),
    ({"Operations": ["GenerateMac"]}, "ValidationException", None),
    ({"Operations": []}, "ValidationException", None),
    ({"Operations": ["ScheduleKeyDeletion"]}, "ValidationException", None),
    ({"Operations": ["CreateGrant"]}, "ValidationException", "Grants must not contain only the CreateGrant operation."),
    ({"GranteePrincipal": None}, "ValidationException", None),
    ({"GranteePrincipal": "dynamodb.us-west-2.amazonaws.com"}, "InvalidArnException", None),
    ({"GranteePrincipal": "arn:aws:iam::111122223333:group/admins"}, "InvalidArnException", None),
    ({"GranteePrincipal": "arn:aws-cn:iam::111122223333:user/alice"}, "InvalidArnException", None),
    ({"RetiringPrincipal": "o-a1b2c3d4e5"}, "InvalidArnException", None),
    ({"Constraints": {"EncryptionContextEquals": IT, "EncryptionContextSubset": IT}}, "ValidationException",
     "More than one constraint supplied"),
    ({"Constraints": {"EncryptionContextSubset": {str(n): "" for n in range(9)}}}, "ValidationException", None),
    ({"Constraints": {"EncryptionContextSubset": {"a": "x" * 385}}}, "ValidationException", None),
    ({"GranteeServicePrincipal": "s3.amazonaws.com"}, "ValidationException", None),
    ({"GranteePrincipal": None, "GranteeServicePrincipal": "s3.amazonaws.com"}, "ValidationException", None),
])
def test_grants_that_cannot_be(kms, key, account, members, code, message):
    request = {"GranteePrincipal": GRANTEE.format(account), "Operations": ["Decrypt"], **members}
    with refused(code, message):
        kms.create_grant(KeyId=key["Arn"], **{name: value for name, value in request.items() if value is not None})
    assert kms.list_grants(KeyId=key["Arn"])["Grants"] == []


def test_a_grant_to_a_service_shows_it(kms, key, account):
    source = f"arn:aws:dynamodb:us-east-1:{account}:table/services"
    kms.create_grant(
        KeyId=key["Arn"], GranteeServicePrincipal="dynamodb.us-east-1.amazonaws.com", Operations=["Decrypt"],
        RetiringServicePrincipal="dynamodb.us-east-1.amazonaws.com", Constraints={"SourceArn": source})
    [entry] = kms.list_grants(KeyId=key["Arn"])["Grants"]
    for role in ("Grantee", "Retiring"):
        assert entry[f"{role}Principal"] == entry[f"{role}ServicePrincipal"] == "dynamodb.us-east-1.amazonaws.com"
    assert entry["Constraints"] == {"SourceArn": source}


def test_dry_runs_change_nothing(kms, other, key, grant):
    made = grant(["Decrypt"])
    text = "The request would have succeeded, but the DryRun option is set."
    for call in (
        lambda: grant(["Encrypt"], DryRun=True),
        lambda: kms.retire_grant(GrantToken=made["GrantToken"], DryRun=True),
        lambda: kms.revoke_grant(KeyId=key["Arn"], GrantId=made["GrantId"], DryRun=True),
    ):
        with refused("DryRunOperationException", text):
            call()
    with denied("RevokeGrant", key):
        other.revoke_grant(KeyId=key["Arn"], GrantId=made["GrantId"], DryRun=True)
    assert [entry["GrantId"] for entry in kms.list_grants(KeyId=key["Arn"])["Grants"]] == [made["GrantId"]]


def test_a_grant_to_retire_is_named_in_one_way(kms, key, grant):
    made = grant(["Decrypt"])
    for members in ({}, {"KeyId": key["Arn"]}, {"GrantId": made["GrantId"]},
                    {"GrantToken": made["GrantToken"], "KeyId": key["Arn"], "GrantId": made["GrantId"]}):
        with refused("ValidationException"):
            kms.retire_grant(**members)
    kms.retire_grant(KeyId=key["KeyId"], GrantId=made["GrantId"])
