"""Repository names, tags, digests and references: the grammar, its edges and its twins."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.spec.reference import DIGEST, MAX_NAME_LENGTH, TAG, Reference, Repository
from tests.support.vectors import load, stretched

VECTORS = load("names.toml")

COMPONENTS = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
PATHS = st.lists(COMPONENTS, min_size=1, max_size=5).map("/".join)
DOMAINS = st.one_of(
    st.sampled_from(["localhost", "localhost:5000", "registry.vendor.test", "HOST", "[::1]", "[fe80::1]:5000", "h:0"]),
    st.from_regex(r"[a-zA-Z0-9]{1,5}\.[a-zA-Z0-9]{1,5}(:[0-9]{1,5})?", fullmatch=True),
)
TAGS = st.from_regex(TAG, fullmatch=True)
DIGESTS = st.from_regex(DIGEST, fullmatch=True)


@pytest.mark.parametrize("text", VECTORS["repository"]["good"])
def test_names_of_a_repository(text: str) -> None:
    """A lower-case path is a repository without a domain and is written back as it was."""
    name = stretched(text)
    repository = Repository.parse(name)

    assert (name, None, tuple(name.split("/"))) == (str(repository), repository.domain, repository.components)


@pytest.mark.parametrize("text", VECTORS["repository"]["with_domain"])
def test_names_with_a_domain(text: str) -> None:
    """A first part that is no path component is a domain, never a namespace."""
    name = stretched(text)
    repository = Repository.parse(name)

    assert (name, name.partition("/")[0]) == (str(repository), repository.domain)


@pytest.mark.parametrize("text", VECTORS["repository"]["bad"])
def test_no_names_of_a_repository(text: str) -> None:
    """Anything else is refused: twins in Unicode, empty and dotted components, 256 characters."""
    with pytest.raises(ValueError, match="repository name"):
        Repository.parse(stretched(text))


@pytest.mark.parametrize(("kind", "grammar"), [("tag", TAG), ("digest", DIGEST)])
@pytest.mark.parametrize("verdict", ["good", "bad"])
def test_tags_and_digests(kind: str, grammar: str, verdict: str) -> None:
    """Tags have 1 to 128 characters, digests exactly as many as their algorithm makes."""
    texts = [stretched(text) for text in VECTORS[kind][verdict]]

    assert [verdict == "good"] * len(texts) == [bool(re.fullmatch(grammar, text, re.ASCII)) for text in texts]


@pytest.mark.parametrize("case", VECTORS["reference"], ids=lambda case: case["text"][:40])
def test_references(case: dict[str, Any]) -> None:
    """What people type means to us what it means to docker."""
    domain, path, tag, digest = case["means"]

    assert Reference(domain, path, tag or None, digest or None) == Reference.parse(case["text"])


@pytest.mark.parametrize("text", VECTORS["reference_refused"]["bad"])
def test_references_refused(text: str) -> None:
    """What docker refuses is refused."""
    with pytest.raises(ValueError, match=r"^(a|the) "):
        Reference.parse(stretched(text))


@given(PATHS)
def test_a_repository_survives_its_text(path: str) -> None:
    """What parses is written back letter by letter."""
    assert path == str(Repository.parse(path))


@given(DOMAINS, PATHS, st.none() | TAGS, st.none() | DIGESTS)
def test_a_reference_survives_its_text(domain: str, path: str, tag: str | None, digest: str | None) -> None:
    """A whole reference is read into its parts and written back."""
    tag = tag if tag or digest else "latest"
    reference = Reference(domain, path, tag, digest)

    assert reference == Reference.parse(str(reference))


@given(st.text(st.sampled_from("abA0.:/@_-[]ж\n") | st.characters(), max_size=40))
def test_parsing_is_total(text: str) -> None:
    """Whatever is typed is refused, or parses to something that is written and read back the same."""
    try:
        reference = Reference.parse(text)
    except ValueError:
        return

    assert reference == Reference.parse(str(reference))
    assert str(reference).isascii()
    assert len(reference.path) <= MAX_NAME_LENGTH


@pytest.mark.parametrize(
    "hostile",
    ["a-" * 500_000, "a." * 500_000, "a/" * 500_000, "A-" * 500_000 + "/x", "a:" * 500_000, "x@" + "0" * 1_000_000,
     "[" + ":" * 1_000_000, "a" * 1_000_000, "A" * 1_000_000 + "!/x", "A.a" * 300_000 + "!/x"],
    ids=lambda text: str(text)[:4],
)  # fmt: skip
def test_a_megabyte_is_refused_quickly(hostile: str) -> None:
    """No text is slow: a quadratic grammar would take hours for a megabyte."""
    with pytest.raises(ValueError, match=r"^(a|the) "):
        Repository.parse(hostile)
    with pytest.raises(ValueError, match=r"^(a|the) "):
        Reference.parse(hostile)
