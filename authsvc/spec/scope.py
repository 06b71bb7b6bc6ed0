"""Resource scopes: what a token request asks for (distribution "Token Scope Documentation").

::

    scope         := resourcescope *( SP resourcescope )
    resourcescope := type [ "(" class ")" ] ":" name ":" action *( "," action )
    type, class   := [a-z0-9]+
    action        := [a-z]* | "*"
    name          := a repository name, which may hold ":" (a port), or "catalog"

A name may contain ``:``, so the type ends at the first colon and the actions begin after the last.

Every bound applies to the whole request. What exceeds it is dropped piece by piece and counted, and the remainder is
used: clients also request actions of other registries (Azure's ``metadata_read``) in addition to ``pull``.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Self

from msgspec import Struct

MAX_SCOPES = 16
"""Most resources that one token may name; more are dropped (design #10: a token stays below 7 KiB)."""

MAX_NAMES = 3000
"""Most characters of all names in one token together; names beyond that are dropped, for the same reason."""

MAX_SCOPE_TEXT = 8192
"""Most characters of scope text that are read, all parameters together; the remainder is dropped."""

MAX_MENTIONS = 128
"""Most resource scopes that are read, including those that name the same resource; further ones are dropped. Without
it, 8 KiB of the shortest ones cost eight milliseconds."""

ALL_ACTIONS = "*"
KNOWN_ACTIONS = frozenset({"pull", "push", "delete", ALL_ACTIONS})
"""Actions that the registry uses; each is kept, however many other actions precede it."""

MAX_UNKNOWN_ACTIONS = 4
"""Most other well-formed actions that are kept per resource, so that a refusal can name them."""

MAX_REMEMBERED, MAX_REMEMBERED_TEXT = 1024, 512
"""Most scope texts whose parsed form is cached, and the longest such text: clients of an image repeat the same scopes.
At most about 2 MiB."""

_Key = tuple[str, str | None, str]
"""Type, class and name of a resource."""

_KIND = re.compile(r"([a-z0-9]{1,32})(?:\(([a-z0-9]{1,32})\))?", re.ASCII)
_ACTION = re.compile(r"[a-z]{1,32}", re.ASCII)
_NAME = re.compile(r"[!-~]{1,255}", re.ASCII)


class ResourceScope(Struct, frozen=True):
    """One resource and the actions requested on it.

    Attributes:
        type: ``repository``, ``registry`` or any other word that a client sends.
        name: as requested, printable ASCII without spaces; **not** yet known to be a repository name.
        actions: sorted, each once, at least one.
        resource_class: the text in parentheses (``plugin``), or None.
    """

    type: str
    name: str
    actions: tuple[str, ...]
    resource_class: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the resource scope written in ``text``; actions that are unknown and malformed are left out.

        Raises:
            ValueError: ``text`` is not of the grammar, or no action is left.
        """
        (kind, resource_class, name), actions_text = _resource(text)
        actions, _ = _kept(_mentioned(actions_text))
        if not actions:
            raise ValueError("a resource scope names its actions in lower-case letters, joined by ','")
        return cls(kind, name, actions, resource_class)

    def __str__(self) -> str:
        kind = f"{self.type}({self.resource_class})" if self.resource_class else self.type
        return f"{kind}:{self.name}:{','.join(self.actions)}"


class ScopeSet(Struct, frozen=True):
    """What a whole request asks for, merged by resource, in the order of first mention.

    Attributes:
        scopes: at most :data:`MAX_SCOPES`, no two for the same type, class and name.
        dropped: how many resources or actions were malformed or one too many; they are never granted and never fail
            the request.
    """

    scopes: tuple[ResourceScope, ...] = ()
    dropped: int = 0


def merge_scopes(parameters: Iterable[str]) -> ScopeSet:
    """Return the union of what the values of all ``scope`` parameters request.

    Clients repeat the parameter, join scopes by spaces, do both, and name one repository several times (containerd,
    go-containerregistry); all of that means the same set.
    """
    texts = tuple(parameters)
    if sum(map(len, texts)) + len(texts) <= MAX_REMEMBERED_TEXT:
        return _remembered(texts)
    return _merged(texts)


@lru_cache(MAX_REMEMBERED)
def _remembered(parameters: tuple[str, ...]) -> ScopeSet:
    return _merged(parameters)


def _merged(parameters: Iterable[str]) -> ScopeSet:
    room, mentions, names, dropped = MAX_SCOPE_TEXT, MAX_MENTIONS, 0, 0
    merged: dict[_Key, dict[str, None]] = {}
    for parameter in parameters:
        text = parameter
        if len(text) > room:
            text = text[:room].rpartition(" ")[0]
            dropped += 1
        room -= len(text)
        pieces = [piece for piece in text.split(" ") if piece]
        dropped += len(pieces[mentions:])
        pieces = pieces[:mentions]
        mentions -= len(pieces)
        for piece in pieces:
            try:
                key, actions_text = _resource(piece)
            except ValueError:
                dropped += 1
                continue
            fits = key in merged or (len(merged) < MAX_SCOPES and names + len(key[2]) <= MAX_NAMES)
            actions, left_out = _kept(_mentioned(actions_text)) if fits else ((), 0)
            if not actions:
                dropped += 1
                continue
            names += 0 if key in merged else len(key[2])
            dropped += left_out
            merged.setdefault(key, {}).update(dict.fromkeys(actions))
    scopes = []
    for (kind, resource_class, name), asked in merged.items():
        actions, left_out = _kept(asked)
        dropped += left_out
        scopes.append(ResourceScope(kind, name, actions, resource_class))
    return ScopeSet(tuple(scopes), dropped)


def _resource(text: str) -> tuple[_Key, str]:
    """Return the resource of a resource scope, and the text of its actions.

    Raises:
        ValueError: ``text`` is not of the grammar.
    """
    kind_text, first, rest = text.partition(":")
    name, last, actions_text = rest.rpartition(":")
    kind = _KIND.fullmatch(kind_text)
    if not (first and last and kind and _NAME.fullmatch(name)):
        raise ValueError("a resource scope is type:name:actions")
    return (kind[1], kind[2], name), actions_text


def _mentioned(actions_text: str) -> dict[str, None]:
    """Return the actions in the order of their mention, each once."""
    return dict.fromkeys(filter(None, actions_text.split(",")))


def _kept(asked: Mapping[str, None]) -> tuple[tuple[str, ...], int]:
    """Return the actions that are kept, sorted, and how many are dropped; ``mentioned`` is in the order of mention."""
    kept = KNOWN_ACTIONS & asked.keys()
    unknown: set[str] = set()
    for action in asked:
        if len(unknown) == MAX_UNKNOWN_ACTIONS:
            break
        if action not in kept and _ACTION.fullmatch(action):
            unknown.add(action)
    return tuple(sorted(kept | unknown)), len(asked) - len(kept) - len(unknown)
