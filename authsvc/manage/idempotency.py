"""Use cases that answer a repeated request with the first result (design #18).

The store makes sure that a change is made only once for its operation id. This module provides the result for a caller
that repeats a request, because the answer was lost or the client sent it twice: the record that the first attempt made
is read again. Secrets that are shown only once are not stored, so repeats of such use cases are refused.
"""

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from authsvc.errors import InputRefused, OperationRepeated
from authsvc.images.deletion_record import DeletedImage
from authsvc.manage.operation import Operation
from authsvc.manage.stores import Stores
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.records import App, License, Member, Team

SHOWN_ONCE = (
    "this was done already, by the same request, and the secret that it made is shown only once; make a new one"
)


_MARK = "__repeatable__"


class _HasStores(Protocol):
    @property
    def stores(self) -> Stores: ...


S = TypeVar("S", bound=_HasStores)
P = ParamSpec("P")
T = TypeVar("T")

_UseCase = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]
_FirstResult = Callable[[S, str, Operation], Coroutine[Any, Any, T]]


def repeatable(first_result: _FirstResult[S, T]) -> Callable[[_UseCase[S, P, T]], _UseCase[S, P, T]]:
    """Make a use case answer a repeat of its operation with the first result.

    Args:
        first_result: reads it again, by the id of the record that the first attempt created or changed, if the actor
            still sees it.

    Raises:
        OperationRepeated: from the use case, when a repeat cannot be answered.
        Conflict: from the use case, when another request had the same idempotency key (``idempotency_conflict``).
    """

    def decorate(use_case: _UseCase[S, P, T]) -> _UseCase[S, P, T]:
        index = list(inspect.signature(use_case).parameters).index("operation") - 1  # without self

        @functools.wraps(use_case)
        async def answered(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            operation = cast("Operation", kwargs["operation"] if "operation" in kwargs else args[index])

            try:
                return await _carry_out(self.stores, operation, functools.partial(use_case, self, *args, **kwargs))
            except OperationRepeated as repeated:
                if repeated.result is None:
                    raise
                result = repeated.result
            return await first_result(self, result, operation)

        setattr(answered, _MARK, True)
        return answered

    return decorate


async def _carry_out(stores: Stores, operation: Operation, use_case: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Return the result of a use case whose operation was not carried out before.

    Raises:
        OperationRepeated: it was, by the same request.
        Conflict: it was, by another request with the same idempotency key.
    """
    require_new = functools.partial(stores.operations.require_new, operation.operation_id, operation.request_hash)
    if operation.request_hash:
        await require_new()
    try:
        answer = await use_case()
    except OperationRepeated:
        raise
    except InputRefused:
        # Perhaps the first attempt is the reason: the named record exists now, or no longer exists.
        await require_new()
        raise
    if operation.request_hash:
        # A use case that finds nothing to change does not record its operation. Its repeat must not change anything
        # either, even if others have changed the record by then.
        await stores.operations.note(operation.operation_id, operation.request_hash, _result_of(answer))
    return answer


def _result_of(answer: object) -> str:
    """Return, from the result of a use case, the id by which it is read again."""
    from authsvc.upstreams.link import UpstreamLink  # noqa: PLC0415  most commands carry out nothing
    from authsvc.webhooks.webhook import Webhook  # noqa: PLC0415

    match answer[0] if isinstance(answer, tuple) else answer:
        case Team(slug=slug) | App(slug=slug):
            return slug
        case Member(id=found) | License(id=found) | ServiceAccount(id=found) | Customer(id=found):
            return found
        case PersonalToken(id=found) | UpstreamLink(id=found) | Webhook(id=found) | Passkey(id=found):
            return found
        case DeletedImage():
            return answer.text() if isinstance(answer, DeletedImage) else ""  # nothing is left to read again
        case _:
            return ""  # nothing to read again


def is_repeatable(use_case: object) -> bool:
    """Whether a use case answers a repeat of its operation, with the first result or a refusal."""
    return getattr(use_case, _MARK, False) is True


def shows_secret(use_case: _UseCase[S, P, T]) -> _UseCase[S, P, T]:
    """Make a use case that shows a new secret only once refuse repeats of its operation.

    Raises:
        OperationRepeated: from the use case, when it is a repeat.
        Conflict: as :func:`repeatable`.
    """

    async def refuse(_self: S, result: str, _operation: Operation) -> T:
        raise OperationRepeated(SHOWN_ONCE, result)

    return repeatable(refuse)(use_case)
