"""HRNet's published files: the official code's, mmpose's, and those inside DCPose's kin.

All of them name the layers of the network alike and differ in what stands before. None is under
the names of timm's own classification files, whose last layers are others.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.published.rules import (
    Converted,
    Line,
    Naming,
    Rule,
    apply_rules,
    recognize,
    without_wrapper,
)

_SEED = 0
"""Of the rows of the head that are made up: two imports of one file are the same file."""
_DEVIATION = 0.001
"""Of a fresh head's weights (official pose_hrnet.py, ``init_weights``)."""

COCO_FILES = ("official", "mmpose 0.x", "mmpose 1.x")
"""Namings whose files are COCO's unless told otherwise; the others are PoseTrack's."""


def _naming(title: str, body: str, head: str, *, wrapped: bool = False) -> Naming:
    """Return the naming whose layers begin with ``body`` and whose last layer is ``head``."""
    at = re.escape(body)
    rules = [
        Rule(
            rf"{at}stage4\.2\.fuse_layers\.[1-3]\..+",
            (),
            "last exchange towards the lower resolutions, which nothing reads",
        ),
        Rule(
            rf"{at}((?:conv[12]|bn[12]|layer1|transition[1-3]|stage[2-4])\..+)",
            (r"backbone.\1",),
            "stem, stages and transitions",
        ),
        Rule(rf"{re.escape(head)}(weight|bias)", (r"final_layer.\1",), "head"),
    ]
    if wrapped:
        rules.append(Rule(rf"(?!{at}).+", (), f"model around {body[:-1]}"))
    return Naming(title, (f"{head}weight", f"{body}conv1.weight"), tuple(rules))


NAMINGS = (
    _naming("official", "", "final_layer."),
    _naming("mmpose 0.x", "backbone.", "keypoint_head.final_layer."),
    _naming("mmpose 1.x", "backbone.", "head.final_layer."),
    _naming(
        "DCPose",
        "rough_pose_estimation_net.",
        "rough_pose_estimation_net.final_layer.",
        wrapped=True,
    ),
    _naming("FAMI-Pose", "hrnet.", "hrnet.final_layer.", wrapped=True),
)


def convert_hrnet(tensors: Mapping[str, Tensor], source: str) -> Converted:
    """Return the tensors of a published HRNet under the names of ``HRNetPose``.

    The head keeps the file's rows; see ``place_rows``.

    Args:
        tensors: Tensor by its name in the file.
        source: What errors call the file.

    Raises:
        ValueError: If the names are none of ``NAMINGS``, or one falls under no rule.
    """
    plain = without_wrapper(tensors)
    return apply_rules(plain, recognize(plain, NAMINGS, source), source)


def place_rows(converted: Converted, rows: Mapping[str, int | None], source: str) -> Converted:
    """Return a conversion whose head has a row for each joint here, in order.

    Args:
        converted: From ``convert_hrnet``; its head has one row per keypoint of the file.
        rows: For every joint the row of the file's head; None if the file does not know the joint:
            its row is drawn anew, as that of a fresh network.
        source: What errors call the file.

    Raises:
        ValueError: If the head does not have 17 rows, COCO's and PoseTrack's number of keypoints.
    """
    weight, bias = converted.weights["final_layer.weight"], converted.weights["final_layer.bias"]
    if len(weight) != 17 or bias.shape != (17,):
        raise ValueError(
            f"{source}: final_layer: expected 17 rows, the keypoints of COCO or PoseTrack, got "
            f"{tuple(weight.shape)} and {tuple(bias.shape)}; give a file trained on one of them"
        )
    fresh = [joint for joint, row in rows.items() if row is None]
    chosen = torch.tensor([0 if row is None else row for row in rows.values()])
    new_weight, new_bias = weight[chosen].float(), bias[chosen].float()
    unknown = torch.tensor([row is None for row in rows.values()])
    shape = new_weight[unknown].shape
    generator = torch.Generator().manual_seed(_SEED)
    new_weight[unknown] = torch.randn(shape, generator=generator) * _DEVIATION
    new_bias[unknown] = 0
    used = [row for row in rows.values() if row is not None]
    lines = [Line("rows of the head, by the joint's name", "taken", len(used), "")]
    lines += _optional("rows of the head that belong to no joint here", "left out", 17 - len(used))
    lines += _optional("rows of the head, drawn anew", "made up", len(fresh), ", ".join(fresh))
    head = {"final_layer.weight": new_weight, "final_layer.bias": new_bias}
    return converted._replace(weights=converted.weights | head, table=(*converted.table, *lines))


def _optional(what: str, done: str, count: int, example: str = "") -> Sequence[Line]:
    return [Line(what, done, count, example)] if count else []
