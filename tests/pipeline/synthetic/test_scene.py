"""What a seed draws: people, faults, covers and scenery."""

import numpy as np
import pytest

from pipeline.synthetic.dataset import video_specs
from pipeline.synthetic.scene import Scene, build_scene
from pipeline.synthetic.scenery import draw_background, draw_cover, draw_prop


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [build_scene(spec) for spec in video_specs("tests", 24, frames=8, height=120, width=160)]


def test_labeled_people_come_first_and_some_scenes_have_others(scenes: list[Scene]) -> None:
    for scene in scenes:
        flags = [person.labeled for person in scene.people]
        assert flags == sorted(flags, reverse=True)
        assert scene.labeled == sum(flags) >= 1
        assert len(scene.stances) == len(scene.people)
        assert len(scene.faults) == len(scene.covers) == scene.spec.frames
    assert 0 < sum(scene.labeled < len(scene.people) for scene in scenes) < len(scenes)


def test_only_covered_frames_have_covers(scenes: list[Scene]) -> None:
    pairs = [pair for scene in scenes for pair in zip(scene.faults, scene.covers, strict=True)]
    assert all(not covers for fault, covers in pairs if fault.tag != "covered")
    assert np.mean([len(covers) > 0 for fault, covers in pairs if fault.tag == "covered"]) > 0.8


def test_the_covers_of_a_burst_stay_on_their_limbs() -> None:
    scenes = [
        build_scene(spec)
        for spec in video_specs("tests", 6, frames=12, height=240, width=320, faults="bursts")
    ]
    seen = 0
    for scene in scenes:
        for frame in range(11):
            pair = scene.faults[frame : frame + 2]
            if pair[0].tag == "covered" and pair[0].burst == pair[1].burst:
                now, after = scene.covers[frame : frame + 2]
                assert len(now) == len(after)
                middles = [np.array([cover.place[:, 2] for cover in some]) for some in (now, after)]
                sizes = [[len(cover.picture) for cover in some] for some in (now, after)]
                np.testing.assert_allclose(sizes[0], sizes[1], rtol=0.2, atol=2)
                # People walk; new covers would lie on other limbs, dozens of pixels away.
                if len(now):
                    assert np.median(np.linalg.norm(middles[1] - middles[0], axis=1)) < 12
                seen += len(now)
    assert seen > 20


def test_faults_do_not_depend_on_the_people(scenes: list[Scene]) -> None:
    # Another size of picture keeps the seed's faults, whatever it does to people and labels.
    scene = scenes[0]
    other = build_scene(video_specs("tests", 1, frames=8, height=240, width=320, label_step=1)[0])
    assert [fault.tag for fault in other.faults] == [fault.tag for fault in scene.faults]


def test_scenery_is_premultiplied_and_stands_on_the_floor(scenes: list[Scene]) -> None:
    rng = np.random.default_rng(0)
    ground = scenes[0].ground
    background = draw_background(rng, 120, 160, ground)
    assert background.picture.shape[:2] > (120, 160)
    assert 0 <= background.picture.min() <= background.picture.max() <= 1
    for _ in range(12):
        prop = draw_prop(rng, ground, 160, 8.0)
        alpha = prop.picture[..., 3]
        assert alpha[0].max() == alpha[:, 0].max() == 0
        foot = prop.place[1, 2] + len(alpha) - 1
        assert foot == pytest.approx(ground.horizon + ground.height * 8.0)


def test_a_cover_lies_over_its_place() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        cover = draw_cover(rng, np.array([40.0, 30.0]), 12.0)
        rows, columns = cover.picture.shape[:2]
        middle = cover.place @ [(columns - 1) / 2, (rows - 1) / 2, 1]
        assert middle == pytest.approx([40, 30])
        assert cover.picture[rows // 2, columns // 2, 3] == 1
