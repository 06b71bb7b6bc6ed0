"""Which errors an endpoint of the management API may answer with, by status."""

from http import HTTPStatus
from typing import Self

from attrs import fields, frozen

from authsvc.error_codes import ErrorCode

Codes = tuple[ErrorCode, ...]


@frozen
class ApiErrors:
    """Codes of errors, by the kind of refusal.

    Attributes:
        refused: the input is not acceptable (400).
        unproven: the identity is not proven, or the account may not be used now (401).
        forbidden: the actor is not allowed to do it (403).
        not_found: it does not exist for the actor (404).
        conflict: the current state does not allow it (409).
        changed: it has changed since the client read it (412).
        too_large: the body is too long (413).
        media_type: the body is not JSON (415).
        throttled: there were too many wrong secrets (429).
        fault: an internal error (500).
        unavailable: a component does not answer now (503).
    """

    refused: Codes = ()
    unproven: Codes = ()
    forbidden: Codes = ()
    not_found: Codes = ()
    conflict: Codes = ()
    changed: Codes = ()
    too_large: Codes = ()
    media_type: Codes = ()
    throttled: Codes = ()
    fault: Codes = ()
    unavailable: Codes = ()

    def __or__(self, other: Self) -> "ApiErrors":
        """Return the errors of both."""
        names = [attribute.name for attribute in fields(ApiErrors)]
        return ApiErrors(
            **{name: tuple(dict.fromkeys((*getattr(self, name), *getattr(other, name)))) for name in names}
        )

    def by_status(self) -> dict[HTTPStatus, Codes]:
        """Return the codes of every status that has any."""
        found = {
            HTTPStatus.BAD_REQUEST: self.refused,
            HTTPStatus.UNAUTHORIZED: self.unproven,
            HTTPStatus.FORBIDDEN: self.forbidden,
            HTTPStatus.NOT_FOUND: self.not_found,
            HTTPStatus.CONFLICT: self.conflict,
            HTTPStatus.PRECONDITION_FAILED: self.changed,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE: self.too_large,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE: self.media_type,
            HTTPStatus.TOO_MANY_REQUESTS: self.throttled,
            HTTPStatus.INTERNAL_SERVER_ERROR: self.fault,
            HTTPStatus.SERVICE_UNAVAILABLE: self.unavailable,
        }
        return {status: codes for status, codes in found.items() if codes}


NO_ERRORS = ApiErrors()
"""For an endpoint without errors of its own."""
