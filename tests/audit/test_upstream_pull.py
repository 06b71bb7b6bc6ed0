"""Pulls that a linked registry did not serve, in the audit and in words."""

import json
from typing import Any

import pytest

from authsvc.audit.entry import MAX_TEXT
from authsvc.audit.sentences import sentences, summary
from authsvc.audit.upstream_pull import UpstreamImage, UpstreamPull, pull_event
from authsvc.client import Client
from authsvc.errors import AuthsvcError, Overloaded, UpstreamLimited, UpstreamNotFound, UpstreamUnavailable
from tests.support.builders import NOW

IMAGE = UpstreamImage("acme-team", "acme", "hub", "proxy/acme/hub/org/image", "1.0")
CLIENT = Client("203.0.113.7", "203.0.113.7", "GET", "docker/27.5.1")
ID = "6923cc5f01a2b3c4"


def limited() -> UpstreamLimited:
    """Return what is raised after a 429."""
    error = UpstreamLimited("hub.example takes no more requests", 7.0, detail="more")
    error.status = 429
    return error


def pull(error: AuthsvcError, subject: str = "license:c1", **changes: Any) -> UpstreamPull:
    """Return a pull that was not served."""
    usual: dict[str, Any] = {"request_id": ID, "at": NOW, "client": CLIENT, "subject": subject, "image": IMAGE}
    return UpstreamPull(**{**usual, **changes}, error=error)


def test_a_refused_pull_in_words() -> None:
    """Whoever looks for a request id learns what the registry has answered, and whose pull it was."""
    made = pull_event(pull(limited()))
    facts = json.loads(made.text())

    assert (made.event, made.team, made.proven) == ("pull.failed", "acme-team", True)
    assert facts["upstream_status"] == 429
    assert sentences(facts)[1:-1] == [
        "The client was told: hub.example takes no more requests",
        "The client was not told: more",
        "Asked for: repository:proxy/acme/hub/org/image:pull.",
        "The linked registry hub, asked for 1.0, answered 429.",
        "Who: license:c1, by a registry token.",
    ]
    assert summary(facts) == "hub 1.0: hub.example takes no more requests"


def test_a_stale_tag_in_words() -> None:
    """The image was served, and why it may be an old one."""
    made = pull_event(pull(UpstreamUnavailable("hub.example cannot be reached"), stale="sha256:5e"))
    facts = json.loads(made.text())

    assert made.event == "pull.stale"
    found = sentences(facts)
    assert "The client was not told: hub.example cannot be reached" in found
    assert "The linked registry hub, asked for 1.0, was not asked, or gave no answer that can be used." in found
    assert "Served: sha256:5e." in found
    assert summary(facts) == "hub 1.0: hub.example cannot be reached"


@pytest.mark.parametrize(
    "error", [UpstreamNotFound("x"), Overloaded("x"), limited()], ids=lambda one: type(one).__name__
)
def test_repeats_are_equal(error: AuthsvcError) -> None:
    """Another client, moment and request of the same is the same thing, and another tag is not."""
    first, again = pull_event(pull(error)), pull_event(pull(error, request_id="6923cc5f01a2b3c5"))
    other = pull_event(pull(error, image=UpstreamImage("acme-team", "acme", "hub", IMAGE.repository, "2.0")))

    assert first.facts == again.facts
    assert hash(first.facts) == hash(again.facts)
    assert first.facts != other.facts


def test_licenses_of_several_vendors() -> None:
    """One token may be of several teams: neither sees the other's license, so the entry is nobody's."""
    made = pull_event(pull(limited(), "license:c1,c2"))
    facts = json.loads(made.text())

    assert (made.team, made.team_of("acme")) == ("", "")
    assert not {"team", "app"} & facts.keys()
    assert made.app is None


def test_many_together_still_say_whose_they_are() -> None:
    """Also an entry that stands for more is of the app and team."""
    made = pull_event(pull(limited()))

    assert {"team": "acme-team", "app": "acme"}.items() <= json.loads(made.text_of_more()).items()
    assert (made.app, made.team_of(made.app)) == ("acme", "acme-team")


def test_it_is_short_and_without_secrets() -> None:
    """Whatever the names are."""
    long = UpstreamImage("t" * 40, "a" * 40, "h" * 40, "proxy/" + "x" * 249, "9" * 128)
    made = pull_event(pull(UpstreamUnavailable("asv_lic_x_abc " + "é" * 9000, detail="asv_lic_x_abc"), image=long))

    assert len(made.text().encode()) <= MAX_TEXT
    assert "asv_lic_x" not in made.text()
