"""ViTPose's backbone: equality with a literal ViT and with transformers; the token grid."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import VitPoseBackbone, VitPoseBackboneConfig

from models.base.normalization import MEAN, STD
from models.vit.network import ViTBackbone, build_vit, load_vit
from models.vit.sizes import embed_dim


def small(seed: int = 0) -> ViTBackbone:
    torch.manual_seed(seed)
    network = ViTBackbone(embed_dim=24, depth=3, num_heads=4, mlp_ratio=2, input_size=(64, 48))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def normalized(images: Tensor) -> Tensor:
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def literal_vit(images: Tensor, network: ViTBackbone, heads: int) -> Tensor:
    """Run ViTPose after its official code: padded patches, class token slot added to all tokens."""
    w = {k.removeprefix("backbone."): v for k, v in network.state_dict().items()}

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / x.var(-1, keepdim=True, unbiased=False).sqrt()
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    kernel = w["embeddings.patch_embeddings.projection.weight"]
    bias = w["embeddings.patch_embeddings.projection.bias"]
    x = F.conv2d(normalized(images), kernel, bias, stride=16, padding=2).flatten(2).transpose(1, 2)
    positions = w["embeddings.position_embeddings"]
    x = x + positions[:, 1:] + positions[:, :1]
    b, n, d = x.shape
    for i in range(3):
        at = f"encoder.layer.{i}"
        y = norm(x, f"{at}.layernorm_before")
        query, key, value = (
            linear(y, f"{at}.attention.attention.{part}").view(b, n, heads, d // heads)
            for part in ("query", "key", "value")
        )
        weights = torch.einsum("bnhd,bmhd->bhnm", query, key) / (d // heads) ** 0.5
        mixed = torch.einsum("bhnm,bmhd->bnhd", weights.softmax(-1), value).reshape(b, n, d)
        x = x + linear(mixed, f"{at}.attention.output.dense")
        y = F.gelu(linear(norm(x, f"{at}.layernorm_after"), f"{at}.mlp.fc1"))
        x = x + linear(y, f"{at}.mlp.fc2")
    return norm(x, "layernorm")


def test_tokens_equal_those_of_a_literal_transformer() -> None:
    network = small()
    images = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        tokens = network(images)
        expected = literal_vit(images, network, heads=4)

    assert tokens.shape == (2, 12, 24)
    torch.testing.assert_close(tokens, expected, rtol=1e-4, atol=1e-4)


def test_tokens_equal_those_of_transformers_for_the_same_weights() -> None:
    network = small()
    config = VitPoseBackboneConfig(
        image_size=(64, 48),
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        mlp_ratio=2,
        out_features=["stage3"],
    )
    theirs = VitPoseBackbone(config).eval()
    theirs.load_state_dict(
        {k.removeprefix("backbone."): v for k, v in network.state_dict().items()}
    )
    images = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(2))

    with torch.no_grad():
        assert torch.equal(network(images), theirs(normalized(images)).feature_maps[0])


def test_weights_without_epsilon_have_that_of_transformers() -> None:
    weights = small().state_dict()
    with pytest.raises(ValueError, match="expected the"):
        load_vit(weights, "f", (64, 48), "tiny")
    tiny = build_vit("tiny", (64, 48))
    loaded = load_vit(tiny.state_dict(), "f", (64, 48), "tiny")
    epsilons = {m.eps for m in loaded.modules() if isinstance(m, torch.nn.LayerNorm)}
    assert epsilons == {VitPoseBackboneConfig().layer_norm_eps} == {1e-12}


def test_tokens_are_in_row_major_order() -> None:
    network = small()
    images = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(3))
    changed = images.clone()
    changed[..., 18:30, 34:46] = 0

    def patches(x: Tensor) -> Tensor:
        return network.backbone.embeddings(network.normalize(x))

    with torch.no_grad():
        differs = (patches(changed) - patches(images)).abs().sum(-1)[0] > 0

    # Patches start at pixel 16i - 2: the change is in row 1, column 2 of the 4x3 grid.
    assert differs.nonzero().flatten().tolist() == [1 * 3 + 2]


def test_the_published_large_network_has_192_tokens_of_1024() -> None:
    with torch.device("meta"):
        network = build_vit("vit_large", (256, 192))
        tokens = network(torch.empty(1, 3, 256, 192))

    assert tokens.shape == (1, 192, 1024)
    assert network.grid == (16, 12)
    # 12 D x D parameters per block, plus patch and position embedding: 303 M.
    assert round(sum(p.numel() for p in network.parameters()) / 1e6) == 303


@pytest.mark.parametrize("variant", ["tiny", "vit_small", "vit_base", "vit_huge"])
def test_embed_dim_equals_that_of_the_network(variant: str) -> None:
    with torch.device("meta"):
        tokens = build_vit(variant, (128, 96))(torch.empty(1, 3, 128, 96))

    assert tokens.shape == (1, 48, embed_dim(variant))


def test_wrong_variants_and_sizes_are_rejected() -> None:
    with pytest.raises(ValueError, match="'vit_small'], got 'vit_giant'"):
        build_vit("vit_giant", (256, 192))
    with pytest.raises(ValueError, match=r"multiples of 16, got \(100, 96\)"):
        build_vit("tiny", (100, 96))
    with pytest.raises(ValueError, match=r"64\*64.*64\*48"):
        small()(torch.zeros(1, 3, 64, 64))
