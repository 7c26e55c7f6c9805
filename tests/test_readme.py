"""The documents: sizes, links, commands, options, params, snippets, pictures and tables."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from dvc.cli.parser import get_main_parser

from models.head_parts.lookup import systems_with_parts
from pipeline.core.params import read_params
from posereel.cli import COMMANDS, load
from tests.posereel.caches_project import make_caches_project

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md", *PAGES)
TOPICS = {
    "results", "ablations", "posetrack", "video", "sharing", "operations", "benchmarks",
    "architecture", "new-head", "python",
}  # fmt: skip
SOURCES = sorted(
    file
    for package in ("models", "pipeline", "stages", "posereel")
    for file in (ROOT / package).rglob("*.py")
)
PICTURES = sorted((ROOT / "docs/images").iterdir())
NAMED = re.compile(
    r"python -m stages\.([a-z_]+)|(?:`|^|: |; )posereel ([a-z][a-z-]+)", re.MULTILINE
)
COMMAND_NAMES = {name for names in COMMANDS.values() for name in names}


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def command_lines(document: str) -> list[list[str]]:
    """Return the words of every `posereel` command in a document, in code blocks and spans."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", read(document), flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```\w*\n.*?^```", "", read(document), flags=re.DOTALL | re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    lines = [line.partition("  #")[0] for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in [*lines, *spans] if line.startswith("posereel ")]


def unknown_commands(file: Path) -> list[str]:
    """Return the stages and commands that a file names and that do not exist."""
    named = NAMED.findall(file.read_text(encoding="utf-8"))
    return [
        stage or command
        for stage, command in named
        if (stage and not (ROOT / f"stages/{stage}.py").is_file())
        or (command and command not in COMMAND_NAMES)
    ]


def test_the_readme_has_at_most_9_kilobytes_and_a_page_12() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 9 * 1024
    assert {page: len((ROOT / page).read_bytes()) for page in PAGES} == {
        page: pytest.approx(0, abs=12_000) for page in PAGES
    }


def test_every_topic_has_a_page_that_the_readme_links() -> None:
    linked = set(re.findall(r"\(docs/([a-z-]+)\.md\)", read("README.md")))
    assert TOPICS <= linked == {Path(page).stem for page in PAGES}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file(document: str) -> None:
    folder = (ROOT / document).parent
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", read(document))
    assert not [link for link in links if not (folder / link).is_file()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_in_a_document_exists(document: str) -> None:
    assert not unknown_commands(ROOT / document)


def test_every_command_in_a_message_or_docstring_exists() -> None:
    assert {file: names for file in SOURCES if (names := unknown_commands(file))} == {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_option_of_a_command_in_a_document_exists(document: str) -> None:
    for _, name, *words in command_lines(document):
        if not re.fullmatch(r"[a-z-]+", name) or name.startswith("-"):
            continue  # a placeholder, or an option of the program
        command = typer.main.get_command(load(name))
        known = {option for param in command.params for option in param.opts + param.secondary_opts}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known | {"--help"}, name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_dvc_accepts_every_dvc_command_in_a_document(document: str) -> None:
    lines = re.findall(r"^ {0,4}(dvc .+)$|`(dvc [^`]+ -[^`]+)`", read(document), re.MULTILINE)
    for line in (block.partition("  #")[0] or span for block, span in lines):
        for command in line.split("&&"):
            words = shlex.split(command)
            if words[0] == "dvc" and len(words) > 1:
                get_main_parser().parse_args(words[1:])  # exits on an unknown command or option


def test_every_make_target_in_a_document_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:`|^)make ([a-z-]+)(?:`| )", read(document), re.MULTILINE))
        assert named <= targets, document


def test_every_param_in_an_example_is_in_params_yaml() -> None:
    values = read_params(ROOT / "params.yaml")
    named = {name for page in DOCUMENTS for name in re.findall(r"-S ([a-z_.]+)=", read(page))}
    assert named
    for name in named:
        section, key = name.split(".", 1)
        assert key in values[section], name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_benchmark_that_a_document_names_exists(document: str) -> None:
    named = re.findall(r"python -m benchmarks\.([a-z_]+)", read(document))
    assert not [name for name in named if not (ROOT / f"benchmarks/{name}.py").is_file()]


def test_the_architecture_page_lists_every_folder_of_the_pipeline() -> None:
    listed = set(re.findall(r"^\| `([a-z_]+)` \|", read("docs/architecture.md"), re.MULTILINE))
    assert listed == {file.parent.name for file in (ROOT / "pipeline").glob("*/__init__.py")}


@pytest.mark.parametrize("picture", PICTURES, ids=lambda file: file.name)
def test_every_picture_is_small_and_stands_beside_the_command_that_draws_it(picture: Path) -> None:
    assert picture.suffix in {".png", ".svg"}
    assert picture.stat().st_size < 150_000
    shown = [page for page in DOCUMENTS if f"images/{picture.name})" in read(page)]
    assert shown
    for page in shown:
        after = read(page).partition(f"images/{picture.name})")[2][:700]
        assert re.search(rf"`posereel show-[^`]*--out docs/images/{picture.name}`", after), page


def snippets() -> list[tuple[str, str]]:
    """Return the snippets of every page, which share their variables, as one text."""
    found = {page: re.findall(r"```python\n(.*?)```", read(page), re.DOTALL) for page in DOCUMENTS}
    return [(page, "\n".join(codes)) for page, codes in found.items() if codes]


@pytest.mark.parametrize(("page", "code"), snippets(), ids=lambda text: text.partition("\n")[0])
def test_every_snippet_of_python_runs_after_a_run_of_the_pipeline(
    page: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_caches_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page, "exec"), {})  # noqa: S102  the project's own documents


