"""The text form of a subject: claim ``sub``, ``actor`` of audit entries, ``actor.name`` of the registry's events.

``member:<id>``, ``service-account:<id>``, ``license:<id>`` or ``system:authsvc``. When several licenses granted a token
together, one subject contains all their ids: ``license:<id>,<id>``. All readers of subjects split them with
:func:`split_subject`, so that each of the licenses is found.
"""

from collections.abc import Iterable

LICENSE = "license:"
"""Prefix of the subject of a license, before its id."""

SYSTEM = "system:authsvc"
"""The subject of authsvc itself at the registry, and of the operator."""

_COMMA = ","


def join_licenses(ids: Iterable[str]) -> str:
    """Return the subject of several licenses: their ids once each, sorted."""
    return LICENSE + _COMMA.join(sorted(set(ids)))


def split_subject(subject: str) -> tuple[str, ...]:
    """Return the subjects in ``subject``, one for each record; only that of several licenses is more than one."""
    if not subject.startswith(LICENSE):
        return (subject,)
    return tuple(f"{LICENSE}{license_id}" for license_id in subject.removeprefix(LICENSE).split(_COMMA))
