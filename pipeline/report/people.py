"""Sections of the report with pictures of the people that each head changed most."""

from collections.abc import Mapping

from pipeline.evaluation.metrics.posetrack_ap import Matches
from pipeline.report.page import PageSection, picture_of
from pipeline.report.run_results import Comparisons
from pipeline.report.showcase import Kind, ReadImage, describe_person, most_changed, side_by_side

COLORS_NOTE = (
    "Orange is the person's left side, blue the right side. A panel without joints means that no"
    " prediction was matched to the person."
)
NOTE = f"On val_gt: labels, baseline, head. {COLORS_NOTE}"
CAPTIONS: dict[Kind, str] = {
    "improved": "improved most over",
    "worsened": "worsened most against",
    "worst": "fewest correct joints, beside",
}


def people_sections(
    matches: Mapping[str, Matches], comparisons: Comparisons, count: int, read_image: ReadImage
) -> list[PageSection]:
    """Return one section per head with the people that it changed most.

    Args:
        matches: Matches on val_gt by system.
        comparisons: Baseline and controls of each head; the baseline is shown beside the head.
        count: Number of people of each kind.
        read_image: Reads a frame.
    """
    sections = []
    for head, (baseline, *_) in comparisons.items():
        shown = {baseline: matches[baseline], head: matches[head]}
        pictures = []
        for kind, people in most_changed(matches[head], matches[baseline], count).items():
            for person in people.tolist():
                where = describe_person(matches[head].pool, person)
                caption = f"{CAPTIONS[kind]} {baseline}: {where}"
                pictures.append(picture_of(side_by_side(shown, person, read_image), caption))
        title = f"People that {head} changed"
        sections.append(PageSection(f"people-{head}", title, NOTE, pictures=tuple(pictures)))
    return sections
