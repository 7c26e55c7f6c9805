"""ImageNet normalization: same values as torchvision, images in [0, 1] only."""

import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from models.base.normalization import ImageNetNormalization


def test_normalized_images_equal_those_of_torchvision() -> None:
    images = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))

    expected = normalize(images, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])

    torch.testing.assert_close(ImageNetNormalization()(images), expected)


def test_uint8_is_rejected_and_the_state_dict_is_empty() -> None:
    module = ImageNetNormalization()

    with pytest.raises(ValueError, match=r"got torch\.uint8; divide uint8 crops by 255 first"):
        module(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    assert module.state_dict() == {}
