"""The start of the tiny ViT: patches as cosines, positions as waves, heatmaps in their places."""

import torch

from models.vit.network import build_vit
from pretrain.vit import TokenReader, frequencies, start


def test_frequencies_are_orthogonal_and_begin_with_the_mean() -> None:
    patterns = frequencies(40).flatten(1)

    gram = patterns @ patterns.T
    assert torch.allclose(gram, gram.diagonal().diag(), atol=1e-4)
    assert patterns[0].std() < 1e-6


def test_every_position_has_an_embedding_of_its_own() -> None:
    backbone = build_vit("tiny", (128, 96))
    start(backbone)

    positions = backbone.backbone.embeddings.position_embeddings[0, 1:]
    distances = torch.cdist(positions, positions) + 10 * torch.eye(48)
    assert distances.min() > 0.1


def test_a_tokens_heatmap_lies_on_its_patch() -> None:
    reader = TokenReader(backbone=build_vit("tiny", (128, 96)), joints=15)
    with torch.no_grad():
        reader.read.weight.zero_()
        # Every token draws joint 2's cell (row 1, column 3) of its 4x4 cells.
        reader.read.bias.zero_()[2 * 16 + 1 * 4 + 3] = 1
        heatmaps = reader(torch.rand(1, 3, 128, 96))

    assert heatmaps.shape == (1, 15, 32, 24)
    places = heatmaps[0, 2].nonzero()
    assert set((places[:, 0] % 4).tolist()) == {1}
    assert set((places[:, 1] % 4).tolist()) == {3}
    assert len(places) == 48
    assert heatmaps[0, :2].abs().sum() == 0
