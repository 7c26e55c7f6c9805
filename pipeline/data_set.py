"""The run-time section ``data``: which data set the DAG works on and where its files lie."""

from pathlib import Path

from pipeline.base.params import Section, read_section


class DataSet(Section):
    """Params of the data set; no unit key holds one of them, the files' content is in the keys."""

    name: str
    """Name of the data set: its folder below data/raw."""
    root: str
    """Folder that the frames' paths are relative to. DVC never looks into it."""
    annotations: str
    """Folder with train/*.json and val/*.json."""
    manifest: str
    """Manifest of the frames."""
    detections: str
    """COCO-result boxes; ``[]`` where none are used."""


def read_data_set(params: Path) -> DataSet:
    """Read the section from a params file.

    Raises:
        ValueError: If the section is malformed.
    """
    return read_section(params, "data", DataSet)
