"""The errors of authsvc: what is refused, and why.

::

    AuthsvcError
    ├── SetupRefused          a start was refused: bad setting, missing binary, unreadable or weak key (exit 2)
    │   └── SecretsRefused    something in the secrets directory is unusable
    ├── InputRefused          a value given by a person is not acceptable (exit 1 or 2, HTTP 400)
    │   ├── NotFound          it names something that does not exist
    │   └── Conflict          it contradicts what exists already
    │       ├── ConfirmationNeeded   it ends access for others, and the caller has not confirmed it
    │       ├── LastOwner            it would leave a team without an owner
    │       ├── PreconditionFailed   it was changed since the client read it (HTTP 412)
    │       └── OperationRepeated    it was carried out before, under the same operation id
    ├── CredentialsRefused    identity was not proven (HTTP 401 UNAUTHORIZED)
    │   ├── WrongSecret       a secret was sent that belongs to no account; the throttle counts it
    │   └── TokenRefused      a registry token is damaged, expired, or not from one of our roots
    ├── AccountDenied         identity is proven, but the account may not be used now (HTTP 401 DENIED)
    ├── PermissionDenied      identity is proven, but this actor may not do that (HTTP 403)
    ├── Throttled             too many wrong secrets came from there (HTTP 429)
    ├── Overloaded            too much of the same work is queued (HTTP 503)
    ├── StoreUnavailable      Redis did not answer in time (HTTP 503, never 401)
    │   └── StoreRefused      Redis answered, and refused; nothing was changed
    ├── RegistryUnavailable   the registry did not answer in time, or its answer is unusable (HTTP 503)
    ├── UpstreamFailed        an external registry gave nothing that can be passed on
    │   ├── UpstreamUnavailable    it did not answer in time, or its answer is unusable (HTTP 502)
    │   ├── UpstreamRefused        it refused the credential of the link, or access with it (HTTP 502)
    │   ├── UpstreamLimited        it takes no more requests for a while (HTTP 429)
    │   └── UpstreamNotFound       it does not have what was asked for (HTTP 404)
    └── SignerUnavailable     no leaf certificate lives long enough to sign (HTTP 503)

This module does not know HTTP: the table in ``outcomes.py`` maps errors to statuses. The text of an error is public: it
says what is wrong, why and, where it fits every reader, what to do. ``code`` says the same to machines, and stays when
the sentence changes; docs/errors.md lists the codes. ``detail`` is for the log only.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from attrs import frozen

from authsvc.error_codes import ErrorCode


@frozen
class FieldProblem:
    """What is wrong with one argument of a request.

    Attributes:
        field: name of the use case's argument, such as ``expires``; a part of one is ``fields.seats``.
        code: machine-readable.
        detail: the sentence for people.
    """

    field: str
    code: ErrorCode
    detail: str


class AuthsvcError(Exception):
    """Base class of all errors; never raised itself.

    Attributes:
        code: machine-readable meaning: the one given, else that of the class. Errors of input must be given one.
        detail: what is logged in addition to the public sentence, or None.
        facts: values in the sentence by name, for a caller that adds a hint; never a secret.
    """

    default_code: ClassVar[ErrorCode] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode | None = None,
        detail: str | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the public sentence and the private detail apart."""
        super().__init__(message)
        self.code = code or self.default_code
        self.detail = detail
        self.facts = dict(facts or {})


class SetupRefused(AuthsvcError):
    """The process cannot start with these settings or files."""

    default_code: ClassVar[ErrorCode] = "setup_refused"


class SecretsRefused(SetupRefused):
    """A file of the secrets directory is missing, readable by others, weak or damaged."""

    default_code: ClassVar[ErrorCode] = "secrets_refused"


class InputRefused(AuthsvcError):
    """A value that a user gave is not acceptable.

    Attributes:
        field: name of the refused argument, as in :class:`FieldProblem`; None when it is not a single one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode,
        field: str | None = None,
        errors: Sequence[FieldProblem] = (),
        detail: str | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the argument beside the sentence, or several refused arguments in ``errors``."""
        super().__init__(message, code=code, detail=detail, facts=facts)
        self.field = field
        self._errors = tuple(errors)

    @property
    def errors(self) -> tuple[FieldProblem, ...]:
        """What is wrong, argument by argument; empty when no argument is to blame."""
        if self._errors or self.field is None:
            return self._errors
        return (FieldProblem(self.field, self.code, str(self)),)


class NotFound(InputRefused):
    """The named thing does not exist."""


class Conflict(InputRefused):
    """The request contradicts what exists already."""


class ConfirmationNeeded(Conflict):
    """The change ends access for others; it is made when the request is repeated with ``mark``.

    Attributes:
        mark: identifies the access that, as the sentence says, would end.
    """

    def __init__(self, message: str, mark: str) -> None:
        """Keep what is to be confirmed beside the sentence."""
        super().__init__(message, code="confirmation_needed")
        self.mark = mark


