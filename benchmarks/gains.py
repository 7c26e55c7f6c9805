"""Mean AP of the seven systems over three validation sets that nothing was tuned on.

Each set is rendered from a seed range of its own (`render.val_range`) and measured by an experiment
in a temporary workspace: heads are not trained again, since no training reads val. The gains of
each head over its single-frame baseline and its controls follow, with their spread over the sets.

    python benchmarks/gains.py [--quick] [--json FILE]
"""

import json
import sys
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.experiments import Experiment, read_metrics, run_experiment

RANGES = ("gain_val_1", "gain_val_2", "gain_val_3")
BASELINES = {"jmpose": ("hrnet", "refine", "fuse"), "vremd": ("vit", "fuse_vit")}
SYSTEMS = ("hrnet", "refine", "fuse", "jmpose", "vit", "fuse_vit", "vremd")
SPLITS = ("val_gt", "val")

app = typer.Typer(add_completion=False)
Scores = dict[str, dict[str, float]]


@app.command()
def main(
    quick: Annotated[
        bool, typer.Option(help="One set of two videos, JM-Pose and HRNet alone, for a check.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures.")
    ] = None,
) -> None:
    """Run the experiments, print mean AP per set and the gains."""
    systems = ("hrnet", "jmpose") if quick else SYSTEMS
    settings = ["render.videos.val=2"] if quick else []
    ranges = RANGES[:1] if quick else RANGES
    figures: dict[str, Any] = {}
    scores = {name: measure(name, systems, settings) for name in ranges}
    for split in SPLITS:
        table = {name: {s: scores[name][s][split] for s in systems} for name in ranges}
        figures[split] = {"ap": table, "gains": gains(table, systems)}
        _print(split, figures[split])
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def measure(val_range: str, systems: tuple[str, ...], settings: list[str]) -> Scores:
    """Return the mean AP of every system on a set, in percent: system -> split -> AP.

    Args:
        val_range: Value of ``render.val_range``.
        systems: What to measure.
        settings: Further params of the experiment, ``key=value``.

    Raises:
        ValueError: If the experiment fails.
    """
    params = (f"render.val_range={val_range}", *settings)
    targets = tuple(f"evaluate@{system}" for system in systems)
    commit = run_experiment(Experiment(val_range.replace("_", "-"), params, targets))
    metrics = {system: read_metrics(commit, system) for system in systems}
    return {
        system: {split: float(values[split]["ap_total"]) for split in SPLITS}
        for system, values in metrics.items()
    }


def gains(table: Scores, systems: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return, for every head and baseline, the gain per set and its mean, in points."""
    found = {}
    for head, baselines in BASELINES.items():
        for baseline in baselines:
            if head in systems and baseline in systems:
                each = [row[head] - row[baseline] for row in table.values()]
                found[f"{head} over {baseline}"] = {"each": each, "mean": mean(each)}
    return found


def _print(split: str, figures: dict[str, Any]) -> None:
    print(f"\n{split}, PoseTrack AP")
    for name, row in figures["ap"].items():
        print(f"  {name:12}", "  ".join(f"{system} {ap:5.1f}" for system, ap in row.items()))
    for pair, gain in figures["gains"].items():
        each = ", ".join(f"{value:+.1f}" for value in gain["each"])
        print(f"  {pair:20} {gain['mean']:+.2f} ({each})")


if __name__ == "__main__":
    app()
