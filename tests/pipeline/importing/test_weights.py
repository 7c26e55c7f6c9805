"""Published weights are read without running code in them."""

import os
import pickle
import re
import sys
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.importing.pickle_reader import describe_failure, read_pickle
from pipeline.importing.weights import check_sha256, read_published_weights

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1, 2])}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(found[k].equal(WEIGHTS[k]) for k in WEIGHTS)


def test_a_pickle_is_read_in_a_subprocess_that_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(WEIGHTS, "f.pth")
    scratch = Path("scratch")
    scratch.mkdir()
    assert same(read_published_weights(Path("f.pth"), scratch))
    assert list(scratch.iterdir()) == []


def test_files_in_the_format_before_pytorch_1_6_are_read(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "f.pth", _use_new_zipfile_serialization=False)
    assert same(read_pickle(tmp_path / "f.pth"))


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"state_dict": WEIGHTS, "meta": Malicious()}, tmp_path / "f.pth")
    with pytest.raises(ValueError, match=r"f\.pth: .* got an object of posix\.mkdir, which"):
        read_published_weights(tmp_path / "f.pth", tmp_path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_the_error_for_an_unknown_class_names_it_without_advice_of_pytorch(
    zipped: bool, tmp_path: Path
) -> None:
    content = {"state_dict": WEIGHTS, "args": Namespace(lr=0.1)}
    torch.save(content, tmp_path / "f.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError) as caught:
        read_pickle(tmp_path / "f.pth")
    assert "\x1b[1m" in str(caught.value)
    assert "`weights_only` set to `False` will likely succeed" in str(caught.value)
    assert describe_failure(caught.value) == (
        "an object of argparse.Namespace, which is neither a tensor nor a plain value and could "
        "run code"
    )


def test_the_error_for_a_torchscript_archive_says_that_it_contains_code(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "f.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version"):
            archive.writestr(f"f/{name}", b"3\n")
    with (
        pytest.warns(UserWarning, match="TorchScript"),
        pytest.raises(RuntimeError) as caught,
    ):
        read_pickle(tmp_path / "f.pt")
    assert describe_failure(caught.value) == "a TorchScript archive, which contains code"


@pytest.mark.parametrize("name", ["f.pth", "f.safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n<!DOCTYPE html><html><head></head></html>", "got an HTML page; download"),
        ("<HTML lang=en>Too many requests", "got an HTML page; download"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "got text, b'version"),
        ('{"error": "Access denied"}', 'got text, b\'{"error": "Access denied"}\''),
        ("", "got an empty file"),
    ],
)
def test_a_page_or_text_in_place_of_the_weights_is_named(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name}: expected weights, .*{re.escape(message)}"):
        read_published_weights(tmp_path / name, tmp_path)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_numpy_scalars_beside_the_weights_are_accepted(key: str, tmp_path: Path) -> None:
    meta = {"best": np.float64(0.7), "epoch": np.int64(3), "done": np.bool_(True)}
    torch.save({key: OrderedDict(WEIGHTS), "meta": meta, "epoch": 3}, tmp_path / "f.pth")
    assert same(read_pickle(tmp_path / "f.pth"))


def mmpose_1_checkpoint() -> dict[str, Any]:
    """Return what mmengine saves with a pose network: meta data of the keypoints, loss history."""
    dataset_meta = {
        "dataset_name": "coco",
        "flip_indices": [0, 2, 1],
        "keypoint_id2name": {0: "nose", 1: "left_eye", 2: "right_eye"},
        "keypoint_colors": np.array([[51, 153, 255]] * 3, dtype=np.uint8),
        "skeleton_link_colors": np.array([[0, 255, 0]], dtype=np.uint8),
        "dataset_keypoint_weights": np.array([1.0, 1.2, 1.5], dtype=np.float32),
        "sigmas": np.array([0.026, 0.025, 0.025], dtype=np.float32),
    }
    meta = {"epoch": 210, "cfg": "model = dict()", "dataset_meta": dataset_meta}
    return {"meta": meta, "state_dict": OrderedDict(WEIGHTS)}


@pytest.mark.parametrize("numpy_version", [1, 2])
def test_files_trained_under_mmpose_1_with_numpy_arrays_are_accepted(
    numpy_version: int, tmp_path: Path
) -> None:
    file = tmp_path / "td-hm_hrnet-w32.pth"
    torch.save(
        mmpose_1_checkpoint(), file, pickle_module=OldNames if numpy_version == 1 else pickle
    )
    name = b"numpy._core.multiarray" if numpy_version == 2 else b"numpy.core.multiarray"
    assert name + b"\n_reconstruct" in file.read_bytes()
    assert same(read_pickle(file))


def test_a_loss_history_of_mmengine_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "mmengine.logging.history_buffer"
    buffer = type("HistoryBuffer", (), {"__module__": name})
    module = ModuleType(name)
    module.HistoryBuffer = buffer  # type: ignore[attr-defined]
    with monkeypatch.context() as modules:
        for package in ("mmengine", "mmengine.logging", name):
            modules.setitem(sys.modules, package, module)
        history = buffer()
        history.__dict__.update(max_length=9, _log_history=np.array([0.5, 0.25]))
        hub = {"log_scalars": OrderedDict({"train/loss": history})}
        torch.save(mmpose_1_checkpoint() | {"message_hub": hub}, tmp_path / "best.pth")
    assert same(read_pickle(tmp_path / "best.pth"))


def test_scalars_of_numpy_1_are_accepted(tmp_path: Path) -> None:
    torch.save({"state_dict": WEIGHTS, "best": np.float32(2)}, tmp_path / "f.pth")
    data = (tmp_path / "f.pth").read_bytes()
    old = tmp_path / "old.pth"
    torch.save({"state_dict": WEIGHTS, "best": np.float32(2)}, old, pickle_module=OldNames)
    assert b"numpy._core" in data
    assert b"numpy._core" not in old.read_bytes()
    assert same(read_pickle(old))


class OldNames:
    """A pickle module that writes NumPy's functions under their names before NumPy 2."""

    class Pickler(pickle._Pickler):
        """Python's pickler with the old module names."""

        def save_global(self, obj: Any, name: str | None = None) -> None:  # noqa: ANN401
            module = getattr(obj, "__module__", "")
            if not module.startswith("numpy._core"):
                super().save_global(obj, name)
                return
            old = module.replace("numpy._core", "numpy.core")
            self.write(f"c{old}\n{obj.__name__}\n".encode())
            self.memoize(obj)


def test_the_state_dict_is_found_if_model_is_a_string(tmp_path: Path) -> None:
    # HRNet's training checkpoints have the name of the network under `model`.
    torch.save({"model": "pose_hrnet", "state_dict": WEIGHTS, "perf": 0.7}, tmp_path / "f.pth")
    assert same(read_pickle(tmp_path / "f.pth"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "best": 0.5}, r"got \['epoch', 'best'\]"),
        ([1, 2], "got 'list'"),
        ({"state_dict": {"a": [1.0]}}, "a: expected a dense tensor, got list"),
        ({"a": torch.zeros(2).to_sparse()}, "a: expected a dense tensor"),
        ({"a": torch.zeros(1).expand(1000, 1000)}, "expected 4000000 bytes .* got 4"),
    ],
)
def test_a_file_without_state_dict_raises_an_error(
    content: object, message: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "f.pth")
    with pytest.raises(ValueError, match=message):
        read_pickle(tmp_path / "f.pth")


