"""Where scratch is found, and its locks."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.core.units.scratch import Scratch, find_scratch

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(autouse=True)
def no_settings_of_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(tmp_path / "system"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "global"))


def configure(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)


def test_scratch_is_in_dvcs_default_cache(tmp_path: Path) -> None:
    configure(tmp_path / "repo/.dvc", config="")
    scratch = find_scratch(tmp_path / "repo/data/flow/train")
    assert scratch.project == tmp_path / "repo"
    assert scratch.folder == tmp_path / "repo/.dvc/cache/scratch"
    assert scratch.link_type == ""


def test_later_config_files_override_and_paths_are_relative_to_their_file(tmp_path: Path) -> None:
    remote = "[core]\n    autostage = true\n['remote \"lab\"']\n    url = ssh://x # a comment\n"
    configure(tmp_path / "global", config="[cache]\n    dir = shared\n    type = copy\n")
    configure(tmp_path / "repo/.dvc", config=remote)
    assert find_scratch(tmp_path / "repo").cache == tmp_path / "global/shared"
    assert find_scratch(tmp_path / "repo").link_type == "copy"
    configure(tmp_path / "repo/.dvc", config=remote + "[cache]\n    type = hardlink\n")
    assert find_scratch(tmp_path / "repo").link_type == "hardlink"
    configure(tmp_path / "repo/.dvc", config_local="[cache]\ndir = ../../big/cache\n")
    assert find_scratch(tmp_path / "repo").cache == tmp_path / "big/cache"


def test_a_temporary_copy_of_the_repository_finds_the_main_cache(tmp_path: Path) -> None:
    copy = tmp_path / "repo/.dvc/tmp/exps/tmp1"
    configure(tmp_path / "repo/.dvc", config="[cache]\n    type = hardlink\n")
    configure(copy / ".dvc", config_local=f"[cache]\n    dir = {tmp_path}/repo/.dvc/cache\n")
    found = find_scratch(copy / "data/flow")
    assert found.project == copy
    assert found.folder == find_scratch(tmp_path / "repo/data").folder


def test_an_invalid_config_is_an_error_with_its_path(tmp_path: Path) -> None:
    configure(tmp_path / "repo/.dvc", config="dir = x\n")
    with pytest.raises(ValueError, match=r"\.dvc/config: not a config file of DVC"):
        find_scratch(tmp_path / "repo")


def test_the_cache_is_the_one_of_dvc_cache_dir(tmp_path: Path) -> None:
    core = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
    place = "[cache]\n    dir = ../../elsewhere\n"
    configure(tmp_path / ".dvc", config=core + place, config_local="[cache]\n  type = hardlink\n")
    asked = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    scratch = find_scratch(tmp_path / "data")
    assert scratch.cache == Path(asked.stdout.strip()).resolve() == tmp_path.parent / "elsewhere"
    assert scratch.link_type == "hardlink"


def test_a_lock_is_held_by_one_process_and_released_by_its_death(tmp_path: Path) -> None:
    configure(tmp_path / ".dvc", config="")
    scratch = find_scratch(tmp_path)
    program = (
        "import sys; from pathlib import Path\n"
        "from pipeline.core.units.scratch import find_scratch\n"
        "with find_scratch(Path(sys.argv[1])).lock('unit'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    holder = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    assert scratch.held_locks() == ["unit"]
    holder.kill()
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    assert scratch.held_locks() == []
    with scratch.lock("unit"):
        assert scratch.held_locks() == ["unit"]
    assert scratch.held_locks() == []


def test_builds_share_their_lock_and_cleaning_excludes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path / ".dvc", config="")
    scratch = find_scratch(tmp_path)
    with scratch.in_use(), scratch.in_use():
        assert scratch.held_locks() == ["running"]
        with pytest.raises(ValueError, match="a stage is running"), scratch.exclusive():
            pass
    with ThreadPoolExecutor(1) as pool, scratch.exclusive():
        build = pool.submit(enter, scratch)
        with pytest.raises(TimeoutError):
            build.result(0.2)
    assert build.result(60) == "built"
    assert capsys.readouterr().err == f"waiting for another process that cleans {scratch.folder}\n"
    assert scratch.held_locks() == []


def enter(scratch: Scratch) -> str:
    with scratch.in_use():
        return "built"
