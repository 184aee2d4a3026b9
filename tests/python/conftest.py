"""What the tests share: one cluster per run, and clients of it.

Every test works in an account of its own, because any twelve digits are a root access key of that account in a local
cluster; so no test sees what another one left behind, and quotas are never met by accident.
"""

import contextlib
import itertools

import boto3
import botocore.config
import botocore.exceptions
import pytest

from local_cluster import REGIONS, LocalCluster, wait_until
from raw_wire import Wire

_ACCOUNTS = itertools.count(200_000_000_001)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The cluster; at the end of the run it must have stopped cleanly and logged nothing alarming."""
    cluster = LocalCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
    except (AssertionError, KeyError) as error:  # KeyError: MERIDIAN_BIN, which `cargo verify` gives, is not set
        pytest.exit(f"the cluster does not start: {error}", returncode=1)
    yield cluster
    assert cluster.process.poll() is None, f"the cluster died during the tests\n{cluster.log_tail()}"
    alarming = cluster.alarming_lines()
    cluster.stop()
    assert cluster.process.returncode == 0, f"exit code {cluster.process.returncode}\n{cluster.log_tail()}"
    assert alarming == []


@pytest.fixture
def account():
    """An account that no other test uses."""
    return f"{next(_ACCOUNTS):012}"


@pytest.fixture(scope="session")
def client_for(cluster):
    """Makes boto3 clients: `client_for(account, region, service="kms", endpoint=gateway)`."""

    def make(account, region=REGIONS[0], service="kms", endpoint=None, secret="test", **settings):
        # Retries stay on: a client of the real service has them too. Parameters are checked by the server alone.
        config = botocore.config.Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 3},
            parameter_validation=False,
            **settings,
        )
        return boto3.session.Session().client(
            service,
            region_name=region,
            endpoint_url=endpoint or cluster.gateway,
            aws_access_key_id=account,
            aws_secret_access_key=secret,
            config=config,
        )

    return make


@pytest.fixture(scope="module")
def wire(cluster):
    """A connection below the SDKs."""
    wire = Wire(cluster.gateway)
    yield wire
    wire.close()


@pytest.fixture
def kms(client_for, account):
    """A client of this test's account in the first Region."""
    return client_for(account)


@pytest.fixture
def other(client_for):
    """A client of another account in the first Region."""
    return client_for(f"{next(_ACCOUNTS):012}")


@pytest.fixture
def key(kms):
    """The metadata of a new symmetric key."""
    return kms.create_key()["KeyMetadata"]


@contextlib.contextmanager
def refused(code, message=None):
    """The call inside is refused with this code and, where the wording is a contract, exactly this message."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        yield caught
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    if message is not None:
        assert error["Message"] == message


def refused_soon(code, message, call):
    """As `refused`, for cryptography after a change that takes something away: every node knows of it within a second.

    What a change gives, on the other hand, every node grants at once.
    """

    def is_refused():
        try:
            call()
        except botocore.exceptions.ClientError as caught:
            error = caught.response["Error"]
            return error["Code"] == code and (message is None or error["Message"] == message)
        return False

    wait_until(is_refused, f"{code}: {message}", seconds=5)
    with refused(code, message):
        call()


def key_state(kms, key_id):
    """The state of a key."""
    return kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]


def wait_for_state(kms, key_id, state):
    """Waits until a key is in this state; the key itself may still be on its way into the Region."""

    def arrived():
        try:
            return key_state(kms, key_id) == state
        except kms.exceptions.NotFoundException:
            return False

    wait_until(arrived, f"{key_id} to be {state}")


def pages(operation, member, **request):
    """Every page of a list operation, following the markers."""
    found = []
    while True:
        answer = operation(**request)
        found.append(answer[member])
        if not answer["Truncated"]:
            assert "NextMarker" not in answer
            return found
        request["Marker"] = answer["NextMarker"]