def cells(text: str) -> list[list[str]]:
    """Return the cells of every row of the Markdown tables in a text."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def metrics_of(system: str) -> dict[str, dict[str, dict[str, float]]]:
    values: dict[str, dict[str, dict[str, float]]] = json.loads(read(f"data/metrics/{system}.json"))
    return values


def test_the_means_of_the_readme_are_those_of_the_metric_files() -> None:
    rows = [row for row in cells(read("README.md")) if re.fullmatch(r"\d+\.\d", row[-1])]
    systems = [row[0].strip("`") for row in rows]
    files = (ROOT / "data/metrics").glob("*.provenance.json")
    assert sorted(systems) == sorted(file.name.partition(".")[0] for file in files)
    for system, row in zip(systems, rows, strict=True):
        means = [metrics_of(system)[split]["groups"]["Mean"] for split in ("val_gt", "val")]
        assert row[-2:] == [f"{mean:.1f}" for mean in means], system


def test_the_tables_of_the_default_run_are_those_of_the_metric_files() -> None:
    section = read("docs/results.md").partition("\n## The default run\n")[2].partition("\n## ")[0]
    rows = cells(section)
    systems = len(list((ROOT / "data/metrics").glob("*.provenance.json")))
    for split in ("val_gt", "val"):
        start = next(i for i, row in enumerate(rows) if row[0].startswith(f"{split}:"))
        for system, *values in rows[start + 1 : start + 1 + systems]:
            groups = metrics_of(system)[split]["groups"]
            expected = [f"{groups[column]:.1f}" for column in rows[start][1:]]
            assert values == expected, (split, system)


def test_the_table_of_parts_is_that_of_the_last_run() -> None:
    section = read("docs/results.md").partition("\n## What each part does\n")[2]
    shown = cells(section.partition("\n## ")[0])[1:]
    expected = []
    for system in systems_with_parts():
        for part, effect in json.loads(read(f"data/liveness/{system}.json")).items():
            assert effect.keys() == {"change", "low", "high", "share"}, (system, part)
            signed = [f"{effect[name]:+.2f}" for name in ("change", "low", "high")]
            expected.append([system, part, *signed, f"{effect['share']:.2f}"])
    assert shown == expected


def test_the_ablation_tables_are_those_of_the_last_run() -> None:
    shown = cells(read("docs/ablations.md"))
    for file in (ROOT / "data/ablations").glob("*-[0-9].md"):
        for row in cells(file.read_text()):
            assert row in shown, (file.name, row)
