"""What pages say of the checkout itself is so: rooms of the house, tests that prove a promise, options of the bench."""

import ast
import contextlib
import io
import re
import tomllib
from collections.abc import Iterator

import pytest

from tests.bench.__main__ import arguments
from tests.test_docs import HOUSE, ROOT, codes, page, rows

UNDESCRIBED = {"__init__.py", "__main__.py", "__pycache__", "wiring", "registry-config", "py.typed"}
"""What says nothing of the architecture, or is described beside the table."""


def selections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each test file that a page names, with the words that its ``-k`` selects by."""
    for code in codes(text):
        if code.startswith("tests/"):
            file, _, rest = code.partition(" ")
            chosen = re.search(r'-k (?:"([^"]+)"|(\S+))', rest)
            yield file, re.split(r" or ", chosen[1] or chosen[2]) if chosen else []


def missing(text: str) -> list[str]:
    """Return the files and words of a page that select no test."""
    found = []
    for file, words in selections(text):
        path = ROOT / file
        if not path.is_file():
            found.append(file)
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        found += [f"{file} -k {word}" for word in words if not any(word in n and n.startswith("test") for n in names)]
    return found


def test_every_promise_names_tests_that_exist() -> None:
    """Each command that shows a promise selects at least one test for each of its words."""
    text = page("reliability.md")
    assert (True, []) == (len(list(selections(text))) > 20, missing(text))


def test_a_promise_without_a_test_is_noticed() -> None:
    """A file or a word that is gone is found."""
    text = "`tests/nothing.py` `tests/test_docs_places.py -k nothing_at_all` `tests/test_docs_places.py -k noticed`"
    assert ["tests/nothing.py", "tests/test_docs_places.py -k nothing_at_all"] == missing(text)


def test_every_threat_names_tests_that_exist() -> None:
    """Each row of docs/threats.md names at least one test file, and each file exists."""
    threats = numbered_rows(page("threats.md"))
    assert all("`tests/" in row for row in threats.values())
    assert missing(page("threats.md")) == []


def numbered_rows(text: str) -> dict[int, str]:
    """Return the rows of a page's tables that begin with a number, which is given once."""
    found = [(int(match[1]), match[0]) for match in re.finditer(r"^\| (\d+) \|.*$", text, re.MULTILINE)]
    assert len(found) == len(dict(found))
    return dict(found)


@pytest.mark.parametrize("kind", ["design", "threat"])
def test_cited_numbers_can_be_looked_up(kind: str) -> None:
    """What the code cites as "design #13" or "threat 50" is a row of docs/design.md or docs/threats.md."""
    known = numbered_rows(page("design.md" if kind == "design" else "threats.md"))
    sources = [*HOUSE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    cited = [
        (int(number), path)
        for path in sources
        for number in re.findall(rf"\b{kind} #?(\d+)", path.read_text(encoding="utf-8"))
    ]
    assert len(cited) > 10
    assert [(number, str(path)) for number, path in cited if number not in known] == []


def test_every_room_is_described() -> None:
    """The table of docs/architecture.md has every room of the house, and no other."""
    table = rows(page("architecture.md"), "## From a request to a token")
    described = {code for row in table for code in codes(row[0])}
    there = {f"{path.name}/" if path.is_dir() else path.name for path in HOUSE.iterdir()}
    left_out = {f"{name}/" for name in UNDESCRIBED} | UNDESCRIBED
    assert there - left_out == described - left_out


def test_every_option_of_the_bench_is_documented() -> None:
    """docs/performance.md lists the options of ``make bench``, and no other."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        arguments(["--help"])
    known = set(re.findall(r"--[a-z]+", said.getvalue())) - {"--help"}
    listed = {
        word for row in rows(page("performance.md"), "## What is measured") for word in re.findall(r"--[a-z]+", row[0])
    }
    assert known == listed


def test_every_page_is_in_the_readme() -> None:
    """A page that README does not lead to is not found by anybody."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [] == [path.name for path in sorted((ROOT / "docs").glob("*.md")) if f"(docs/{path.name})" not in text]


def test_every_page_is_in_the_navigation() -> None:
    """mkdocs.yml names every page of docs/ in the part of its reader; decision records are linked from their list."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"^ +- .+: (\S+\.md)$", nav, re.MULTILINE)
    outside = {"index.md", "changelog.md", "contributing.md", "security.md", "decisions/README.md"}
    assert sorted({path.name for path in (ROOT / "docs").glob("*.md")} | outside) == sorted(listed)


def test_every_dependency_has_its_reason() -> None:
    """Decision 9 has a row for each library that pyproject.toml names, and no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.match(r"[a-z0-9-]+", line)[0] for line in project["dependencies"]}  # type: ignore[index]
    table = re.findall(r"^\| ([a-z0-9-]+)(?:,.*?)? \|", page("decisions/0009-libraries.md"), re.MULTILINE)
    assert sorted(needed) == sorted(set(table) - {"library"})


def test_containerd_is_named_where_it_refuses() -> None:
    """docs/isolation.md says which clients give up when they may not mount a layer."""
    (line,) = [line for line in page("isolation.md").splitlines() if line.startswith("- **Mounting a layer**")]
    assert "containerd before 2.1" in line
    assert "insufficient_scope" in line


def test_the_edge_of_the_picture_has_every_path() -> None:
    """The picture in docs/architecture.md names each path that docs/protocol.md has for the edge."""
    (line,) = [line for line in page("architecture.md").splitlines() if "edge listener:" in line]
    shown = [path.removesuffix("…") for path in line.split("edge listener:")[1].split()]
    paths = [codes(row[0])[0] for row in rows(page("protocol.md"), "## HTTP surface") if row[1] == "edge"]
    assert [] == [path for path in paths if not path.startswith(tuple(shown))]
