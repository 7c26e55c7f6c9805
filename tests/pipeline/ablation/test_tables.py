"""Ablation tables: every setting is a key of params.yaml, every drop equals the papers'."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.ablation.tables import SWEEPS, TABLES, AblationRow, AblationTable
from pipeline.head_params.systems import read_system

ROOT = Path(__file__).resolve().parents[3]
PRINTED_DROPS = {  # column "Declines" of JM-Pose's tables 5 and 6
    "jmpose-5": {"JM-Pose*": 0.5, "w/o CJL": 0.8, "w/o JMML": 1.8},
    "jmpose-6": {"(a) w/o JMIB": 1.4, "(b) w/o L_IO": 0.6},
}
PRINTED_GAINS = {"(a) HKME": 5.1, "(b) BMD": 5.4}  # from VREMD's text on table 4
ROWS = [(name, table, row) for name, table in (TABLES | SWEEPS).items() for row in table.rows]


def set_value(values: dict[str, Any], setting: str) -> object:
    """Set ``section.key=value`` and return the previous value."""
    path, text = setting.split("=", 1)
    *sections, key = path.split(".")
    for section in sections:
        values = values[section]
    before = values[key]
    values[key] = YAML(typ="safe").load(text)
    return before


@pytest.mark.parametrize(
    ("name", "table", "row"), ROWS, ids=lambda value: getattr(value, "name", "")
)
def test_settings_are_known_keys_with_values_that_the_schema_accepts(
    tmp_path: Path, name: str, table: AblationTable, row: AblationRow
) -> None:
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    previous = [set_value(values, setting) for setting in row.settings]
    params = tmp_path / "params.yaml"
    yaml.dump(values, params)
    default = read_system(ROOT / "params.yaml", row.system or table.system)
    changed = read_system(params, row.system or table.system)
    is_full = row is table.rows[0]
    assert len(previous) == len(row.settings)
    if name in TABLES and not is_full and row.system is None and "estimator" not in str(row):
        assert changed != default


def test_the_first_row_is_the_full_method() -> None:
    assert all(not table.rows[0].settings for table in TABLES.values())


def test_drops_equal_those_in_the_papers() -> None:
    for name, drops in PRINTED_DROPS.items():
        full, *others = TABLES[name].rows
        assert full.paper_mean is not None
        for row in others:
            assert row.paper_mean is not None
            assert full.paper_mean - row.paper_mean == pytest.approx(drops[row.name])


def test_gains_over_the_baseline_equal_those_in_the_paper() -> None:
    rows = {row.name: row.paper_mean for row in TABLES["vremd-4"].rows}
    baseline = rows["baseline"]
    assert baseline is not None
    for name, gain in PRINTED_GAINS.items():
        assert (rows[name] or 0) - baseline == pytest.approx(gain)
