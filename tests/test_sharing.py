"""A team shares caches: A runs and pushes, B clones and fetches no more than what a run needs.

The same over SSH, with a real OpenSSH server, and over S3.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.store.reader import Store
from tests.loopback_remotes import Remote, s3_remote, ssh_remote
from tests.small_data_set import write_video
from tests.toy_clone import TOY, Clone

pytestmark = pytest.mark.slow

REMOTES = {"ssh": ssh_remote, "s3": s3_remote}
RUN = ("train_jmpose", "tokens@train")
PULLING = ("dvc", "repro", "--pull", "--allow-missing")
TRIED = 0.003
"""A learning rate that A tried, too."""


class First:
    """A: the clone whose DAG has run, with the weights of the learning rate that it tried."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        clone.edit_params(TOY)
        clone.run("dvc", "repro", *RUN)
        clone.commit()
        clone.edit_params({"train_jmpose.lr": TRIED})
        clone.run("dvc", "repro", "train_jmpose")
        self.tried = (clone.folder / "data/runs/jmpose/weights.safetensors").read_bytes()
        clone.git("checkout", "--quiet", ".")
        self.video = min(path.name for path in self.flow.iterdir() if path.is_dir())

    @property
    def flow(self) -> Path:
        return self.clone.folder / "data/flow/train"

    def shards(self, store: str) -> dict[str, Path]:
        """Return the shards of a store by their MD5, DVC's name for them."""
        found = (self.clone.folder / "data" / store).rglob("c.*")
        return {hashlib.md5(path.read_bytes()).hexdigest(): path for path in found}  # noqa: S324


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, python: Path) -> First:
    return First(Clone(tmp_path_factory.mktemp("share") / "first", python))


@pytest.fixture(scope="module", params=REMOTES)
def remote(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, first: First
) -> Iterator[Remote]:
    """A remote that A has pushed to, its run-cache included."""
    with REMOTES[request.param](tmp_path_factory.mktemp(request.param)) as found:
        use(first.clone, found)
        first.clone.run("dvc", "push", "--run-cache")
        yield found


@pytest.fixture
def second(tmp_path: Path, first: First, remote: Remote) -> Clone:
    """B: a fresh clone that knows the remote."""
    clone = first.clone.git_clone(tmp_path / "second")
    use(clone, remote)
    return clone


def use(clone: Clone, remote: Remote) -> None:
    (clone.folder / ".dvc/config.local").write_text(remote.config)


def cached(clone: Clone) -> set[str]:
    """Return the objects of a clone's DVC cache."""
    files = (clone.folder / ".dvc/cache/files/md5").glob("*/*")
    return {path.parent.name + path.name for path in files}


def stages_run(printed: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", printed)


def test_a_teammate_fetches_nothing_for_nothing_and_for_a_run_what_it_needs(
    first: First, second: Clone
) -> None:
    printed = second.run(*PULLING, *RUN)
    assert "Data and pipelines are up to date." in printed
    assert not cached(second)

    second.edit_params({"train_jmpose.lr": 0.001})
    assert stages_run(second.run(*PULLING, *RUN)) == ["train_jmpose"]
    assert (second.folder / "data/runs/jmpose/weights.safetensors").is_file()
    fetched = cached(second)
    for needed in ("heatmaps/train", "flow/train"):
        assert set(first.shards(needed)) <= fetched
    for other in ("crops/hrnet/train", "crops/vit/train", "tokens/train"):
        assert first.shards(other)
        assert not set(first.shards(other)) & fetched
    assert not list((second.folder / "data").glob("tokens*"))
    assert not list((second.folder / "data").glob("crops*"))


def test_the_flow_of_one_video_is_fetched_alone(first: First, second: Clone) -> None:
    second.run("dvc", "pull", f"data/flow/train/{first.video}")
    flow = second.folder / "data/flow/train"
    assert [path.name for path in flow.iterdir()] == [first.video]
    ours, theirs = (
        zarr.open_array(str(place / first.video / "v0"), mode="r")[...]
        for place in (flow, first.flow)
    )
    assert np.array_equal(ours, theirs)


def test_what_a_teammate_has_tried_is_not_trained_again(first: First, second: Clone) -> None:
    second.edit_params({"train_jmpose.lr": TRIED})
    printed = second.run(*PULLING, "train_jmpose")
    assert "Stage 'train_jmpose' is cached - skipping run" in printed
    assert not stages_run(printed)
    got = (second.folder / "data/runs/jmpose/weights.safetensors").read_bytes()
    assert got == first.tried


def test_a_changed_and_a_cut_object_of_the_remote_are_refused(
    first: First, second: Clone, remote: Remote
) -> None:
    md5, shard = next(
        (md5, path)
        for md5, path in first.shards("flow/train").items()
        if path.is_relative_to(first.flow / first.video)
    )
    whole = remote.read(md5)
    assert whole == shard.read_bytes()
    place = second.folder / shard.relative_to(first.clone.folder)
    for damaged in (bytes([whole[0] ^ 1]) + whole[1:], whole[:-1]):
        remote.write(md5, damaged)
        second.run_failing("dvc", "pull", f"data/flow/train/{first.video}")
        assert md5 not in cached(second)
        assert not place.exists()
    remote.write(md5, whole)
    second.run("dvc", "pull", f"data/flow/train/{first.video}")
    assert place.read_bytes() == whole


def test_an_experiment_in_a_temporary_folder_reads_frames_that_lie_outside_the_repository(
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
    # What the experiment made lies in the cache: nothing is computed to have it here.
    clone.edit_params({"flow.updates": 1})
    assert not stages_run(clone.run("dvc", "repro", "flow@val_gt"))
    assert list(Store(clone.folder / "data/flow/val_gt", "flow").digests) == ["v1/v0", "v2/v0"]
