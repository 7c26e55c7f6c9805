"""RAFT: range and padding of its input, parameters, and flow on the heatmap grid."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.base.normalization import MEAN, STD
from models.raft.network import RAFTFlow, build_raft, cells_from_pixels


def pictures(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def network() -> RAFTFlow:
    torch.manual_seed(0)
    return build_raft("raft_small", updates=2)


def test_the_input_is_scaled_to_minus_one_to_one_and_padded_to_128_pixels(
    network: RAFTFlow,
) -> None:
    seen: list[Tensor] = []
    first_conv = network.network.feature_encoder.convnormrelu[0]
    hook = first_conv.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    images = pictures(128, 96)
    images[0, :, 0, 0], images[0, :, 1, 0] = 0, 255

    with torch.no_grad():
        flow = network(images, pictures(128, 96, seed=1))
    hook.remove()

    (pair,) = seen
    assert pair.shape == (4, 3, 128, 128)
    assert (pair.min(), pair.max()) == (-1, 1)
    torch.testing.assert_close(pair[:2, :, :, 16:112], images / 127.5 - 1)
    assert torch.equal(pair[:, :, :, :16], pair[:, :, :, 16:17].expand(-1, -1, -1, 16))
    assert torch.equal(pair[:, :, :, 112:], pair[:, :, :, 111:112].expand(-1, -1, -1, 16))
    assert flow.shape == (2, 2, 128, 96)
    assert flow.isfinite().all()


def test_the_padding_is_removed_from_the_flow(network: RAFTFlow) -> None:
    first, second = pictures(128, 96), pictures(128, 96, seed=1)

    def padded(images: Tensor) -> Tensor:
        edge = images.index_select(3, torch.arange(-16, 112).clamp(0, 95))
        return edge.float() / 127.5 - 1

    with torch.no_grad():
        padded_flow = network.network(padded(first), padded(second), num_flow_updates=2)[-1]
        assert torch.equal(network(first, second), padded_flow[..., 16:112])


@pytest.mark.parametrize("size", [(64, 64), (100, 131), (136, 128)])
def test_the_flow_has_the_size_of_the_images(network: RAFTFlow, size: tuple[int, int]) -> None:
    with torch.no_grad():
        flow = network(pictures(*size), pictures(*size, seed=1))

    assert flow.shape == (2, 2, *size)
    assert flow.isfinite().all()


def test_enlarged_images_are_matched_and_their_flow_is_reduced() -> None:
    """Against the network by hand, on sides whose ratio is not the factor exactly."""
    first, second = pictures(130, 96), pictures(130, 96, seed=1)
    torch.manual_seed(0)
    network = build_raft("raft_small", 2, scale=1.5)

    with torch.no_grad():
        flow = network(first, second)
        large = [
            functional.interpolate(x.float(), size=(195, 144), mode="bilinear") / 127.5 - 1
            for x in (first, second)
        ]
        padded = [functional.pad(x, (0, 0, 2, 3), mode="replicate") for x in large]
        found = network.network(*padded, num_flow_updates=2)[-1][:, :, 2:197]
        expected = functional.interpolate(found, size=(130, 96), mode="bilinear")

    expected = expected * torch.tensor([96 / 144, 130 / 195]).view(2, 1, 1)
    torch.testing.assert_close(flow, expected, atol=1e-4, rtol=1e-4)


def test_a_scale_of_1_changes_no_bit(network: RAFTFlow) -> None:
    first, second = pictures(128, 96), pictures(128, 96, seed=1)
    plain = RAFTFlow(network=network.network, updates=2, scale=1.0)

    with torch.no_grad():
        assert torch.equal(plain(first, second), network(first, second))


def test_floats_up_to_255_give_the_same_flow_as_uint8(network: RAFTFlow) -> None:
    first, second = pictures(128, 128), pictures(128, 128, seed=1)

    with torch.no_grad():
        assert torch.equal(network(first, second), network(first.float(), second.float()))


def test_images_scaled_for_another_network_are_rejected(network: RAFTFlow) -> None:
    images = pictures(128, 128).float()
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    wrong = [(images / 255 - mean) / std, images / 255, images / 127.5 - 1, images * 2]

    for floats in wrong:
        with pytest.raises(ValueError, match=r"RGB in \[0, 255\], got floats from"):
            network(floats, images)
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 128, 128), torch.ones(1, 3, 128, 128)).isfinite().all()


@pytest.mark.parametrize(
    ("variant", "parameters", "tensors"),
    [("raft_small", 990_162, 106), ("raft_large", 5_257_536, 169)],
)
def test_the_number_of_parameters_is_official(variant: str, parameters: int, tensors: int) -> None:
    with torch.device("meta"):
        network = build_raft(variant)

    # Counted in the official raft-small.pth and raft-things.pth, duplicates of the latter dropped.
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors


def test_cells_are_means_over_25_pixels_around_pixel_4i() -> None:
    flow = torch.randn(2, 2, 16, 12, generator=torch.Generator().manual_seed(4))
    expected = torch.zeros(2, 2, 4, 3)
    for i in range(4):
        for j in range(3):
            total, count = torch.zeros(2, 2), 0
            for y in range(4 * i - 2, 4 * i + 3):
                for x in range(4 * j - 2, 4 * j + 3):
                    # Outside the image there is no flow: row and column 0 average 3 pixels, not 5.
                    if 0 <= y < 16 and 0 <= x < 12:
                        total, count = total + flow[:, :, y, x], count + 1
            expected[:, :, i, j] = total / count / 4

    torch.testing.assert_close(cells_from_pixels(flow), expected)


def test_a_constant_flow_of_4_pixels_is_one_cell_everywhere() -> None:
    flow = torch.tensor([4.0, -8.0])[None, :, None, None].expand(1, 2, 128, 96)

    cells = cells_from_pixels(flow)

    torch.testing.assert_close(cells[0, 0], torch.ones(32, 24))
    torch.testing.assert_close(cells[0, 1], torch.full((32, 24), -2.0))


def test_wrong_variants_and_sizes_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"\['raft_large', 'raft_small'\], got 'raft'"):
        build_raft("raft")
    with pytest.raises(ValueError, match="positive number, got 0"):
        build_raft("raft_small", updates=0)
    with pytest.raises(ValueError, match=r"at least 1, got 0\.5"):
        build_raft("raft_small", scale=0.5)
    with pytest.raises(ValueError, match="multiples of 4, got 10x12"):
        cells_from_pixels(torch.zeros(1, 2, 10, 12))
