"""Publishing the results of training runs: a folder of whole files, replaced at once."""

import shutil
from collections.abc import Callable
from pathlib import Path

from pipeline.units.parent import DvcParent
from pipeline.units.scratch import find_scratch


def publish_files(out: Path, fill: Callable[[Path], None], parent: DvcParent) -> None:
    """Replace an out by a folder that is put together in scratch first.

    Args:
        out: The out's folder.
        fill: Writes all files into an empty folder.
        parent: Checked right before the out is replaced.

    Raises:
        ValueError: If scratch and out cannot share inodes, or ``dvc`` was killed meanwhile.
    """
    scratch = find_scratch(out)
    scratch.refuse_copies(out)
    name = scratch.lock_of_out(out)
    with scratch.lock(name):
        assembled = scratch.assembly / name
        if assembled.exists():
            shutil.rmtree(assembled)
        assembled.mkdir(parents=True)
        fill(assembled)
        parent.refuse_orphan()
        if out.exists():
            shutil.rmtree(out)
        assembled.rename(out)
