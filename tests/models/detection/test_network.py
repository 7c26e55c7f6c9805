"""Detectors: output format, pyramid levels, gradients and variants."""

import pytest
import torch
from torchvision.models.detection import FCOS, FasterRCNN

from models.detection.network import PERSON, build_detector


def test_boxes_are_in_the_pixels_of_their_image() -> None:
    torch.manual_seed(0)
    detector = build_detector("tiny")
    assert isinstance(detector, FCOS)
    detector.score_thresh = 0.0
    images = [torch.rand(3, 240, 320), torch.rand(3, 480, 300)]

    with torch.no_grad():
        found = detector(images)

    assert len(found) == 2
    for image, people in zip(images, found, strict=True):
        height, width = image.shape[1:]
        boxes = people["boxes"]
        assert set(people) == {"boxes", "scores", "labels"}
        assert boxes.shape == (len(people["scores"]), 4)
        assert len(boxes) > 0
        assert (boxes[:, :2] <= boxes[:, 2:]).all()
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([width, height, width, height])).all()
        assert (people["scores"].diff() <= 0).all()


def test_levels_are_at_strides_8_16_and_32() -> None:
    detector = build_detector("tiny")

    with torch.no_grad():
        levels = detector.backbone(torch.zeros(1, 3, 256, 320))

    assert [tuple(level.shape) for level in levels.values()] == [
        (1, 64, 32, 40),
        (1, 64, 16, 20),
        (1, 64, 8, 10),
    ]


def test_the_losses_reach_every_parameter() -> None:
    torch.manual_seed(0)
    detector = build_detector("tiny").train()
    targets = [{"boxes": torch.tensor([[20.0, 30, 90, 200]]), "labels": torch.tensor([PERSON])}]

    losses = detector([torch.rand(3, 240, 320)], targets)
    sum(losses.values()).backward()

    assert set(losses) == {"classification", "bbox_regression", "bbox_ctrness"}
    assert all(p.grad is not None for p in detector.parameters())


def test_any_torchvision_detector_is_built_with_cocos_labels() -> None:
    with torch.device("meta"):
        detector = build_detector("fasterrcnn_mobilenet_v3_large_320_fpn")

    assert isinstance(detector, FasterRCNN)
    assert not detector.training
    assert detector.roi_heads.box_predictor.cls_score.out_features == 91


def test_an_unknown_detector_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"'tiny' or one of \[.*'fcos_resnet50_fpn'.*'yolo'"):
        build_detector("yolo")
