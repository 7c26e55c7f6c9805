"""Annotations of a real data set, whatever layout they lie in, in the form that the DAG reads."""

from pathlib import Path

from pipeline.coco_video import one_video_each
from pipeline.layout import Source
from pipeline.strict_json import read_json

_OFFICIAL = {
    "posetrack17": "`annolist`, poseval's 2017 form",
    "posetrack18": "`images` without `has_labeled_person`, the form of 2018",
    "posetrack21": "`images` with `has_labeled_person`, the form of 2021",
}
"""What tells the official annotation files of each release."""


def gather_annotations(source: Source, folder: Path) -> list[Path]:
    """Write ``<split>/<video>.json`` for every video of a data set.

    Args:
        source: Where its files lie.
        folder: Folder to write to; it is empty.

    Returns:
        The files written.

    Raises:
        ValueError: If a file is no JSON or does not tell its videos apart, or two videos of a
            split have one name.
    """
    written = []
    for split, files in source.annotations.items():
        place = folder / split
        place.mkdir(parents=True)
        for file in files:
            for name, content in one_video_each(file, source.root):
                out = place / f"{name}.json"
                if out.exists():
                    raise ValueError(
                        f"{file}: expected videos of different names in the split {split}, got "
                        f"{name!r} twice; rename one"
                    )
                out.write_bytes(content)
                written.append(out)
    return written


def refuse_other_release(data_set: str, folder: Path) -> None:
    """Check that the validation files are the official ones of a release.

    Numbers are compared with the papers' only on official labels. Conversions may feed the split
    ``train``.

    Args:
        data_set: Name of the data set; any that is no release of PoseTrack passes.
        folder: Folder with ``val/*.json``, from ``gather_annotations``.

    Raises:
        ValueError: If a file has another form.
    """
    if data_set not in _OFFICIAL:
        return
    for file in sorted((folder / "val").glob("*.json")):
        if (form := _form(file)) != data_set:
            raise ValueError(
                f"{file.name}: expected validation labels of {data_set}, {_OFFICIAL[data_set]}, "
                f"got those of {form}; give the official files: conversions may feed train alone"
            )


def _form(file: Path) -> str:
    values = read_json(file)
    if "annolist" in values:
        return "posetrack17"
    first: dict[str, object] = next(iter(values.get("images", [])), {})
    return "posetrack21" if "has_labeled_person" in first else "posetrack18"
