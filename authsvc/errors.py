"""Every way in which authsvc says no.

::

    AuthsvcError
    ├── SetupRefused          a start was refused: bad setting, missing binary, unreadable or weak key (exit 2)
    │   └── SecretsRefused    something in the secrets directory is unusable
    ├── InputRefused          a value given by a person is not acceptable (exit 1 or 2, HTTP 400)
    │   ├── NotFound          it names something that does not exist
    │   └── Conflict          it contradicts what exists already
    │       ├── ConfirmationNeeded   it ends access for others, and nobody has confirmed that
    │       └── LastOwner            it would leave a team without an owner
    ├── CredentialsRefused    identity was not proven (HTTP 401 UNAUTHORIZED)
    │   └── WrongSecret       a secret was shown that opens nothing; the throttle counts it
    ├── AccountDenied         identity is proven, the account may not be used now (HTTP 401 DENIED)
    ├── Throttled             too many wrong secrets came from there (HTTP 429)
    ├── Overloaded            too much of the same work is queued (HTTP 503)
    ├── StoreUnavailable      Redis did not answer in time (HTTP 503, never 401)
    │   └── StoreRefused      Redis answered, and refused; nothing was changed
    └── SignerUnavailable     no leaf certificate lives long enough to sign (HTTP 503)

This module knows no HTTP: ``web/problems.py`` is the one table that does. The text of an error is public: a
sentence with what, why and what to do. ``detail`` is for the log alone.
"""


class AuthsvcError(Exception):
    """Root of the tree; never raised itself.

    Attributes:
        detail: what the log may know beyond the public sentence, or None.
    """

    def __init__(self, message: str, *, detail: str | None = None) -> None:
        """Keep the public sentence and the private detail apart."""
        super().__init__(message)
        self.detail = detail


class SetupRefused(AuthsvcError):
    """The process cannot start like this."""


class SecretsRefused(SetupRefused):
    """A file of the secrets directory is missing, readable by others, weak or damaged."""


class InputRefused(AuthsvcError):
    """A value that a person gave is not acceptable."""


class NotFound(InputRefused):
    """What was named does not exist."""


class Conflict(InputRefused):
    """What was asked contradicts what exists already."""


class ConfirmationNeeded(Conflict):
    """The change ends access for others; it is made when it is asked for again with ``mark``.

    Attributes:
        mark: stands for what the sentence says would end.
    """

    def __init__(self, message: str, mark: str) -> None:
        """Keep what is to be confirmed beside the sentence."""
        super().__init__(message)
        self.mark = mark


class LastOwner(Conflict):
    """The change would leave a team without anybody who can manage it."""


class CredentialsRefused(AuthsvcError):
    """Identity was not proven. One sentence for unknown and wrong, so that nobody learns which accounts exist."""


class WrongSecret(CredentialsRefused):
    """A well-formed secret was shown that opens nothing, or no longer."""


class AccountDenied(AuthsvcError):
    """Identity is proven, and a fact about the account forbids its use now."""


class Throttled(AuthsvcError):
    """Too many wrong secrets came for the account or from the network. A password was not evaluated.

    Attributes:
        retry_after: seconds after which one more is evaluated.
    """

    def __init__(self, message: str, retry_after: float, *, detail: str | None = None) -> None:
        """Keep how long to wait beside the sentence."""
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class Overloaded(AuthsvcError):
    """A bounded queue is full."""


class StoreUnavailable(AuthsvcError):
    """The store did not answer in time.

    Attributes:
        uncertain: whether it may have carried the command out all the same. False is a promise: it has not.
    """

    def __init__(self, message: str, *, uncertain: bool = False, detail: str | None = None) -> None:
        """Keep whether there is doubt beside the sentence."""
        super().__init__(message, detail=detail)
        self.uncertain = uncertain


class StoreRefused(StoreUnavailable):
    """The store answered that it refuses the command; nothing was changed. ``detail`` is its reply."""


STORE_AWAY = "the service's database does not answer; try again in a few seconds"
"""What is said whenever the store did not answer, whoever finds out."""


class SignerUnavailable(AuthsvcError):
    """There is no signing certificate that outlives the token to be signed."""
