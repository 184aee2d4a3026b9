"""A `meridian dev` cluster as a child process: started, waited for, stopped, its log kept for the failure report."""

import contextlib
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

from attestation_authority import Authority

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "cn-north-1")
START_SECONDS = 90
STOP_SECONDS = 30

# Warnings and errors of ours fail the run: a healthy cluster has nothing to warn of. Openraft's own warnings are about
# timers that a busy machine misses.
ALARMING = re.compile(r"\bpanicked at\b|\b(WARN|ERROR)\s+meridian")
EXPECTED = re.compile(r"file seal|seal .*file|root key|plain HTTP|without TLS|dev(elopment)? credentials", re.IGNORECASE)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def wait_until(condition, what, seconds=30.0):
    """Asks until `condition` is true and returns what it returned; fails, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        pause.wait(0.05)


def is_ready(port):
    """Whether /readyz answers 200 on this port."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False


def free_ports(count):
    """The first of `count` ports in a row that were all free a moment ago."""
    for _ in range(100):
        with contextlib.ExitStack() as held:
            first = held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                for port in range(first + 1, first + count):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
                return first
    raise AssertionError(f"found no {count} free ports in a row")


class LocalCluster:
    """Four Regions of three nodes, one of them in another partition; `gateway` serves all of them, `ports[region]` one."""

    def __init__(self, folder: pathlib.Path):
        self.log_path = folder / "meridian.log"
        self.folder = folder
        self.process = None
        self.first_port = None
        self.authority = Authority()

    @property
    def gateway(self):
        return f"http://127.0.0.1:{self.first_port}"

    @property
    def ports(self):
        return {region: self.first_port + 1 + index for index, region in enumerate(REGIONS)}

    def start(self):
        """Starts and waits until every Region is ready. Another process may take a port meanwhile: tries again."""
        for _ in range(3):
            self.first_port = free_ports(1 + len(REGIONS))
            self._spawn()
            ready = wait_until(self._is_up_or_gone, f"a ready cluster\n{self.log_tail()}", START_SECONDS)
            if ready == "up":
                return
        raise AssertionError(f"the cluster ends at once\n{self.log_tail()}")

    def _spawn(self):
        command = [
            os.environ["MERIDIAN_BIN"], "dev", "--ephemeral", "--nodes-per-region", "3",
            "--listen", f"127.0.0.1:{self.first_port}", "--regions", ",".join(REGIONS),
            "--attestation-root", "attestation-root.pem",
        ]
        (self.folder / "attestation-root.pem").write_bytes(self.authority.root_pem)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )

    def _is_up_or_gone(self):
        if self.process.poll() is not None:
            return "gone"
        ports = (self.first_port, *self.ports.values())
        return "up" if all(is_ready(port) for port in ports) else None

    def stop(self):
        """Asks the cluster to stop as an operator would; it must do so in time and report success."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the cluster does not stop\n{self.log_tail()}") from None

    def log_tail(self, lines=60):
        """The end of the log, for a failure report."""
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def alarming_lines(self):
        """Lines of the log that a healthy cluster does not write."""
        lines = ANSI.sub("", self.log_path.read_text(errors="replace")).splitlines()
        return [line for line in lines if ALARMING.search(line) and not EXPECTED.search(line)]
