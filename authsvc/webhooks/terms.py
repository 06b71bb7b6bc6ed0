"""Terms of a webhook: checked input of a user."""

import re
from collections.abc import Iterable

from attrs import evolve, frozen

from authsvc.errors import InputRefused
from authsvc.upstreams.origin import Origin, parse_origin
from authsvc.webhooks.event import SELECTABLE, EventType
from authsvc.webhooks.webhook import Webhook

MAX_URL = 2_000
"""Longest URL of a receiver, in characters."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]+)(?P<rest>.*)", re.DOTALL)
_PATH = re.compile(r"/[!-~]*|\?[!-~]*|", re.ASCII)


@frozen
class WebhookTerms:
    """The checked values of a new webhook.

    Attributes:
        origin: of the receiver's URL.
        path: path and query.
        types: of the events that are sent; None for all.
    """

    origin: Origin
    path: str
    types: tuple[EventType, ...] | None

    @classmethod
    def parse(cls, url: str, types: Iterable[str] | None) -> "WebhookTerms":
        """Return the checked values.

        Raises:
            InputRefused: something is not acceptable.
        """
        return cls(*parse_url(url), parse_types(types))


@frozen
class WebhookChange:
    """Changes to a webhook; attributes that are None do not change anything.

    Attributes:
        origin: of the new URL.
        path: path and query of the new URL.
        types: of the events that are sent from now on.
        all_types: whether events of all types are sent, including those of later versions.
    """

    origin: Origin | None = None
    path: str | None = None
    types: tuple[EventType, ...] | None = None
    all_types: bool = False

    @classmethod
    def parse(cls, url: str | None, types: Iterable[str] | None, *, all_types: bool = False) -> "WebhookChange":
        """Return the checked values.

        Raises:
            InputRefused: something is not acceptable.
        """
        origin, path = (None, None) if url is None else parse_url(url)
        return cls(origin, path, parse_types(types), all_types)

    def of(self, webhook: Webhook) -> Webhook:
        """Return a webhook with the change."""
        types = None if self.all_types else webhook.types if self.types is None else self.types
        if self.origin is None or self.path is None:
            return evolve(webhook, types=types)
        return evolve(webhook, origin=self.origin, path=self.path, types=types)


def parse_url(text: str) -> tuple[Origin, str]:
    """Return the origin, and path and query, of a receiver's URL.

    Path and query never appear in error messages: many receivers have a token in them.

    Raises:
        InputRefused: it is not a URL to which events can be sent.
    """
    if len(text) > MAX_URL:
        raise _refused(f"the URL is longer than {MAX_URL} characters")
    parts = _URL.fullmatch(text)
    if parts is None or not parts["authority"].isprintable() or " " in parts["authority"]:
        raise _refused(
            "the URL of a receiver begins with https:// and a host name, such as https://hooks.example.com/authsvc"
        )
    scheme, authority, rest = parts["scheme"].lower(), parts["authority"], parts["rest"]
    if "@" in authority:
        raise _refused("the URL has a name or a password in it; the receiver knows a request by its signature instead")
    if scheme not in {"https", "http"}:
        raise _refused(f"a receiver is reached by https://, and not by {scheme[:20]}://")
    if "#" in rest:
        raise _refused("the URL has a fragment (#…), which is never sent; leave it out")
    if not _PATH.fullmatch(rest):
        raise _refused("the URL has blanks or characters outside ASCII behind the host; write them as %20 and so on")
    # Whether it may be used without TLS depends on the network that its address is in.
    origin = parse_origin(f"{scheme}://{authority}", plain_http=True)
    return origin, rest if rest.startswith("/") else f"/{rest}"


def parse_types(texts: Iterable[str] | None) -> tuple[EventType, ...] | None:
    """Return the types of events that a webhook selects, each once; None for all.

    Raises:
        InputRefused: there is none, or one is not a type that can be selected.
    """
    if texts is None:
        return None
    names = tuple(dict.fromkeys(texts))
    for name in names:
        if name not in SELECTABLE:
            raise InputRefused(
                f"{name[:60]!r} is not a type of events to choose; there are {', '.join(SELECTABLE)}",
                code="webhook_type_invalid",
                field="types",
            )
    if not names:
        raise InputRefused(
            "choose at least one type of events, or none at all for every type", code="value_missing", field="types"
        )
    return tuple(EventType(name) for name in names)


def _refused(sentence: str) -> InputRefused:
    return InputRefused(sentence, code="url_invalid", field="url")
