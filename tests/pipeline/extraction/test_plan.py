"""Extraction with a network whose output is known in closed form."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core.networks.weights import write_weights
from pipeline.core.publishing.build import build
from pipeline.core.store.reader import Store
from pipeline.core.units.key import Unit
from pipeline.core.units.options import RunOptions
from pipeline.extraction.plan import plan_extraction, plan_store
from tests.pipeline.tiny_caches import CLIPS_OF, make_project, random_store, values_of

STAGE = "tokens"  # any stage: its modules are part of the keys


class ChannelMeans(nn.Module):
    """Channel means of every frame times a weight; records the number of clips per pass."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.scale = scale
        self.seen: list[int] = []

    def forward(self, crops: Tensor) -> Tensor:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.seen.append(len(crops))
        return crops.float().mean(dim=(2, 3)) * self.scale


built: list[tuple[str, tuple[int, int], ChannelMeans]] = []


def build_means(
    weights: Mapping[str, Tensor], source: str, crop_size: tuple[int, int], *, note: bool
) -> nn.Module:
    network = ChannelMeans(weights["scale"]).eval()
    if note:
        built.append((Path(source).name, crop_size, network))
    return network


def row_shape(crop: tuple[int, ...]) -> tuple[int, ...]:
    return crop[0], 3


@pytest.fixture
def project(tmp_path: Path) -> Path:
    built.clear()
    project = make_project(tmp_path / "repo")
    random_store(project / "data/crops/vit/train", "crops", variants=2)
    for name, scale in (("one", 1.0), ("two", 2.0), ("huge", 1e4)):
        write_weights(project / f"{name}.safetensors", {"scale": torch.tensor([scale])})
    return project


def run(
    project: Path,
    *,
    batch: int = 10,
    weights: str = "one",
    options: RunOptions | None = None,
    device: str = "cpu",
) -> tuple[list[Unit], str]:
    extraction = plan_extraction(
        stage=STAGE,
        crops=project / "data/crops/vit/train",
        weights_of=lambda video: project / f"{'two' if video == 'bonn' else weights}.safetensors",
        build_network=partial(build_means, note=options is None),
        row_shape=row_shape,
        batch=batch,
        device=device,
    )
    data, run_options = project / "data", options or RunOptions()
    plan = plan_store(extraction, {}, batch, split="train", data=data, run=run_options)
    return list(plan.units), str(build(plan))


def test_every_row_is_the_output_of_the_network_for_its_clip(project: Path) -> None:
    run(project)
    store = Store(project / "data/tokens/train", STAGE)
    assert sorted(store.digests) == sorted(f"{v}/v{i}" for v in CLIPS_OF for i in range(2))
    for video, count in CLIPS_OF.items():
        crops = values_of("crops", f"{video}/v1", count).astype(np.float64)
        expected = crops.mean(axis=(2, 3)) * (2 if video == "bonn" else 1)
        got = store.read(f"{video}/v1", range(count))
        assert got.dtype == np.float16
        np.testing.assert_allclose(got, expected, rtol=1e-3)


def test_a_batch_contains_whole_clips_of_one_unit(project: Path) -> None:
    run(project, batch=13)  # 5 frames per clip: 2 clips per pass
    seen = {name: network.seen for name, _, network in built}
    # 2 variants each: alley has 5 clips, creek 2, and bonn, which uses other weights, 4.
    assert sorted(seen["one.safetensors"]) == [1, 1, 2, 2, 2, 2, 2, 2]
    assert seen["two.safetensors"] == [2, 2, 2, 2]


def test_networks_are_built_once_per_weights_with_the_size_of_the_crops(project: Path) -> None:
    run(project)
    assert sorted((name, size) for name, size, _ in built) == [
        ("one.safetensors", (64, 32)),
        ("two.safetensors", (64, 32)),
    ]


def test_a_second_run_computes_nothing_and_new_weights_only_their_units(project: Path) -> None:
    first, _ = run(project)
    again, line = run(project)
    assert [unit.key for unit in again] == [unit.key for unit in first]
    assert "0 units computed, 6 reused" in line
    changed, line = run(project, weights="two")
    same = {a.name for a, b in zip(changed, first, strict=True) if a.key == b.key}
    assert same == {"bonn/v0", "bonn/v1"}
    assert "4 units computed, 2 reused" in line
    other_batch, _ = run(project, batch=5)
    assert not {unit.key for unit in other_batch} & {unit.key for unit in first}


def test_overflow_of_float16_is_an_error_that_names_the_clips(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="4 of 6 units failed"):
        run(project, weights="huge")
    assert "unit 'alley/v0', clips 0..1: expected finite numbers" in capsys.readouterr().err
    assert not (project / "data/tokens/train").exists()


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(project: Path, tmp_path: Path) -> None:
    run(project)
    other = make_project(tmp_path / "other")
    random_store(other / "data/crops/vit/train", "crops", variants=2)
    for name in ("one", "two"):
        (other / f"{name}.safetensors").write_bytes((project / f"{name}.safetensors").read_bytes())
    run(other, options=RunOptions(workers=2))
    digests = [
        (folder / "data/tokens/train/digests.json").read_bytes() for folder in (project, other)
    ]
    assert digests[0] == digests[1]


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers for ``cuda`` compute on the CPU."""
    monkeypatch.setattr(
        "pipeline.extraction.task.worker_device", lambda _device: torch.device("cpu")
    )


def test_a_machine_without_gpu_publishes_what_workers_with_one_have_computed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    slices = [RunOptions(part=(part, 2)) for part in range(2)]
    with pytest.raises(ValueError, match=r"extract.device 'cuda': expected a GPU for the worker"):
        run(project, device="cuda", options=slices[0])
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.extraction.task.worker_device", lambda _: torch.device("cpu"))
        for options in slices:
            run(project, device="cuda", options=options)
    assert "0 units computed, 6 reused" in run(project, device="cuda")[1]
    assert len(Store(project / "data/tokens/train", STAGE).digests) == 6


@pytest.mark.usefixtures("fake_gpu")
@pytest.mark.parametrize(("here", "there"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_units_that_are_finished_for_the_other_device_are_pointed_out(
    here: str, there: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(project, device=there, options=RunOptions(part=(0, 2)))
    assert "finished for" not in capsys.readouterr().err
    run(project, device=here)
    assert capsys.readouterr().err.startswith(
        f"tokens: 3 of 6 units to compute for {here} are finished for {there}; to use them, set "
        f"extract.device to {there}, which needs no GPU here"
    )
    run(project, device=here)
    assert "finished for" not in capsys.readouterr().err


def test_workers_for_cuda_get_a_gpu_each_from_ray(project: Path) -> None:
    extraction = plan_extraction(
        stage=STAGE,
        crops=project / "data/crops/vit/train",
        weights_of=lambda _: project / "one.safetensors",
        build_network=partial(build_means, note=False),
        row_shape=row_shape,
        batch=10,
        device="cuda",
    )
    ray = RunOptions(engine="ray", workers=2)
    plan = plan_store(extraction, {}, 10, split="train", data=project / "data", run=ray)
    assert plan.run.gpus == 1
