"""A `python` command with preloaded libraries, for tests that run many stages.

The stages of a toy DAG compute little and spend their time importing torch, torchvision, timm and
transformers. ``warm_python`` creates a command ``python`` for the PATH of ``dvc``, which sends
its module to a server, which has the libraries loaded. The server forks, and the child runs the
module with the caller's arguments, folder, environment and output. No module of the project is
loaded before the fork. The parent process of a stage is the server, not ``dvc``, so tests that kill
processes use the real Python.
"""

import array
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIBRARIES = (
    "cv2", "pandas", "pyarrow.parquet", "pycocotools.cocoeval", "pydantic",
    "ruamel.yaml", "safetensors.torch", "timm.models.hrnet", "torch", "torchvision", "transformers",
    "transformers.models.vitpose_backbone.modeling_vitpose_backbone", "typer", "vl_convert",
)  # fmt: skip
CLIENT = """#!{python} -IS
import array, json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
text = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
server.sendmsg([len(text).to_bytes(8, "big")], streams)
server.sendall(text)
sys.exit(int(server.makefile().read() or 1))
"""


@contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """Yield a folder with a command ``python`` that supports ``python -m MODULE ARGUMENTS``.

    Args:
        folder: An empty folder with a short path, because it holds a socket.
    """
    address, command = folder / "socket", folder / "bin" / "python"
    command.parent.mkdir()
    command.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    command.chmod(0o755)
    start = [sys.executable, __file__, str(address)]
    with subprocess.Popen(start, stdout=subprocess.PIPE, cwd=folder) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield command.parent
        finally:
            server.kill()


def serve(address: str) -> None:
    """Load the libraries and serve clients one at a time, until killed."""
    for library in LIBRARIES:
        importlib.import_module(library)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        connection, _ = listener.accept()
        request, streams = _receive(connection)
        child = os.fork()
        if child == 0:
            listener.close()
            os._exit(_run(*request, streams))
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        connection.close()


def _receive(connection: socket.socket) -> tuple[Any, list[int]]:
    streams = array.array("i")
    ancillary_size = socket.CMSG_LEN(3 * streams.itemsize)
    head, ancillary, _, _ = connection.recvmsg(8, ancillary_size)
    for _, _, data in ancillary:
        streams.frombytes(data)
    text = connection.makefile("rb").read(int.from_bytes(head, "big"))
    return json.loads(text), list(streams)


def _run(arguments: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> int:
    """Run the client's module in this process and return its exit code."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    flag, module, *rest = arguments
    assert flag == "-m"
    sys.argv = [module, *rest]
    sys.path[0] = folder
    if log := environment.get("POSEREEL_TEST_OPENED"):
        _log_opened_files(Path(log), " ".join(arguments[1:]), folder)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _log_opened_files(log: Path, command: str, folder: str) -> None:
    """From now on, append a line to a log for every file below ``folder`` that is opened."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100  pathlib raises events
        if path.startswith(folder + os.sep):
            line = json.dumps([command, os.path.relpath(path, folder)]) + "\n"
            descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            os.write(descriptor, line.encode())
            os.close(descriptor)

    sys.addaudithook(hook)


if __name__ == "__main__":
    serve(sys.argv[1])
