"""Texts of the audit that wait: unchanged when they are written, and much shorter meanwhile."""

from hypothesis import given
from hypothesis import strategies as st

from authsvc.audit.compact_text import pack, unpack
from authsvc.audit.token_event import token_event_of
from tests.support.builders import as_license, make_license
from tests.support.decisions import asked, issued

DOCKER = "docker/27.5.1 go/go1.22.11 git-commit/4c9b3b0 kernel/6.1.0-28-amd64 os/linux arch/amd64 UpstreamClient(x)"


@given(st.text())
def test_every_text_stays_itself(text: str) -> None:
    """Whatever is in it."""
    assert unpack(pack(text)) == text


def test_the_text_of_a_pull_takes_a_third() -> None:
    """That of docker with a license: nearly all that wait are such."""
    request = asked("repository:acme/api/worker:pull", user_agent=DOCKER)
    license_ = make_license("c4m7x2q9wzk1t8b3", repositories=("api/*",))
    text = token_event_of(request, issued(request, as_license(license_))).text()
    assert 3 * len(pack(text)) < len(text)
