"""The params section ``data``: the data set and the paths of its files."""

from pathlib import Path

from pipeline.core.params import Section, read_section


class DataSet(Section):
    """Parameters of the data set. Unit keys contain the content of the files, not these values."""

    name: str
    """Name of the data set and of its folder in data/raw."""
    root: str
    """Folder that frame paths are relative to. DVC does not track it."""
    annotations: str
    """Folder with train/*.json and val/*.json."""
    manifest: str
    """Manifest file of the frames."""
    detections: str
    """File of person boxes in COCO's result format; contains ``[]`` if unused."""


def read_data_set(params: Path) -> DataSet:
    """Read the section from a params file.

    Raises:
        ValueError: If the section is malformed.
    """
    return read_section(params, "data", DataSet)
