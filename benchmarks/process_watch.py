"""Watch a `dvc` command: duration, peak memory, and the process of every stage that DVC starts."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_SCAN_SECONDS = 0.05
"""Interval of looking for new stage processes. Their start and end times are exact."""
_MEMORY_SECONDS = 1.0
"""Interval of measuring memory."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """One process that DVC started for a stage. Times are seconds since the epoch."""

    address: str
    """Address of the stage in DVC, such as ``heatmaps@val``."""
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class WatchedCommand:
    """A finished command. Times are seconds since the epoch."""

    start: float
    end: float
    peak: int
    """Peak memory of all its processes in bytes; shared pages count once (PSS)."""
    runs: tuple[StageRun, ...]
    """Stage processes in the order of their start."""

    @property
    def seconds(self) -> float:
        """Wall seconds."""
        return self.end - self.start


def watch_dvc(arguments: Sequence[str], folder: Path) -> WatchedCommand:
    """Run `dvc` with this Python and watch its processes.

    Args:
        arguments: Arguments of `dvc`, such as ``["repro"]``.
        folder: Working directory.

    Raises:
        CalledProcessError: If the command fails. Its output precedes the error.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "dvc", *arguments]
    start = time.time()
    with subprocess.Popen(command, cwd=folder, env=os.environ | {"PATH": path}) as process:
        stages = _Stages(process.pid)
        peak, measured = 0, 0.0
        while process.poll() is None:
            stages.find_new()
            if time.monotonic() - measured > _MEMORY_SECONDS:
                peak = max(peak, sum(map(memory_of, process_tree(process.pid))))
                measured = time.monotonic()
            stages.wait(_SCAN_SECONDS)
        end = time.time()
        stages.wait(0)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    runs = sorted(stages.finished, key=lambda run: run.start)
    return WatchedCommand(start, end, peak, tuple(runs))


@dataclass(slots=True)
class _Stages:
    """The stage processes among the children of a DVC process."""

    parent: int
    finished: list[StageRun] = field(default_factory=list)
    _known: set[int] = field(default_factory=set)
    _running: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Address and start by the file descriptor of the process."""
    _poll: select.poll = field(default_factory=select.poll)

    def find_new(self) -> None:
        """Start to watch the stage processes that were started since the last call."""
        for child in children_of(self.parent):
            address = stage_address(child)
            if child in self._known or address is None:
                continue
            try:
                start, descriptor = start_time(child), os.pidfd_open(child)
            except OSError:  # the process has ended
                continue
            self._known.add(child)
            self._running[descriptor] = address, start
            self._poll.register(descriptor, select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Wait until a stage process ends or the time is over."""
        for descriptor, _ in self._poll.poll(1000 * seconds):
            address, start = self._running.pop(descriptor)
            self.finished.append(StageRun(address, start, time.time()))
            self._poll.unregister(descriptor)
            os.close(descriptor)


def stage_address(process: int) -> str | None:
    """Return the variable DVC_STAGE of a process, which DVC sets for commands of stages."""
    for variable in _read(Path(f"/proc/{process}/environ")).split("\0"):
        name, _, value = variable.partition("=")
        if name == "DVC_STAGE":
            return value
    return None


def start_time(process: int) -> float:
    """Return the start of a process in seconds since the epoch.

    Raises:
        OSError: If the process has ended.
    """
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)


def process_tree(process: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield process
    for child in children_of(process):
        yield from process_tree(child)


def children_of(process: int) -> list[int]:
    """Return the children of a process."""
    files = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for file in files for child in _read(file).split()]


def memory_of(process: int) -> int:
    """Return the proportional set size of a process in bytes, 0 if it has ended."""
    for line in _read(Path(f"/proc/{process}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the process has ended
        return ""
