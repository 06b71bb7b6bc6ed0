"""Which images of others compose.yaml takes: pinned to their content, and none with a hole that is known and closed."""

import re
import tomllib

import pytest

import authsvc
from tests.compose.engine import PINNED, ROOT, base_images, own_image

FLOORS = {
    # CVE-2025-49844: a Lua script that is sent by an authenticated client runs code.
    "redis": {"6.2": "6.2.20", "7.2": "7.2.11", "7.4": "7.4.6", "8.0": "8.0.4", "8.2": "8.2.2"},
    # CVE-2026-33540 (credentials sent to a foreign realm), CVE-2026-41888 (a tag deleted though deleting is off);
    # 2.8 has neither the proxy nor that route here, and 2.8.3 is its last version.
    "registry": {"2.8": "2.8.3", "3.1": "3.1.1"},
    # CVE-2026-42945, CVE-2026-9256 (memory errors in the rewrite module), CVE-2026-42926 (request injection).
    "nginx": {"1.30": "1.30.2"},
    "python": {"3.11": "3.11.13"},
    "certbot": {"5.7": "5.7.0"},
}
"""By program and branch the lowest version; another branch is looked at before it is written here."""


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version."""
    return tuple(map(int, text.split(".")))


@pytest.mark.parametrize("tag", sorted(base_images().values()))
def test_an_image_keeps_its_floor(tag: str) -> None:
    """Each image is of a branch that somebody looked at, and not older than its fixes."""
    found = re.fullmatch(r"(?:\w+/)?(?P<name>\w+):v?(?P<version>(?P<branch>\d+\.\d+)\.\d+)(?:-[\w.-]+)?", tag)
    assert found is not None, tag
    assert version(found["version"]) >= version(FLOORS[found["name"]][found["branch"]])


def test_every_image_of_others_is_pinned_to_its_content() -> None:
    """A stolen account can move a tag; a digest cannot be moved."""
    text = (ROOT / "compose.yaml").read_text()
    named = re.findall(r"^\s*(?:image:|FROM) (\S+)", text, re.MULTILINE)

    assert {f"${{AUTHSVC_IMAGE:-{own_image()}}}"} == {name for name in named if not PINNED.fullmatch(name)}


def test_our_image_has_the_version_for_a_tag() -> None:
    """So a new version leaves the image of the one before, to which an operator may go back; both name one version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert own_image() == f"authsvc:{project['version']}"
    assert project["version"] == authsvc.__version__


def test_no_page_names_the_tag() -> None:
    """AUTHSVC_IMAGE would make such a command wrong, and so would the next version."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]

    assert not [page.name for page in pages if re.search(r"\bauthsvc:\d", page.read_text())]


def test_one_variable_means_one_image() -> None:
    """The stages of our image are built on the same one."""
    pins = set(PINNED.findall((ROOT / "compose.yaml").read_text()))

    assert len(pins) == len(base_images())
