"""One self-contained page: tables beside the papers', gains, curves, kinds of error, pictures.

Reads: annotations, data/index, data/metrics, data/evaluation, data/predictions, data/runs,
data/ablations, and frames below ``data.root``.
Writes: data/report/index.html; beside it, for people only, timings.html, which DVC does not track.
With ``--against REVISION`` only data/report/against.html, which DVC does not track either: what
became other since an earlier run, whose results are read from git and DVC's cache.
Params: ``report``; ``data`` says where frames and annotations lie.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import pandas as pd
import typer
from pydantic import Field

from pipeline.base.atomic_file import write_file
from pipeline.base.errors import one_line
from pipeline.base.params import Section, read_params, read_section
from pipeline.data_set import DataSet, read_data_set
from pipeline.evaluation.metrics.posetrack_ap import Matches
from pipeline.posetrack.annotations import Annotations
from pipeline.report.ablations import ablation_section
from pipeline.report.bootstrap import Gain, draw_ap, paired_gain
from pipeline.report.comparison import (
    clip_section,
    fact_section,
    joint_section,
    mean_section,
    refuse_other_labels,
    video_section,
)
from pipeline.report.labeled_frames import frame_reader
from pipeline.report.page import PageSection, picture_of, render_page
from pipeline.report.past_run import lay_out
from pipeline.report.run_results import RunResults, read_facts, read_results, read_truths
from pipeline.report.sections import (
    RIVALS,
    curve_section,
    error_section,
    gain_section,
    provenance_section,
    result_sections,
    tag_section,
    timing_section,
)
from pipeline.report.showcase import Kind, ReadImage, describe_person, most_changed, side_by_side
from pipeline.report.timings import read_timings
from pipeline.units.scratch import find_scratch

app = typer.Typer(add_completion=False)
DATA = Path("data")
SUMMARY = (
    "Seven systems on the same clips and boxes: the single-frame backbones hrnet and vit, the"
    " controls refine, fuse and fuse_vit, and the heads jmpose and vremd of the two papers."
)
AGAINST = (
    "What became other since an earlier run on the same labels. Its files are those of its commit,"
    " and of DVC's cache as the commit's dvc.lock names them."
)
PEOPLE_NOTE = (
    "On val_gt: labels, baseline, head. Orange is the person's left, blue their right; without"
    " joints: no prediction was assigned to the person."
)
KINDS: dict[Kind, str] = {
    "improved": "improved most over",
    "worsened": "made worse most against",
    "worst": "found least, beside",
}


class Report(Section):
    """Params of this stage."""

    pictures: Annotated[int, Field(ge=0)]
    """People shown per head and kind: improved, worsened, worst."""


@app.command()
@one_line
def main(
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
    against: Annotated[
        str, typer.Option(metavar="REVISION", help="Compare with this commit or experiment.")
    ] = "",
) -> None:
    """Write the report over all systems, or a comparison with an earlier run."""
    count = read_section(params, "report", Report).pictures
    data = read_data_set(params)
    truths = read_truths(DATA, Path(data.annotations))
    now = read_results(DATA, truths)
    read_image = frame_reader(DATA, Path(data.root))
    if against:
        sections = _compare(now, truths, against, count, read_image, params)
        _write(f"{data.name}, against {against}", AGAINST, sections, "against.html")
        return
    _write(data.name, SUMMARY, _sections(now, data, count, read_image), "index.html")
    timings = timing_section(read_timings(find_scratch(Path()).timings))
    _write("timings", "", [timings], "timings.html")


def _compare(
    now: RunResults,
    truths: dict[str, Annotations],
    revision: str,
    count: int,
    read_image: ReadImage,
    params: Path,
) -> list[PageSection]:
    """Return the sections of the comparison with an earlier run."""
    scratch = find_scratch(Path())
    with TemporaryDirectory() as folder:
        past = Path(folder)
        lay_out(scratch.project, scratch.cache, revision, past)
        systems = [name for name in now.systems if (past / f"data/metrics/{name}.json").is_file()]
        refuse_other_labels(now.facts, read_facts(past / DATA, systems), revision)
        then = read_results(past / DATA, truths, systems)
        return [
            fact_section(now, then, (read_params(params), read_params(past / "params.yaml"))),
            mean_section(now, then),
            joint_section(now, then),
            video_section(now, then),
            clip_section(now, then, count, read_image),
        ]


def _sections(
    now: RunResults, data: DataSet, count: int, read_image: ReadImage
) -> list[PageSection]:
    """Return the sections of the report, without those that this data set has no values for."""
    curves, errors = now.evaluation("curves"), now.evaluation("errors")
    sections = [
        *result_sections(now.metrics, data.name),
        gain_section(_gains(now.matches)),
        tag_section(now.metrics),
        curve_section(curves[curves["split"] == "val_gt"], _histories(now.systems)),
        error_section(errors[errors["split"] == "val_gt"]),
        *_pictures(now.matches["val_gt"], count, read_image),
        ablation_section(_ablations()),
        provenance_section(now.facts),
    ]
    return [section for section in sections if section is not None]


def _ablations() -> list[dict[str, Any]]:
    """Return the ablation tables that were run."""
    files = sorted((DATA / "ablations").glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _write(title: str, summary: str, sections: list[PageSection], name: str) -> None:
    page = render_page(title, summary, sections)
    out = DATA / "report" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, page.encode())
    typer.echo(f"report: wrote {out} ({len(page) / 1e6:.1f} MB)")


def _gains(
    matches: Mapping[str, Mapping[str, Matches]],
) -> dict[tuple[str, str, str], Gain | None]:
    drawn = {
        split: {system: draw_ap(found) for system, found in of_split.items()}
        for split, of_split in matches.items()
    }
    return {
        (split, system, rival): paired_gain(of_split[system], of_split[rival])
        for split, of_split in drawn.items()
        for system, rivals in RIVALS.items()
        for rival in rivals
    }


def _histories(systems: Sequence[str]) -> pd.DataFrame:
    """Return the heatmap loss of every system that was trained here."""
    parts = []
    for system in systems:
        file = DATA / "runs" / system / "history.csv"
        if file.is_file():
            history = pd.read_csv(file)
            if len(history):
                columns = {"system": system, "step": history["step"], "loss": history["heatmap"]}
                parts.append(pd.DataFrame(columns))
    return pd.concat(parts) if parts else pd.DataFrame(columns=["system", "step", "loss"])


def _pictures(
    matches: Mapping[str, Matches], count: int, read_image: ReadImage
) -> list[PageSection]:
    """Return one section per head with the people it changed most against its baseline."""
    sections = []
    for head, (baseline, *_) in RIVALS.items():
        shown = {baseline: matches[baseline], head: matches[head]}
        pictures = []
        for kind, people in most_changed(matches[head], matches[baseline], count).items():
            for person in people.tolist():
                where = describe_person(matches[head].pool, person)
                caption = f"{KINDS[kind]} {baseline}: {where}"
                pictures.append(picture_of(side_by_side(shown, person, read_image), caption))
        title = f"People that {head} changed"
        sections.append(PageSection(f"people-{head}", title, PEOPLE_NOTE, pictures=tuple(pictures)))
    return sections


if __name__ == "__main__":
    app()
