"""Tests of pretrain/params.yaml."""

from pathlib import Path

import pytest

from pipeline.core.params import Section, read_section
from pretrain.detector import Detector
from pretrain.hrnet import HRNet
from pretrain.raft import Raft
from pretrain.render import Render
from pretrain.vit import ViT

PARAMS = Path(__file__).resolve().parents[2] / "pretrain/params.yaml"


@pytest.mark.parametrize(
    ("section", "schema"),
    [
        ("render", Render),
        ("hrnet", HRNet),
        ("vit", ViT),
        ("raft", Raft),
        ("raft_gaps", Raft),
        ("detector", Detector),
    ],
)
def test_a_section_fits_the_schema_of_its_script(section: str, schema: type[Section]) -> None:
    read_section(PARAMS, section, schema)
