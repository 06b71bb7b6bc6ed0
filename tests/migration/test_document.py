"""Files that are no configuration of docker_auth, or one that it could not use: the line, and what is wrong."""

import pytest

from authsvc.installer.yaml_nodes import documents
from authsvc.migration.document import MAX_ENTRIES, MAX_USERS, DockerAuthConfiguration


def read(text: str) -> DockerAuthConfiguration:
    """Read the one document of a text."""
    (root,) = documents(text)
    return DockerAuthConfiguration.read(root)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("hello", 1, "the configuration must be a mapping"),
        ("[1, 2]", 1, "the configuration must be a mapping"),
        ("services: {}\n", 1, "neither users nor acl"),
        ("users: [a]\n", 1, "users must be a mapping"),
        ("users:\n  a: secret\n", 2, "user 'a' must be a mapping"),
        ("users:\n  a: {}\n  b: {}\n  a: {}\n", 4, "'a' is in users twice, first on line 2"),
        ("users:\n  [a]: {}\n", 2, "a name in users must be a text"),
        ("users:\n  ? !!binary eHg=\n  : {}\n", 2, "a name in users must be a text"),
        ("acl: {}\n", 1, "acl must be a list"),
        ("acl:\n- pull\n", 2, "entry 1 of acl must be a mapping"),
        ("acl:\n- {}\n", 2, "entry 1 of acl has no match and no actions"),
        ("acl:\n- match: {}\n  actions: []\n- match: {}\n", 4, "entry 2 of acl has no actions"),
        ("acl:\n- match: {}\n  actions: pull\n", 3, "actions of entry 1 of acl must be a list"),
        ("acl:\n- match: {}\n  actions: [[pull]]\n", 3, "an action of entry 1 of acl must be a text"),
        ("acl:\n- match: {account: [a]}\n  actions: []\n", 2, "account of entry 1 of acl must be a text"),
        ("acl:\n- match: {labels: a}\n  actions: []\n", 2, "labels of entry 1 of acl must be a mapping"),
        ("acl:\n- match: {<<: {account: a}}\n  actions: []\n", 2, "'<<'; write them out"),
        ("users:\n  " + "a" * 1001 + ": {}\n", 2, "more than 1,000 characters"),
        ("acl: &a [*a]\n", 1, "entry 1 of acl must be a mapping"),
        ("acl: [" + "{match: {}, actions: []}," * (MAX_ENTRIES + 1) + "]", 1, "more than 2,000 entries"),
        ("users: {" + ",".join(f"u{n}: {{}}" for n in range(MAX_USERS + 1)) + "}", 1, "more than 2,000 members"),
    ],
)
def test_what_cannot_be_read(text: str, line: int, words: str) -> None:
    """Each problem has its line and says what is expected."""
    problems = read(text).problems

    assert any(found == line and words in sentence for found, sentence in problems), problems


def test_all_problems_are_found_at_once() -> None:
    """Somebody who corrects a file wants to see all of them."""
    text = "users: [a]\nacl:\n- pull\n- match: {}\n"
    assert [line for line, _ in read(text).problems] == [1, 3, 4]


def test_values_that_yaml_does_not_read_as_text() -> None:
    """docker_auth takes them as they are written, and so does this."""
    found = read(
        "users:\n  123: {}\n  yes: {}\n  1.50: {}\nacl:\n- match: {account: 0x10, name: ~}\n  actions: [pull]\n"
    )

    assert [user.account for user in found.users] == ["123", "yes", "1.50"]
    assert (found.acl[0].account, found.acl[0].name) == ("0x10", None)


def test_an_alias_is_its_anchor() -> None:
    """Entries may share a match and actions."""
    found = read("acl:\n- match: &m {account: a}\n  actions: &p [pull]\n- match: *m\n  actions: *p\n")

    assert [(one.account, one.actions) for one in found.acl] == [("a", ("pull",))] * 2


def test_aliases_do_not_multiply_the_work() -> None:
    """A mapping of many members that is named for every user is refused the first time that it is looked at."""
    big = "{" + ",".join(f"k{n}: x" for n in range(5000)) + "}"
    users = ",".join(f"u{n}: *big" for n in range(1000))
    found = read(f"server: &big {big}\nusers: {{{users}}}\n")

    assert len(found.problems) == 1000
    assert all("more than 100 members" in sentence for _, sentence in found.problems)


def test_other_sections_are_named() -> None:
    """What has accounts or rights elsewhere, and what nobody knows, is kept with its line."""
    found = read("users: {}\nldap_auth: {}\nacl_mongo: {}\nnew_auth: {}\nserver: {}\n")

    assert found.others == {"ldap_auth": 2, "acl_mongo": 3}
    assert found.unknown == {"new_auth": 4}