def test_the_error_for_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "f.pth")
    (tmp_path / "f.pth").write_bytes((tmp_path / "f.pth").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"f\.pth: .* got a truncated or damaged zip") as caught:
        read_published_weights(tmp_path / "f.pth", tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_all_weight_files_of_a_folder_are_read(tmp_path: Path) -> None:
    names = list(WEIGHTS)
    for i, name in enumerate(names):
        save_file({name: WEIGHTS[name]}, tmp_path / f"model-{i}.safetensors")
    assert same(read_published_weights(tmp_path, tmp_path))
    save_file({names[0]: WEIGHTS[names[0]]}, tmp_path / "model-2.safetensors")
    with pytest.raises(ValueError, match=r"'a\.weight' in model-2\.safetensors and in another"):
        read_published_weights(tmp_path, tmp_path)


def test_a_folder_without_weights_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"or a folder with \*\.safetensors"):
        read_published_weights(tmp_path, tmp_path)


def test_another_digest_raises_an_error(tmp_path: Path) -> None:
    # sha256 of "abc": FIPS 180-2, appendix B.1.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    file = tmp_path / "f.pth"
    file.write_text("abc")
    check_sha256(file, digest)
    check_sha256(file, digest[:8].upper())
    for wrong in ("0" * 64, digest[:7], digest + "0"):
        with pytest.raises(ValueError, match=f"expected sha256 {wrong} .* got {digest}"):
            check_sha256(file, wrong)
    with pytest.raises(ValueError, match="expected a file for --sha256"):
        check_sha256(tmp_path, digest)
