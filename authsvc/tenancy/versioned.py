"""A record together with its version when it was read."""

from typing import Generic, NewType, TypeVar

from attrs import frozen

T = TypeVar("T")

Version = NewType("Version", bytes)
"""Identifies one stored state of a record. Opaque: only ``store/`` interprets it."""


@frozen
class Versioned(Generic[T]):
    """A record with its version, so that a change can require that the record has not been changed since.

    Attributes:
        record: the value.
        version: identifies the state that was read; pass it back with the change.
    """

    record: T
    version: Version
