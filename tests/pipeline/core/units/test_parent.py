"""Stages and the `dvc` that runs them: dead together, whatever shell is between them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select

import pytest

from pipeline.core.units.parent import DvcParent

STAYS = "{command}; exit $?"
"""What a shell cannot give its own place to."""
COMMANDS = {
    "no shell": "exec {command}",
    "a shell that stays": STAYS,
    "two shells that stay": f"sh -c '{STAYS}'; exit $?",
}
DVC = """
import os, subprocess, sys
subprocess.run(["sh", "-c", sys.argv[1]], env=os.environ | {"DVC_STAGE": "toy@train"})
"""
STAGE = """
import sys
from pipeline.core.units import parent
if "lives on" in sys.argv:
    parent.die_with_parent = lambda: None
    parent._GLANCE = 1000.0
dvc = parent.DvcParent()
dvc.check_alive()
print("ready", flush=True)
sys.stdin.readline()
try:
    dvc.check_alive()
    print("publishes", flush=True)
except ValueError as error:
    print(error, flush=True)
"""


@contextmanager
def running(command: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that is to the stage what ``dvc`` is; yield it when the stage is ready."""
    stage = " ".join([sys.executable, "-c", '"$STAGE"', *(f'"{word}"' for word in arguments)])
    with subprocess.Popen(
        [sys.executable, "-c", DVC, command.format(command=stage)],
        env=os.environ | {"STAGE": STAGE},
        cwd=Path(__file__).parents[4],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as dvc:
        assert dvc.stdout is not None
        try:
            assert dvc.stdout.readline() == "ready\n"
            yield dvc
        finally:
            with suppress(ProcessLookupError):
                os.killpg(dvc.pid, signal.SIGKILL)


def answer(dvc: "subprocess.Popen[str]") -> str:
    """Let the stage try to publish and return what it says."""
    assert dvc.stdin is not None
    assert dvc.stdout is not None
    dvc.stdin.write("\n")
    dvc.stdin.flush()
    return dvc.stdout.read()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_stage_publishes_while_dvc_is_alive(command: str) -> None:
    with running(command) as dvc:
        assert answer(dvc) == "publishes\n"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_stage_dies_when_dvc_is_killed(command: str) -> None:
    with running(command) as dvc:
        dvc.kill()
        dvc.wait()
        assert dvc.stdout is not None
        # The end of the file: nobody between here and the stage holds it open any more.
        assert select([dvc.stdout], [], [], 60) == ([dvc.stdout], [], [])
        assert dvc.stdout.read() == ""


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_orphan_does_not_publish(command: str) -> None:
    with running(command, "lives on") as dvc:
        dvc.kill()
        dvc.wait()
        assert answer(dvc) == (
            "toy@train: dvc was killed while this stage ran; nothing was published, "
            "finished units are kept: run dvc repro again\n"
        )


def test_a_stage_without_dvc_is_no_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    DvcParent().check_alive()
