"""The complete params files that ship, by name."""

from pathlib import Path


def find_preset(name: str, project: Path = Path()) -> Path:
    """Return the params file of a preset.

    Args:
        name: A file of ``presets/``, without ``.yaml``.
        project: The project's folder; the current one if absent.

    Raises:
        ValueError: If there is none of this name.
    """
    folder = project / "presets"
    preset = folder / f"{name}.yaml"
    if not preset.is_file():
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise ValueError(f"{name}: expected a preset, one of {known}")
    return preset
