"""The deployment of `deploy/docker-compose.yml`, started under a name of its own and always taken down again.

Ports are picked by the engine, and change when a container starts again; so they are asked for whenever needed.
"""

import configparser
import io
import os
import pathlib
import shlex
import subprocess
import tarfile

import boto3
import botocore.config
import botocore.exceptions

from local_cluster import is_ready, wait_until

FILE = pathlib.Path(__file__).parents[2] / "deploy" / "docker-compose.yml"
REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
NODES = (1, 2, 3)
START_SECONDS = 180


class Deployment:
    """Three Regions of three nodes in containers."""

    def __init__(self):
        self.project = f"meridian-test-{os.getpid()}"
        self.environment = dict(os.environ)
        for region in REGIONS:
            for node in NODES:
                self.environment[f"MERIDIAN_PORT_{region.upper().replace('-', '_')}_{node}"] = "0"
        self.credentials = None
        self.containers = {}

    def compose(self, *arguments, check=True):
        """Runs docker-compose, or whatever MERIDIAN_COMPOSE names, and returns its output."""
        program = shlex.split(os.environ.get("MERIDIAN_COMPOSE", "docker compose"))
        command = [*program, "--project-name", self.project, "--file", str(FILE), *arguments]
        return self.run(command, check)

    def docker(self, *arguments):
        """Runs docker and returns its output."""
        return self.run(["docker", *arguments])

    def run(self, command, check=True):
        """Runs a program and returns its output."""
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
        )
        assert not check or done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def start(self):
        """Starts everything that does not run and waits until every node is ready."""
        self.compose("up", "--detach", "--no-build")
        self.containers.clear()
        for region in REGIONS:
            self.wait_ready(region)
        self.credentials = self.read_credentials()
        for region in REGIONS:
            wait_until(lambda region=region: self.knows_administrator(region), f"the administrator in {region}", START_SECONDS)

    def stop(self):
        """Removes containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "10", check=False)

    def logs(self):
        """The end of every container's log."""
        return self.compose("logs", "--no-color", "--tail", "40", check=False)

    def container(self, service):
        """The id of a service's container, running or not."""
        if not self.containers:
            # Compose labels what it makes; asking it for each container by itself takes a second a time.
            form = '{{.Label "com.docker.compose.service"}} {{.ID}}'
            project = f"label=com.docker.compose.project={self.project}"
            listed = self.docker("ps", "--all", "--filter", project, "--format", form)
            self.containers = dict(line.split() for line in listed.splitlines())
        return self.containers[service]

    def node(self, region, node):
        """The id of a node's container."""
        return self.container(f"{region}-node-{node}")

    def port(self, region, node):
        """The published port of a node, or None while it has none."""
        published = self.run(["docker", "port", self.node(region, node), "7600/tcp"], check=False)
        return int(published.splitlines()[0].rpartition(":")[2]) if published else None

    def is_ready(self, region, node):
        port = self.port(region, node)
        return port is not None and is_ready(port)

    def wait_ready(self, region, nodes=NODES):
        """Waits until these nodes answer /readyz."""
        for node in nodes:
            wait_until(lambda node=node: self.is_ready(region, node), f"node {node} of {region}", START_SECONDS)

    def read_credentials(self):
        """The administrator's access key that `init` has made, out of its volume."""
        archive = subprocess.run(
            ["docker", "cp", f"{self.container('init')}:/deployment/admin/credentials", "-"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True,
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            text = files.extractfile(files.getmembers()[0]).read().decode()
        parser = configparser.ConfigParser()
        parser.read_string(text)
        return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]

    def knows_administrator(self, region):
        """Whether the administrator, whom the home Region makes, has arrived in a Region."""
        try:
            self.kms(region).list_keys(Limit=1)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError):
            return False
        return True

    def kms(self, region, node=1):
        """A boto3 client of one node."""
        access_key_id, secret = self.credentials
        return boto3.session.Session().client(
            "kms",
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{self.port(region, node)}",
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret,
            config=botocore.config.Config(
                connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 5}
            ),
        )
