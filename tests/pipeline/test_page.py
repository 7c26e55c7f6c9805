"""The report's page: what is untrusted is escaped, and pictures survive the way into it."""

import base64

import cv2
import numpy as np
from markupsafe import Markup

from pipeline.page import Grid, PageSection, Row, percent, picture_of, render_page

EVIL = "<script>alert(1)</script>"


def test_names_from_a_data_set_are_escaped_and_charts_are_not() -> None:
    grid = Grid((EVIL,), (Row((EVIL,)),), note=EVIL)
    chart = Markup("<svg id='chart'></svg>")
    page = render_page(EVIL, EVIL, [PageSection("a", EVIL, EVIL, tables=(grid,), charts=(chart,))])
    assert EVIL not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 8
    assert "<svg id='chart'></svg>" in page


def test_a_picture_in_the_page_is_the_picture_that_went_in() -> None:
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, :16, 0] = 200
    picture = picture_of(image, "half red")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(picture.jpeg), np.uint8), 1)
    assert np.abs(decoded[..., ::-1].astype(int) - image)[:, 4:12].max() <= 8


def test_a_missing_percentage_is_a_dash() -> None:
    assert percent(None) == "-"
    assert percent(86.449) == "86.4"
