"""Devices: torch is imported only if the machine may have a GPU."""

import subprocess
import sys
from pathlib import Path
from socket import gethostname

import pytest
import torch

from pipeline.core.networks.devices import (
    GPU_DEVICE_FILES,
    device_type,
    pick_device,
    worker_device,
)

ROOT = Path(__file__).resolve().parents[4]


def test_torch_is_not_imported_on_a_machine_without_gpu(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from pipeline.core.networks.devices import device_type\n"
        "print(device_type('auto', Path(sys.argv[1])), device_type('cpu'), 'torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.split() == ["cpu", "cpu", "False"]


@pytest.mark.parametrize("node", GPU_DEVICE_FILES)
def test_torch_decides_if_a_device_file_exists(node: str, tmp_path: Path) -> None:
    (tmp_path / node).touch()
    assert device_type("auto", tmp_path) == pick_device("auto").type


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error_for_a_process_that_computes_on_it() -> None:
    with pytest.raises(ValueError, match="device 'cuda': process 0 of this machine needs GPU 0"):
        pick_device("cuda")


def test_cuda_declares_the_device_of_workers_and_needs_no_gpu_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_type("cuda") == "cuda"
    assert worker_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=f"worker on {gethostname()}, found none; compute the"):
        worker_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert worker_device("cuda") == torch.device("cuda")
