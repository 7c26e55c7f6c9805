"""One self-contained page: tables beside the papers', gains, curves, kinds of error, pictures.

Reads: annotations, data/index, data/metrics, data/evaluation, data/predictions, data/runs, and
frames below ``data.root``.
Writes: data/report/index.html; beside it, for people only, timings.html, which DVC does not track.
Params: ``report``; ``data`` says where frames and annotations lie.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from pydantic import Field

from pipeline.bootstrap import Gain, paired_gain
from pipeline.data_set import DataSet, read_data_set
from pipeline.failures import one_line
from pipeline.images import read_frame
from pipeline.page import PageSection, picture_of, render_page
from pipeline.params import Section, read_section
from pipeline.posetrack import read_annotations, read_predictions
from pipeline.posetrack_ap import Matches, match
from pipeline.posetrack_pool import Protocol, VideoPair, pool
from pipeline.report import (
    RIVALS,
    curve_section,
    error_section,
    gain_section,
    provenance_section,
    result_sections,
    tag_section,
    timing_section,
)
from pipeline.schemas import FRAMES, VIDEOS
from pipeline.scratch import find_scratch
from pipeline.showcase import most_changed, side_by_side
from pipeline.tables import read_table
from pipeline.timings import read_timings
from pipeline.whole_file import write_file

app = typer.Typer(add_completion=False)
DATA = Path("data")
SYSTEMS = ("hrnet", "refine", "fuse", "jmpose", "vit", "fuse_vit", "vremd")
SPLITS = ("val", "val_gt")
SUMMARY = (
    "Seven systems on the same clips and boxes: the single-frame backbones hrnet and vit, the"
    " controls refine, fuse and fuse_vit, and the heads jmpose and vremd of the two papers."
)
KINDS = {
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
) -> None:
    """Write the report over all systems."""
    section = read_section(params, "report", Report)
    data = read_data_set(params)
    metrics = {name: _read_json(DATA / "metrics" / f"{name}.json") for name in SYSTEMS}
    facts = {name: _read_json(DATA / "metrics" / f"{name}.provenance.json") for name in SYSTEMS}
    matches = _match_all(data, facts["hrnet"]["protocol"])
    sections = [
        *result_sections(metrics, data.name),
        gain_section(_gains(matches)),
        tag_section(metrics),
        curve_section(_of_val_gt("curves"), _histories()),
        error_section(_of_val_gt("errors")),
        *_pictures(matches["val_gt"], section.pictures, _frame_reader(Path(data.root))),
        provenance_section(facts),
    ]
    page = render_page(data.name, SUMMARY, [part for part in sections if part is not None])
    out = DATA / "report"
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / "index.html", page.encode())
    timings = timing_section(read_timings(find_scratch(Path()).timings))
    write_file(out / "timings.html", render_page("timings", "", [timings]).encode())
    typer.echo(f"report: wrote {out / 'index.html'} ({len(page) / 1e6:.1f} MB)")


def _read_json(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def _match_all(data: DataSet, protocol: Protocol) -> dict[str, dict[str, Matches]]:
    """Return the matches of every system by split."""
    videos = read_table(DATA / "index" / "videos.parquet", VIDEOS)
    videos = videos[videos["split"] == "val"]
    truths = {
        str(video): read_annotations(Path(data.annotations) / annotation)
        for video, annotation in zip(videos["video"], videos["annotation"], strict=True)
    }
    return {
        split: {system: _match(truths, system, split, protocol) for system in SYSTEMS}
        for split in SPLITS
    }


def _match(truths: dict[str, Any], system: str, split: str, protocol: Protocol) -> Matches:
    folder = DATA / "predictions" / system / split
    pairs = [
        VideoPair(video, truth, read_predictions(folder / f"{video}.json"))
        for video, truth in truths.items()
    ]
    return match(pool(pairs, protocol))


def _gains(matches: dict[str, dict[str, Matches]]) -> dict[tuple[str, str, str], Gain | None]:
    return {
        (split, system, rival): paired_gain(of_split[system], of_split[rival])
        for split, of_split in matches.items()
        for system, rivals in RIVALS.items()
        for rival in rivals
    }


def _of_val_gt(name: str) -> pd.DataFrame:
    parts = [
        pd.read_parquet(DATA / "evaluation" / system / f"{name}.parquet").assign(system=system)
        for system in SYSTEMS
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[table["split"] == "val_gt"]


def _histories() -> pd.DataFrame:
    """Return the heatmap loss of every system that was trained here."""
    parts = []
    for system in SYSTEMS:
        file = DATA / "runs" / system / "history.csv"
        if file.is_file():
            history = pd.read_csv(file)
            if len(history):
                columns = {"system": system, "step": history["step"], "loss": history["heatmap"]}
                parts.append(pd.DataFrame(columns))
    return pd.concat(parts) if parts else pd.DataFrame(columns=["system", "step", "loss"])


def _frame_reader(root: Path) -> Callable[[str, int], NDArray[np.uint8]]:
    frames = read_table(DATA / "index" / "frames.parquet", FRAMES)
    val = frames[frames["split"] == "val"]
    columns = (val[name].tolist() for name in ("video", "entry", "file", "sha256"))
    files = {
        (video, entry): (str(file), str(digest))
        for video, entry, file, digest in zip(*columns, strict=True)
    }

    def read(video: str, entry: int) -> NDArray[np.uint8]:
        file, digest = files[video, entry]
        return read_frame(root, file, sha256=digest, image_size=None)

    return read


def _pictures(
    matches: dict[str, Matches], count: int, read_image: Callable[[str, int], NDArray[np.uint8]]
) -> list[PageSection]:
    """Return one section per head with the people it changed most against its baseline."""
    sections = []
    for head, (baseline, *_) in RIVALS.items():
        shown = {baseline: matches[baseline], head: matches[head]}
        pool_ = matches[head].pool
        pictures = []
        for kind, people in most_changed(matches[head], matches[baseline], count).items():
            for person in people.tolist():
                frame = int(pool_.truth.frame[person])
                where = f"{pool_.names[pool_.video[frame]]}, frame {pool_.entry[frame]}"
                caption = f"{KINDS[kind]} {baseline}: {where}"
                pictures.append(picture_of(side_by_side(shown, person, read_image), caption))
        title = f"People that {head} changed"
        note = "On val_gt: labels, baseline, head. Orange is the person's left, blue their right."
        sections.append(PageSection(f"people-{head}", title, note, pictures=tuple(pictures)))
    return sections


if __name__ == "__main__":
    app()
