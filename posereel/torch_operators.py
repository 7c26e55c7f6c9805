"""Checks of the GPU and of the torchvision operators that the networks use."""

import torch
import torchvision

from pipeline.maintenance.doctor import Finding


def check_torch() -> list[Finding]:
    """Return findings about the GPU, modulated deformable convolution and NMS."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    where = torch.cuda.get_device_name() if gpu else "no GPU, networks run on the CPU"
    return [Finding("cuda", True, where), _deform(device), _nms(device)]


def _deform(device: torch.device) -> Finding:
    """Compare deformable convolution with zero offsets and unit masks with plain convolution."""
    image, kernel = torch.rand(1, 2, 6, 6, device=device), torch.rand(3, 2, 3, 3, device=device)
    offset = torch.zeros(1, 18, 6, 6, device=device)
    mask = torch.ones(1, 9, 6, 6, device=device)
    try:
        got = torchvision.ops.deform_conv2d(image, offset, kernel, padding=1, mask=mask)
    except RuntimeError as error:
        return _broken("deform_conv2d", device, str(error))
    expected = torch.nn.functional.conv2d(image, kernel, padding=1)
    if not torch.allclose(got, expected, atol=1e-4):
        return _broken("deform_conv2d", device, "wrong values")
    return Finding("deform_conv2d", True, f"works on {device.type}")


def _nms(device: torch.device) -> Finding:
    """Check NMS on two boxes that almost coincide and a third one."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [50, 50, 60, 60]], device=device)
    try:
        kept = torchvision.ops.nms(boxes, torch.tensor([0.5, 0.9, 0.1], device=device), 0.5)
    except RuntimeError as error:
        return _broken("nms", device, str(error))
    if kept.tolist() != [1, 2]:
        return _broken("nms", device, f"expected the boxes [1, 2], got {kept.tolist()}")
    return Finding("nms", True, f"works on {device.type}")


def _broken(name: str, device: torch.device, why: str) -> Finding:
    found = f"fails on {device.type}: {' '.join(why.split())[:200]}"
    cure = "torch and torchvision are incompatible: make setup"
    return Finding(name, False, found, cure)
