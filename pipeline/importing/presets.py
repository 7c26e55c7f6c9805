"""Find the presets: complete params files shipped with the project."""

from pathlib import Path


def find_preset(name: str, project: Path = Path()) -> Path:
    """Return the params file of a preset.

    Args:
        name: Name of a file in ``presets/``, without ``.yaml``.
        project: Folder of the project.

    Raises:
        ValueError: If there is no preset of this name.
    """
    folder = project / "presets"
    preset = folder / f"{name}.yaml"
    if not preset.is_file():
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        raise ValueError(f"{name}: expected a preset, one of {known}")
    return preset
