"""Program `posereel`: help in groups, lazy imports, command names in errors, completion."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from posereel.cli import COMMANDS, app, load

ROOT = Path(__file__).resolve().parents[2]
LINES = {name: line for lines in COMMANDS.values() for name, line in lines.items()}
LARGE = {
    "torch", "torchvision", "timm", "transformers", "pandas", "pyarrow", "zarr", "cv2", "av",
    "scipy", "pycocotools", "vl_convert", "jinja2", "ray", "dvc",
}  # fmt: skip
MODULES = {name: name.replace("-", "_") for name in LINES}


def test_the_table_lists_exactly_the_modules_of_the_commands() -> None:
    files = {file.stem for file in (ROOT / "posereel/commands").glob("[a-z]*.py")}
    assert set(MODULES.values()) == files


@pytest.mark.parametrize("name", LINES)
def test_the_line_of_a_command_is_the_first_line_of_its_docstring(name: str) -> None:
    module = import_module(f"posereel.commands.{MODULES[name]}")
    assert (module.__doc__ or "").splitlines()[0] == LINES[name]


def test_help_lists_every_command_in_its_group_on_one_line() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).output.splitlines()
    rows = [line.strip("│╭╮─ ") for line in shown]
    for group, lines in COMMANDS.items():
        first = rows.index(group) + 1
        listed = rows[first : first + len(lines)]
        assert [" ".join(row.split()) for row in listed] == [
            f"{name} {line}" for name, line in lines.items()
        ]


def test_the_list_of_commands_imports_no_command() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from posereel.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "print(*(name for name in sys.modules if name.startswith('posereel.commands.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", LINES)
def test_help_of_a_command_imports_no_large_library(name: str) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from posereel.cli import app;"
        f"assert CliRunner().invoke(app, ['{name}', '--help']).exit_code == 0;"
        f"print(*({LARGE!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", LINES)
def test_usage_shows_the_command_as_typed(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"], prog_name="posereel")
    assert done.exit_code == 0
    assert f"Usage: posereel {name}" in done.output
    assert LINES[name].rstrip(".") in " ".join(done.output.split())


def test_help_of_ablate_lists_the_tables() -> None:
    shown = " ".join(CliRunner().invoke(app, ["ablate", "--help"]).output.split())
    for table in ("jmpose-5", "jmpose-6", "vremd-4", "vremd-5", "vremd-6", "sweep-layers"):
        assert table in shown


def test_an_error_names_the_command_as_typed(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["check-data", str(tmp_path / "absent")])
    assert done.exit_code == 1
    assert done.stderr.startswith("posereel check-data: ")


def test_an_unknown_command_is_rejected_with_a_suggestion() -> None:
    done = CliRunner().invoke(app, ["check-date"])
    assert done.exit_code == 2
    assert "check-data" in done.output


def complete(*words: str) -> list[str]:
    """Return the completions that bash gets for the last word."""
    environment = os.environ | {
        "_POSEREEL_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "posereel"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_the_shell_completes_commands_and_their_options() -> None:
    assert complete("posereel", "show-c") == ["show-clips"]
    assert complete("posereel", "verify", "--r") == ["--repair"]


def test_a_command_runs_without_the_program(tmp_path: Path) -> None:
    done = CliRunner().invoke(load("check-data"), [str(tmp_path / "absent")])
    assert done.exit_code == 1
