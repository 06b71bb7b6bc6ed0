"""The public part of an error, before it is rendered in the format of the endpoint.

A format is one function from :class:`PublicError` to a response; :mod:`authsvc.web.registry_dialect` is that of
docker, podman and containerd, :mod:`authsvc.web.api.problem` that of the management API.
"""

import math
from http import HTTPStatus

from attrs import frozen

from authsvc.error_codes import ErrorCode
from authsvc.errors import (
    AuthsvcError,
    ConfirmationNeeded,
    FieldProblem,
    InputRefused,
    Throttled,
    UpstreamLimited,
)
from authsvc.outcomes import outcome_of_error
from authsvc.spec.registry_error import UNKNOWN

RETRY_AFTER = 2
"""Seconds after which a client may try again when the service could not answer."""

FAULT_MESSAGE = "something went wrong on our side; tell the vendor"


@frozen
class PublicError:
    """An error as a client may see it.

    Attributes:
        status: HTTP status.
        registry_code: code of the OCI distribution specification.
        message: a sentence for people.
        request_id: of the request in log and audit.
        retry_after: seconds after which the client may try again, or None.
        code: machine-readable, of docs/errors.md.
        problems: for each argument; None when the error is not about input.
        mark: with which the client repeats the request to confirm it, or None.
    """

    status: HTTPStatus
    registry_code: str
    message: str
    request_id: str
    retry_after: int | None = None
    code: ErrorCode = "internal_error"
    problems: tuple[FieldProblem, ...] | None = None
    mark: str | None = None


def public_error(error: Exception, request_id: str) -> PublicError:
    """Return the public part of ``error``; for an internal error only the request id."""
    outcome = outcome_of_error(error)
    message = FAULT_MESSAGE if outcome.is_fault else str(error)
    retry_after = RETRY_AFTER if outcome.status is HTTPStatus.SERVICE_UNAVAILABLE else None
    if isinstance(error, Throttled | UpstreamLimited):
        retry_after = max(1, math.ceil(error.retry_after))
    return PublicError(
        outcome.status,
        outcome.registry_code or UNKNOWN,
        message,
        request_id,
        retry_after,
        code=error.code if isinstance(error, AuthsvcError) and not outcome.is_fault else "internal_error",
        problems=error.errors if isinstance(error, InputRefused) else None,
        mark=error.mark if isinstance(error, ConfirmationNeeded) else None,
    )
