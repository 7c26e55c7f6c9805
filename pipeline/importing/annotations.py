"""Annotations of a real data set, whatever layout they lie in, in the form that the DAG reads."""

from pathlib import Path

from pipeline.dataset.layout import DataSetFiles
from pipeline.evaluation.releases import refuse_other_release
from pipeline.importing.coco_video import split_videos
from pipeline.posetrack.annotations import Format
from pipeline.strict_json import read_json


def import_annotations(source: DataSetFiles, folder: Path) -> list[Path]:
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
            for name, content in split_videos(file, source.root):
                out = place / f"{name}.json"
                if out.exists():
                    raise ValueError(
                        f"{file}: expected videos of different names in the split {split}, got "
                        f"{name!r} twice; rename one"
                    )
                out.write_bytes(content)
                written.append(out)
    return written


def check_release_format(data_set: str, folder: Path) -> None:
    """Check that the validation files are the official ones of the release, if it is one.

    Args:
        data_set: Name of the data set.
        folder: Folder with ``val/*.json``, from ``import_annotations``.

    Raises:
        ValueError: As ``refuse_other_release`` does.
    """
    for file in sorted((folder / "val").glob("*.json")):
        refuse_other_release(data_set, Path(file.name), _form(file))


def _form(file: Path) -> Format:
    values = read_json(file)
    if "annolist" in values:
        return "posetrack17"
    first: dict[str, object] = next(iter(values.get("images", [])), {})
    return "posetrack21" if "has_labeled_person" in first else "posetrack18"
