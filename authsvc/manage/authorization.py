"""Checks permissions at the beginning of every use case.

:func:`permitted` marks a use case with its permission and checks it before the first line of the use case runs: a
denial depends only on the actor and does not reveal what exists. Which records an actor sees is decided by
:mod:`authsvc.manage.lookup`.
"""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from authsvc.manage.actor import Actor
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission, PermissionScope
from authsvc.tenancy.records import Member

P = ParamSpec("P")
R = TypeVar("R")

_MARK = "__permission__"
_CIRCUMSTANCES = ("actor", "operation", "member")


def permitted(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a method run only if the actor has ``permission``.

    The actor is the argument ``actor``, that of the argument ``operation``, or the ``member`` who has just been
    authenticated. A public use case needs none of them.

    Raises:
        PermissionDenied: from the decorated method, when the actor does not have it; nothing has been read by then.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        names = list(inspect.signature(method).parameters)
        given = next((name for name in _CIRCUMSTANCES if name in names), None)
        if given is None and permission.rule.scope is not PermissionScope.PUBLIC:
            raise TypeError(f"{method.__qualname__} takes neither an actor nor an operation")
        index = -1 if given is None else names.index(given)

        @functools.wraps(method)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if given is not None:
                _actor_in(kwargs[given] if given in kwargs else args[index]).require(permission)
            return method(*args, **kwargs)

        setattr(checked, _MARK, (permission, checked))
        return checked

    return decorate


def _actor_in(circumstances: object) -> Actor:
    match circumstances:
        case Actor():
            return circumstances
        case Operation(actor=actor):
            return actor
        case Member():
            return Actor.of_member(circumstances)
        case _:
            raise TypeError(f"there is no actor in {type(circumstances).__name__}")


def permission_of(method: object) -> Permission | None:
    """Return the permission that a use case checks first; None for a method that checks none.

    A decorator around the check inherits its mark, and might return before the check: such a method counts as
    unchecked.
    """
    permission, checked = getattr(method, _MARK, (None, None))
    return permission if checked is getattr(method, "__func__", method) else None
