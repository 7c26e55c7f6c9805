"""Tiny detectors with random weights: RT-DETR and D-FINE of transformers, FCOS of this project."""

from pathlib import Path

import torch
from torch import nn
from transformers import (
    DFineConfig,
    DFineForObjectDetection,
    HGNetV2Config,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessor,
    RTDetrResNetConfig,
)

from models.detection.network import build_detector

LABELS = {0: "bicycle", 1: "person"}
_DECODER = {
    "encoder_hidden_dim": 16,
    "encoder_in_channels": [8, 16, 16],
    "d_model": 16,
    "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16,
    "num_queries": 20,
    "decoder_layers": 2,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "decoder_in_channels": [16, 16, 16],
    "num_denoising": 0,
    "id2label": LABELS,
    "label2id": {name: label for label, name in LABELS.items()},
}


def _rt_detr() -> nn.Module:
    backbone = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    return RTDetrForObjectDetection(RTDetrConfig(backbone_config=backbone, **_DECODER))


def _d_fine() -> nn.Module:
    backbone = HGNetV2Config(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 8, 8, 16],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 8, 16, 16],
        stage_num_blocks=[1, 1, 1, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, False, False],
        stage_kernel_size=[3, 3, 3, 3],
        stage_numb_of_layers=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    return DFineForObjectDetection(
        DFineConfig(backbone_config=backbone, decoder_n_points=[2, 2, 2], **_DECODER)
    )


def save_transformers(folder: Path, name: str) -> None:
    """Save a model and its image processor to a folder, in the layout of transformers."""
    torch.manual_seed(3)
    model = {"rt_detr": _rt_detr, "d_fine": _d_fine}[name]()
    with torch.no_grad():
        for parameter, values in model.named_parameters():
            # New networks give every query the same scores: use random ones for both labels.
            if "class_embed" in parameter:
                values.normal_()
            if "class_embed" in parameter and parameter.endswith("bias"):
                values.copy_(torch.tensor([0.0, 2.0]))
    model.save_pretrained(folder)
    RTDetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


def random_fcos() -> nn.Module:
    """Return the project's small detector with a bias that gives detections everywhere."""
    torch.manual_seed(3)
    network = build_detector("tiny")
    with torch.no_grad():
        network.head.classification_head.cls_logits.bias.fill_(1.0)
    return network
