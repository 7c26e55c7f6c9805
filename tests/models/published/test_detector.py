"""Files of torchvision's detectors give the same features as in torchvision."""

import re

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops import FrozenBatchNorm2d

from models.detection.network import build_detector
from models.published.detector import convert_detector
from models.published.rules import add_batch_counters

VARIANT = "fasterrcnn_resnet50_fpn"


def first_release() -> nn.Module:
    """A Faster R-CNN of the first release: frozen normalization, epsilon 0, variances >= 1e-5."""
    torch.manual_seed(1)
    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), 3)
    network = FasterRCNN(backbone, num_classes=91).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(10 ** torch.empty_like(tensor).uniform_(-5, -3))
    overwrite_eps(network, 0.0)
    return network


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return first_release()


def maps(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    network = build_detector(VARIANT)
    network.load_state_dict(weights)
    with torch.no_grad():
        found: Tensor = network.backbone.body(images)["0"]
    return found


def test_epsilon_is_subtracted_from_the_variances_of_frozen_normalization(
    theirs: nn.Module,
) -> None:
    file = theirs.state_dict()
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    names = build_detector(VARIANT).state_dict()

    converted = add_batch_counters(convert_detector(file, "f.pth", variant=VARIANT), names)

    with torch.no_grad():
        expected = theirs.backbone.body(images)["0"]
    found = maps(converted.weights, images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))
    lines = {line.action: line for line in converted.table}
    assert lines["modified"].tensors == sum(name.endswith("running_var") for name in file)
    # Unchanged variances give different features.
    variances = {name: file[name] for name in file if name.endswith("running_var")}
    untouched = maps(converted.weights | variances, images)
    assert (untouched - expected).abs().max() > 0.1 * expected.std()


def test_other_files_keep_their_variances(theirs: nn.Module) -> None:
    file = {"bn.running_var": torch.ones(3), "bn.num_batches_tracked": torch.tensor(7)}
    for weights, variant in ((file, VARIANT), (dict(theirs.state_dict()), f"{VARIANT}_v2")):
        converted = convert_detector(weights, "f.pth", variant=variant)
        assert all(converted.weights[name] is weights[name] for name in weights)


OLD_NAMES = {
    "fasterrcnn_resnet50_fpn": 18,
    "fasterrcnn_mobilenet_v3_large_fpn": 10,
    "maskrcnn_resnet50_fpn": 26,
    "retinanet_resnet50_fpn": 28,
    "fcos_resnet50_fpn": 12,
}
"""Number of tensors that a file of torchvision 0.12 has under another name, by detector."""


def old_name(name: str, variant: str) -> str:
    """Return the name of a tensor before torchvision 0.13."""
    name = re.sub(r"(\.fpn\.(?:inner|layer)_blocks\.\d)\.0\.", r"\1.", name)
    name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    name = re.sub(r"mask_head\.(\d)\.0\.", lambda m: f"mask_head.mask_fcn{int(m[1]) + 1}.", name)
    if variant.startswith("retinanet"):
        name = re.sub(r"_head\.conv\.(\d)\.0\.", lambda m: f"_head.conv.{2 * int(m[1])}.", name)
    return name


@pytest.mark.parametrize("variant", OLD_NAMES)
def test_files_from_before_torchvision_0_13_are_renamed_as_torchvision_does(variant: str) -> None:
    with torch.device("meta"):
        network = build_detector(variant)
    # Every tensor has a value of its own; expanded, it takes no memory.
    file = {
        old_name(name, variant): torch.tensor(float(number)).expand(tensor.shape)
        for number, (name, tensor) in enumerate(network.state_dict().items())
    }
    assert len(set(file) - set(network.state_dict())) == OLD_NAMES[variant]

    converted = convert_detector(file, "f.pth", variant=variant)

    network.load_state_dict(file, assign=True)
    expected = network.state_dict()
    assert converted.weights.keys() == expected.keys()
    # Variances are compared in another test, which knows of their epsilon.
    for name in expected:
        if not name.endswith("running_var"):
            assert converted.weights[name].flatten()[0] == expected[name].flatten()[0]
    renamed = [line.tensors for line in converted.table if "before torchvision" in line.description]
    assert sum(renamed) == OLD_NAMES[variant]
