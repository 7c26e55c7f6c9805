"""Import annotations of any supported layout as one file per video."""

from pathlib import Path

from pipeline.core.posetrack.annotations import Format
from pipeline.core.strict_json import read_json
from pipeline.dataset.layout import DataSetFiles
from pipeline.evaluation.releases import refuse_other_release
from pipeline.importing.coco_video import split_videos


def import_annotations(source: DataSetFiles, folder: Path) -> list[Path]:
    """Write ``<split>/<video>.json`` for every video of a data set.

    Args:
        source: Files of the data set.
        folder: Empty folder to write to.

    Returns:
        Paths of the written files.

    Raises:
        ValueError: If a file is not JSON, its videos cannot be told apart, or two videos of a split
            have the same name.
    """
    written = []
    for split, files in source.annotations.items():
        target = folder / split
        target.mkdir(parents=True)
        for file in files:
            for name, content in split_videos(file, source.root):
                out = target / f"{name}.json"
                if out.exists():
                    raise ValueError(
                        f"{file}: expected unique video names in the split {split}, got "
                        f"{name!r} twice; rename one"
                    )
                out.write_bytes(content)
                written.append(out)
    return written


def check_release_format(data_set: str, folder: Path) -> None:
    """Check that the validation files of an official release have its format.

    Args:
        data_set: Name of the data set.
        folder: Folder with ``val/*.json``, written by ``import_annotations``.

    Raises:
        ValueError: As in ``refuse_other_release``.
    """
    for file in sorted((folder / "val").glob("*.json")):
        refuse_other_release(data_set, Path(file.name), _format(file))


def _format(file: Path) -> Format:
    values = read_json(file)
    if "annolist" in values:
        return "posetrack17"
    first: dict[str, object] = next(iter(values.get("images", [])), {})
    return "posetrack21" if "has_labeled_person" in first else "posetrack18"
