"""The page in a real browser, without a network: a silent console, a width that fits a phone, whole charts on paper.

The browser is Debian's Chromium, started as a program: no driver is needed to see what it says and draws.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from analytics_assets.charts.house import About, nothing
from analytics_assets.charts.rendering import render
from analytics_assets.report import rendering
from analytics_assets.report.writing import document
from analytics_assets_tests.report.test_rendering import NASTY, hostile
from analytics_assets_tests.report.test_writing import CHARTS, everything

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PDF = shutil.which("pdftoppm")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--allow-file-access-from-files"),
)
MOST_BYTES = 5_000_000
ITS_OWN = ("google.com", "googleapis.com", "gvt1.com", "gstatic.com")
"""Hosts that the browser itself asks for when it starts."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no browser: apt-get install chromium"),
]


@dataclass(frozen=True)
class Browser:
    """Open pages, and say what came of it."""

    folder: Path

    def open(self, page: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        """Open a page once, with a profile of its own."""
        profile = self.folder / f"profile{len(list(self.folder.glob('profile*')))}"
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    def says(self, page: Path) -> list[str]:
        """Return what a page writes to the console, its errors among it, and the hosts that it asks for."""
        log = self.folder / "network.json"
        told = self.open(page, "--dump-dom", "--virtual-time-budget=2000", f"--log-net-log={log}").stderr
        hosts = set(re.findall(r'"url":"(?:https?|wss?)://([\w.-]+)', log.read_text(errors="replace")))
        asked = sorted(host for host in hosts if not host.endswith(ITS_OWN))
        return [*(line for line in told.splitlines() if "CONSOLE" in line), *asked]

    def evaluates(self, page: Path, script: str, width: int) -> str:
        """Return what a script says of a page that is shown in a frame of a width."""
        frame = page.with_name(f"frame{width}.html")
        frame.write_text(
            f'<iframe id="f" src="{page.name}" style="width:{width}px;height:900px;border:0"></iframe>'
            f"<script>onload = () => {{ const d = f.contentDocument; document.title = 'told:' + ({script}) }}</script>"
        )
        found = re.search(r"<title>told:(.*?)</title>", self.open(frame, "--dump-dom").stdout)
        assert found, "the script said nothing"
        return found[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a report with every section, with drawn charts."""
    told = document(everything(), CHARTS, {"revenue_daily": "one row a day"})
    picture = render(nothing(About("shop"), "A chart", "there is nothing"))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(rendering.html(told, dict.fromkeys(told.figures, (picture.png, picture.svg))), encoding="utf-8")
    return path


def test_the_console_stays_silent_without_a_network(browser: Browser, page: Path) -> None:
    assert browser.says(page) == []
    assert len(page.read_bytes()) < MOST_BYTES


def test_this_would_see_an_error_and_a_call_for_the_network(browser: Browser, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="http://example.com/a.png"><script>console.error("broken"); nothing.there</script>')
    said = "\n".join(browser.says(bad))
    assert "broken" in said
    assert "nothing is not defined" in said
    assert "example.com" in said


def test_names_that_hold_scripts_run_none(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    for number, name in enumerate(NASTY):
        told = rendering.html(document(hostile(name.replace("alert(1)", "document.title='owned'")), CHARTS, {}), {})
        path.write_text(told, encoding="utf-8")
        if number < 2:  # each opening takes a second
            done = browser.open(path, "--dump-dom")
            assert "<title>owned" not in done.stdout
            assert "CONSOLE" not in done.stderr


def test_all_figures_are_drawn_and_all_links_lead_somewhere(browser: Browser, page: Path) -> None:
    drawn = "[...d.images].every(i => i.complete && i.naturalWidth > 0) + ' ' + d.images.length"
    assert browser.evaluates(page, drawn, 1280).startswith("true ")
    broken = "[...d.querySelectorAll('a')].filter(a => !d.getElementById(a.getAttribute('href').slice(1))).length"
    assert browser.evaluates(page, broken, 1281) == "0"


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(browser: Browser, page: Path, width: int) -> None:
    assert browser.evaluates(page, "d.documentElement.scrollWidth", width) == str(width)


@pytest.mark.skipif(PDF is None, reason="no pdftoppm: apt-get install poppler-utils")
def test_on_paper_no_chart_is_cut_and_no_page_is_empty(browser: Browser, page: Path, tmp_path: Path) -> None:
    """A black chart of a known shape is printed as often as it is shown, whole each time."""
    told = document(everything(), CHARTS, {})
    written = io.BytesIO()
    Image.new("RGB", (1600, 900), (255, 0, 255)).save(written, format="png")
    colour = base64.b64encode(written.getvalue()).decode()
    painted = re.sub(r"data:image/(?:png|svg\+xml);base64,[^\"]*", f"data:image/png;base64,{colour}", page.read_text())
    path, pdf = tmp_path / "painted.html", tmp_path / "painted.pdf"
    path.write_text(painted, encoding="utf-8")
    browser.open(path, "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    subprocess.run([str(PDF), "-r", "40", "-png", str(pdf), str(tmp_path / "page")], check=True, timeout=60)
    pages = [Image.open(found).convert("RGB") for found in sorted(tmp_path.glob("page-*.png"))]
    assert 2 <= len(pages) <= 12
    shown = 0
    for printed in pages:
        assert len(printed.resize((60, 80)).getcolors(4800) or ()) > 1, "a page is empty"
        for top, bottom, left, right in charts(printed):
            shown += 1
            # a chart that is cut would be too low for its width
            assert (right - left) / (bottom - top) == pytest.approx(16 / 9, rel=0.03)
    assert shown == len(told.figures)


def charts(page: Image.Image) -> list[tuple[int, int, int, int]]:
    """Find where the painted charts of a page are: runs of lines that have their colour."""
    wide, high = page.size
    pixels = page.load()
    assert pixels is not None

    def painted(x: int, y: int) -> bool:
        red, green, blue = pixels[x, y]  # type: ignore[misc]
        return red > 200 and green < 60 and blue > 200

    lines = [[x for x in range(wide) if painted(x, y)] for y in range(high)]
    found: list[tuple[int, int, int, int]] = []
    begin: int | None = None
    for y, line in enumerate([*lines, []]):
        if line and begin is None:
            begin = y
        elif not line and begin is not None:
            xs = [x for row in lines[begin:y] for x in row]
            found.append((begin, y, min(xs), max(xs) + 1))
            begin = None
    return found
