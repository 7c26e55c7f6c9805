"""Person detectors of both libraries return the library's boxes, of people only."""

from pathlib import Path

import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from models.detection.network import PERSON
from models.detection.person_detectors import TorchvisionPersonDetector, TransformersPersonDetector
from tests.tiny_detectors import LABELS, random_fcos, save_transformers

FRAMES = torch.randint(0, 256, (2, 60, 90, 3), dtype=torch.uint8, generator=torch.manual_seed(1))


def test_torchvision_detectors_return_the_boxes_of_people() -> None:
    network = random_fcos()
    with torch.inference_mode():
        found = TorchvisionPersonDetector(network)(FRAMES)
        expected = network([frame.permute(2, 0, 1) / 255 for frame in FRAMES])
    assert sum(len(scores) for _, scores in found) > 0
    for (boxes, scores), result in zip(found, expected, strict=True):
        people = result["labels"] == PERSON
        torch.testing.assert_close(boxes, result["boxes"][people])
        torch.testing.assert_close(scores, result["scores"][people])


@pytest.mark.parametrize("name", ["rt_detr", "d_fine"])
def test_transformers_detectors_return_the_boxes_of_label_person(name: str, tmp_path: Path) -> None:
    save_transformers(tmp_path, name)
    model = AutoModelForObjectDetection.from_pretrained(tmp_path, local_files_only=True).eval()
    processor = AutoImageProcessor.from_pretrained(tmp_path, local_files_only=True)
    with torch.inference_mode():
        found = TransformersPersonDetector(model, processor)(FRAMES)
        outputs = model(
            **processor(images=[frame.numpy() for frame in FRAMES], return_tensors="pt")
        )
    for index, (boxes, scores) in enumerate(found):
        # RT-DETR's postprocessing: the best 20 (query, label) pairs, boxes given by their center.
        chances = outputs.logits[index].sigmoid().flatten()
        best = chances.topk(20).indices
        people = [i for i in best.tolist() if LABELS[i % 2] == "person" and chances[i] > 0.05]
        torch.testing.assert_close(scores, chances[people])
        x, y, w, h = outputs.pred_boxes[index][[i // 2 for i in people]].unbind(-1)
        corners = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1)
        torch.testing.assert_close(boxes, corners * torch.tensor([90, 60, 90, 60]))
        assert len(boxes) > 0


def test_a_model_without_label_person_is_rejected(tmp_path: Path) -> None:
    save_transformers(tmp_path, "rt_detr")
    model = AutoModelForObjectDetection.from_pretrained(tmp_path, local_files_only=True)
    model.config.id2label = {0: "LABEL_0", 1: "LABEL_1"}
    with pytest.raises(ValueError, match=r"got \['LABEL_0', 'LABEL_1'\]; correct id2label"):
        TransformersPersonDetector(model, None)
