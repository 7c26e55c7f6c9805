"""Replacement of the outs of a stage: written in scratch first, then renamed."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.core.units.parent import DvcParent
from pipeline.core.units.scratch import Scratch

Write = Callable[[Path], None]
"""Writes a new out, a folder or a file, to a path where nothing is."""


def replace_outs(scratch: Scratch, outs: Mapping[Path, Write], parent: DvcParent) -> None:
    """Replace outs; no reader ever sees half of one.

    Args:
        scratch: The scratch store.
        outs: Writer of every out, by its path; the lock of the first one is held meanwhile.
        parent: Checked right before the first out is replaced.

    Raises:
        ValueError: If ``dvc`` was killed.
    """
    name = scratch.lock_of_out(next(iter(outs)))
    with scratch.lock(name):
        assembly = scratch.assembly / name
        _remove(assembly)
        assembly.mkdir(parents=True)
        written = {out: assembly / str(number) for number, out in enumerate(outs)}
        for out, write in outs.items():
            write(written[out])
        parent.check_alive()
        for out, path in written.items():
            out.parent.mkdir(parents=True, exist_ok=True)
            _remove(out)
            path.rename(out)
        assembly.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
