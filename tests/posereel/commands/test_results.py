"""Command results: the tables of all systems, and one line with exit code 1 for missing files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.core.skeleton import GROUPS
from pipeline.report.summary import summarize
from posereel.cli import load

app = load("results")
SYSTEMS = ("vremd", "a_new_head", "hrnet")


def split(mean: float | None) -> dict[str, Any]:
    return {"ap_total": mean, "groups": dict.fromkeys(GROUPS, 12.34) | {"Mean": mean}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the metric files and the report of a run."""
    monkeypatch.chdir(tmp_path)
    metrics = {s: {"val": split(40.06), "val_gt": split(None)} for s in SYSTEMS}
    files = {f"metrics/{system}.json": values for system, values in metrics.items()}
    files |= {"metrics/summary.json": summarize(metrics), "report/index.html": {}}
    for name, content in files.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(json.dumps(content))
    return tmp_path


def results(*options: str) -> Result:
    return CliRunner().invoke(app, options)


@pytest.mark.usefixtures("run")
def test_every_system_has_a_row_per_split_in_the_order_of_the_report() -> None:
    shown = results()
    assert shown.exit_code == 0
    rows = re.findall(r"^. (\w+) +│(.*)$", shown.stdout, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [*SYSTEMS, *SYSTEMS]
    means = [cells.split()[-2] for _, cells in rows]
    assert means == ["40.1"] * len(SYSTEMS) + ["-"] * len(SYSTEMS)
    assert shown.stdout.endswith("report: data/report/index.html\n")


@pytest.mark.usefixtures("run")
def test_markdown_tables_have_the_same_rows() -> None:
    lines = results("--markdown").stdout.splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert [name for name in rows if name in SYSTEMS] == [*SYSTEMS, *SYSTEMS]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("metrics/summary.json", "expected a metric file, got no file"),
        ("metrics/hrnet.json", "expected a metric file, got no file"),
        ("report/index.html", "expected the report, got no file"),
    ],
)
def test_a_missing_file_is_one_line_with_the_cure(name: str, words: str, run: Path) -> None:
    (run / "data" / name).unlink()
    done = results()
    assert done.exit_code == 1
    assert done.stderr == f"posereel results: data/{name}: {words}; run `dvc repro`\n"
