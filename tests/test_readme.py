"""The documents name only commands and params that there are."""

import re
from pathlib import Path

import pytest

from pipeline.base.params import read_params
from posereel.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "data/README.md", "CHANGELOG.md")
SOURCES = sorted(
    file
    for package in ("models", "pipeline", "stages", "posereel")
    for file in (ROOT / package).rglob("*.py")
)


NAMED = re.compile(
    r"python -m stages\.([a-z_]+)|(?:`|^|: |; )posereel ([a-z][a-z-]+)", re.MULTILINE
)
COMMAND_NAMES = {name for names in COMMANDS.values() for name in names}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_in_a_document_exists(document: str) -> None:
    assert not unknown_commands(ROOT / document)


def test_every_command_in_a_message_or_docstring_exists() -> None:
    assert {file: names for file in SOURCES if (names := unknown_commands(file))} == {}


def unknown_commands(file: Path) -> list[str]:
    """Return the stages and commands that a file names and that do not exist."""
    named = NAMED.findall(file.read_text())
    return [
        stage or command
        for stage, command in named
        if (stage and not (ROOT / f"stages/{stage}.py").is_file())
        or (command and command not in COMMAND_NAMES)
    ]


def test_every_make_target_in_a_document_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / document).read_text()))
        assert named <= targets, document


def test_every_param_in_an_example_is_in_params_yaml() -> None:
    values = read_params(ROOT / "params.yaml")
    named = re.findall(r"-S ([a-z_.]+)=", (ROOT / "README.md").read_text())
    assert named
    for name in named:
        section, key = name.split(".", 1)
        assert key in values[section], name
