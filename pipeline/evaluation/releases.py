"""Which labels are a release's own: numbers beside the papers' are measured on no others."""

from pathlib import Path

from pipeline.posetrack.annotations import Format

_OFFICIAL: dict[str, str] = {
    "posetrack17": "`annolist`, poseval's 2017 form",
    "posetrack18": "`images` without `has_labeled_person`, the form of 2018",
    "posetrack21": "`images` with `has_labeled_person`, the form of 2021",
}
"""What tells the official annotation files of each release."""


def refuse_other_release(data_set: str, file: Path, form: Format) -> None:
    """Check that a validation file is an official one.

    Conversions, such as COCO-style files of PoseTrack17, may feed the split ``train``.

    Args:
        data_set: Name of the data set; any that is no release of PoseTrack passes.
        file: The annotation file, for the message.
        form: Its form.

    Raises:
        ValueError: If the file has another form than the release's.
    """
    if data_set in _OFFICIAL and form != data_set:
        raise ValueError(
            f"{file}: expected validation labels of {data_set}, {_OFFICIAL[data_set]}, got those "
            f"of {form}; give the official files: conversions may feed train alone"
        )
