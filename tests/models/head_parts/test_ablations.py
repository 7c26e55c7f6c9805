"""The ablation tables: settings that a params file knows, drops that the papers print."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from models.head_parts.building import constructor_params
from models.head_parts.declaration import AblationRow
from models.head_parts.lookup import all_systems, find_system, listed_systems
from pipeline.core.system_params import read_arguments, read_system

ROOT = Path(__file__).resolve().parents[3]
PRINTED_DROPS = {  # column "Declines" of JM-Pose's tables 5 and 6
    "jmpose-5": {"JM-Pose*": 0.5, "w/o CJL": 0.8, "w/o JMML": 1.8},
    "jmpose-6": {"(a) w/o JMIB": 1.4, "(b) w/o L_IO": 0.6},
}
PRINTED_GAINS = {"(a) HKME": 5.1, "(b) BMD": 5.4}  # from VREMD's text on table 4
DECLARED = [
    (head, table, rows)
    for head, system in all_systems().items()
    for table, rows in (system.ablations or {}).items()
]
TABLES = {table: rows for _, table, rows in DECLARED}
ROWS = [(head, table, row) for head, table, rows in DECLARED for row in rows]


def set_value(values: dict[str, Any], setting: str) -> object:
    """Set ``section.key=value`` and return the previous value."""
    path, text = setting.split("=", 1)
    *sections, key = path.split(".")
    for section in sections:
        values = values[section]
    before = values[key]
    values[key] = YAML(typ="safe").load(text)
    return before


def described(params: Path, name: str) -> tuple[object, ...]:
    declared = find_system(name)
    system = read_system(params, name, declared)
    read_arguments(params, name, declared, constructor_params(name))
    return system.arguments, system.frames, system.caches


@pytest.mark.parametrize(
    ("head", "table", "row"), ROWS, ids=lambda value: getattr(value, "name", value)
)
def test_settings_are_known_keys_with_values_that_the_schema_accepts(
    tmp_path: Path, head: str, table: str, row: AblationRow
) -> None:
    yaml = YAML()
    start = ROOT / ("params.yaml" if head in listed_systems() else "presets/bench.yaml")
    values = yaml.load(start.read_text(encoding="utf-8"))
    previous = [set_value(values, setting) for setting in row.settings]
    params = tmp_path / "params.yaml"
    yaml.dump(values, params)
    plain = described(start, row.system or head)
    changed = described(params, row.system or head)
    is_full = row is TABLES[table][0]
    assert len(previous) == len(row.settings)
    if not table.startswith("sweep-") and not is_full and row.system is None:
        assert changed != plain


def test_no_two_systems_declare_a_table_of_one_name() -> None:
    assert len(TABLES) == len(DECLARED)


def test_the_first_row_is_the_full_method() -> None:
    for table, rows in TABLES.items():
        assert not rows[0].settings or table.startswith("sweep-")


def test_drops_equal_those_in_the_papers() -> None:
    for name, drops in PRINTED_DROPS.items():
        full, *others = TABLES[name]
        assert full.paper_mean is not None
        for row in others:
            assert row.paper_mean is not None
            assert full.paper_mean - row.paper_mean == pytest.approx(drops[row.name])


def test_gains_over_the_baseline_equal_those_in_the_paper() -> None:
    rows = {row.name: row.paper_mean for row in TABLES["vremd-4"]}
    baseline = rows["baseline"]
    assert baseline is not None
    for name, gain in PRINTED_GAINS.items():
        assert (rows[name] or 0) - baseline == pytest.approx(gain)
