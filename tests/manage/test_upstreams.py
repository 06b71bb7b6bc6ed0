"""Links to external registries: made, changed, purged and ended, with secrets that nobody sees again."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.errors import ConfirmationNeeded, Conflict, InputRefused, NotFound, PreconditionFailed
from authsvc.keys.service_keys import LocalKeys, create_service_keys
from authsvc.manage import upstreams as upstreams_module
from authsvc.manage.actor import Actor
from authsvc.manage.etag import etag
from authsvc.manage.upstreams import LinkChange, Upstreams
from authsvc.redaction import Secret
from authsvc.tenancy.terms import LicenseTerms
from authsvc.upstreams.link import UpstreamLink, credential_context, new_targets
from authsvc.upstreams.terms import LinkTerms
from tests.support.builders import NOW
from tests.support.installation import APP, OPERATOR, OTHER_APP, TEAM, Installation, confirmed
from tests.support.upstreams_in_memory import UpstreamsInMemory

END = NOW + timedelta(days=9)
KEY, OTHER_KEY = "first-robot-key", "second-robot-key"
TERMS = LinkTerms.parse("quay", None, "org+robot", Secret(KEY), ["org/**"])
PUBLIC = LinkTerms.parse("dockerhub", None, None, None, ["library/*"])


async def unsealed(house: Installation, link: UpstreamLink) -> str:
    """Return the secret that a link holds."""
    assert link.sealed_secret is not None
    return (await house.keys.unseal(link.sealed_secret, credential_context(link))).decode()


@pytest.fixture
async def link(house: Installation) -> UpstreamLink:
    """Return a link of the app, as it was made."""
    return await house.upstreams.link(APP, "quay", TERMS, house.operation(), house.now + timedelta(days=90))


async def test_a_link_has_what_was_given(house: Installation, link: UpstreamLink) -> None:
    """It belongs to the app's team, and its secret opens for it alone."""
    assert (link.team, link.app, link.name, link.username) == (TEAM, APP, "quay", "org+robot")
    assert (link.credential_version, link.purge_count, link.created_by) == (1, 0, None)
    assert link.credential_ends_at == house.now + timedelta(days=90)
    assert KEY == await unsealed(house, link)
    for other in (evolve(link, id="x"), evolve(link, team="other"), evolve(link, credential_version=2)):
        with pytest.raises(Conflict, match="damaged, or was sealed for something else"):
            await unsealed(house, other)


async def test_a_link_without_a_secret(house: Installation) -> None:
    """Nothing is sealed."""
    made = await house.upstreams.link(APP, "hub", PUBLIC, house.operation())
    assert (made.username, made.sealed_secret) == (None, None)


async def test_a_link_is_named_by_id_or_within_its_app(house: Installation, link: UpstreamLink) -> None:
    """A name alone means nothing, and neither does a name in another app."""
    for name, app in ((link.id, None), ("quay", APP)):
        assert link == (await house.upstreams.show(OPERATOR, name, app))[0]
    for name, app in (("quay", None), ("quay", OTHER_APP), ("hub", APP), ("../quay", APP), (link.id, APP)):
        with pytest.raises(NotFound) as refused:
            await house.upstreams.show(OPERATOR, name, app)
        assert "upstream_link_not_found" == refused.value.code


async def test_an_archived_app_gets_no_link(house: Installation) -> None:
    """Nothing could be pulled through it."""
    await confirmed(house.teams.archive_app, APP, house.operation())
    with pytest.raises(Conflict, match="is archived") as refused:
        await house.upstreams.link(APP, "quay", TERMS, house.operation())
    assert "app_archived" == refused.value.code


