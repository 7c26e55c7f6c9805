"""Kill one process of a stage that runs under `dvc`, at a random moment.

A kill counts only while a unit is in progress: a process of the session holds its lock, and the
unit has no receipt. When such a unit is seen, SIGSTOP stops the whole session, the state is checked
again, and only then the target gets SIGKILL. The other processes continue when the target is dead.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.core.units.receipts import read_receipt
from tests.toy_clone import Clone

Target = Literal["worker", "stage", "dvc", "group"]
TARGETS: tuple[Target, ...] = ("worker", "stage", "dvc", "group")
_TIMEOUT = 300.0
"""Seconds to wait for a condition."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process in the session of a ``dvc`` command."""

    pid: int
    command: str

    @property
    def kind(self) -> str:
        """``worker``, ``stage`` or ``other``."""
        if self.command.startswith("ray::"):
            return "worker"  # Ray's names for its processes; an actor holds the lock of its unit.
        program = Path(self.command.partition(" ")[0]).name
        if not program.startswith("python"):
            return "other"  # A shell between dvc and the stage has the stage's arguments, too.
        if "multiprocessing.spawn" in self.command:
            return "worker"
        return "stage" if " -m stages." in self.command else "other"

    def units_in_progress(self, scratch: Path, stage: str) -> set[str]:
        """Return the keys of the stage's units that the process has locked but not finished."""
        held = set()
        try:
            for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
                path = descriptor.readlink()
                if path.parent == scratch / "locks" and path.name.startswith(f"{stage}-"):
                    held.add(path.name.removeprefix(f"{stage}-"))
        except FileNotFoundError:
            return set()  # The process ended or closed the file in the meantime.
        return {key for key in held if read_receipt(scratch / stage / key) is None}


def processes(session: int) -> list[Process]:
    """Return the living processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, _, _, sid = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(sid) == session and state != "Z":
                found.append(Process(int(folder.name), command))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until other processes make the condition true."""
    deadline = time.monotonic() + _TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"condition is still false after {_TIMEOUT} s"
        time.sleep(0.002)


def forking_shell(file: Path) -> Path:
    """Write a shell that runs its command in a child process, so that it outlives its caller."""
    file.write_text('#!/bin/sh\nsh "$@"\nexit $?\n')
    file.chmod(0o755)
    return file


def start(
    clone: Clone, log: Path, *arguments: str, shell: Path | None = None
) -> "subprocess.Popen[bytes]":
    """Start ``dvc`` in a new session; ``shell`` replaces the shell that runs its commands."""
    environment = clone.environment()
    if shell is not None:
        environment["SHELL"] = str(shell)
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=clone.folder,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def kill(
    running: "subprocess.Popen[bytes]", scratch: Path, stage: str, target: Target, seed: int
) -> None:
    """Kill a target once, at a random moment, while a unit is in progress.

    Returns when ``dvc`` and every other process of the session have ended.
    """
    generator = random.Random(f"{target} {seed}")  # noqa: S311
    least = generator.randrange(3)
    wait_until(lambda: len(list((scratch / stage).glob("*/receipt.json"))) >= least)
    while True:
        time.sleep(generator.uniform(0, 0.05))
        assert running.poll() is None, f"{stage} ended before it could be killed"
        if _kill_now(running.pid, scratch, stage, target, generator):
            break
    running.wait()
    wait_until(lambda: not processes(running.pid))


def _kill_now(
    session: int, scratch: Path, stage: str, target: Target, generator: random.Random
) -> bool:
    """Stop the session, kill the target if a unit is in progress, and resume the others."""
    # Do not stop a session that is still starting: Ray gives up on a cluster that starts too late.
    if not any(process.units_in_progress(scratch, stage) for process in processes(session)):
        return False
    stopped = processes(session)
    _signal(stopped, signal.SIGSTOP)
    busy = [process for process in stopped if process.units_in_progress(scratch, stage)]
    victims: list[Process] = []
    if busy and target == "worker":
        workers = [process for process in busy if process.kind == "worker"]
        victims = generator.sample(workers, min(1, len(workers)))
    elif busy:
        victims = [
            process
            for process in stopped
            if target == "group"
            or (target == "stage" and process.kind == "stage")
            or (target == "dvc" and process.pid == session)
        ]
    _signal(victims, signal.SIGKILL)
    # On a busy machine a killed process takes milliseconds to end. Resume the others only then, so
    # that none of them works beside a process that counts as dead.
    killed = {process.pid for process in victims}
    wait_until(lambda: killed.isdisjoint(process.pid for process in processes(session)))
    _signal([process for process in stopped if process not in victims], signal.SIGCONT)
    return bool(victims)


def kill_in_stage(
    running: "subprocess.Popen[bytes]", stage: str, target: Target, seed: int
) -> None:
    """Kill a target once, at a random moment after the start of a stage without workers.

    Returns when ``dvc`` and every other process of the session have ended.
    """
    generator = random.Random(f"{stage} {seed}")  # noqa: S311
    module = f" -m stages.{stage} "

    def found() -> list[Process]:
        everything = processes(running.pid)
        stages = [p for p in everything if p.kind == "stage" and module in f"{p.command} "]
        chosen = {"dvc": [p for p in everything if p.pid == running.pid], "group": everything}
        return chosen.get(target, stages) if stages else []

    wait_until(lambda: bool(found()) or running.poll() is not None)
    time.sleep(generator.uniform(0, 2.0))
    _signal(found(), signal.SIGKILL)
    running.wait()
    wait_until(lambda: not processes(running.pid))


def kill_every_worker_of_one_unit(
    running: "subprocess.Popen[bytes]", scratch: Path, stage: str
) -> tuple[str, int]:
    """Kill every worker that computes one unit, the first unit seen, until ``dvc`` ends.

    Returns:
        The unit's key and the number of kills.
    """
    victim, killed = "", set[int]()
    while running.poll() is None:
        for process in processes(running.pid):
            units = process.units_in_progress(scratch, stage)
            victim = victim or min(units, default="")
            if victim in units and process.kind == "worker" and process.pid not in killed:
                _signal([process], signal.SIGKILL)
                killed.add(process.pid)
        time.sleep(0.002)
    return victim, len(killed)


def _signal(targets: list[Process], number: signal.Signals) -> None:
    for process in targets:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            continue


def read_tree(*paths: Path) -> dict[str, bytes]:
    """Return the content of files, and of all files below folders, by path."""
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def remove(*paths: Path) -> None:
    """Remove files and folders that exist."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
