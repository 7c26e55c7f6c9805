"""Gain and cost of augmented variants of the train clips: 1, 4 and 8 variants at equal steps.

Every number of variants V is an experiment in a temporary workspace with the same clips, steps and
batches; epoch e reads variant e mod V. Bytes and seconds are those of the train caches of both
heads (crops, heatmaps, flow, tokens), from the log of units on this machine. Units of earlier runs
are reused and count with the seconds of their computation.

    python -m benchmarks.variants [--quick] [--json FILE] [--preset NAME] [--seeds N]
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer

from benchmarks.measurement import Figures, JsonFile, Quick, describe_machine, show, write_figures
from models.head_parts.lookup import comparisons
from pipeline.ablation.experiments import Experiment, read_metrics, run_experiment, settings_of
from pipeline.core.units.entry_log import read_entries
from pipeline.core.units.scratch import find_scratch
from pipeline.importing.presets import find_preset

VARIANTS = (1, 4, 8)
HEADS = tuple(comparisons())
STAGES = ("crop", "heatmaps", "flow", "tokens")
app = typer.Typer(add_completion=False)
Units = Mapping[tuple[str, str], Mapping[str, Any]]


def measure(variants: int, shared: tuple[str, ...], seeds: int) -> dict[str, float]:
    """Return the mean AP of both heads on val_gt in percent, averaged over seeds."""
    found: dict[str, list[float]] = {head: [] for head in HEADS}
    for seed in range(seeds):
        settings = (
            *shared,
            f"crop.variants={variants}",
            *(f"train_{head}.seed={seed}" for head in HEADS),
        )
        targets = tuple(f"evaluate@{head}" for head in HEADS)
        commit = run_experiment(Experiment("variants", settings, targets))
        for head in HEADS:
            found[head].append(read_metrics(commit, head)["val_gt"]["ap_total"])
    return {head: mean(scores) for head, scores in found.items()}


def last_units(log: Path) -> Units:
    """Return the last log entry of every cached unit by stage and unit."""
    return {
        (entry["stage"], entry["unit"]): entry
        for entry in read_entries(log)
        if entry.get("stage") in STAGES and "/v" in str(entry.get("unit"))
    }


def cost_of_variants(units: Units, variants: int) -> dict[str, float]:
    """Return bytes and seconds of the train caches for V variants.

    Args:
        units: Entries of the log. Videos with a second variant are train videos.
        variants: Number of variants V.
    """
    train = {unit.partition("/")[0] for _, unit in units if not unit.endswith("/v0")}
    chosen = [
        entry
        for (_, unit), entry in units.items()
        if unit.partition("/")[0] in train and int(unit.rpartition("/v")[2]) < variants
    ]
    return {name: sum(entry[name] for entry in chosen) for name in ("bytes", "seconds")}


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
    preset: Annotated[str, typer.Option(help="Preset in presets/, without .yaml.")] = "ablation",
    seeds: Annotated[int, typer.Option(min=1, help="Number of trainings per row.")] = 1,
) -> None:
    """Run the experiments and print AP, bytes and seconds.

    Quick: bytes and seconds of units from earlier runs; runs no experiment.
    """
    shared = settings_of(Path("params.yaml"), find_preset(preset))
    scores = {count: {} if quick else measure(count, shared, seeds) for count in VARIANTS}
    units = last_units(find_scratch(Path("data/crops")).timings)
    print(f"variants: preset {preset}, {seeds} seeds; {describe_machine()}")
    figures: Figures = {"preset": preset, "seeds": seeds, "rows": []}
    rows: list[list[str | float]] = [["variants", *HEADS, "caches, MB", "seconds, one worker"]]
    for count in VARIANTS:
        spent = cost_of_variants(units, count)
        figures["rows"].append({"variants": count, **scores[count], **spent})
        measured = [scores[count].get(head, "-") for head in HEADS]
        rows.append([str(count), *measured, spent["bytes"] / 1e6, spent["seconds"]])
    show("augmented variants at equal steps, mean AP on val_gt in percent", rows)
    write_figures(json_file, figures)


if __name__ == "__main__":
    app()
