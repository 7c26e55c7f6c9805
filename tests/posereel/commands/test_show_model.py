"""The command show-model: every network of the default, and a name that is none."""

import pytest
from typer.testing import CliRunner

from models.hrnet.network import build_hrnet
from posereel.cli import load
from posereel.networks import BACKBONES, trained_systems

app = load("show-model")


def rows(name: str) -> dict[str, list[str]]:
    result = CliRunner().invoke(app, [name])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["part", "parameters", "MFLOP"]
    return {line.split()[0]: line.replace(",", "").split()[1:] for line in lines[1:]}


@pytest.mark.parametrize("name", [*BACKBONES, *trained_systems()])
def test_every_network_of_the_default_has_parameters_and_operations(name: str) -> None:
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
