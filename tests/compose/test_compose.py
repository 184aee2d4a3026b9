"""The containers of `deploy/docker-compose.yml`: nodes and a whole Region are lost, and nothing that was promised is."""

import json

import botocore.exceptions
import pytest

from deployment import NODES, REGIONS, Deployment
from local_cluster import wait_until

HOME, AWAY = "us-east-1", "eu-west-1"


@pytest.fixture(scope="session")
def deployment(request):
    """The running deployment, taken down whatever happens."""
    deployment = Deployment()
    try:
        deployment.start()
        yield deployment
        if request.session.testsfailed:
            print(deployment.logs())
    except BaseException:
        print(deployment.logs())
        raise
    finally:
        deployment.stop()


@pytest.fixture(scope="session")
def keys(deployment):
    """A multi-Region key with a replica in the other Region, and a ciphertext made at home."""
    kms = deployment.kms(HOME)
    key_id = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    kms.replicate_key(KeyId=key_id, ReplicaRegion=AWAY)
    wait_until(lambda: is_enabled(deployment.kms(AWAY), key_id), "the replica to be enabled", 60)
    return {"id": key_id, "blob": kms.encrypt(KeyId=key_id, Plaintext=b"kept")["CiphertextBlob"]}


def is_enabled(kms, key_id):
    try:
        return kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "Enabled"
    except kms.exceptions.NotFoundException:
        return False


def succeeds(call):
    """What the call returns, or None while the service cannot serve it."""
    try:
        return call()
    except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
        return None


def test_every_node_is_healthy_and_unprivileged(deployment):
    for region in REGIONS:
        for node in NODES:
            container = deployment.node(region, node)

            def health(container=container):
                return json.loads(deployment.docker("inspect", "--format", "{{json .State.Health.Status}}", container))

            wait_until(lambda: health() == "healthy", f"node {node} of {region} to be healthy", 60)
            inspected = json.loads(deployment.docker("inspect", container))[0]
            assert inspected["Config"]["User"] == "65532:65532"
            assert inspected["HostConfig"]["ReadonlyRootfs"] is True
            bindings = inspected["NetworkSettings"]["Ports"]["7600/tcp"]
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}
            assert not inspected["NetworkSettings"]["Ports"].get("7700/tcp")


def test_every_node_serves(deployment, keys):
    for node in NODES:
        assert deployment.kms(HOME, node).decrypt(CiphertextBlob=keys["blob"])["Plaintext"] == b"kept"
        made = deployment.kms(HOME, node).create_key()["KeyMetadata"]["KeyId"]
        for other in NODES:
            assert wait_until(
                lambda made=made, other=other: is_enabled(deployment.kms(HOME, other), made), "the key on every node"
            )


def test_init_again_changes_nothing(deployment, keys):
    before = deployment.credentials
    deployment.start()
    assert deployment.credentials == before
    assert deployment.kms(HOME).decrypt(CiphertextBlob=keys["blob"])["Plaintext"] == b"kept"


@pytest.mark.parametrize("victim", NODES)
def test_any_node_may_be_killed(deployment, keys, victim):
    # One after the other, so that a leader is among them whoever that is.
    survivors = [node for node in NODES if node != victim]
    deployment.docker("kill", deployment.node(HOME, victim))
    for survivor in survivors:
        kms = deployment.kms(HOME, survivor)
        made = wait_until(lambda kms=kms: succeeds(kms.create_key), f"a write at node {survivor}", 60)
        made = made["KeyMetadata"]["KeyId"]
        opened = wait_until(
            lambda kms=kms: succeeds(lambda: kms.decrypt(CiphertextBlob=keys["blob"])), "a decryption", 30
        )
        assert opened["Plaintext"] == b"kept"
    deployment.docker("start", deployment.node(HOME, victim))
    deployment.wait_ready(HOME)
    # What was written meanwhile, the victim has to learn.
    wait_until(lambda: is_enabled(deployment.kms(HOME, victim), made), "the victim to catch up", 60)


def test_a_region_may_be_lost(deployment, keys):
    nodes = [deployment.node(HOME, node) for node in NODES]
    deployment.docker("kill", *nodes)
    away = deployment.kms(AWAY)
    opened = away.decrypt(CiphertextBlob=keys["blob"])
    assert opened["Plaintext"] == b"kept"
    assert opened["KeyId"].split(":")[3] == AWAY
    made_away = away.encrypt(KeyId=keys["id"], Plaintext=b"made while the other Region was lost")["CiphertextBlob"]
    assert away.create_key()["KeyMetadata"]["Enabled"]

    deployment.docker("start", *nodes)
    deployment.wait_ready(HOME)
    home = deployment.kms(HOME)
    assert home.decrypt(CiphertextBlob=keys["blob"])["Plaintext"] == b"kept"
    assert home.decrypt(CiphertextBlob=made_away)["Plaintext"] == b"made while the other Region was lost"

    # The links work again in both directions.
    second = home.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    home.replicate_key(KeyId=second, ReplicaRegion="us-west-2")
    wait_until(lambda: is_enabled(deployment.kms("us-west-2"), second), "a replica after the return", 60)


def test_everything_stopped_and_started(deployment, keys):
    deployment.compose("stop", "--timeout", "20")
    deployment.start()
    for region in (HOME, AWAY):
        assert deployment.kms(region).decrypt(CiphertextBlob=keys["blob"])["Plaintext"] == b"kept"
