"""Read the height and width of crops from params, for stages that read caches only."""

from pathlib import Path

from pipeline.core.params import read_params


def read_crop_size(params: Path, crops: str) -> tuple[int, int]:
    """Return (height, width) of crops in pixels.

    Only the stage crop validates the full section ``crop``. Other stages read these two numbers.

    Args:
        params: The params file.
        crops: The input, ``hrnet`` or ``vit``.

    Raises:
        ValueError: If height or width is not a positive integer.
    """
    section = read_params(params).get("crop")
    entry = section.get(crops) if isinstance(section, dict) else None
    sides = [entry.get(name) for name in ("height", "width")] if isinstance(entry, dict) else []
    match sides:
        case [int(height), int(width)] if height > 0 and width > 0:
            return height, width
    raise ValueError(f"{params}: crop.{crops}: expected height and width in pixels, got {entry!r}")
