"""The text form of a subject: claim ``sub``, ``actor`` of audit entries, ``actor.name`` of the registry's events.

``member:<id>``, ``service-account:<id>``, ``license:<id>`` or ``system:authsvc``. When several licenses granted a token
together, their ids stand in one subject: ``license:<id>,<id>``. Whatever reads a subject takes it apart with
:func:`split_subject`, so that each of the licenses is found.
"""

from collections.abc import Iterable

_LICENSES = "license:"
_COMMA = ","


def join_licenses(ids: Iterable[str]) -> str:
    """Return the subject of licenses that count together: their ids once each, sorted."""
    return _LICENSES + _COMMA.join(sorted(set(ids)))


def split_subject(subject: str) -> tuple[str, ...]:
    """Return the subjects of one record each that ``subject`` names; one that is not several licenses is itself."""
    if not subject.startswith(_LICENSES):
        return (subject,)
    return tuple(f"{_LICENSES}{license_id}" for license_id in subject.removeprefix(_LICENSES).split(_COMMA))
