"""Published HRNet files: official code, mmpose, and pose networks derived from DCPose.

All schemes share the names of the layers and differ in the prefix. timm's classification files are
not supported, since their last layers differ.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.published.rules import (
    ConversionStep,
    ConvertedWeights,
    NamingScheme,
    Rule,
    apply_rules,
    find_scheme,
    strip_wrapper,
)

_SEED = 0
"""Seed of randomly initialized head rows: two imports of the same file are identical."""
_DEVIATION = 0.001
"""Standard deviation of initial head weights (official pose_hrnet.py, ``init_weights``)."""

COCO_SCHEMES = ("official", "mmpose 0.x", "mmpose 1.x")
"""Schemes whose files have COCO's keypoints unless told otherwise; the others have PoseTrack's."""


def _scheme(title: str, body: str, head: str, *, wrapped: bool = False) -> NamingScheme:
    """Return the scheme whose layer names start with ``body`` and whose last layer is ``head``."""
    at = re.escape(body)
    rules = [
        Rule(
            rf"{at}stage4\.2\.fuse_layers\.[1-3]\..+",
            (),
            "last fusion into the lower resolutions, unused",
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
    return NamingScheme(title, (f"{head}weight", f"{body}conv1.weight"), tuple(rules))


SCHEMES = (
    _scheme("official", "", "final_layer."),
    _scheme("mmpose 0.x", "backbone.", "keypoint_head.final_layer."),
    _scheme("mmpose 1.x", "backbone.", "head.final_layer."),
    _scheme(
        "DCPose",
        "rough_pose_estimation_net.",
        "rough_pose_estimation_net.final_layer.",
        wrapped=True,
    ),
    _scheme("FAMI-Pose", "hrnet.", "hrnet.final_layer.", wrapped=True),
)


def convert_hrnet(tensors: Mapping[str, Tensor], source: str) -> ConvertedWeights:
    """Return the tensors of a published HRNet under the names of ``HRNetPose``.

    The head keeps the rows of the file; see ``select_head_rows``.

    Args:
        tensors: Tensors by their names in the file.
        source: Name of the file in error messages.

    Raises:
        ValueError: If the names match none of ``SCHEMES`` or a name matches no rule.
    """
    plain = strip_wrapper(tensors)
    return apply_rules(plain, find_scheme(plain, SCHEMES, source), source)


def select_head_rows(
    converted: ConvertedWeights, rows: Mapping[str, int | None], source: str
) -> ConvertedWeights:
    """Return the conversion with one head row per joint of the project, in order.

    Args:
        converted: Result of ``convert_hrnet``, whose head has one row per keypoint of the file.
        rows: Row in the file's head by joint; None if the file lacks the joint. Such a row is
            initialized randomly, like that of an untrained network.
        source: Name of the file in error messages.

    Raises:
        ValueError: If the head does not have 17 rows, the number of keypoints of COCO and of
            PoseTrack.
    """
    weight, bias = converted.weights["final_layer.weight"], converted.weights["final_layer.bias"]
    if len(weight) != 17 or bias.shape != (17,):
        raise ValueError(
            f"{source}: final_layer: expected 17 rows, the keypoints of COCO or PoseTrack, got "
            f"{tuple(weight.shape)} and {tuple(bias.shape)}; import a file trained on one of them"
        )
    missing = [joint for joint, row in rows.items() if row is None]
    index = torch.tensor([0 if row is None else row for row in rows.values()])
    new_weight, new_bias = weight[index], bias[index]
    unknown = torch.tensor([row is None for row in rows.values()])
    shape = new_weight[unknown].shape
    generator = torch.Generator().manual_seed(_SEED)
    random = torch.randn(shape, generator=generator) * _DEVIATION
    new_weight[unknown] = random.to(weight.dtype)
    new_bias[unknown] = 0
    used = [row for row in rows.values() if row is not None]
    steps = [ConversionStep("head rows, by joint name", "copied", len(used), "")]
    steps += _optional("head rows of joints that the project lacks", "skipped", 17 - len(used))
    steps += _optional("head rows, random", "added", len(missing), ", ".join(missing))
    head = {"final_layer.weight": new_weight, "final_layer.bias": new_bias}
    return converted._replace(weights=converted.weights | head, table=(*converted.table, *steps))


def _optional(
    description: str, action: str, count: int, example: str = ""
) -> Sequence[ConversionStep]:
    return [ConversionStep(description, action, count, example)] if count else []
