"""The sentences of findings: each can be filled in, and docs/doctor.md has them as they are."""

import re

import pytest

from authsvc.doctor.finding import LONGEST_FACT, Finding, FindingKind
from authsvc.doctor.inside_catalogue import INSIDE_KINDS
from authsvc.doctor.outside_catalogue import OUTSIDE_KINDS
from tests.test_docs import codes, page, rows

CATALOGUES = {"## From outside": OUTSIDE_KINDS, "## From inside": INSIDE_KINDS}
"""By their headings in docs/doctor.md."""

KINDS = [(code, kind) for kinds in CATALOGUES.values() for code, kind in kinds.items()]


def documented(text: str) -> str:
    """Return a text of the catalogue as the page has it: names of facts in upper case."""
    return re.sub(r"(?<!\{)\{(\w+)\}", lambda found: found[1].upper(), text).replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize("heading", CATALOGUES)
def test_the_page_lists_every_finding(heading: str) -> None:
    """Code, reason and change, in the same order; to renew the table: print what the assertion shows."""
    listed = [tuple(row) for row in rows(page("doctor.md"), heading)]
    kinds = CATALOGUES[heading].items()
    assert [(f"`{code}`", documented(kind.why), documented(kind.change)) for code, kind in kinds] == listed


@pytest.mark.parametrize(("code", "kind"), KINDS, ids=[code for code, _ in KINDS])
def test_every_sentence_stands_in_one_line(code: str, kind: FindingKind) -> None:
    """A part of a sentence, no period, nothing that breaks a table; what a server says is shown shortened."""
    for text in (kind.what, kind.why, kind.change):
        assert text.isprintable()
        assert "|" not in text
        assert not text.endswith(".")
    facts = dict.fromkeys(re.findall(r"(?<!\{)\{(\w+)\}", kind.what + kind.why + kind.change), "x" * 1000)
    assert "x" * (LONGEST_FACT + 1) not in repr(Finding.of(code, {code: kind}, facts))


def test_no_code_means_two_things() -> None:
    """Codes of both parts are unique, and made of lower-case words."""
    names = [code for code, _ in KINDS]
    assert len(names) == len(set(names))
    assert [] == [name for name in names if not re.fullmatch(r"[a-z0-9.]+(-[a-z0-9.]+)*", name)]
    assert set(codes(page("doctor.md"))) >= set(names)
