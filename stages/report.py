"""Write the report page, the summary that DVC shows as metrics, and the files of `dvc plots`.

Reads: annotations, data/index, data/evaluation, data/predictions, data/runs, data/ablations,
data/liveness, and frames below ``data.root``.
Writes: data/report/index.html, data/report/plots/, data/metrics/summary.json; and timings.html
beside the page, which DVC does not track.
With ``--against REVISION``, writes only data/report/against.html, which DVC does not track either:
a comparison with an earlier run, whose results come from git and DVC's cache.
Params: ``report``; ``data`` for the folders of frames and annotations.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from pydantic import Field

from models.head_parts.lookup import comparisons, listed_systems
from pipeline.core.atomic_file import write_file
from pipeline.core.data_set import DataSet, read_data_set
from pipeline.core.errors import one_line
from pipeline.core.params import Section, read_params, read_section
from pipeline.core.posetrack.annotations import Annotations
from pipeline.core.units.scratch import find_scratch
from pipeline.report.ablations import ablation_section
from pipeline.report.bootstrap import paired_gains
from pipeline.report.comparison import (
    clip_section,
    fact_section,
    joint_section,
    mean_section,
    refuse_other_labels,
    video_section,
)
from pipeline.report.labeled_frames import frame_reader
from pipeline.report.liveness import PartEffect, liveness_section
from pipeline.report.page import PageSection, render_page
from pipeline.report.past_run import restore_run
from pipeline.report.people import people_sections
from pipeline.report.plots import read_training, write_plots
from pipeline.report.run_results import (
    RunResults,
    evaluated_systems,
    read_facts,
    read_results,
    read_truths,
)
from pipeline.report.sections import (
    acceleration_section,
    curve_section,
    error_section,
    gain_section,
    provenance_section,
    result_sections,
    tag_section,
    timing_section,
)
from pipeline.report.showcase import ReadImage
from pipeline.report.summary import summarize
from pipeline.report.timings import read_timings

app = typer.Typer(add_completion=False)
DATA = Path("data")
AGAINST = (
    "Differences from an earlier run on the same labels. The results of the earlier run come from"
    " its commit, and from DVC's cache as the dvc.lock of that commit names them."
)


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
    """Write the report of all systems, or a comparison with an earlier run."""
    count = read_section(params, "report", Report).pictures
    data = read_data_set(params)
    truths = read_truths(DATA, Path(data.annotations))
    now = read_results(DATA, truths, list(listed_systems()))
    read_image = frame_reader(DATA, Path(data.root))
    if against:
        sections = _compare(now, truths, against, count, read_image, params)
        _write_page(f"{data.name}, against {against}", AGAINST, sections, "against.html")
        return
    _write_report(now, data, count, read_image)
    summary = json.dumps(summarize(now.metrics), indent=1) + "\n"
    write_file(DATA / "metrics" / "summary.json", summary.encode())
    timings = timing_section(read_timings(find_scratch(Path()).timings))
    _write_page("timings", "", [timings], "timings.html")


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
        restore_run(scratch.project, scratch.cache, revision, past)
        systems = evaluated_systems(past / DATA, now.systems)
        if not systems:
            raise ValueError(
                f"{revision}: expected data/evaluation/<system>/metrics.json of its systems, got "
                "none; compare with a run of this version of PoseReel"
            )
        refuse_other_labels(now.facts, read_facts(past / DATA, systems), revision)
        then = read_results(past / DATA, truths, systems)
        return [
            fact_section(now, then, (read_params(params), read_params(past / "params.yaml"))),
            mean_section(now, then),
            joint_section(now, then),
            video_section(now, then),
            clip_section(now, then, count, read_image),
        ]


def _write_report(now: RunResults, data: DataSet, count: int, read_image: ReadImage) -> None:
    """Write the page, without the sections that this data set has no values for, and the plots."""
    curves, errors = now.evaluation("curves"), now.evaluation("errors")
    curves, errors = (table[table["split"] == "val_gt"] for table in (curves, errors))
    training = read_training(DATA, now.systems)
    # Untrained systems come last, so that a system has the same color in both charts.
    untrained = ~curves["system"].isin(training["system"])
    curves = curves.iloc[untrained.argsort(kind="stable")]
    compared = comparisons()
    sections = [
        *result_sections(now.metrics, data.name, compared),
        acceleration_section(now.metrics, compared),
        gain_section(paired_gains(now.matches, compared)),
        tag_section(now.metrics, compared),
        curve_section(curves, training),
        error_section(errors, compared),
        *people_sections(now.matches["val_gt"], compared, count, read_image),
        liveness_section(_liveness()),
        ablation_section(_ablations()),
        provenance_section(now.facts),
    ]
    shown = [section for section in sections if section is not None]
    _write_page(data.name, _describe(), shown, "index.html")
    write_plots(DATA / "report" / "plots", training, curves)


def _describe() -> str:
    """Return a summary of what the report compares."""
    systems = ", ".join(f"{name} ({each.title})" for name, each in listed_systems().items())
    heads = "; ".join(f"{head} with {', '.join(other)}" for head, other in comparisons().items())
    return (
        f"{len(listed_systems())} systems on the same clips and person boxes: {systems}. Each head"
        f" is compared with its single-frame baseline and its controls: {heads}. The rows of the"
        " heads are highlighted."
    )


def _ablations() -> list[dict[str, Any]]:
    """Return the ablation tables in data/ablations."""
    return [
        json.loads(file.read_text(encoding="utf-8"))
        for file in sorted((DATA / "ablations").glob("*.json"))
    ]


def _liveness() -> dict[str, dict[str, PartEffect]]:
    """Return what data/liveness holds, by system and part."""
    files = {name: DATA / "liveness" / f"{name}.json" for name in listed_systems()}
    return {
        name: {
            part: PartEffect(**values)
            for part, values in json.loads(file.read_text(encoding="utf-8")).items()
        }
        for name, file in files.items()
        if file.is_file()
    }


def _write_page(title: str, summary: str, sections: list[PageSection], name: str) -> None:
    page = render_page(title, summary, sections)
    out = DATA / "report" / name
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, page.encode())
    typer.echo(f"report: wrote {out} ({len(page) / 1e6:.1f} MB)")


if __name__ == "__main__":
    app()
