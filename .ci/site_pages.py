"""Hooks of mkdocs.yml: pages from the root of the repository, and lists as code hosts read them."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent

OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Pages beside docs/, with their names on the site."""

LINK = re.compile(r"\]\(([^)\s:#]+)(#[^)\s]*)?\)")
ITEM = re.compile(r"(\d+\. +|- +)\S")


def from_root(text: str) -> str:
    """Return a page of the root with links as they are on the site; what is not on it is named without a link."""

    def replaced(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        if target.startswith("docs/") or target in OUTSIDE:
            name = OUTSIDE.get(target, target.removeprefix("docs/"))
            return f"[{label}]({name}{anchor})"
        return label

    return re.sub(r"\[([^\]\n]+)\]\(([^)\s:#]+)(#[^)\s]*)?\)", replaced, text)


def from_docs(text: str) -> str:
    """Return a page of docs/ with its links to pages of the root as they are on the site."""

    def replaced(match: re.Match[str]) -> str:
        name = OUTSIDE.get(match[1].removeprefix("../")) if match[1].startswith("../") else None
        return f"]({name}{match[2] or ''})" if name else match[0]

    return LINK.sub(replaced, text)


def indented(text: str) -> str:
    """Return a text whose list items are continued by four blanks, as Python-Markdown wants it.

    Code hosts take the width of the item's own mark: three blanks below "1. ", two below "- ".
    """
    lines, width = [], 0
    for line in text.split("\n"):
        if item := ITEM.match(line):
            width = len(item[1])
        elif line and not line.startswith(" " * width if width else " "):
            width = 0
        elif width and line:
            line = " " * (4 - width) + line  # noqa: PLW2901  the line as it goes on
        lines.append(line)
    return "\n".join(lines)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root."""
    for source, name in OUTSIDE.items():
        text = from_root((ROOT / source).read_text(encoding="utf-8"))
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  mkdocs' form
    """Return the text that is rendered."""
    return indented(from_docs(markdown))