async def test_a_new_secret_is_a_new_version(house: Installation, link: UpstreamLink) -> None:
    """The username stays unless another one is given; the end that was stated was that of the old secret."""
    change = LinkChange(secret=Secret(OTHER_KEY))
    changed = await house.upstreams.set("quay", APP, change, house.operation())

    assert (changed.credential_version, changed.username) == (2, "org+robot")
    assert changed.credential_ends_at is None
    assert OTHER_KEY == await unsealed(house, changed)
    with pytest.raises(Conflict):
        await house.keys.unseal(link.sealed_secret or "", credential_context(changed))

    end = house.now + timedelta(days=30)
    again = LinkChange(username="org+other", secret=Secret(KEY), credential_ends_at=end)
    renamed = await house.upstreams.set(link.id, None, again, house.operation())
    assert (renamed.credential_version, renamed.username, renamed.credential_ends_at) == (3, "org+other", end)


async def test_a_secret_can_be_removed(house: Installation, link: UpstreamLink) -> None:
    """From a link to a registry that can be asked without one."""
    changed = await house.upstreams.set("quay", APP, LinkChange(anonymous=True), house.operation())
    assert (changed.username, changed.sealed_secret, changed.credential_version) == (None, None, 2)

    terms = LinkTerms.parse("acr", "https://a.azurecr.io", "pull", Secret(KEY), ["**"])
    await house.upstreams.link(APP, "acr", terms, house.operation())
    with pytest.raises(InputRefused, match="the username is missing"):
        await house.upstreams.set("acr", APP, LinkChange(anonymous=True), house.operation())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (LinkChange(username="org+other"), "secret"),
        (LinkChange(repositories=["Org/x"]), "repositories"),
        (LinkChange(repositories=[]), "repositories"),
        (LinkChange(token_hosts=["https://a.example"]), "token_hosts"),
        (LinkChange(secret=Secret("a\nb")), "secret"),
    ],
)
async def test_refused_changes(house: Installation, link: UpstreamLink, change: LinkChange, field: str) -> None:
    """Nothing of the link is changed."""
    with pytest.raises(InputRefused) as refused:
        await house.upstreams.set("quay", APP, change, house.operation())
    assert field == refused.value.errors[0].field
    assert link == (await house.upstreams.show(OPERATOR, link.id))[0]


async def test_other_repositories_leave_the_secret(house: Installation, link: UpstreamLink) -> None:
    """They are in place of all that there were."""
    change = LinkChange(repositories=["tools/cli", "tools/cli"])
    changed = await house.upstreams.set("quay", APP, change, house.operation())

    assert changed.repositories == ("tools/cli",)
    assert (changed.credential_version, changed.sealed_secret) == (1, link.sealed_secret)
    assert changed.credential_ends_at == link.credential_ends_at


async def widen_and_narrow(house: Installation, link: UpstreamLink) -> None:
    """Let other hosts ask for the credential of a link; it says no unless the credential is given by the same request.

    A stolen session can change a link, but it does not know the secret.
    """

    async def change(**changes: Any) -> UpstreamLink:
        return await house.upstreams.set(link.id, None, LinkChange(**changes), house.operation())

    hosts = ["Auth.example", "tokens.example"]
    for wider in ({"token_hosts": hosts}, {"token_hosts": hosts, "repositories": ["x"], "credential_ends_at": END}):
        with pytest.raises(InputRefused, match=r"would be sent to auth\.example and tokens\.example too") as refused:
            await change(**wider)
        assert [(one.field, one.code) for one in refused.value.errors] == [("secret", "credential_needed")]
        assert link == (await house.upstreams.show(OPERATOR, link.id))[0]

    widened = await change(token_hosts=hosts, secret=Secret(OTHER_KEY))
    assert (widened.token_hosts, widened.credential_version) == (("auth.example", "tokens.example"), 2)
    assert OTHER_KEY == await unsealed(house, widened)
    narrowed = await change(token_hosts=["tokens.example"])
    assert (narrowed.token_hosts, narrowed.sealed_secret) == (("tokens.example",), widened.sealed_secret)
    with pytest.raises(InputRefused, match=r"would be sent to other\.example too"):
        await change(token_hosts=["other.example"])
    assert (await change(token_hosts=[])).token_hosts == ()
    with pytest.raises(InputRefused, match=r"would be sent to tokens\.example too"):
        await change(token_hosts=["tokens.example"])
    without = await change(token_hosts=hosts, anonymous=True)
    assert (without.token_hosts, without.sealed_secret) == (("auth.example", "tokens.example"), None)


