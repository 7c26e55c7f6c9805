"""Import detector folders of the transformers library: configuration and weights."""

import shutil
from pathlib import Path

from pipeline.core.networks.weights import write_weights
from pipeline.importing.weights import read_published_weights

CONFIG_FILES = ("config.json", "preprocessor_config.json")


def copy_detector(source: Path, out: Path) -> None:
    """Copy the files of a detector that are needed to run it; code is not copied.

    Args:
        source: Folder saved by transformers. The weights may be pickles.
        out: Folder to create, with ``model.safetensors`` and ``CONFIG_FILES``.

    Raises:
        ValueError: If a file is missing or cannot be read.
    """
    tensors = read_published_weights(source, out.parent)
    out.mkdir()
    for name in CONFIG_FILES:
        if not (source / name).is_file():
            raise ValueError(
                f"{source / name}: expected a configuration file of a transformers detector, "
                "found none; save the model and its image processor there"
            )
        shutil.copyfile(source / name, out / name)
    # transformers rejects safetensors files without the key `format`.
    write_weights(out / "model.safetensors", tensors, {"format": "pt"})
