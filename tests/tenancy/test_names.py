"""Slugs, addresses and free text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.policy import locate
from authsvc.spec.reference import Repository
from authsvc.tenancy.names import MAX_SLUG, MAX_TEXT, RESERVED_SLUGS, parse_email, parse_slug, parse_text


@pytest.mark.parametrize("text", ["ab", "acme", "acme-evil", "a1", "1a", "0-0", "my-app-2", "a" * MAX_SLUG])
def test_slugs(text: str) -> None:
    """A slug is kept as it was typed."""
    assert text == parse_slug(text, "app")


@pytest.mark.parametrize(
    "text",
    ["", "a", "Acme", "acme ", " acme", "acme\n", "-acme", "acme-", "ac--me", "ac_me", "ac.me", "ac/me", "ac:me", "*",
     "\u0430cme", "\u212aelvin", "acm\u00e9", "ac\u200bme", "\uff41cme", "\u0661\u0662", "a" * (MAX_SLUG + 1),
     "a" * 1_000_000, "ac%2fme", "..", "acme\u0000"],
)  # fmt: skip
def test_slugs_refused(text: str) -> None:
    """Anything else is refused, never corrected: a corrected name is another name."""
    with pytest.raises(InputRefused, match=r"cannot name an app: use 2 to 40 of a-z") as refused:
        parse_slug(text, "app")

    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(("field", "named"), [(None, "app"), ("into", "into")])
@pytest.mark.parametrize("text", ["A", "proxy"])
def test_the_field_of_a_slug(text: str, field: str | None, named: str) -> None:
    """A refusal names the argument that the slug was given as."""
    with pytest.raises(InputRefused) as refused:
        parse_slug(text, "app", field)

    assert named == refused.value.field


@pytest.mark.parametrize(("field", "named"), [(None, "name"), ("label", "label")])
@pytest.mark.parametrize("text", ["", "a\x00b"])
def test_the_field_of_a_text(text: str, field: str | None, named: str) -> None:
    """A refusal names the argument that the text was given as."""
    with pytest.raises(InputRefused) as refused:
        parse_text(text, "name", field)

    assert named == refused.value.field


def test_the_longest_names() -> None:
    """An address has 254 characters at most (RFC 5321), a text 200."""
    domain = ".".join(["d" * 63] * 3)
    address = f"{'a' * (254 - 1 - len(domain))}@{domain}"

    assert address == parse_email(address)
    assert "t" * 200 == parse_text("t" * 200, "name")
    with pytest.raises(InputRefused):
        parse_email(f"a{address}")
    with pytest.raises(InputRefused):
        parse_text("t" * 201, "name")


@pytest.mark.parametrize("text", sorted(RESERVED_SLUGS - {"_catalog"}))
def test_reserved_slugs(text: str) -> None:
    """A path of ours or a host name to a client names no app and no team."""
    with pytest.raises(InputRefused, match="is reserved and cannot name a team"):
        parse_slug(text, "team")


@given(st.text(st.sampled_from("ab1-_.A/") | st.characters(), max_size=45))
def test_a_slug_is_a_namespace(text: str) -> None:
    """Every slug is one lower-case ASCII component, and the repositories in it lie in that app and no other."""
    try:
        slug = parse_slug(text, "app")
    except InputRefused:
        return

    place = locate(f"{slug}/x")
    assert (slug,) == Repository.parse(slug).components
    assert place is not None
    assert slug == place.app


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("me@acme.test", "me@acme.test"),
        ("  Me@ACME.test\r\n", "me@acme.test"),
        ("a.b+c_d-e'f@x-y.acme.test", "a.b+c_d-e'f@x-y.acme.test"),
        ("me@xn--mller-kva.test", "me@xn--mller-kva.test"),
    ],
)
def test_addresses(text: str, expected: str) -> None:
    """An address has one canonical form."""
    assert expected == parse_email(text)


@pytest.mark.parametrize(
    "text",
    ["", "me", "@", "me@", "@acme.test", "me@acme", "me@@acme.test", "a@b@acme.test", "me @acme.test", "me@acme.test.",
     "me@.acme.test", "me@-acme.test", "me@acme-.test", ".me@acme.test", "me.@acme.test", "m..e@acme.test",
     '"me"@acme.test', "me@[127.0.0.1]", "me@acme.test\nx@evil.test", "me:x@acme.test", "<token>", "license",
     "me@" + "a" * 64 + ".test", "a" * 250 + "@a.test"],
)  # fmt: skip
def test_addresses_refused(text: str) -> None:
    """What is no address is refused with a sentence."""
    with pytest.raises(InputRefused, match="is not an e-mail address"):
        parse_email(text)


@pytest.mark.parametrize(
    "text",
    ["m\u0435@acme.test", "me@acm\u0435.test", "\u212ae@acme.test", "\u017fe@acme.test", "m\u0131e@acme.test",
     "\ufb01@acme.test", "me@m\u00fcller.test", "me\u200b@acme.test", "me@acme.test\u00a0", "\uff4de@acme.test",
     "me@acme\u3002test"],
)  # fmt: skip
def test_unicode_twins(text: str) -> None:
    """A letter outside ASCII is refused, so that no two addresses look alike or fold into one."""
    with pytest.raises(InputRefused, match="holds characters outside ASCII"):
        parse_email(text)


@given(st.text(st.sampled_from("meA@.+- \u212a\u0131") | st.characters(), max_size=30))
def test_the_canonical_form_is_stable(text: str) -> None:
    """A canonical address is its own canonical form, and differs from what was typed in case and blanks alone."""
    try:
        canonical = parse_email(text)
    except InputRefused:
        return

    assert canonical == parse_email(canonical)
    assert canonical == text.strip(" \t\r\n").lower()


@given(st.text(max_size=300))
def test_free_text_is_one_line(text: str) -> None:
    """What is accepted is one printable line of at most 200 characters, and only trimmed."""
    try:
        kept = parse_text(text, "contact")
    except InputRefused:
        return

    assert kept == text.strip()
    assert kept.isprintable()
    assert 0 < len(kept) <= MAX_TEXT


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "a\x1b[31mb", "a\u202eb", "a\u200bb", "a\ud800b", "x" * 201])
def test_free_text_refused(text: str) -> None:
    """Line breaks, terminal codes and invisible characters never reach a license or a log."""
    with pytest.raises(InputRefused, match=r"^the contact "):
        parse_text(text, "contact")
