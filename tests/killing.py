"""Kills stages that run under `dvc`: which process, and when.

A kill counts only while a unit is open: its lock is held by a process of the session and its
receipt is not there. Once one is seen, the whole session is stopped and looked at again; only then
SIGKILL. The others go on when the target is dead.
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

from pipeline.units.receipts import read_receipt
from tests.toy_clone import Clone

Target = Literal["worker", "stage", "dvc", "group"]
TARGETS: tuple[Target, ...] = ("worker", "stage", "dvc", "group")
_PATIENCE = 300.0
"""Seconds until a test gives up to wait."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the session of a ``dvc`` command."""

    pid: int
    command: str

    @property
    def kind(self) -> str:
        """``worker``, ``stage``, or another."""
        if self.command.startswith("ray::"):
            return "worker"  # What Ray calls its processes; an actor holds the lock of its unit.
        program = Path(self.command.partition(" ")[0]).name
        if not program.startswith("python"):
            return "other"  # The shell between dvc and the stage holds the stage's words, too.
        if "multiprocessing.spawn" in self.command:
            return "worker"
        return "stage" if " -m stages." in self.command else "other"

    def open_units(self, scratch: Path, stage: str) -> set[str]:
        """Return the keys of the stage's units that the process has locked and not finished."""
        held = set()
        try:
            for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
                path = descriptor.readlink()
                if path.parent == scratch / "locks" and path.name.startswith(f"{stage}-"):
                    held.add(path.name.removeprefix(f"{stage}-"))
        except FileNotFoundError:
            return set()  # It ended, or closed a file, while we looked.
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
    """Wait for something that other processes bring about."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited for {_PATIENCE} s"
        time.sleep(0.002)


def staying_shell(file: Path) -> Path:
    """Make a shell that never gives a command its own place, and outlives who called it."""
    file.write_text('#!/bin/sh\nsh "$@"\nexit $?\n')
    file.chmod(0o755)
    return file


def start(
    clone: Clone, log: Path, *arguments: str, shell: Path | None = None
) -> "subprocess.Popen[bytes]":
    """Start ``dvc`` in a session of its own, with a shell for its commands or the user's own."""
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
    """Kill a target once, at a moment drawn from the seed, while a unit is open.

    Returns when every process of the session that is to die is gone, or, after the kill of a
    worker, when ``dvc`` has ended.
    """
    generator = random.Random(f"{target} {seed}")  # noqa: S311
    finished = generator.randrange(3)
    wait_until(lambda: len(list((scratch / stage).glob("*/receipt.json"))) >= finished)
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
    """Stop the session; kill the target if a unit is open; let the others go on."""
    # A session that is stopped while it starts comes late: Ray gives up its cluster then.
    if not any(process.open_units(scratch, stage) for process in processes(session)):
        return False
    stopped = processes(session)
    _signal(stopped, signal.SIGSTOP)
    busy = [process for process in stopped if process.open_units(scratch, stage)]
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
    # A dying process lives for milliseconds on a busy machine: what the others did meanwhile, they
    # would have done before the kill.
    dying = {process.pid for process in victims}
    wait_until(lambda: dying.isdisjoint(process.pid for process in processes(session)))
    _signal([process for process in stopped if process not in victims], signal.SIGCONT)
    return bool(victims)


def kill_every_worker_of_one_unit(
    running: "subprocess.Popen[bytes]", scratch: Path, stage: str
) -> tuple[str, int]:
    """Kill whoever works on one unit, the first that is seen, until ``dvc`` ends.

    Returns:
        The unit's key and the number of kills.
    """
    victim, dead = "", set[int]()
    while running.poll() is None:
        for process in processes(running.pid):
            units = process.open_units(scratch, stage)
            victim = victim or min(units, default="")
            if victim in units and process.kind == "worker" and process.pid not in dead:
                _signal([process], signal.SIGKILL)
                dead.add(process.pid)
        time.sleep(0.002)
    return victim, len(dead)


def _signal(targets: list[Process], number: signal.Signals) -> None:
    for process in targets:
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            continue


def tree(*places: Path) -> dict[str, bytes]:
    """Return the bytes of files, and of all files below folders, by path."""
    files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def remove(*places: Path) -> None:
    """Remove files and folders, there or not."""
    for place in places:
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
