"""Folders of transformers with a detector, taken in whole: config, processor and safetensors."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.importing.weights import read_published_weights
from pipeline.networks.weights import write_weights

SETTINGS = ("config.json", "preprocessor_config.json")


def import_detector(source: Path, out: Path, check: Callable[[Path], None]) -> None:
    """Copy a detector; what is not needed to run it stays behind, and so does code.

    Args:
        source: Folder as transformers saves it; its weights may be pickles.
        out: Folder to make or replace, with ``model.safetensors`` and ``SETTINGS``.
        check: Raises ``ValueError`` if the copy that it is given is no whole detector.

    Raises:
        ValueError: If a file is missing or cannot be read; then ``out`` is as it was.
    """
    tensors = read_published_weights(source, out.parent)
    with TemporaryDirectory(prefix=".import-", dir=out.parent) as scratch:
        folder = Path(scratch) / out.name
        folder.mkdir()
        for name in SETTINGS:
            if not (source / name).is_file():
                raise ValueError(
                    f"{source / name}: expected beside the weights of a detector of transformers, "
                    "found none; save the model and its image processor there"
                )
            shutil.copyfile(source / name, folder / name)
        # transformers refuses safetensors files that do not say which library wrote them.
        write_weights(folder / "model.safetensors", tensors, {"format": "pt"})
        check(folder)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
