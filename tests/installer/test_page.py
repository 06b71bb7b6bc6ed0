"""docs/license-holders.md says what the tools do, and nothing else."""

import argparse
import re
from pathlib import Path

import pytest

from authsvc.installer.license_tool import _parser
from authsvc.policy import license_denial
from authsvc.refusal_sentences import denial_sentence
from tests.support.builders import NOW, make_app, make_license

PAGE = (Path(__file__).parents[2] / "docs/license-holders.md").read_text(encoding="utf-8")


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the commands of ``authsvc-license``."""
    (found,) = [a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found.choices)


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_is_documented(name: str) -> None:
    """Each command has its row, and each of its options stands in it or in the paragraph on all."""
    (row,) = re.findall(rf"^\| `authsvc-license {name}\b.*$", PAGE, re.MULTILINE)
    everywhere = re.findall(r"take `--ca-file FILE`.*`--plain-http`", PAGE)[0]
    options = {option for action in commands()[name]._actions for option in action.option_strings if option[:2] == "--"}
    assert [] == [option for option in options - {"--help"} if option not in row + everywhere]


def test_nothing_else_is_documented() -> None:
    """Every command and option that the page types exists."""
    for line in re.sub(r"\\\n\s*", " ", PAGE).splitlines():
        for name, rest in re.findall(r"authsvc-license ([a-z][a-z-]*)([^|`\n]*)", line):
            known = {option for action in commands()[name]._actions for option in action.option_strings}
            assert set(re.findall(r" (--[a-z-]+)", rest)) <= known | {"--version"}, line


def test_the_sentences_of_refusals() -> None:
    """The sentences in the table are those of the server."""
    archived = make_app(archived_at=NOW)
    denials = (
        license_denial(make_license(expires_at=NOW), make_app(), NOW),
        license_denial(make_license(not_before=NOW.replace(year=2030)), make_app(), NOW),
        license_denial(make_license(revoked_at=NOW), make_app(), NOW),
        license_denial(make_license(), archived, NOW),
    )
    cases = [denial_sentence(denial) for denial in denials if denial is not None]
    assert 4 == len(cases)
    patterns = [
        re.escape(text).replace("…", "[^;]+")
        for text in re.findall(r"^\| `((?:license|the app) [^`]+)` \|", PAGE, re.MULTILINE)
    ]
    assert 4 == len(patterns)
    for sentence in cases:
        assert any(re.match(pattern, sentence) for pattern in patterns), sentence
