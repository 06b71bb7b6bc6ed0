"""The outcomes of a token request, in one table: its audit event, metric labels, HTTP status, error code and log event.

All endpoints use the same table for errors, in the format of their clients (:mod:`authsvc.web.public_error`).
"""

from collections.abc import Mapping
from http import HTTPStatus
from logging import ERROR, INFO

from attrs import frozen

from authsvc.errors import (
    AccountDenied,
    AuthsvcError,
    ConfirmationNeeded,
    Conflict,
    CredentialsRefused,
    InputRefused,
    LastOwner,
    NotFound,
    OperationRepeated,
    Overloaded,
    PermissionDenied,
    PreconditionFailed,
    RegistryUnavailable,
    SecretsRefused,
    SetupRefused,
    SignerUnavailable,
    StoreRefused,
    StoreUnavailable,
    Throttled,
    TokenRefused,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamNotFound,
    UpstreamRefused,
    UpstreamUnavailable,
    WrongSecret,
)
from authsvc.spec import registry_error

TOKEN_ISSUED, TOKEN_DENIED, TOKEN_REFUSED, TOKEN_THROTTLED, TOKEN_UNANSWERED = (
    "token.issued",
    "token.denied",
    "token.refused",
    "token.throttled",
    "token.unanswered",
)
"""Audit events: a token was issued; identity was proven, but the account may not be used; identity was not proven;
too many wrong secrets; no decision was made, because an internal part was down."""

MANAGEMENT_DENIED = "management.denied"
"""Audit event for a use case of management that an account called without permission."""

PULL_FAILED, PULL_STALE = "pull.failed", "pull.stale"
"""Audit events: a linked registry did not deliver what an authenticated account requested; the last known image of
the tag was served instead."""

REQUEST_FAILED = "request.failed"
"""Log event of an internal error."""

ISSUED, REFUSED, FAILED = "issued", "refused", "failed"
"""Values of the label ``outcome`` of the metric."""


@frozen
class Outcome:
    """How one outcome appears in the reply, the audit, the metrics and the log.

    Attributes:
        audit_event: of its entry.
        labels: ``outcome`` and ``reason`` of the metric ``authsvc_token_requests_total``.
        status: of the reply.
        registry_code: error code in the reply to a registry client (OCI distribution specification); None if it gets a
        token.
        log_event: event of its log line.
        log_level: one of :mod:`logging`.
    """

    audit_event: str
    labels: tuple[str, str]
    status: HTTPStatus = HTTPStatus.OK
    registry_code: str | None = None
    log_event: str = TOKEN_REFUSED
    log_level: int = INFO

    @property
    def is_fault(self) -> bool:
        """Whether it is an internal error; the client then gets only the request id."""
        return self.log_event == REQUEST_FAILED


def _issued(reason: str) -> Outcome:
    return Outcome(TOKEN_ISSUED, (ISSUED, reason), log_event=TOKEN_ISSUED)


def _unavailable(reason: str) -> Outcome:
    return Outcome(TOKEN_UNANSWERED, (FAILED, reason), HTTPStatus.SERVICE_UNAVAILABLE, registry_error.UNAVAILABLE)


def _never(status: HTTPStatus, code: str) -> Outcome:
    """Return the row of an error that occurs at other endpoints, but never in a token request."""
    return Outcome(TOKEN_UNANSWERED, (FAILED, "fault"), status, code)


ISSUED_IN_FULL, ISSUED_IN_PART = _issued("full"), _issued("partial")
"""A token with everything that was requested, and one with a part of it."""

ISSUED_EMPTY = _issued("nothing")
"""A token that grants nothing of what was requested."""

ISSUED_DEGRADED = _issued("degraded")
"""A token issued from memory, while the store was down (design #13)."""

FAULT = Outcome(
    TOKEN_UNANSWERED,
    (FAILED, "fault"),
    HTTPStatus.INTERNAL_SERVER_ERROR,
    registry_error.UNKNOWN,
    REQUEST_FAILED,
    ERROR,
)
"""An internal error: any exception without a row."""

OF_ERRORS: Mapping[type[AuthsvcError], Outcome] = {
    CredentialsRefused: Outcome(
        TOKEN_REFUSED, (REFUSED, "credentials"), HTTPStatus.UNAUTHORIZED, registry_error.UNAUTHORIZED
    ),
    WrongSecret: Outcome(
        TOKEN_REFUSED, (REFUSED, "wrong_secret"), HTTPStatus.UNAUTHORIZED, registry_error.UNAUTHORIZED
    ),
    AccountDenied: Outcome(TOKEN_DENIED, (REFUSED, "account"), HTTPStatus.UNAUTHORIZED, registry_error.DENIED),
    Throttled: Outcome(
        TOKEN_THROTTLED, (REFUSED, "throttled"), HTTPStatus.TOO_MANY_REQUESTS, registry_error.TOOMANYREQUESTS
    ),
    Overloaded: _unavailable("overloaded"),
    StoreUnavailable: _unavailable("store"),
    StoreRefused: _unavailable("store"),
    SignerUnavailable: _unavailable("signer"),
    PermissionDenied: _never(HTTPStatus.FORBIDDEN, registry_error.DENIED),
    TokenRefused: _never(HTTPStatus.UNAUTHORIZED, registry_error.UNAUTHORIZED),
    RegistryUnavailable: _never(HTTPStatus.SERVICE_UNAVAILABLE, registry_error.UNAVAILABLE),
    UpstreamFailed: _never(HTTPStatus.BAD_GATEWAY, registry_error.UNAVAILABLE),
    UpstreamUnavailable: _never(HTTPStatus.BAD_GATEWAY, registry_error.UNAVAILABLE),
    UpstreamRefused: _never(HTTPStatus.BAD_GATEWAY, registry_error.UNAVAILABLE),
    UpstreamLimited: _never(HTTPStatus.TOO_MANY_REQUESTS, registry_error.TOOMANYREQUESTS),
    UpstreamNotFound: _never(HTTPStatus.NOT_FOUND, registry_error.UNKNOWN),
    InputRefused: _never(HTTPStatus.BAD_REQUEST, registry_error.UNSUPPORTED),
    NotFound: _never(HTTPStatus.NOT_FOUND, registry_error.UNKNOWN),
    Conflict: _never(HTTPStatus.CONFLICT, registry_error.UNKNOWN),
    ConfirmationNeeded: _never(HTTPStatus.CONFLICT, registry_error.UNKNOWN),
    LastOwner: _never(HTTPStatus.CONFLICT, registry_error.UNKNOWN),
    PreconditionFailed: _never(HTTPStatus.PRECONDITION_FAILED, registry_error.UNKNOWN),
    OperationRepeated: _never(HTTPStatus.CONFLICT, registry_error.UNKNOWN),
    # These occur only at the start of a process, so no client ever gets them.
    SetupRefused: FAULT,
    SecretsRefused: FAULT,
    AuthsvcError: FAULT,
}
"""The row of every class of errors; a subclass without one has that of its nearest base."""

OF_TOKENS = (ISSUED_IN_FULL, ISSUED_IN_PART, ISSUED_EMPTY, ISSUED_DEGRADED)

LABELS = tuple({outcome.labels: None for outcome in (*OF_TOKENS, *(OF_ERRORS[kind] for kind in OF_ERRORS))})
"""Every series of the metric."""


def outcome_of_error(error: BaseException) -> Outcome:
    """Return the row of ``error``."""
    return next((OF_ERRORS[kind] for kind in type(error).__mro__ if kind in OF_ERRORS), FAULT)
