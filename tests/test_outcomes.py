"""The table of outcomes, against the values that clients, dashboards and readers of log and audit rely on."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from authsvc import errors
from authsvc.decision import DenialReason
from authsvc.errors import AuthsvcError, StoreRefused, Throttled, UpstreamLimited
from authsvc.issuance import Denied
from authsvc.metrics.catalogue import TOKEN_REQUESTS
from authsvc.outcomes import FAULT, LABELS, OF_ERRORS, OF_TOKENS, Outcome, outcome_of_error
from authsvc.web.public_error import public_error
from tests.support.builders import as_license, make_license

UNANSWERED = ("token.unanswered", "failed")

EXPECTED = {
    "CredentialsRefused": ("token.refused", "refused", "credentials", 401, "UNAUTHORIZED"),
    "WrongSecret": ("token.refused", "refused", "wrong_secret", 401, "UNAUTHORIZED"),
    "TokenRefused": (*UNANSWERED, "fault", 401, "UNAUTHORIZED"),
    "AccountDenied": ("token.denied", "refused", "account", 401, "DENIED"),
    "Throttled": ("token.throttled", "refused", "throttled", 429, "TOOMANYREQUESTS"),
    "Overloaded": (*UNANSWERED, "overloaded", 503, "UNAVAILABLE"),
    "StoreUnavailable": (*UNANSWERED, "store", 503, "UNAVAILABLE"),
    "StoreRefused": (*UNANSWERED, "store", 503, "UNAVAILABLE"),
    "SignerUnavailable": (*UNANSWERED, "signer", 503, "UNAVAILABLE"),
    "PermissionDenied": (*UNANSWERED, "fault", 403, "DENIED"),
    "RegistryUnavailable": (*UNANSWERED, "fault", 503, "UNAVAILABLE"),
    "UpstreamFailed": (*UNANSWERED, "fault", 502, "UNAVAILABLE"),
    "UpstreamUnavailable": (*UNANSWERED, "fault", 502, "UNAVAILABLE"),
    "UpstreamRefused": (*UNANSWERED, "fault", 502, "UNAVAILABLE"),
    "UpstreamLimited": (*UNANSWERED, "fault", 429, "TOOMANYREQUESTS"),
    "UpstreamNotFound": (*UNANSWERED, "fault", 404, "UNKNOWN"),
    "InputRefused": (*UNANSWERED, "fault", 400, "UNSUPPORTED"),
    "NotFound": (*UNANSWERED, "fault", 404, "UNKNOWN"),
    "Conflict": (*UNANSWERED, "fault", 409, "UNKNOWN"),
    "ConfirmationNeeded": (*UNANSWERED, "fault", 409, "UNKNOWN"),
    "LastOwner": (*UNANSWERED, "fault", 409, "UNKNOWN"),
    "PreconditionFailed": (*UNANSWERED, "fault", 412, "UNKNOWN"),
    "OperationRepeated": (*UNANSWERED, "fault", 409, "UNKNOWN"),
    "SetupRefused": (*UNANSWERED, "fault", 500, "UNKNOWN"),
    "SecretsRefused": (*UNANSWERED, "fault", 500, "UNKNOWN"),
    "AuthsvcError": (*UNANSWERED, "fault", 500, "UNKNOWN"),
}


def classes() -> Iterator[type[AuthsvcError]]:
    """Every class of errors.py."""
    return (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AuthsvcError))


def test_every_class_of_errors_has_a_row() -> None:
    """A class without one would be answered and counted like its base, unnoticed."""
    assert set(classes()) == set(OF_ERRORS)


@pytest.mark.parametrize("kind", list(classes()), ids=lambda kind: kind.__name__)
def test_the_values_of_a_row(kind: type[AuthsvcError]) -> None:
    """Audit, metric, status and code of an error are the documented ones; the log has it at info, a fault at error."""
    row = outcome_of_error(kind.__new__(kind))
    fault = row.status == 500

    assert EXPECTED[kind.__name__] == (row.audit_event, *row.labels, row.status, row.registry_code)
    assert (row.log_event, row.log_level) == (
        ("request.failed", logging.ERROR) if fault else ("token.refused", logging.INFO)
    )
    assert row.is_fault == fault


def test_the_rows_of_tokens() -> None:
    """A token is one event in audit and log, and one of four reasons in the metric."""
    assert ["full", "partial", "nothing", "degraded"] == [row.labels[1] for row in OF_TOKENS]
    assert {Outcome("token.issued", ("issued", ""), log_event="token.issued")} == {
        Outcome(row.audit_event, (row.labels[0], ""), row.status, row.registry_code, row.log_event, row.log_level)
        for row in OF_TOKENS
    }


@pytest.mark.parametrize("error", [KeyError("x"), asyncio.CancelledError(), OSError()])
def test_what_is_not_ours_is_a_fault(error: BaseException) -> None:
    """Any other exception is an internal error."""
    assert outcome_of_error(error) is FAULT


def test_a_subclass_has_the_row_of_its_nearest_base() -> None:
    """Issuance denies with a class of its own; a refusal of Redis is not taken for silence by accident."""

    class Odd(StoreRefused):
        pass

    assert (
        outcome_of_error(Denied("no", as_license(make_license()), DenialReason.LICENSE_EXPIRED))
        is OF_ERRORS[errors.AccountDenied]
    )
    assert outcome_of_error(Odd("no")) is OF_ERRORS[StoreRefused]


def test_each_series_of_the_metric_is_declared() -> None:
    """No outcome is counted under labels that the catalogue lacks, and none is declared twice."""
    assert LABELS == TOKEN_REQUESTS.series
    assert len(LABELS) == len(set(LABELS)) == 12


def test_what_a_client_learns() -> None:
    """The sentence of our own errors, nothing of a fault, and when to try again."""
    fault = public_error(KeyError("asv_secret"), "id")
    throttled = public_error(Throttled("wait", 0.2), "id")
    limited = public_error(UpstreamLimited("later", 61.5), "id")
    down = public_error(StoreRefused("no", detail="private"), "id")

    assert (500, "something went wrong on our side; tell the vendor", None) == (
        fault.status,
        fault.message,
        fault.retry_after,
    )
    assert [(429, "wait", 1), (503, "no", 2), (429, "later", 62)] == [
        (e.status, e.message, e.retry_after) for e in (throttled, down, limited)
    ]
