"""The text form of a subject: claim ``sub``, ``actor`` of audit entries, ``actor.name`` of the registry's events.

``member:<id>``, ``service-account:<id>``, ``license:<id>`` or ``system:authsvc``. When several licenses granted a token
together, their ids stand in one subject: ``license:<id>,<id>``. Whatever reads a subject takes it apart with
:func:`split_subject`, so that each of the licenses is found.
"""

from collections.abc import Iterable

LICENSE = "license:"
"""What the subject of a license begins with; its id is behind it."""

SYSTEM = "system:authsvc"
"""The subject of authsvc itself at the registry, and of the operator."""

_COMMA = ","


def join_licenses(ids: Iterable[str]) -> str:
    """Return the subject of licenses that count together: their ids once each, sorted."""
    return LICENSE + _COMMA.join(sorted(set(ids)))


def split_subject(subject: str) -> tuple[str, ...]:
    """Return the subjects of one record each that ``subject`` names; one that is not several licenses is itself."""
    if not subject.startswith(LICENSE):
        return (subject,)
    return tuple(f"{LICENSE}{license_id}" for license_id in subject.removeprefix(LICENSE).split(_COMMA))
