"""The training loop: comparison with an explicit loop, and resume after SIGKILL."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.core.networks.weights import read_weights
from pipeline.training.declarations import Batch
from pipeline.training.loop import LoopConfig, train
from pipeline.training.processes import DistributedContext
from pipeline.training.run_folder import BEST, TIMINGS
from tests.pipeline.tiny_run import STEPS, TRAINING, Noise, build, loss, run

ROOT = Path(__file__).resolve().parents[3]
CPU = DistributedContext(torch.device("cpu"), rank=0, world_size=1)
RESULTS = ("weights.safetensors", "history.csv", BEST)


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS if (folder / name).is_file()}


def launch(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip


def test_the_loop_takes_the_steps_of_an_explicit_torch_loop(tmp_path: Path) -> None:
    network = build()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1.0, weight_decay=0.05)
    rates = []
    feed = Noise()
    context = DistributedContext(torch.device("cpu"), 0, 1)
    network[3] = nn.Identity()  # the loop seeds dropout itself
    for step, batch in enumerate(feed.batches(0, STEPS, context)):
        rates.append(
            0.01 * min(1, (step + 1) / 4) * (1 if step < 9 else 0.1 if step < 17 else 0.01)
        )
        optimizer.param_groups[0]["lr"] = rates[-1]
        optimizer.zero_grad()
        sum(loss(network, batch).values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    ours = build()
    ours[3] = nn.Identity()
    history = train(ours, loss, feed, LoopConfig(TRAINING, "train_tiny", tmp_path, 100, CPU))
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-5, atol=1e-7)
    history.write(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "epoch", "lr", "squared", "absolute", "loss"]
    assert [float(row["lr"]) for row in rows] == pytest.approx(rates)
    assert [int(row["epoch"]) for row in rows] == [step // 6 for step in range(STEPS)]
    assert float(rows[7]["loss"]) == pytest.approx(
        float(rows[7]["squared"]) + float(rows[7]["absolute"])
    )


def test_a_run_killed_at_any_step_ends_in_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path / "uninterrupted", None, held_out=True)
    # Before the first checkpoint, at one, after one, twice at the same step, at the last step.
    kills = ["0", "3", "5", "6", "6", "11", "18", "22"]
    done = launch("tests/pipeline/tiny_run.py", str(tmp_path / "killed"), *kills)
    assert done.returncode == 0, done.stderr
    assert len(files(tmp_path / "uninterrupted")) == 3
    assert files(tmp_path / "killed") == files(tmp_path / "uninterrupted")


def test_an_interrupted_checkpoint_write_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    run(tmp_path / "uninterrupted", None)

    class Interrupted(Noise):
        def batches(self, start: int, stop: int, context: DistributedContext) -> Iterator[Batch]:
            for step, batch in enumerate(super().batches(start, stop, context), start):
                if step == 12:
                    partial = tmp_path / "cut" / "checkpoint.safetensors.partial"
                    partial.write_bytes(b"half a checkpoint")
                    raise KeyboardInterrupt
                yield batch

    with pytest.raises(KeyboardInterrupt):
        train(build(), loss, Interrupted(), LoopConfig(TRAINING, "x", tmp_path / "cut", 5, CPU))
    run(tmp_path / "cut", None)
    assert files(tmp_path / "cut") == files(tmp_path / "uninterrupted")


def test_checkpoints_and_held_out_losses_do_not_change_the_weights(tmp_path: Path) -> None:
    run(tmp_path / "often", None, held_out=True, every=1)
    run(tmp_path / "never", None, every=1000)
    often, never = files(tmp_path / "often"), files(tmp_path / "never")
    assert often["weights.safetensors"] == never["weights.safetensors"]
    assert BEST in often
    assert BEST not in never


def test_best_weights_are_those_of_the_epoch_with_the_lowest_held_out_loss(tmp_path: Path) -> None:
    values = iter([3.0, 1.0, 2.0, 1.5])
    seen = []

    def held_out(network: nn.Module) -> float:
        assert not network.training
        seen.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return next(values)

    config = LoopConfig(TRAINING, "train_tiny", tmp_path, 100, CPU, held_out=held_out)
    history = train(build(), loss, Noise(), config)
    best = read_weights(tmp_path / BEST)
    assert all(torch.equal(best[name], tensor) for name, tensor in seen[1].items())
    history.write(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open() as file:
        noted = {row["step"]: row["held_out"] for row in csv.DictReader(file) if row["held_out"]}
    assert noted == {"6": "3", "12": "1", "18": "2", "23": "1.5"}


@pytest.mark.slow
def test_two_processes_under_torchrun_killed_and_run_again_end_in_the_same_bytes(
    tmp_path: Path,
) -> None:
    def torchrun(folder: str, *kills: str) -> int:
        return launch(
            "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
            "--monitor-interval=0.1", "tests/pipeline/tiny_run.py", str(tmp_path / folder), *kills,
        ).returncode  # fmt: skip

    assert torchrun("uninterrupted") == 0
    assert torchrun("killed", "13") != 0
    assert torchrun("killed") == 0
    run(tmp_path / "alone", None)
    two, one = (read_weights(tmp_path / name / RESULTS[0]) for name in ("uninterrupted", "alone"))
    # Batch norm and dropout see half a batch each: the weights are close, not equal.
    assert not torch.equal(two["0.weight"], one["0.weight"])
    torch.testing.assert_close(two["unused"], one["unused"])


def test_parameters_of_the_loss_do_not_shorten_the_steps_of_the_core(tmp_path: Path) -> None:
    def trained(folder: str, weight: float) -> torch.Tensor:
        network = nn.ModuleDict({"core": build(), "aside": nn.Linear(1, 1)})

        def both(network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
            aside = network["aside"](torch.ones(1)).square().sum()
            return {**loss(network["core"], batch), "aside": weight * aside}

        config = LoopConfig(
            TRAINING, "x", tmp_path / folder, 100, CPU, exported_module=lambda net: net["core"]
        )
        train(network, both, Noise(), config)
        return network["core"][0].weight.detach()

    assert torch.equal(trained("light", 1), trained("heavy", 1e4))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path: Path) -> None:
    def bad(network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        return {"squared": loss(network, batch)["squared"] / 0}

    with pytest.raises(ValueError, match=r"step 1: expected a finite loss, got squared = inf"):
        train(build(), bad, Noise(), LoopConfig(TRAINING, "train_tiny", tmp_path, 5, CPU))
    assert not (tmp_path / "checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
              RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")],
)  # fmt: skip
def test_a_lack_of_memory_names_the_param_to_lower(tmp_path: Path, error: Exception) -> None:
    def greedy(*_: object) -> dict[str, torch.Tensor]:
        raise error

    with pytest.raises(ValueError, match=r"batches of 8 clips .* lower train_tiny\.batch"):
        train(build(), greedy, Noise(), LoopConfig(TRAINING, "train_tiny", tmp_path, 5, CPU))


def test_other_errors_keep_their_traceback(tmp_path: Path) -> None:
    def broken(*_: object) -> dict[str, torch.Tensor]:
        raise RuntimeError("shape '[3]' is invalid")

    with pytest.raises(RuntimeError, match="is invalid"):
        train(build(), broken, Noise(), LoopConfig(TRAINING, "train_tiny", tmp_path, 5, CPU))


def test_seconds_of_every_step_are_logged_beside_the_checkpoint(tmp_path: Path) -> None:
    train(build(), loss, Noise(), LoopConfig(TRAINING, "train_tiny", tmp_path, 5, CPU))
    with (tmp_path / TIMINGS).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert all(float(row["wait_s"]) >= 0 and float(row["compute_s"]) > 0 for row in rows)
