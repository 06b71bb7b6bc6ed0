"""Checking permissions at the top of every use case.

:func:`permitted` marks a use case with its permission and checks it before the first line of the use case runs: a
denial depends on the actor alone and tells nothing about what exists. What an actor sees of a team is decided by
:mod:`authsvc.manage.lookup`.
"""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from authsvc.manage.actor import Actor
from authsvc.manage.permissions import Permission, PermissionScope

P = ParamSpec("P")
R = TypeVar("R")

_MARK = "__permission__"


def permitted(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a method run only for an actor that has ``permission``.

    The actor is the argument ``actor``, or that of the argument ``operation``. A public use case needs neither.

    Raises:
        PermissionDenied: from the decorated method, when the actor may not; nothing has been read by then.
    """

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        names = list(inspect.signature(method).parameters)
        given = next((name for name in ("actor", "operation") if name in names), None)
        if given is None and permission.rule.scope is not PermissionScope.PUBLIC:
            raise TypeError(f"{method.__qualname__} takes neither an actor nor an operation")
        index = -1 if given is None else names.index(given)

        @functools.wraps(method)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if given is not None:
                circumstances = kwargs[given] if given in kwargs else args[index]
                actor = circumstances if isinstance(circumstances, Actor) else circumstances.actor  # type: ignore[attr-defined]
                actor.require(permission)
            return method(*args, **kwargs)

        setattr(checked, _MARK, permission)
        return checked

    return decorate


def permission_of(method: object) -> Permission | None:
    """Return the permission that a use case checks; None for a method that checks none."""
    found = getattr(method, _MARK, None)
    return found if isinstance(found, Permission) else None
