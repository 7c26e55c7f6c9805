"""The command show-model: every network, and a name that is none."""

import pytest
from typer.testing import CliRunner

from models.head_parts.lookup import all_systems, listed_systems
from models.hrnet.network import build_hrnet
from posereel.cli import load
from posereel.networks import BACKBONES, trained_systems

app = load("show-model")
BENCH = ["--params", "presets/bench.yaml"]
"""The preset with the sections of systems that dvc.yaml does not list."""


def rows(name: str) -> dict[str, list[str]]:
    params = [] if name not in all_systems() or name in listed_systems() else BENCH
    result = CliRunner().invoke(app, [name, *params])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["part", "parameters", "MFLOP"]
    return {line.split()[0]: line.replace(",", "").split()[1:] for line in lines[1:]}


@pytest.mark.parametrize("name", [*BACKBONES, *trained_systems()])
def test_every_network_has_parameters_and_operations(name: str) -> None:
    found = rows(name)

    parameters, operations = found.pop("all")
    assert int(parameters) >= sum(int(part[0]) for part in found.values()) > 0
    assert float(operations) > 0.1


def test_parameters_are_those_of_the_network() -> None:
    expected = sum(p.numel() for p in build_hrnet("tiny", 15).parameters())

    assert int(rows("hrnet")["all"][0]) == expected


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    result = CliRunner().invoke(app, ["resnet"])

    assert result.exit_code == 1
    assert "expected one of hrnet, vit_backbone, raft" in result.output
    assert "got 'resnet'" in result.output
