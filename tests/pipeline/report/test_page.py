"""The report page escapes untrusted text; a browser can sort and filter its tables."""

import base64
from pathlib import Path

import cv2
import numpy as np
import pytest
from markupsafe import Markup

from pipeline.report.page import Grid, PageSection, Row, percent, picture_of, render_page
from tests.chromium import Chromium

EVIL = "<script>alert(1)</script>"


def test_names_are_escaped_and_charts_are_not() -> None:
    grid = Grid((EVIL,), (Row((EVIL,)),), title=EVIL)
    chart = Markup("<svg id='chart'></svg>")
    page = render_page(EVIL, EVIL, [PageSection("a", EVIL, EVIL, tables=(grid,), charts=(chart,))])
    assert EVIL not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 8
    assert "<svg id='chart'></svg>" in page


def test_an_embedded_picture_equals_the_image() -> None:
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, :16, 0] = 200
    picture = picture_of(image, "half red")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(picture.jpeg), np.uint8), 1)
    assert np.abs(decoded[..., ::-1].astype(int) - image)[:, 4:12].max() <= 8


def test_a_missing_percentage_is_a_dash() -> None:
    assert percent(None) == "-"
    assert percent(86.449) == "86.4"
    assert percent(-0.04) == "0.0"


WORDS = ("delta", "alpha", "charlie", "bravo")
NUMBERS = ("9.5", "10.0", "-", "-3.0")
CELLS = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[{}].textContent)"
SHOWN = """[...document.querySelectorAll('tbody tr, figure')]
    .filter(item => item.getClientRects().length).map(item => item.textContent)"""
TYPE = """(() => {{
    const input = document.querySelector('input');
    input.value = '{}';
    input.dispatchEvent(new Event('input'));
}})()"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return a page with a wide table, a wide and tall chart, and a picture below them."""
    columns = ("name", "gain", *(f"column {number}" for number in range(30)))
    rows = [Row((word, gain, *["1.0"] * 30)) for word, gain in zip(WORDS, NUMBERS, strict=True)]
    chart = Markup("<svg width='900' height='9000' viewBox='0 0 900 9000'></svg>")
    picture = picture_of(np.zeros((90, 160, 3), np.uint8), "Alpha, frame 7")
    section = PageSection(
        "all", "All", "n" * 200, (Grid(columns, tuple(rows), "t" * 200),), (chart,), (picture,)
    )
    file = tmp_path / "page.html"
    file.write_text(render_page("test", "", [section]))
    return file


def click(browser: Chromium, column: int) -> list[str]:
    browser.run(f"document.querySelectorAll('th button')[{column}].click()")
    cells: list[str] = browser.run(CELLS.format(column))
    return cells


def test_a_click_sorts_a_column_and_a_second_click_reverses_it(
    page: Path, chromium: Chromium
) -> None:
    chromium.open(page)
    assert click(chromium, 1) == ["10.0", "9.5", "-3.0", "-"]
    assert chromium.run(CELLS.format(0)) == ["alpha", "delta", "bravo", "charlie"]
    assert click(chromium, 1) == ["-3.0", "9.5", "10.0", "-"]
    assert click(chromium, 0) == sorted(WORDS)
    assert click(chromium, 0) == sorted(WORDS, reverse=True)
    marks = "[...document.querySelectorAll('th')].map(head => head.ariaSort).filter(Boolean)"
    assert chromium.run(marks) == ["descending"]


def test_the_filter_keeps_rows_and_pictures_that_contain_every_word(
    page: Path, chromium: Chromium
) -> None:
    chromium.open(page)
    assert len(chromium.run(SHOWN)) == 5
    for typed, expected in (("ALPHA", 2), ("alpha frame", 1), ("9.5", 1), ("zulu", 0), ("", 5)):
        chromium.run(TYPE.format(typed))
        shown = chromium.run(SHOWN)
        assert len(shown) == expected, typed
        assert all(word in text.lower() for text in shown for word in typed.lower().split())
        count = chromium.run("document.querySelector('output').textContent")
        assert count == ("" if expected == 5 else f"{expected} of 5")


@pytest.mark.parametrize("width", [320, 400, 1200])
def test_the_page_does_not_scroll_horizontally(width: int, page: Path, chromium: Chromium) -> None:
    chromium.open(page, width, 700)
    assert chromium.run("document.documentElement.scrollWidth") <= width
    assert chromium.run("document.querySelector('.scroll').scrollWidth") > width


def test_a_printed_page_is_not_cut_off_and_has_no_controls(page: Path, chromium: Chromium) -> None:
    chromium.open(page, 794, 1123)  # A4 at 96 dots per inch
    chromium.call("Emulation.setEmulatedMedia", media="print")
    assert chromium.run("getComputedStyle(document.querySelector('label')).display") == "none"
    assert chromium.run("document.querySelector('table').scrollWidth") <= 794
    assert chromium.run("document.documentElement.scrollWidth") <= 794
    chromium.call("Emulation.setEmulatedMedia", media="")


def test_pictures_reserve_their_space_and_load_lazily(page: Path, chromium: Chromium) -> None:
    chromium.open(page)
    assert not chromium.run("document.images[0].complete")
    assert chromium.run("document.images[0].width / document.images[0].height") == pytest.approx(
        160 / 90, rel=0.02
    )
    chromium.run("document.images[0].scrollIntoView()")
    chromium.run(
        "const picture = document.images[0];"
        "picture.complete || new Promise(done => picture.addEventListener('load', () => done(1)))"
    )
    assert chromium.run("document.images[0].naturalWidth") == 160


def test_the_policy_of_the_page_blocks_requests(tmp_path: Path, chromium: Chromium) -> None:
    chart = Markup("<svg><image href='http://127.0.0.1:9/picture.png'></image></svg>")
    text = render_page("test", "", [PageSection("a", "A", charts=(chart,))])
    for name, page, requests in (
        ("with_policy.html", text, 0),
        ("without_policy.html", text.replace("Content-Security-Policy", "x"), 1),
    ):
        (tmp_path / name).write_text(page)
        chromium.open(tmp_path / name)
        assert sum("127.0.0.1" in address for address in chromium.requests.values()) == requests
        assert chromium.console_errors
