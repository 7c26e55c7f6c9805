"""Height and width of the crops of an input, for stages that read only what was made of them."""

from pathlib import Path

from pipeline.base.params import read_params


def read_crop_size(params: Path, crops: str) -> tuple[int, int]:
    """Return (height, width) of crops in pixels.

    The section ``crop`` is the schema of the stage crop; other stages take these two numbers out
    of it and leave the rest alone.

    Args:
        params: The params file.
        crops: The input, ``hrnet`` or ``vit``.

    Raises:
        ValueError: If the params file does not hold two positive whole numbers there.
    """
    section = read_params(params).get("crop")
    entry = section.get(crops) if isinstance(section, dict) else None
    sides = [entry.get(name) for name in ("height", "width")] if isinstance(entry, dict) else []
    match sides:
        case [int(height), int(width)] if height > 0 and width > 0:
            return height, width
    raise ValueError(f"{params}: crop.{crops}: expected height and width in pixels, got {entry!r}")
