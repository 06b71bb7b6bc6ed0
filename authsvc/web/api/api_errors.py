"""Which errors an endpoint of the management API may answer with, by status."""

from http import HTTPStatus
from typing import Self

from attrs import fields, frozen

from authsvc.error_codes import ErrorCode

Codes = tuple[ErrorCode, ...]


@frozen
class ApiErrors:
    """Codes of errors.

    Attributes:
        refused: of input that is not acceptable (400).
        unproven: of identity that is not proven, or that may not be used now (401).
        forbidden: of what the actor may not do (403).
        not_found: of what does not exist for the actor (404).
        conflict: of what is in another state (409).
        changed: of what is not as the client read it (412).
        too_large: of a body that is too long (413).
        media_type: of a body that is not JSON (415).
        throttled: of too many wrong secrets (429).
        fault: of an internal error (500).
        unavailable: of a part that does not answer now (503).
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
        """Return the codes of each status that has any."""
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
"""An endpoint with no errors but those that all have."""
