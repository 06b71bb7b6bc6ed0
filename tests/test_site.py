"""``make docs`` makes a site without a broken link, whose pages ask no other host for anything."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}
"""What a browser fetches by itself, by element."""

ELSEWHERE = re.compile(r"(?:https?:)?//")


class Fetches(HTMLParser):
    """Collects what a page makes a browser fetch from elsewhere, and what makes the theme's script do so."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.page = page
        self.elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        address = found.get(FETCHED.get(tag, "")) or ""
        # The theme loads a program for diagrams from another host, where a page has one.
        if (found.get("rel") != "canonical" and ELSEWHERE.match(address)) or "mermaid" in (found.get("class") or ""):
            self.elsewhere.append(f"{self.page.name}: {tag} {address}")


def fetched_elsewhere(page: Path) -> list[str]:
    """Return what a page fetches from other hosts."""
    parser = Fetches(page)
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.elsewhere


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, in strict mode."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        (sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    """Each page of docs/ is there, and README is the first one."""
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    names = [path.parent / "index.html" if path.name == "README.html" else path for path in pages]
    assert [] == [str(name) for name in names if not (site / name).is_file()]
    assert "Quickstart" in (site / "index.html").read_text(encoding="utf-8")


def test_no_page_asks_another_host(site: Path) -> None:
    """No font, script, picture or style comes from elsewhere, and no style asks for one."""
    pages = [*site.rglob("*.html")]
    assert len(pages) > 20
    assert [] == [found for page in pages for found in fetched_elsewhere(page)]
    asks = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//\S+")
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert [] == [found for text in styles for found in asks.findall(text)]


def test_a_request_to_another_host_is_noticed(tmp_path: Path) -> None:
    """The check sees a font of another host and a diagram, and lets a plain link pass."""
    page = tmp_path / "page.html"
    page.write_text(
        '<link rel="stylesheet" href="https://fonts.example.com/a.css"><pre class="mermaid"></pre>'
        '<a href="https://example.com">x</a><script src="a.js"></script>'
    )
    assert ["page.html: link https://fonts.example.com/a.css", "page.html: pre "] == fetched_elsewhere(page)
