"""Two users share caches: A runs and pushes, B clones and fetches only what a run needs.

The tests use a remote over SSH, with a real OpenSSH server, and one over S3.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.core.store.reader import Store
from tests.loopback_remotes import Remote, s3_remote, ssh_remote
from tests.small_data_set import write_video
from tests.toy_clone import TOY, Clone

pytestmark = pytest.mark.slow

REMOTES = {"ssh": ssh_remote, "s3": s3_remote}
RUN = ("train@jmpose", "tokens@train")
REPRO_WITH_PULL = ("dvc", "repro", "--pull", "--allow-missing")
LR_OF_A = 0.003
"""Learning rate of a second training that A has run."""


class First:
    """User A: a clone whose DAG has run with two learning rates."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        clone.edit_params(TOY)
        clone.run("dvc", "repro", *RUN)
        clone.commit()
        clone.edit_params({"train_jmpose.lr": LR_OF_A})
        clone.run("dvc", "repro", "train@jmpose")
        self.weights = (clone.folder / "data/runs/jmpose/weights.safetensors").read_bytes()
        clone.git("checkout", "--quiet", ".")
        self.video = min(path.name for path in self.flow.iterdir() if path.is_dir())

    @property
    def flow(self) -> Path:
        return self.clone.folder / "data/flow/train"

    def shards(self, store: str) -> dict[str, Path]:
        """Return the shards of a store by MD5, the name of an object in DVC's cache."""
        found = (self.clone.folder / "data" / store).rglob("c.*")
        return {hashlib.md5(path.read_bytes()).hexdigest(): path for path in found}  # noqa: S324


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, python: Path) -> First:
    return First(Clone(tmp_path_factory.mktemp("share") / "first", python))


@pytest.fixture(scope="module", params=REMOTES)
def remote(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, first: First
) -> Iterator[Remote]:
    """Return a remote to which A has pushed its cache and its run cache."""
    with REMOTES[request.param](tmp_path_factory.mktemp(request.param)) as found:
        configure(first.clone, found)
        first.clone.run("dvc", "push", "--run-cache")
        yield found


@pytest.fixture
def second(tmp_path: Path, first: First, remote: Remote) -> Clone:
    """Return the clone of user B, which is new and has the remote configured."""
    clone = first.clone.git_clone(tmp_path / "second")
    configure(clone, remote)
    return clone


def configure(clone: Clone, remote: Remote) -> None:
    (clone.folder / ".dvc/config.local").write_text(remote.config)


def cached(clone: Clone) -> set[str]:
    """Return the MD5s of the objects in the DVC cache of a clone."""
    files = (clone.folder / ".dvc/cache/files/md5").glob("*/*")
    return {path.parent.name + path.name for path in files}


def stages_run(printed: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", printed)


def test_a_clone_fetches_nothing_without_changes_and_only_needed_caches_for_a_run(
    first: First, second: Clone
) -> None:
    printed = second.run(*REPRO_WITH_PULL, *RUN)
    assert "Data and pipelines are up to date." in printed
    assert not cached(second)

    second.edit_params({"train_jmpose.lr": 0.001})
    assert stages_run(second.run(*REPRO_WITH_PULL, *RUN)) == ["train@jmpose"]
    assert (second.folder / "data/runs/jmpose/weights.safetensors").is_file()
    fetched = cached(second)
    for needed in ("heatmaps/train", "flow/train"):
        assert set(first.shards(needed)) <= fetched
    for other in ("crops/hrnet/train", "crops/vit/train", "tokens/train"):
        assert first.shards(other)
        assert not set(first.shards(other)) & fetched
    assert not list((second.folder / "data").glob("tokens*"))
    assert not list((second.folder / "data").glob("crops*"))


def test_dvc_pull_fetches_the_flow_of_a_single_video(first: First, second: Clone) -> None:
    second.run("dvc", "pull", f"data/flow/train/{first.video}")
    flow = second.folder / "data/flow/train"
    assert [path.name for path in flow.iterdir()] == [first.video]
    ours, theirs = (
        zarr.open_array(str(folder / first.video / "v0"), mode="r")[...]
        for folder in (flow, first.flow)
    )
    assert np.array_equal(ours, theirs)


def test_a_training_that_a_has_run_is_not_run_again_by_b(first: First, second: Clone) -> None:
    second.edit_params({"train_jmpose.lr": LR_OF_A})
    printed = second.run(*REPRO_WITH_PULL, "train@jmpose")
    assert "Stage 'train@jmpose' is cached - skipping run" in printed
    assert not stages_run(printed)
    got = (second.folder / "data/runs/jmpose/weights.safetensors").read_bytes()
    assert got == first.weights


def test_modified_and_truncated_objects_of_the_remote_are_rejected(
    first: First, second: Clone, remote: Remote
) -> None:
    md5, shard = next(
        (md5, path)
        for md5, path in first.shards("flow/train").items()
        if path.is_relative_to(first.flow / first.video)
    )
    content = remote.read(md5)
    assert content == shard.read_bytes()
    path = second.folder / shard.relative_to(first.clone.folder)
    for damaged in (bytes([content[0] ^ 1]) + content[1:], content[:-1]):
        remote.write(md5, damaged)
        second.run_failing("dvc", "pull", f"data/flow/train/{first.video}")
        assert md5 not in cached(second)
        assert not path.exists()
    remote.write(md5, content)
    second.run("dvc", "pull", f"data/flow/train/{first.video}")
    assert path.read_bytes() == content


def test_an_experiment_in_a_temporary_folder_reads_frames_outside_the_repository(
    first: First, tmp_path: Path
) -> None:
    for video in (1, 2):
        write_video(tmp_path / "posetrack", "val", video)
    clone = first.clone.git_clone(tmp_path / "clone")
    clone.run("posereel", "use-preset", "real_clip", "--root", str(tmp_path / "posetrack"))
    clone.edit_params({"extract.workers": 1})
    clone.commit()
    printed = clone.run("dvc", "exp", "run", "--temp", "-S", "flow.updates=1", "flow@val_gt")
    assert "flow@val_gt" in stages_run(printed)
    assert not (clone.folder / "data/flow").exists()
    # The outputs of the experiment are in the cache, so no stage runs.
    clone.edit_params({"flow.updates": 1})
    assert not stages_run(clone.run("dvc", "repro", "flow@val_gt"))
    assert list(Store(clone.folder / "data/flow/val_gt", "flow").digests) == ["v1/v0", "v2/v0"]
