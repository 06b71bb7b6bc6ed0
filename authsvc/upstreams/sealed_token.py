"""A token of an external registry as it is stored between replicas: sealed, with its times."""

from datetime import datetime

from attrs import frozen


@frozen
class SealedToken:
    """A token as it is stored.

    Attributes:
        sealed: the token.
        fetched_at: aware.
        ends_at: aware.
    """

    sealed: str
    fetched_at: datetime
    ends_at: datetime
