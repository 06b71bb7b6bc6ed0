"""A record together with the version of it that was read."""

from typing import Generic, NewType, TypeVar

from attrs import frozen

T = TypeVar("T")

Version = NewType("Version", bytes)
"""Identifies one stored state of a record. Opaque: only ``store/`` looks into it."""


@frozen
class Versioned(Generic[T]):
    """A record as it was read, so that a change can require that it is unchanged since.

    Attributes:
        record: the value.
        version: identifies what was read; hand it back with the change.
    """

    record: T
    version: Version
