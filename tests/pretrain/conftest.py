"""A few rendered videos, and crops of the size that the networks are made for."""

from pathlib import Path

import pytest

from pipeline.clips.augment import Augment
from pipeline.synthetic.dataset import video_specs
from pretrain.crops import Crops
from pretrain.scenes import write_scenes


@pytest.fixture(scope="session")
def crops() -> Crops:
    return Crops(
        input_size=[128, 96],
        enlarge=1.25,
        sigma=1.5,
        shift=0.05,
        augment=Augment(
            seed=1,
            rotation=20.0,
            rotation_limit=45.0,
            rotation_chance=0.5,
            scale=0.2,
            half_body_chance=0.2,
            flip_chance=0.5,
        ),
    )


@pytest.fixture(scope="session")
def scenes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scenes")
    write_scenes(place, video_specs("tests", 3, frames=3), gaps=[2, 1])
    return place
