"""Run an ablation table of the papers as DVC experiments."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline.ablation.experiments import (
    Experiment,
    clone_at,
    read_metrics,
    run_experiment,
    settings_of,
)
from pipeline.ablation.results import TableResult, as_json, as_markdown
from pipeline.ablation.tables import SWEEPS, TABLES, AblationRow
from pipeline.base.atomic_file import write_file
from pipeline.head_params.systems import SystemName
from pipeline.importing.presets import find_preset

SEED = {
    "jmpose": "train_jmpose.seed",
    "vremd": "train_vremd.seed",
    "vit": "train_control.tokens.seed",
}


def main(
    table: Annotated[str, typer.Argument(help="A table: jmpose-5, ..., vremd-6, or sweep-...")],
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per row.")] = 1,
    preset: Annotated[str, typer.Option(help="A file of presets/, without .yaml.")] = "ablation",
    params: Annotated[Path, typer.Option(help="The params file.")] = Path("params.yaml"),
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("data/ablations"),
) -> None:
    """Train every row of TABLE with every seed and write the mean AP on val_gt."""
    known = TABLES | SWEEPS
    if table not in known:
        raise ValueError(f"table: expected one of {sorted(known)}, got {table!r}")
    rows, system = known[table].rows, known[table].system
    shared = settings_of(params, find_preset(preset))
    first = Experiment(
        f"full-{system}",
        (*shared, *rows[0].settings, f"{SEED[system]}=0"),
        (f"evaluate@{system}",),
    )
    clone = clone_at(run_experiment(first), first.targets)
    result = TableResult(table, preset)
    for row in rows:
        scores = [_score(row, row.system or system, seed, table, clone) for seed in range(seeds)]
        result = result.with_row(row, scores)
        _write(result, out)
        typer.echo(as_markdown(result))
    typer.echo(f"ablate: wrote {out / table}.json and .md")


def _score(row: AblationRow, system: SystemName, seed: int, table: str, clone: Path) -> float:
    """Train a row with one seed and return its mean AP, percent.

    ``clone`` is at the commit of the full method with seed 0, so the row reuses every stage that
    it shares with that experiment.
    """
    settings = (*row.settings, f"{SEED[system]}={seed}")
    commit = run_experiment(Experiment(table, settings, (f"evaluate@{system}",)), clone)
    return float(read_metrics(commit, system, clone)["val_gt"]["ap_total"])


def _write(result: TableResult, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(result), indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_file(out / f"{result.table}.json", text.encode())
    write_file(out / f"{result.table}.md", as_markdown(result).encode())
