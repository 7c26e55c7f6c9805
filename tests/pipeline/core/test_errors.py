"""Invalid input ends a command with one line on stderr and exit code 1."""

import errno
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import one_line

ROOT = Path(__file__).resolve().parents[3]
ENDS = """
import atexit, gc
from pipeline.core.errors import one_line
atexit.register(lambda: print(gc.get_freeze_count() > 0))
one_line(lambda: print(gc.get_freeze_count() > 0))()
"""


def command(path: Path, fault: str = "") -> int:
    if fault == "value":
        raise ValueError(f"{path}: expected a table,\n  got a list")
    if fault == "file":
        path.read_bytes()
    if fault == "program":
        raise KeyError("a bug")
    return 3


def test_the_result_and_the_signature_are_kept() -> None:
    assert one_line(command)(Path("x")) == 3
    assert inspect.signature(one_line(command)) == inspect.signature(command)


@pytest.mark.parametrize("fault", ["value", "file"])
def test_invalid_input_gives_one_line_and_exit_code_1(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        one_line(command)(tmp_path / "missing", fault)
    assert exited.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("test_errors: ")
    assert str(tmp_path / "missing") in lines[0]


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EACCES, "Permission denied; change its permissions or choose another path"),
        (errno.EROFS, "Read-only file system; make the file system writable"),
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EISDIR, "Is a directory; give a file"),
        (errno.EIO, "Input/output error; check the path"),
    ],
)
def test_a_failed_file_operation_is_described_by_path_reason_and_cure(
    number: int, cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "data/cache")

    with pytest.raises(SystemExit):
        one_line(fail, "posereel gc")()
    assert capsys.readouterr().err.startswith(f"posereel gc: data/cache: {cure}")


def test_a_failed_operation_without_a_path_has_a_cure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    with pytest.raises(SystemExit):
        one_line(fail, "crop")()
    assert capsys.readouterr().err.startswith("crop: File too large; raise the limit of the file")


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(KeyError, match="a bug"):
        one_line(command)(Path("x"), "program")


def test_a_command_skips_the_final_garbage_collection() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]
