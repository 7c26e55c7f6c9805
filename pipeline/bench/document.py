"""The results of ``posereel bench`` as JSON and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.bench.papers import DATA_SETS, PUBLISHED
from pipeline.bench.scores import Score, Versus
from pipeline.report.bootstrap import DRAWS
from pipeline.report.page import percent

SPLITS = {"val_gt": "ground-truth boxes", "val": "boxes of `detect`"}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a system costs at the sizes of the params file."""

    parameters: int
    flops: int
    """Of its network for one clip, without the backbone; a multiply-add counts as two."""
    training_seconds: float | None
    """Mean over the seeds; None if this machine did not compute them."""
    clips_per_second: float | None
    """Of the stage predict, from cached tensors to joints in one process; None as above."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The results of a bench run."""

    data_set: str
    videos: int
    """Validation videos."""
    seeds: int
    titles: Mapping[str, str]
    """Title of every system, in the order of the tables."""
    scores: Mapping[str, Mapping[str, Score]]
    """By split, then by system."""
    costs: Mapping[str, Cost]


def as_json(bench: Bench) -> dict[str, Any]:
    """Return the content of data/bench/bench.json; AP in percent, gains in points."""
    return {
        "data_set": bench.data_set,
        "videos": bench.videos,
        "seeds": bench.seeds,
        "draws": DRAWS,
        "systems": {
            name: {
                "title": title,
                "cost": asdict(bench.costs[name]),
                "published": [asdict(each) for each in PUBLISHED.get(name, ())],
                **{
                    split: asdict(scores[name])
                    | {"mean": scores[name].mean, "deviation": scores[name].deviation}
                    for split, scores in bench.scores.items()
                },
            }
            for name, title in bench.titles.items()
        },
    }


def as_markdown(bench: Bench) -> str:
    """Return the content of docs/bench.md."""
    lines = [
        "# Bench",
        "",
        "Written by `posereel bench`. All systems read the same crops, caches and boxes of the",
        f"data set {bench.data_set} ({bench.videos} validation videos). Heads on the same crops",
        f"are trained with the same clips, steps and batches. Seeds: {bench.seeds}.",
        "",
        "Mean AP in percent, mean and standard deviation over the seeds. Gains in points, with a",
        "95 % interval of a paired bootstrap over whole videos",
        f"({DRAWS} resamples, seeds averaged).",
        "It says how much the videos matter, not how much the seeds do. A rank is a range: a",
        "system is above another one only if the interval of their difference does not contain 0.",
    ]
    for split, boxes in SPLITS.items():
        lines += ["", f"## {split}: {boxes}", "", *_score_table(bench, split)]
    lines += ["", "## Cost", "", *_cost_table(bench), "", "## Published numbers", ""]
    lines += [
        "Mean AP of the papers on other data, with other backbones and boxes; not comparable with",
        "the tables above, nor with each other where the boxes differ.",
        "",
        *_paper_table(bench),
        "",
    ]
    return "\n".join(lines)


def _score_table(bench: Bench, split: str) -> list[str]:
    rows = []
    for name, score in bench.scores[split].items():
        first, last = score.ranks
        rows.append(
            (
                name,
                percent(score.mean),
                percent(score.deviation),
                _gain_text(score.baseline),
                _gain_text(score.control),
                str(first) if first == last else f"{first} to {last}",
            )
        )
    columns = ("system", "mean AP", "std", "over its baseline", "over its best control", "rank")
    return _table(columns, rows)


def _cost_table(bench: Bench) -> list[str]:
    rows = [
        (
            name,
            title,
            f"{bench.costs[name].parameters:,}",
            f"{bench.costs[name].flops / 1e6:,.1f}",
            percent(bench.costs[name].training_seconds, 0),
            percent(bench.costs[name].clips_per_second, 0),
        )
        for name, title in bench.titles.items()
    ]
    columns = ("system", "", "parameters", "MFLOP per clip", "training, s", "clips/s")
    return _table(columns, rows)


def _paper_table(bench: Bench) -> list[str]:
    rows = [
        (name, each.source, each.boxes, *map(percent, each.mean_ap))
        for name in bench.titles
        for each in PUBLISHED.get(name, ())
    ]
    return _table(("system", "source", "boxes", *DATA_SETS), rows)


def _gain_text(versus: Versus | None) -> str:
    if versus is None:
        return "-"
    interval = versus.gain.interval
    shown = "no interval" if interval is None else f"{interval[0]:+.1f} to {interval[1]:+.1f}"
    return f"{versus.gain.mean:+.1f} ({shown}), {versus.other}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
