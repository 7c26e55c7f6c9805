"""Mean AP of the seven systems over three validation sets that nothing was tuned on.

Each set is rendered from a seed range of its own (`render.val_range`) and measured by an experiment
in a temporary workspace: heads are not trained again, since no training reads val. The gains of
each head over its single-frame baseline and its controls follow, set by set and as their mean, with
its 95 % interval by a paired bootstrap over the videos of every set.

    python benchmarks/gains.py [--quick] [--json FILE]
"""

import sys
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measurement import Figures, JsonFile, Quick, write_figures
from pipeline.ablation.experiments import Experiment, read_metrics, run_experiment
from pipeline.base.dvc_files import files_of, object_path, read_lock
from pipeline.posetrack.annotations import Annotations
from pipeline.posetrack.reader import read_annotations
from pipeline.report.bootstrap import DrawnAP, draw_ap, paired_gain
from pipeline.report.past_run import lay_out
from pipeline.report.run_results import SYSTEMS, read_results
from pipeline.report.sections import RIVALS
from pipeline.units.scratch import find_scratch

RANGES = ("gain_val_4", "gain_val_5", "gain_val_6")
"""1 to 3 measured the heads before VREMD and its controls had decoders of 2x2 kernels."""
SPLITS = ("val_gt", "val")

app = typer.Typer(add_completion=False)
Scores = dict[str, dict[str, float]]
Drawn = dict[str, dict[str, DrawnAP]]
"""AP over draws of a set's videos: split -> system."""


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
) -> None:
    """Run the experiments, print mean AP per set and the gains.

    Quick: the default's own validation set alone, whose metrics are in git; nothing is run.
    """
    commits = {"val": "HEAD"} if quick else {name: measure(name) for name in RANGES}
    scores = {name: measured(commit) for name, commit in commits.items()}
    drawn = (
        [] if quick else [draws_of(commit, seed) for seed, commit in enumerate(commits.values())]
    )
    figures: Figures = {}
    for split in SPLITS:
        table = {
            name: {system: values[system][split] for system in SYSTEMS}
            for name, values in scores.items()
        }
        figures[split] = {"ap": table, "gains": gains(table, [each[split] for each in drawn])}
        _print(split, figures[split])
    write_figures(json_file, figures)


def measure(val_range: str) -> str:
    """Measure every system on a set and return the experiment's commit.

    Args:
        val_range: Value of ``render.val_range``.

    Raises:
        ValueError: If the experiment fails.
    """
    params = (f"render.val_range={val_range}",)
    targets = tuple(f"evaluate@{system}" for system in SYSTEMS)
    return run_experiment(Experiment(val_range.replace("_", "-"), params, targets))


def measured(commit: str) -> Scores:
    """Return what the metric files of a commit say, in percent: system -> split -> mean AP."""
    metrics = {system: read_metrics(commit, system) for system in SYSTEMS}
    return {
        system: {split: float(values[split]["ap_total"]) for split in SPLITS}
        for system, values in metrics.items()
    }


def draws_of(commit: str, seed: int) -> Drawn:
    """Return AP over draws of the videos of a set, from the experiment's predictions.

    Args:
        commit: Commit of the experiment; what it made is in DVC's cache.
        seed: Of the draws, another for every set.
    """
    scratch = find_scratch(Path())
    with TemporaryDirectory() as folder:
        past = Path(folder)
        lay_out(scratch.project, scratch.cache, commit, past)
        matches = read_results(past / "data", truths_of(past, scratch.cache)).matches
    return {
        split: {system: draw_ap(found, seed=seed) for system, found in of_split.items()}
        for split, of_split in matches.items()
    }


def truths_of(past: Path, cache: Path) -> dict[str, Annotations]:
    """Return the annotations of the val videos that a laid out run rendered, by video."""
    (digest,) = [
        stage.outs["data/raw/synthetic"] for stage in read_lock(past) if stage.name == "render"
    ]
    files = files_of(cache, digest)
    if files is None:
        raise ValueError(f"{cache}: expected the rendered data set; run the experiment again")
    return {
        Path(name).stem: read_annotations(object_path(cache, hashed))
        for name, hashed in sorted(files.items())
        if name.startswith("annotations/val/")
    }


def over_sets(drawn: list[dict[str, DrawnAP]], system: str) -> DrawnAP:
    """Return the mean over the sets of a system's AP, each set drawn by itself."""
    videos = tuple(video for of_set in drawn for video in of_set[system].videos)
    return DrawnAP(videos, np.array([of_set[system].values for of_set in drawn]).mean(axis=0))


def gains(table: Scores, drawn: list[dict[str, DrawnAP]]) -> dict[str, dict[str, Any]]:
    """Return, for every head and baseline, the gain per set, its mean and interval, in points."""
    found: dict[str, dict[str, Any]] = {}
    for head, baselines in RIVALS.items():
        for baseline in baselines:
            each = [row[head] - row[baseline] for row in table.values()]
            gain = found[f"{head} over {baseline}"] = {"each": each, "mean": mean(each)}
            if drawn:
                paired = paired_gain(over_sets(drawn, head), over_sets(drawn, baseline))
                gain["ci95"] = None if paired is None else [paired.low, paired.high]
    return found


def _print(split: str, figures: dict[str, Any]) -> None:
    print(f"\n{split}, PoseTrack AP")
    for name, row in figures["ap"].items():
        print(f"  {name:12}", "  ".join(f"{system} {ap:5.1f}" for system, ap in row.items()))
    for pair, gain in figures["gains"].items():
        each = ", ".join(f"{value:+.1f}" for value in gain["each"])
        interval = gain.get("ci95")
        sure = f", 95 % {interval[0]:+.2f} to {interval[1]:+.2f}" if interval else ""
        print(f"  {pair:20} {gain['mean']:+.2f} ({each}){sure}")


if __name__ == "__main__":
    app()
