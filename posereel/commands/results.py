"""Print the AP of all systems and the path of the report."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.core.skeleton import GROUPS

BOXES = {"val": "detected boxes", "val_gt": "ground-truth boxes"}


def main(
    metrics: Annotated[Path, typer.Option(help="Folder of the metric files.")] = Path(
        "data/metrics"
    ),
    report: Annotated[Path, typer.Option(help="The report page.")] = Path("data/report/index.html"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Print the PoseTrack AP of every system and joint group, in percent."""
    console = Console(width=110)
    values = {system: _read(metrics / f"{system}.json") for system in _systems(metrics)}
    for split, boxes in BOXES.items():
        table = _table(f"{split} ({boxes}), PoseTrack AP", split, values, markdown=markdown)
        console.print(table)
    if not report.is_file():
        raise ValueError(f"{report}: expected the report, got no file; run `dvc repro`")
    console.print(f"report: {report}", soft_wrap=True)


def _systems(metrics: Path) -> list[str]:
    """Return the systems in the order of the report."""
    rows = _read(metrics / "summary.json")["mean_ap"]
    return list(dict.fromkeys(row["system"] for row in rows))


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(f"{file}: expected a metric file, got no file; run `dvc repro`")
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def _table(title: str, split: str, values: dict[str, dict[str, Any]], *, markdown: bool) -> Table:
    table = Table(
        title=f"{title}\n" if markdown else title,
        title_justify="left",
        box=box.MARKDOWN if markdown else box.HEAVY_HEAD,
    )
    table.add_column("system")
    columns = (*GROUPS, "Mean")
    for column in columns:
        table.add_column(column, justify="right")
    for system, metrics in values.items():
        groups = metrics[split]["groups"]
        table.add_row(system, *(_percent(groups[column]) for column in columns))
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
