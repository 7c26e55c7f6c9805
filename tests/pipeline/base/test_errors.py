"""A command that cannot go on says so in one line."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import one_line

ROOT = Path(__file__).resolve().parents[3]
ENDS = """
import atexit, gc
from pipeline.base.errors import one_line
atexit.register(lambda: print(gc.get_freeze_count() > 0))
one_line(lambda: print(gc.get_freeze_count() > 0))()
"""


def command(path: Path, fault: str = "") -> int:
    if fault == "value":
        raise ValueError(f"{path}: expected a table,\n  got a cat")
    if fault == "file":
        path.read_bytes()
    if fault == "program":
        raise KeyError("a fault of the program")
    return 3


def test_a_result_passes_through_and_the_signature_is_kept() -> None:
    assert one_line(command)(Path("x")) == 3
    assert inspect.signature(one_line(command)) == inspect.signature(command)


@pytest.mark.parametrize("fault", ["value", "file"])
def test_bad_input_is_one_line_and_exit_code_1(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        one_line(command)(tmp_path / "missing", fault)
    assert left.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("test_errors: ")
    assert str(tmp_path / "missing") in lines[0]


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(KeyError, match="a fault of the program"):
        one_line(command)(Path("x"), "program")


def test_a_command_ends_without_a_search_for_garbage() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
