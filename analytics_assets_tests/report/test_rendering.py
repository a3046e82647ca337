"""One tree, three forms, and no name breaks out of any."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from analytics_assets.report import rendering
from analytics_assets.report.desk import Chart
from analytics_assets.report.findings import Findings, Part
from analytics_assets.report.writing import document
from analytics_assets_tests.report.test_writing import CHARTS, everything
from analytics_assets_tests.report.worlds import campaign, dark, experiment, friction, funnel, segment, world

NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "a | b\n# heading\n- item",
    "`code` *bold* _it_ ~~gone~~ $x$ &amp; {{ 7 * 7 }} {% if %}",
    "# heading",
    "1. one",
    "+ plus",
    "- minus",
    "مرحبا بالعالم",
    "\x00\x1b[31mred",
)
PIXEL = b"\x89PNG\r\n\x1a\n"


def hostile(name: str) -> Findings:
    return world(
        description=name,
        campaigns=(replace(campaign(2100, 4000), name=name), dark()),
        experiments=(replace(experiment("rollback"), experiment=name, variant=name, because=name, metric=name),),
        funnels=(funnel(friction(-0.1, value=name, dimension=name)),),
        segments=(segment(name, 0.02),),
        places=(Part(name, 1.0, 1.0),),
    )


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] != "style":
            self.text += f"{data} "


def read(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


@pytest.mark.parametrize("name", NASTY)
def test_no_name_becomes_markup_in_html(name: str) -> None:
    plain, nasty = (read(rendering.html(document(hostile(one), CHARTS, {}), {})) for one in ("name", name))
    assert [tag for tag, _ in nasty.found] == [tag for tag, _ in plain.found]
    for tag, attributes in nasty.found:
        assert not any(key.startswith("on") for key in attributes), tag
        assert not str(attributes.get("href", "")).startswith("javascript")
    assert "49" not in nasty.text.replace("2024", "")[:200]


@pytest.mark.parametrize("name", NASTY)
def test_no_name_becomes_markup_in_markdown(name: str) -> None:
    def kinds(one: str) -> list[str]:
        told = rendering.markdown(document(hostile(one), CHARTS, {}), {})
        tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(told)
        inside = [child for token in tokens for child in token.children or () if child.type != "text_special"]
        # escapes split a text, so only what is no text counts
        return [token.type for token in (*tokens, *inside) if token.type not in {"text", "softbreak"}]

    assert kinds(name) == kinds("name")


def test_what_a_name_says_is_shown_as_it_is() -> None:
    page = read(rendering.html(document(hostile(NASTY[0]), {}, {}), {}))
    assert NASTY[0] in page.text
    shown = MarkdownIt("commonmark").render(rendering.markdown(document(hostile(NASTY[0]), {}, {}), {}))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert NASTY[0] in rendering.text(document(hostile(NASTY[0]), {}, {}))


def test_all_three_forms_say_the_same() -> None:
    told = document(everything(), CHARTS, {"revenue_daily": "one row a day"})
    plain = rendering.text(told)
    page = read(rendering.html(told, {})).text
    shown = read(MarkdownIt("commonmark").enable("table").render(rendering.markdown(told, {}))).text

    def numbers(text: str) -> list[str]:
        # a form may write a minus, a space and a link in its own way
        text = text.replace("\u2212", "-").replace("\u00a0", " ").replace("\u2060", "")
        return sorted(set(re.findall(r"[+-]?\d[\d,.]*\d|\d", text)))

    unmarked = re.sub(r"(?m)^\d+\. +", "", plain)
    assert numbers(unmarked) == numbers(shown)
    assert numbers(unmarked) == numbers(page)
    for heading in (section.title for section in told.sections):
        assert heading in plain
        assert heading in page
        assert heading in shown


def test_the_page_needs_no_other_file_and_no_script() -> None:
    told = document(everything(), CHARTS, {})
    page = read(rendering.html(told, dict.fromkeys(told.figures, (PIXEL, b"<svg/>"))))
    assert "script" not in {tag for tag, _ in page.found}
    images = [attributes for tag, attributes in page.found if tag == "img"]
    assert len(images) == len(told.figures) > 0
    for attributes in images:
        assert str(attributes["src"]).startswith("data:image/svg+xml;base64,")
        assert attributes["alt"]
    anchors = {attributes["id"] for _, attributes in page.found if "id" in attributes}
    for tag, attributes in page.found:
        if tag == "a":
            assert str(attributes["href"])[0] == "#"
            assert str(attributes["href"])[1:] in anchors, attributes


def test_a_large_drawing_is_shown_as_its_picture() -> None:
    told = document(everything(), {"rfm": Chart("Segments", ("rfm_segments",))}, {})
    page = rendering.html(told, {"rfm": (PIXEL, b"x" * (rendering.LARGEST_PICTURE + 1))})
    assert "data:image/png;base64," in page
    assert "svg+xml" not in page


def test_markdown_points_at_the_pictures() -> None:
    told = document(everything(), CHARTS, {})
    text = rendering.markdown(told, {"campaign_roi": "../charts of (shop)/campaign_roi.png"})
    assert "![Returns on spend](../charts%20of%20%28shop%29/campaign_roi.png)" in text
    assert "(`campaign_roi_analysis`, [campaign\\_roi](../charts%20of%20%28shop%29/campaign_roi.png))" in text


def test_lines_of_text_are_not_longer_than_a_screen_where_they_can_be_broken() -> None:
    told = rendering.text(document(everything(), CHARTS, {}))
    tables = [line for line in told.splitlines() if line.startswith("  ")]
    assert all(len(line) <= rendering.WIDTH for line in told.splitlines() if line not in tables)
