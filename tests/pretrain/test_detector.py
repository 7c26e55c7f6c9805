"""Frames for the detector, and the threshold that its scores are set to."""

from pathlib import Path

import torch
from torch import Tensor, nn

from pretrain import detector as pretraining
from pretrain.scenes import Scenes, read_scenes


class Stub(nn.Module):
    """Finds every person with logit 2 and a stranger with logit 1, above a bias."""

    def __init__(self, scenes: Scenes) -> None:
        super().__init__()
        self.scenes = scenes
        self.head = nn.Module()
        self.head.classification_head = nn.Module()
        self.head.classification_head.cls_logits = nn.Conv2d(1, 1, 1)
        nn.init.zeros_(self.head.classification_head.cls_logits.bias)

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        (image,) = images
        bias = self.head.classification_head.cls_logits.bias.detach()
        wanted = (image * 255).round().byte().permute(1, 2, 0).numpy()
        frame = next(i for i, f in enumerate(self.scenes.frames) if (f == wanted).all())
        boxes = torch.from_numpy(self.scenes.boxes[self.scenes.people_of(frame)]).float()
        boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)
        strangers = torch.tensor([[0.0, 0, 3, 3]]).repeat(len(boxes), 1)
        logits = torch.cat([torch.full((len(boxes),), 0.2), torch.full((len(boxes),), -0.9)])
        return [{"boxes": torch.cat([boxes, strangers]), "scores": (logits + bias).sigmoid()}]


def test_scores_are_set_where_the_threshold_parts_people_from_others(scenes_folder: Path) -> None:
    scenes = read_scenes(scenes_folder)
    stub = Stub(scenes)

    shift = pretraining.calibrate(stub, scenes)

    # sigmoid(-1.39) = 0.2: the stranger's -0.9 must fall below it, the person's 0.2 must not.
    assert -1.59 <= shift < -0.49
    bias = stub.head.classification_head.cls_logits.bias.item()
    assert abs(bias - shift) < 1e-6


def test_a_mirrored_frame_has_mirrored_boxes(scenes_folder: Path) -> None:
    scenes = read_scenes(scenes_folder)
    stream = pretraining.batches([scenes], batch=4, seed=1)
    seen = {True: 0, False: 0}

    for _ in range(4):
        for image, target in zip(*next(stream), strict=True):
            picture = (image * 255).round().byte().permute(1, 2, 0)
            for frame in range(len(scenes.frames)):
                boxes = torch.from_numpy(scenes.boxes[scenes.people_of(frame)]).float()
                corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)
                stored = torch.from_numpy(scenes.frames[frame].copy())
                for flipped in (False, True):
                    if torch.equal(stored.flip(1) if flipped else stored, picture):
                        if flipped:
                            corners = corners[:, [2, 1, 0, 3]]
                            corners[:, [0, 2]] = 319 - corners[:, [0, 2]]
                        torch.testing.assert_close(target["boxes"], corners)
                        seen[flipped] += 1
    assert min(seen.values()) > 0
