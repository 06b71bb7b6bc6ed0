"""Parses challenges of external registries (``WWW-Authenticate``, RFC 9110 §11), and checks their token servers.

A challenge names the server to which a client sends its credential. A hostile or compromised upstream could name its
own server; so a credential is only sent to the link's own origin and to the token hosts of its provider
(CVE-2026-33540, CVE-2020-15157: clients that sent it anywhere).
"""

import re
from urllib.parse import urlencode, urlsplit

from attrs import field, frozen

from authsvc.errors import InputRefused, UpstreamUnavailable
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin, parse_origin, same_origin

MAX_HEADER = 8 * 1024
"""Longest header that is parsed, in characters."""

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
    """One authentication scheme with its parameters.

    Attributes:
        scheme: in lower case.
        parameters: with names in lower case; of a repeated one the first.
    """

    scheme: str
    parameters: dict[str, str] = field(factory=dict)


@frozen
class TokenServer:
    """A server that issues tokens.

    Attributes:
        origin: of the server.
        target: path and query of the realm.
        service: what the tokens are for, or None.
    """

    origin: Origin
    target: str
    service: str | None = None

    def target_for(self, repository: str) -> str:
        """Return path and query of a request for a token that pulls from ``repository``."""
        asked = [] if self.service is None else [("service", self.service)]
        query = urlencode([*asked, ("scope", f"repository:{repository}:pull")])
        return f"{self.target}{'&' if '?' in self.target else '?'}{query}"


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Return the challenges of a ``WWW-Authenticate`` header; the list ends at the first one that cannot be parsed."""
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
    """Return the token server of a Bearer challenge, if the credential of ``link`` may be sent to it.

    Raises:
        UpstreamUnavailable: the realm is on a host that is not allowed, or is not a URL.
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
