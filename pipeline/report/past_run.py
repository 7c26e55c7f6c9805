"""Read the results of an earlier run from git and DVC's cache, without a checkout or a pull.

A commit contains params.yaml, data/metrics and dvc.lock, which names the cache objects of the
other files. DVC stores an experiment as a commit under ``refs/exps/<2 digits>/<38 digits>/<name>``.
"""

from collections.abc import Iterator
from pathlib import Path

from pipeline.core.dvc_files import files_of, object_path, read_lock
from pipeline.report.git import run_git, unpack

IN_GIT = ("params.yaml", "dvc.lock", "data/metrics")
IN_CACHE = ("data/evaluation/", "data/predictions/")


def find_commit(project: Path, revision: str) -> str:
    """Return the commit that a revision names.

    Args:
        project: A git repository.
        revision: A revision that git can resolve, or the name of a DVC experiment.

    Raises:
        ValueError: If there is no such commit, or if several experiments have this name.
    """
    try:
        words = ("--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return run_git(project, "rev-parse", *words).decode().strip()
    except ValueError:
        found = _experiments(project, revision)
    if len(found) != 1:
        raise ValueError(
            f"{revision}: expected a commit, branch, tag or experiment, found "
            f"{len(found) or 'none'}; git log and dvc exp list --all-commits show what there is"
        )
    return found.pop()


def restore_run(project: Path, cache: Path, revision: str, folder: Path) -> None:
    """Recreate the params, metrics, evaluation and predictions of a run in a folder.

    Args:
        project: A git repository.
        cache: DVC's cache folder. The files of outs become symbolic links to its objects, for
            reading only.
        revision: As in ``find_commit``.
        folder: An empty folder.

    Raises:
        ValueError: If there is no such commit, if it contains no finished run, or if an object is
            missing in the cache.
    """
    commit = find_commit(project, revision)
    held = run_git(project, "ls-tree", "--name-only", commit, *IN_GIT).decode().split()
    if len(held) < len(IN_GIT):
        raise ValueError(
            f"{revision}: expected a commit of a finished run, with {', '.join(IN_GIT)}, found "
            f"{held or 'none of them'}; name a later one"
        )
    unpack(project, commit, IN_GIT, folder)
    files = list(_files(cache, folder))
    missing = sorted({path.rpartition("/")[0] for path, stored in files if not stored.is_file()})
    if missing or not files:
        raise ValueError(
            f"{revision}: expected its predictions and evaluation in {cache}, not all are there "
            f"({len(missing)} folders, first {missing[:1]}); fetch them: dvc fetch --all-commits "
            "evaluate predict, or of an experiment dvc exp pull REMOTE NAME"
        )
    for path, stored in files:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(stored)


def _experiments(project: Path, name: str) -> set[str]:
    """Return the commits of all experiments of this name, regardless of their base commit."""
    lines = run_git(project, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")
    refs = (line.split(" ", 1) for line in lines.decode().splitlines())
    return {commit for commit, ref in refs if ref.split("/", 4)[4:] == [name]}


def _files(cache: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield path and cache object of every file of the outs in dvc.lock."""
    for stage in read_lock(folder):
        for out, digest in stage.outs.items():
            if out.startswith(IN_CACHE):
                files = files_of(cache, digest)
                if files is None:
                    # The object that lists the files of the folder is missing.
                    yield f"{out}/", object_path(cache, digest)
                    continue
                for name, hashed in files.items():
                    yield f"{out}/{name}".rstrip("/"), object_path(cache, hashed)