class LastOwner(Conflict):
    """The change would leave a team without an owner who can manage all of it."""

    def __init__(self, message: str) -> None:
        """Fix the code."""
        super().__init__(message, code="last_owner")


class PreconditionFailed(Conflict):
    """The record has changed since the client read it."""

    def __init__(self, message: str) -> None:
        """Fix the code."""
        super().__init__(message, code="version_conflict")


class OperationRepeated(Conflict):
    """The operation was carried out before, by the same request; nothing was changed this time.

    Attributes:
        result: id of what it created or changed; None when that is no longer known.
    """

    def __init__(self, message: str, result: str | None) -> None:
        """Keep what the first attempt made beside the sentence."""
        super().__init__(message, code="operation_repeated")
        self.result = result


class CredentialsRefused(AuthsvcError):
    """Identity was not proven.

    The sentence is the same for unknown accounts and wrong secrets, so that a stranger cannot find out which accounts
    exist.
    """

    default_code: ClassVar[ErrorCode] = "credentials_refused"


class WrongSecret(CredentialsRefused):
    """A well-formed secret was sent that belongs to no account, or no longer does."""


class TokenRefused(CredentialsRefused):
    """A registry token is damaged, expired, for another service, or not from one of our roots."""


class AccountDenied(AuthsvcError):
    """Identity is proven, but a fact about the account forbids its use now."""

    default_code: ClassVar[ErrorCode] = "account_denied"


class PermissionDenied(AuthsvcError):
    """Identity is proven, but the actor may not do this; the sentence says what is missing and who may do it."""

    default_code: ClassVar[ErrorCode] = "permission_denied"


class Throttled(AuthsvcError):
    """Too many wrong secrets came for the account or from the network. This one was not evaluated.

    Attributes:
        retry_after: seconds after which another one is evaluated.
    """

    default_code: ClassVar[ErrorCode] = "throttled"

    def __init__(self, message: str, retry_after: float, *, detail: str | None = None) -> None:
        """Keep how long to wait beside the sentence."""
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class Overloaded(AuthsvcError):
    """A bounded queue is full."""

    default_code: ClassVar[ErrorCode] = "overloaded"


class StoreUnavailable(AuthsvcError):
    """The store did not answer in time.

    Attributes:
        uncertain: whether it may have carried the command out nevertheless; False guarantees that it has not.
    """

    default_code: ClassVar[ErrorCode] = "store_unavailable"

    def __init__(
        self, message: str, *, code: ErrorCode | None = None, uncertain: bool = False, detail: str | None = None
    ) -> None:
        """Keep whether there is doubt beside the sentence."""
        super().__init__(message, code=code, detail=detail)
        self.uncertain = uncertain


class StoreRefused(StoreUnavailable):
    """The store refused the command; nothing was changed. ``detail`` is its reply."""

    default_code: ClassVar[ErrorCode] = "store_refused"


STORE_AWAY = "the service's database does not answer; try again in a few seconds"
"""The sentence of every :class:`StoreUnavailable` after which a retry is safe."""


class RegistryUnavailable(AuthsvcError):
    """Our registry did not answer in time, or its answer cannot be used."""

    default_code: ClassVar[ErrorCode] = "registry_unavailable"


class UpstreamFailed(AuthsvcError):
    """A linked external registry gave nothing that can be passed on; its subclasses say why.

    Attributes:
        status: HTTP status of its answer, or that of its token server or the target of a redirect; None without an
            answer.
    """

    default_code: ClassVar[ErrorCode] = "upstream_unavailable"
    status: int | None = None


class UpstreamUnavailable(UpstreamFailed):
    """It did not answer in time, or its answer cannot be used."""


class UpstreamRefused(UpstreamFailed):
    """It refused the credential of the link, or access with it.

    Attributes:
        credential: whether the credential itself was refused, so that nothing can be pulled with it.
    """

    default_code: ClassVar[ErrorCode] = "upstream_refused"

    def __init__(self, message: str, *, credential: bool, detail: str | None = None) -> None:
        """Keep what was refused beside the sentence."""
        super().__init__(message, detail=detail)
        self.credential = credential


class UpstreamLimited(UpstreamFailed):
    """It takes no more requests for a while.

    Attributes:
        retry_after: seconds after which it takes one again.
    """

    default_code: ClassVar[ErrorCode] = "upstream_limited"

    def __init__(self, message: str, retry_after: float, *, detail: str | None = None) -> None:
        """Keep how long to wait beside the sentence."""
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class UpstreamNotFound(UpstreamFailed):
    """It does not have what was asked for."""

    default_code: ClassVar[ErrorCode] = "upstream_not_found"


class SignerUnavailable(AuthsvcError):
    """There is no signing certificate that outlives the token to be signed."""

    default_code: ClassVar[ErrorCode] = "signer_unavailable"
