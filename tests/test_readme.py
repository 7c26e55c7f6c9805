"""The documents name only commands and params that there are."""

import re
from pathlib import Path

import pytest

from pipeline.base.params import read_params

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "data/README.md", "CHANGELOG.md")
SOURCES = sorted(
    file for package in ("models", "pipeline", "stages") for file in (ROOT / package).rglob("*.py")
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_in_a_document_is_a_file_in_stages(document: str) -> None:
    commands = re.findall(r"python -m stages\.([a-z_]+)", (ROOT / document).read_text())
    assert not [name for name in commands if not (ROOT / f"stages/{name}.py").is_file()]


def test_every_command_in_a_message_or_docstring_is_a_file_in_stages() -> None:
    for file in SOURCES:
        commands = re.findall(r"python -m stages\.([a-z_]+)", file.read_text())
        assert not [name for name in commands if not (ROOT / f"stages/{name}.py").is_file()], file


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
