"""Resource scopes: what a token request asks for (distribution "Token Scope Documentation").

::

    scope         := resourcescope *( SP resourcescope )
    resourcescope := type [ "(" class ")" ] ":" name ":" action *( "," action )
    type, class   := [a-z0-9]+
    action        := [a-z]* | "*"
    name          := a repository name, which may hold ":" (a port), or "catalog"

A name may hold ``:``, so the type ends at the first colon and the actions begin after the last.
"""

import re
from collections.abc import Iterable
from typing import Self

from attrs import frozen

MAX_SCOPES = 16
"""Most resources that one token may name; more are dropped (design #10: a token stays below 7 KiB)."""

MAX_NAMES = 3000
"""Characters of all names that one token may hold together; what goes beyond is dropped, for the same reason."""

MAX_SCOPE_TEXT = 8192
"""Longest scope text that is looked at, in characters, all parameters together; what follows is dropped."""

ALL_ACTIONS = "*"

_KIND = re.compile(r"([a-z0-9]+)(?:\(([a-z0-9]+)\))?", re.ASCII)
_ACTION = re.compile(r"[a-z]+|\*", re.ASCII)
_NAME = re.compile(r"[!-~]{1,255}", re.ASCII)


@frozen
class ResourceScope:
    """One resource and the actions asked for on it.

    Attributes:
        type: ``repository``, ``registry`` or anything a client makes up.
        name: as asked, of printable ASCII without a space; **not** yet known to be a repository name.
        actions: sorted, each once, at least one.
        resource_class: the text in parentheses (``plugin``), or None.
    """

    type: str
    name: str
    actions: tuple[str, ...]
    resource_class: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the resource scope written in ``text``.

        Raises:
            ValueError: ``text`` is not of the grammar, or asks for no action.
        """
        kind_text, first, rest = text.partition(":")
        name, last, actions_text = rest.rpartition(":")
        kind = _KIND.fullmatch(kind_text)
        if not (first and last and kind and _NAME.fullmatch(name)):
            raise ValueError("a resource scope is type:name:actions")
        actions = {action for action in actions_text.split(",") if action}
        if not actions or not all(_ACTION.fullmatch(action) for action in actions):
            raise ValueError("a resource scope names its actions in lower-case letters, joined by ','")
        return cls(kind[1], name, tuple(sorted(actions)), kind[2])

    def __str__(self) -> str:
        kind = f"{self.type}({self.resource_class})" if self.resource_class else self.type
        return f"{kind}:{self.name}:{','.join(self.actions)}"


@frozen
class ScopeSet:
    """What a whole request asks for, merged by resource, in the order of first mention.

    Attributes:
        scopes: at most :data:`MAX_SCOPES`, no two for the same type, class and name.
        dropped: how many pieces were malformed or one too many; they are never granted and never fail the request.
    """

    scopes: tuple[ResourceScope, ...] = ()
    dropped: int = 0


def merge_scopes(parameters: Iterable[str]) -> ScopeSet:
    """Return what the values of all ``scope`` parameters ask for together.

    Clients repeat the parameter, join scopes by spaces, do both, and name one repository several times (containerd,
    go-containerregistry); all of it means one set.
    """
    text = " ".join(parameters)
    dropped = 0
    if len(text) > MAX_SCOPE_TEXT:
        text = text[:MAX_SCOPE_TEXT].rpartition(" ")[0]
        dropped = 1
    merged: dict[tuple[str, str | None, str], set[str]] = {}
    for piece in text.split(" "):
        if not piece:
            continue
        try:
            scope = ResourceScope.parse(piece)
        except ValueError:
            dropped += 1
            continue
        key = (scope.type, scope.resource_class, scope.name)
        room = len(merged) < MAX_SCOPES and sum(len(name) for _, _, name in merged) + len(scope.name) <= MAX_NAMES
        if key in merged or room:
            merged.setdefault(key, set()).update(scope.actions)
        else:
            dropped += 1
    scopes = tuple(
        ResourceScope(kind, name, tuple(sorted(actions)), resource_class)
        for (kind, resource_class, name), actions in merged.items()
    )
    return ScopeSet(scopes, dropped)
