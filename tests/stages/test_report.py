"""Stage report: the effects of parts that it reads."""

import json
from pathlib import Path

import pytest

from pipeline.report.liveness import PartEffect, liveness_rows
from stages import report

EFFECT = {"change": -1.5, "low": -2.0, "high": -1.0, "share": 0.25}


def test_the_effects_of_parts_are_in_the_order_of_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "DATA", tmp_path)
    assert report._liveness() == {}
    (tmp_path / "liveness").mkdir()
    for system in ("vremd", "jmpose", "fuse"):
        content = json.dumps({"second": EFFECT, "first": EFFECT})
        (tmp_path / f"liveness/{system}.json").write_text(content)
    effects = report._liveness()
    assert list(effects) == ["fuse", "jmpose", "vremd"]
    assert effects["vremd"]["first"] == PartEffect(-1.5, -2.0, -1.0, 0.25)
    assert [row[:2] for row in liveness_rows(effects)][:2] == [
        ("fuse", "second"),
        ("fuse", "first"),
    ]
