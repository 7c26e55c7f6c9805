"""Mean AP of all systems on three validation sets that were not used for tuning.

Each set is rendered from its own seed range (`render.val_range`) and measured by an experiment in a
temporary workspace. Heads are not trained again, since no training reads val. A second table shows
the gains of each head over its single-frame baseline and its controls, per set and on average, with
the 95 % interval of the average by a paired bootstrap over the videos of every set. What counts is
the gain over the best control, which is chosen by its mean AP on these sets. ``warp`` over ``fuse``
is what it is worth to follow people by flow, since both have the same layers.

    python -m benchmarks.gains [--quick] [--json FILE]
"""

from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import typer

from benchmarks.measurement import Figures, JsonFile, Quick, describe_machine, show, write_figures
from models.head_parts.lookup import comparisons, listed_systems
from pipeline.ablation.experiments import Experiment, read_metrics, run_experiment
from pipeline.core.dvc_files import files_of, object_path, read_lock
from pipeline.core.posetrack.annotations import Annotations
from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.units.scratch import find_scratch
from pipeline.report.bootstrap import DrawnAP, draw_ap, paired_gain
from pipeline.report.past_run import restore_run
from pipeline.report.run_results import read_results

RANGES = ("gain_val_4", "gain_val_5", "gain_val_6")
"""Sets 1 to 3 measured VREMD and its controls before their decoders had 2x2 kernels."""
SPLITS = ("val_gt", "val")
CONTROL_PAIRS = (("warp", "fuse"),)
"""Pairs of controls whose difference is shown as well."""

app = typer.Typer(add_completion=False)
Scores = dict[str, dict[str, float]]
Drawn = dict[str, dict[str, DrawnAP]]
"""AP of bootstrap draws of the videos of a set: split -> system."""


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
) -> None:
    """Run the experiments and print mean AP per set and the gains.

    Quick: the default validation set only, whose metrics are in git; runs no experiment.
    """
    print(f"gains: {describe_machine()}")
    commits = {"val": "HEAD"} if quick else {name: run_set(name) for name in RANGES}
    scores = {name: read_scores(commit) for name, commit in commits.items()}
    drawn = (
        [] if quick else [draws_of(commit, seed) for seed, commit in enumerate(commits.values())]
    )
    figures: Figures = {}
    for split in SPLITS:
        table = {
            name: {system: values[system][split] for system in listed_systems()}
            for name, values in scores.items()
        }
        figures[split] = {"ap": table, "gains": gains(table, [each[split] for each in drawn])}
        show_split(split, figures[split])
    write_figures(json_file, figures)


def run_set(val_range: str) -> str:
    """Evaluate every system on a set and return the commit of the experiment.

    Args:
        val_range: Value of ``render.val_range``.

    Raises:
        ValueError: If the experiment fails.
    """
    params = (f"render.val_range={val_range}",)
    targets = tuple(f"evaluate@{system}" for system in listed_systems())
    return run_experiment(Experiment(val_range.replace("_", "-"), params, targets))


def read_scores(commit: str) -> Scores:
    """Return mean AP in percent from the metric files of a commit: system -> split -> AP."""
    metrics = {system: read_metrics(commit, system) for system in listed_systems()}
    return {
        system: {split: float(values[split]["ap_total"]) for split in SPLITS}
        for system, values in metrics.items()
    }


def draws_of(commit: str, seed: int) -> Drawn:
    """Return AP of bootstrap draws of the videos of a set, from the predictions of an experiment.

    Args:
        commit: Commit of the experiment, whose outs are in the DVC cache.
        seed: Seed of the draws, different for every set.
    """
    scratch = find_scratch(Path())
    with TemporaryDirectory() as folder:
        past = Path(folder)
        restore_run(scratch.project, scratch.cache, commit, past)
        truths = truths_of(past, scratch.cache)
        matches = read_results(past / "data", truths, list(listed_systems())).matches
    return {
        split: {system: draw_ap(found, seed=seed) for system, found in of_split.items()}
        for split, of_split in matches.items()
    }


def truths_of(past: Path, cache: Path) -> dict[str, Annotations]:
    """Return the annotations of the rendered val videos of a run by video."""
    (digest,) = [
        stage.outs["data/raw/synthetic"] for stage in read_lock(past) if stage.name == "render"
    ]
    files = files_of(cache, digest)
    if files is None:
        raise ValueError(
            f"{cache}: expected the rendered data set, found none; run the experiment again"
        )
    return {
        Path(name).stem: read_annotations(object_path(cache, hashed))
        for name, hashed in sorted(files.items())
        if name.startswith("annotations/val/")
    }


def mean_over_sets(drawn: list[dict[str, DrawnAP]], system: str) -> DrawnAP:
    """Return the mean AP of a system over the sets, which are drawn independently."""
    videos = tuple(video for of_set in drawn for video in of_set[system].videos)
    return DrawnAP(videos, np.array([of_set[system].values for of_set in drawn]).mean(axis=0))


def best_control(table: Scores, head: str) -> str:
    """Return the control of a head with the highest mean AP over the sets."""
    controls = comparisons()[head][1:]
    return max(controls, key=lambda control: mean(row[control] for row in table.values()))


def gains(table: Scores, drawn: list[dict[str, DrawnAP]]) -> dict[str, dict[str, Any]]:
    """Return gains in points by pair of systems: per set, their mean and its 95 % interval.

    Args:
        table: AP by set and system.
        drawn: AP of bootstrap draws by system, for every set; empty for no intervals.

    Returns:
        Every head over its baseline and its controls, and ``CONTROL_PAIRS``. ``best_control`` tells
        whether the second system is the best control of the first.
    """
    pairs = [(head, other) for head, compared in comparisons().items() for other in compared]
    best = {(head, best_control(table, head)) for head in comparisons()}
    found: dict[str, dict[str, Any]] = {}
    for system, other in [*pairs, *CONTROL_PAIRS]:
        each = [row[system] - row[other] for row in table.values()]
        gain = {"each": each, "mean": mean(each), "best_control": (system, other) in best}
        if drawn:
            paired = paired_gain(mean_over_sets(drawn, system), mean_over_sets(drawn, other))
            gain["ci95"] = None if paired is None else paired.interval
        found[f"{system} over {other}"] = gain
    return found


def show_split(split: str, figures: dict[str, Any]) -> None:
    """Print AP and gains on a split."""
    ap = figures["ap"]
    sets = list(ap)
    rows = [(system, *(f"{ap[name][system]:.1f}" for name in sets)) for system in listed_systems()]
    show(f"{split}, PoseTrack AP in percent", [("", *sets), *rows])
    gain_rows = []
    for pair, gain in figures["gains"].items():
        interval = gain.get("ci95")
        bounds = f"{interval[0]:+.2f} to {interval[1]:+.2f}" if interval else "-"
        each = (f"{value:+.1f}" for value in gain["each"])
        name = f"{pair} (best control)" if gain["best_control"] else pair
        gain_rows.append((name, *each, f"{gain['mean']:+.2f}", bounds))
    show(f"{split}, gains in points", [("", *sets, "mean", "95 %"), *gain_rows])


if __name__ == "__main__":
    app()