async def test_a_stored_credential_goes_to_no_new_host(house: Installation, link: UpstreamLink) -> None:
    """Whoever adds a token host gives the credential again; to take one away needs none."""
    await widen_and_narrow(house, link)


NOT_ASKED: dict[str, Callable[[UpstreamLink, UpstreamLink], Sequence[str]]] = {
    "never": lambda *_: (),
    "more hosts than before": lambda old, new: new.token_hosts[len(old.token_hosts) :],
    "where there were none": lambda old, new: () if old.token_hosts else new.token_hosts,
    "nothing else changed": lambda old, new: new_targets(old, new) if old.repositories == new.repositories else (),
}
"""Broken twins of what needs the credential again, by when it is asked for."""


@pytest.mark.parametrize("name", NOT_ASKED)
async def test_the_test_rejects_broken_twins(
    house: Installation, link: UpstreamLink, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lets the stored credential go to a host that its owner never named with it."""
    monkeypatch.setattr(upstreams_module, "new_targets", NOT_ASKED[name])
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await widen_and_narrow(house, link)


async def test_no_host_is_added_between_the_reading_and_the_secret(house: Installation, link: UpstreamLink) -> None:
    """A host that is added while there is no secret is seen by whoever gives one: the version is another."""
    seen = etag(link)
    for change in (LinkChange(anonymous=True), LinkChange(token_hosts=["auth.example"])):
        await house.upstreams.set(link.id, None, change, house.operation())
    late = evolve(house.operation(), if_match=(seen,))
    with pytest.raises(PreconditionFailed):
        await house.upstreams.set(link.id, None, LinkChange(secret=Secret(KEY)), late)


async def test_the_provider_s_token_hosts_stay(house: Installation) -> None:
    """Docker Hub cannot be asked without auth.docker.io, which nobody has to name."""
    await house.upstreams.link(APP, "hub", PUBLIC, house.operation())
    change = LinkChange(token_hosts=["auth.example"])
    changed = await house.upstreams.set("hub", APP, change, house.operation())
    assert changed.token_hosts == ("auth.docker.io", "auth.example")


async def test_a_purge_counts(house: Installation, link: UpstreamLink) -> None:
    """What was cached before has other keys."""
    for count in (1, 2):
        assert count == (await house.upstreams.purge("quay", APP, house.operation())).purge_count


async def test_a_change_of_something_else_is_refused(house: Installation, link: UpstreamLink) -> None:
    """The client has read the link before somebody else changed it."""
    seen = etag(link)
    await house.upstreams.purge("quay", APP, house.operation())
    stale = evolve(house.operation(), if_match=(seen,))
    with pytest.raises(PreconditionFailed):
        await house.upstreams.purge("quay", APP, stale)
    with pytest.raises(PreconditionFailed):
        await house.upstreams.unlink("quay", APP, evolve(house.operation(), if_match=(seen,)))


async def test_unlinking_says_for_how_many_access_ends(house: Installation, link: UpstreamLink) -> None:
    """Licenses in force with a pattern for the link count; others do not, and without any nothing is asked."""
    for patterns in (["proxy/quay/org/**"], ["api", "proxy/quay/org/x"], ["proxy/quay-2/**"], None):
        terms = LicenseTerms.parse(customer="Globex", expires="90d", now=house.now, repositories=patterns)
        await house.licenses.create(APP, terms, house.operation())
    with pytest.raises(ConfirmationNeeded, match="ends access to its images for 2 licenses") as needed:
        await house.upstreams.unlink("quay", APP, house.operation())
    assert link == (await house.upstreams.show(OPERATOR, link.id))[0]

    await house.upstreams.unlink("quay", APP, house.operation(), needed.value.mark)
    with pytest.raises(NotFound):
        await house.upstreams.show(OPERATOR, link.id)
    other = await house.upstreams.link(APP, "unused", TERMS, house.operation())
    await house.upstreams.unlink(other.id, None, house.operation())


async def test_ending_a_link_twice_ends_it_once(house: Installation, link: UpstreamLink) -> None:
    """A repeat of the same request does not end a link that was made under the name since."""
    operation = house.operation()
    await house.upstreams.unlink("quay", APP, operation)
    made = await house.upstreams.link(APP, "quay", TERMS, house.operation())
    await house.upstreams.unlink("quay", APP, operation)
    assert made == (await house.upstreams.show(OPERATOR, "quay", APP))[0]


async def test_the_audit_has_everything_but_the_secret(house: Installation, link: UpstreamLink) -> None:
    """Neither it nor its sealed form is in an entry, in the log, or in what a list shows as text."""
    change = LinkChange(username="org+other", secret=Secret(OTHER_KEY), repositories=["x"])
    changed = await house.upstreams.set("quay", APP, change, house.operation())
    await house.upstreams.purge("quay", APP, house.operation())
    await house.upstreams.unlink("quay", APP, house.operation())
    entries = [one for one in house.told if one.event.startswith("upstream.")]

    assert [one.event for one in entries] == [
        "upstream.linked", "upstream.changed", "upstream.purged", "upstream.unlinked"
    ]  # fmt: skip
    facts: list[Any] = [one.facts for one in entries]
    assert (facts[0]["origin"], facts[0]["username"], facts[0]["repositories"]) == (
        *("https://quay.io", "org+robot"),
        ["org/**"],
    )
    assert facts[1]["changed"] == {
        "repositories": [["org/**"], ["x"]],
        "username": ["org+robot", "org+other"],
        "secret": ["set", "set"],
        "credential_version": [1, 2],
        "credential_ends_at": [(house.now + timedelta(days=90)).isoformat(), None],
    }
    assert facts[2]["changed"] == {"purge_count": [0, 1]}
    told = json.dumps([one.text() for one in entries])
    for secret in (KEY, OTHER_KEY, link.sealed_secret, changed.sealed_secret):
        assert secret is not None
        assert secret not in told


async def test_lists_show_the_team_alone(house: Installation, link: UpstreamLink) -> None:
    """The operator sees all; a list of an app has its links only."""
    await house.teams.create("globex-team", None, house.operation())
    await house.teams.create_app("globex", "globex-team", None, house.operation())
    other = await house.upstreams.link("globex", "quay", TERMS, house.operation())
    second = await house.upstreams.link(OTHER_APP, "quay", TERMS, house.operation())

    async def ids(actor: Actor, team: str | None = None, app: str | None = None) -> list[str]:
        return [found.id for found, _ in (await house.upstreams.list(actor, team=team, app=app)).items]

    assert await ids(OPERATOR) == [link.id, second.id, other.id]
    assert await ids(OPERATOR, team=TEAM) == [link.id, second.id]
    assert await ids(OPERATOR, app=OTHER_APP) == [second.id]
    with pytest.raises(NotFound):
        await ids(OPERATOR, team=TEAM, app="globex")


async def test_links_survive_another_sealing_key(house: Installation, tmp_path: Any) -> None:
    """After a rotation old secrets open, and new ones are sealed under the new key: what docs/keys.md promises."""
    create_service_keys(tmp_path)
    keys = LocalKeys(tmp_path)
    upstreams = Upstreams(house.stores, keys, UpstreamsInMemory())
    old = await upstreams.link(APP, "old", TERMS, house.operation())
    name = await keys.rotate_sealing_key()
    new = await upstreams.link(APP, "new", TERMS, house.operation())
    changed = await upstreams.set("old", APP, LinkChange(secret=Secret(OTHER_KEY)), house.operation())

    for link, secret in ((old, KEY), (new, KEY), (changed, OTHER_KEY)):
        assert secret.encode() == await keys.unseal(link.sealed_secret or "", credential_context(link))
    assert [name in (link.sealed_secret or "") for link in (old, new, changed)] == [False, True, True]
