"""What an external registry asks for: its ``WWW-Authenticate`` header (RFC 9110 §11), and whom it may name in it.

A challenge says where a client is to take its credential. An upstream that is hostile, or was taken over, names a
server of its own there; so a credential goes to the link's own origin and to the token hosts of its provider alone
(CVE-2026-33540, CVE-2020-15157: clients that sent it anywhere).
"""

import re
from urllib.parse import urlencode, urlsplit

from attrs import field, frozen

from authsvc.errors import InputRefused, UpstreamUnavailable
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin, parse_origin, same_origin

MAX_HEADER = 8 * 1024
"""Longest header that is looked at, in characters."""

MAX_CHALLENGES = 8

BASIC, BEARER = "basic", "bearer"

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?=\s|,|$)", re.ASCII)
_PARAMETER = re.compile(rf"[\s,]*({_WORD})\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|({_WORD}))\s*(?=,|$)", re.ASCII)
_TOKEN68 = re.compile(r"\s+[A-Za-z0-9._~+/-]+=*\s*(?=,|$)", re.ASCII)
_QUOTED_PAIR = re.compile(r"\\(.)")
_TARGET = re.compile(r"/[!-~]*", re.ASCII)
_REALM = re.compile(r"[!-~]{1,2048}", re.ASCII)


@frozen
class Challenge:
    """One way to prove who one is.

    Attributes:
        scheme: in lower case.
        parameters: with names in lower case; of one that is repeated the first.
    """

    scheme: str
    parameters: dict[str, str] = field(factory=dict)


@frozen
class TokenServer:
    """Where tokens are given out.

    Attributes:
        origin: whose.
        target: path and query that the realm names.
        service: what the tokens are for, or None.
    """

    origin: Origin
    target: str
    service: str | None = None

    def target_for(self, repository: str) -> str:
        """Return what to ask for a token that pulls from ``repository``."""
        asked = [] if self.service is None else [("service", self.service)]
        query = urlencode([*asked, ("scope", f"repository:{repository}:pull")])
        return f"{self.target}{'&' if '?' in self.target else '?'}{query}"


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Return the challenges of a ``WWW-Authenticate`` header; what cannot be read ends the list."""
    text, at = header[:MAX_HEADER], 0
    found: list[Challenge] = []
    while len(found) < MAX_CHALLENGES and (scheme := _SCHEME.match(text, at)):
        at = scheme.end()
        parameters: dict[str, str] = {}
        if token68 := _TOKEN68.match(text, at):
            at = token68.end()
        while parameter := _PARAMETER.match(text, at):
            at = parameter.end()
            name, quoted, plain = parameter.groups()
            parameters.setdefault(name.lower(), plain if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted))
        found.append(Challenge(scheme[1].lower(), parameters))
    return tuple(found)


def choose(challenges: tuple[Challenge, ...]) -> Challenge | None:
    """Return the challenge to answer: Bearer before Basic; None when there is neither."""
    for scheme in (BEARER, BASIC):
        for challenge in challenges:
            if challenge.scheme == scheme:
                return challenge
    return None


def token_server(link: UpstreamLink, challenge: Challenge) -> TokenServer:
    """Return where a Bearer challenge sends for a token, if the credential of ``link`` may be shown there.

    Raises:
        UpstreamUnavailable: the realm is on another host than it may be, or is not an address.
    """
    realm = challenge.parameters.get("realm", "")
    refused = UpstreamUnavailable(
        f"{link.origin.authority} sends for tokens to {_shown(realm)}, where the credential of this link may not be "
        "sent; only its own address and the token hosts of the link may ask for it",
        code="upstream_answer_invalid",
    )
    if not _REALM.fullmatch(realm) or "\\" in realm:
        raise refused
    try:
        parts = urlsplit(realm)
        base = f"{parts.scheme}://{parts.netloc}"
        origin = parse_origin(base, plain_http=link.origin.scheme == "http")
    except (InputRefused, ValueError) as error:
        raise refused from error
    is_token_host = origin.host in link.token_hosts and origin == Origin("https", origin.host, 443)
    target = realm[len(base) :].partition("#")[0] or "/"
    if not realm.startswith(base) or not _TARGET.fullmatch(target):
        raise refused
    if not same_origin(origin, link.origin) and not is_token_host:
        raise refused
    return TokenServer(origin, target, challenge.parameters.get("service"))


def _shown(realm: str) -> str:
    return repr(realm[:100]) if realm else "no address"
