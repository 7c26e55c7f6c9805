"""Check that a PoseTrack release is evaluated only on its official annotation files."""

from pathlib import Path

from pipeline.core.posetrack.annotations import Format

_OFFICIAL: dict[str, str] = {
    "posetrack17": "`annolist`, poseval's 2017 form",
    "posetrack18": "`images` without `has_labeled_person`, the form of 2018",
    "posetrack21": "`images` with `has_labeled_person`, the form of 2021",
}
"""Form of the official annotation files of each release."""


def refuse_other_release(data_set: str, file: Path, form: Format) -> None:
    """Check that a validation file is an official file of its release.

    Converted files, such as COCO-style files of PoseTrack17, are allowed only in the split
    ``train``: results on other files than the official ones cannot be compared with the papers.

    Args:
        data_set: Name of the data set. Data sets other than PoseTrack are not checked.
        file: The annotation file, for the message.
        form: Its form.

    Raises:
        ValueError: If the file does not have the form of the release.
    """
    if data_set in _OFFICIAL and form != data_set:
        raise ValueError(
            f"{file}: expected validation labels of {data_set}, {_OFFICIAL[data_set]}, got those "
            f"of {form}; give the official files: conversions may feed train alone"
        )
