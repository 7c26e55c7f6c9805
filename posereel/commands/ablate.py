"""Run an ablation table of the papers as DVC experiments."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.head_parts.declaration import AblationRow
from models.head_parts.lookup import all_systems, listed_systems
from pipeline.ablation.experiments import (
    Experiment,
    clone_at,
    read_metrics,
    run_experiment,
    settings_of,
)
from pipeline.core.atomic_file import write_file
from pipeline.core.params import read_params
from pipeline.core.system_params import training_section
from pipeline.importing.presets import find_preset

if TYPE_CHECKING:
    from pipeline.ablation.results import TableResult


def _tables() -> dict[str, tuple[str, tuple[AblationRow, ...]]]:
    """Return the head and the rows of every ablation table that a system declares."""
    return {
        table: (name, rows)
        for name, system in all_systems().items()
        for table, rows in (system.ablations or {}).items()
    }


def main(
    table: Annotated[str, typer.Argument(help=f"One of {', '.join(_tables())}.")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per row.")] = 1,
    preset: Annotated[str, typer.Option(help="A file of presets/, without .yaml.")] = "ablation",
    params: Annotated[Path, typer.Option(help="The params file.")] = Path("params.yaml"),
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("data/ablations"),
) -> None:
    """Train every row of TABLE with every seed and write the mean AP on val_gt."""
    from pipeline.ablation.results import RowResult, TableResult, as_markdown

    known = _tables()
    if table not in known:
        raise ValueError(f"table: expected one of {sorted(known)}, got {table!r}")
    head, rows = known[table]
    if head not in listed_systems():
        raise ValueError(
            f"table {table}: expected its head {head} in the list of systems of dvc.yaml, found "
            "none; docs/new-head.md says how to add a head of the preset bench"
        )
    shared = settings_of(params, find_preset(preset))
    # Controls take the schedule of their head, and its seed with it.
    seed_key = f"{training_section(read_params(params), head)}.seed"
    first = Experiment(
        f"full-{head}", (*shared, *rows[0].settings, f"{seed_key}=0"), (f"evaluate@{head}",)
    )
    clone = clone_at(run_experiment(first), first.targets)
    result = TableResult(table, preset)
    for row in rows:
        scores = tuple(
            _score(row.system or head, (*row.settings, f"{seed_key}={seed}"), table, clone)
            for seed in range(seeds)
        )
        result = result.with_row(RowResult(row.name, row.paper_mean, scores))
        _write(result, out)
        typer.echo(as_markdown(result))
    typer.echo(f"ablate: wrote {out / table}.json and .md")


def _score(system: str, settings: tuple[str, ...], table: str, clone: Path) -> float:
    """Train a system with some settings and return its mean AP, percent.

    ``clone`` is at the commit of the full method with seed 0, so the row reuses every stage that
    it shares with that experiment.
    """
    commit = run_experiment(Experiment(table, settings, (f"evaluate@{system}",)), clone)
    return float(read_metrics(commit, system, clone)["val_gt"]["ap_total"])


def _write(result: "TableResult", out: Path) -> None:
    from pipeline.ablation.results import as_json, as_markdown

    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(result), indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_file(out / f"{result.table}.json", text.encode())
    write_file(out / f"{result.table}.md", as_markdown(result).encode())
