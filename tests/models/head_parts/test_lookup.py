"""Systems by the names of their folders: order, comparisons, views, errors."""

import pytest

from models.head_parts.lookup import (
    all_systems,
    comparisons,
    find_system,
    find_view,
    listed_systems,
    training_modules,
)


def test_every_head_comes_after_what_it_is_compared_with() -> None:
    names = list(all_systems())
    for head, references in comparisons(all_systems()).items():
        assert len(references) >= 2
        assert all(names.index(reference) < names.index(head) for reference in references)


def test_only_listed_heads_are_compared_unless_systems_are_given() -> None:
    assert comparisons() == comparisons(listed_systems())
    assert comparisons().keys() < comparisons(all_systems()).keys()
    assert list(listed_systems()) == [name for name in all_systems() if name in listed_systems()]


def test_a_head_and_its_baseline_and_controls_read_the_same_crops() -> None:
    for head, references in comparisons(all_systems()).items():
        assert {find_system(name).crops for name in references} == {find_system(head).crops}
        assert all(find_system(name).baseline is None for name in references)
        assert all(find_system(name).key_frame_only for name in references[:1])


@pytest.mark.parametrize("name", ["mamba", "", "jmpose.network", "../jmpose", "__init__"])
def test_an_unknown_name_is_refused_with_the_folders(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected a folder of models/heads: dcpose, .*, vremd"):
        find_system(name)


def test_a_system_without_a_view_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(ValueError, match=r"'fuse': expected one with a view: jmpose, vremd"):
        find_view("fuse")


def test_a_training_runs_the_network_and_the_loss_of_a_folder_and_no_more() -> None:
    assert training_modules("fuse") == ("models.heads.fuse.network",)
    assert training_modules("jmpose") == (
        "models.heads.jmpose.network",
        "models.heads.jmpose.objective",
    )
