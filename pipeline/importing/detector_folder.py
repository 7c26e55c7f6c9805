"""Import detector folders of the transformers library: configuration and weights."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.core.networks.weights import write_weights
from pipeline.importing.weights import read_published_weights

CONFIG_FILES = ("config.json", "preprocessor_config.json")


def import_detector(source: Path, out: Path, check: Callable[[Path], None]) -> None:
    """Copy the files of a detector that are needed to run it; code is not copied.

    Args:
        source: Folder saved by transformers. The weights may be pickles.
        out: Folder to create or replace, with ``model.safetensors`` and ``CONFIG_FILES``.
        check: Raises ``ValueError`` if the copied folder is not a complete detector.

    Raises:
        ValueError: If a file is missing or cannot be read. ``out`` is then unchanged.
    """
    tensors = read_published_weights(source, out.parent)
    with TemporaryDirectory(prefix=".import-", dir=out.parent) as scratch:
        folder = Path(scratch) / out.name
        folder.mkdir()
        for name in CONFIG_FILES:
            if not (source / name).is_file():
                raise ValueError(
                    f"{source / name}: expected a configuration file of a transformers detector, "
                    "found none; save the model and its image processor there"
                )
            shutil.copyfile(source / name, folder / name)
        # transformers rejects safetensors files without the key `format`.
        write_weights(folder / "model.safetensors", tensors, {"format": "pt"})
        check(folder)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
