"""DVC remotes on the loopback interface: an OpenSSH server and an S3 server.

Each server listens on a free port and ends with its ``with`` block. The remotes name an object by
its MD5, as DVC's cache does.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import boto3
import pytest


class Remote(Protocol):
    """A remote whose objects a test can read and replace without DVC."""

    config: str
    """Content of .dvc/config.local that makes it the default remote."""

    def read(self, md5: str) -> bytes:
        """Return the content of an object."""

    def write(self, md5: str, content: bytes) -> None:
        """Replace the content of an object."""


def _config(url: str, **settings: object) -> str:
    lines = [f"    {name} = {value}" for name, value in {"url": url, **settings}.items()]
    return "\n".join(["[core]", "    remote = team", "['remote \"team\"']", *lines, ""])


def _object_path(md5: str) -> str:
    return f"files/md5/{md5[:2]}/{md5[2:]}"


class SshRemote:
    """A folder that an SSH server serves."""

    def __init__(self, folder: Path, port: int, key: Path) -> None:
        self._folder = folder
        url = f"ssh://127.0.0.1:{port}{folder}"
        user = os.environ.get("USER") or "root"
        self.config = _config(url, user=user, keyfile=key, allow_agent="false", verify="true")

    def read(self, md5: str) -> bytes:
        return (self._folder / _object_path(md5)).read_bytes()

    def write(self, md5: str, content: bytes) -> None:
        path = self._folder / _object_path(md5)
        path.chmod(0o600)
        path.write_bytes(content)


class S3Remote:
    """A bucket on an S3 server."""

    def __init__(self, server: str) -> None:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        service = boto3.resource("s3", endpoint_url=server, region_name="us-east-1", **keys)
        self._bucket = service.create_bucket(Bucket="caches")
        settings = {name.removeprefix("aws_"): value for name, value in keys.items()}
        self.config = _config("s3://caches", endpointurl=server, verify="true", **settings)

    def read(self, md5: str) -> bytes:
        content: bytes = self._bucket.Object(_object_path(md5)).get()["Body"].read()
        return content

    def write(self, md5: str, content: bytes) -> None:
        self._bucket.Object(_object_path(md5)).put(Body=content)


@contextmanager
def ssh_remote(folder: Path) -> Iterator[SshRemote]:
    """Yield a remote served by OpenSSH's sshd, with new keys and a new configuration.

    If sshd is not installed, the test is skipped; in CI it fails.
    """
    sshd = shutil.which("sshd", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if sshd is None:
        leave = pytest.fail if os.environ.get("CI") else pytest.skip
        leave("sshd is not installed (apt-get install openssh-server)")
    for name in ("host", "user"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd drops its privileges there
    port = _free_port()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
    )
    command = [sshd, "-D", "-e", "-f", str(folder / "sshd_config")]
    with _server(command, r"Server listening on 127\.0\.0\.1"):
        yield SshRemote(folder / "cache", port, folder / "user")


@contextmanager
def s3_remote(folder: Path) -> Iterator[S3Remote]:  # noqa: ARG001  objects stay in memory
    """Yield a remote on moto's S3 server."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with _server(command, r"Running on (http://127\.0\.0\.1:\d+)") as found:
        yield S3Remote(found[1])


@contextmanager
def _server(command: list[str], ready: str) -> Iterator[re.Match[str]]:
    """Run a server until the ``with`` block ends."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as server:
        assert server.stderr is not None
        try:
            found = _wait_for(server.stderr, ready)
            # Read the log to its end: a full pipe would block the server.
            drain = threading.Thread(target=server.stderr.read, daemon=True)
            drain.start()
            yield found
            server.kill()
            drain.join()
        finally:
            server.kill()


def _wait_for(log: IO[bytes], pattern: str) -> re.Match[str]:
    """Read a log until its text matches a pattern, and return the match."""
    seen = ""
    for line in log:
        seen += line.decode()
        if found := re.search(pattern, seen):
            return found
    raise AssertionError(f"server log: expected {pattern!r}, got:\n{seen}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
