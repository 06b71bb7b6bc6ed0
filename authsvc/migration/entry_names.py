"""The ``name`` condition of an entry: its namespace, and the names that it covers for one account."""

from authsvc.errors import InputRefused
from authsvc.migration.document import AclEntry
from authsvc.migration.match_condition import matches, regex_of, substituted
from authsvc.migration.name_region import EVERYTHING, ONE, STAR, ParsedName, parse_glob, parse_regex
from authsvc.tenancy.names import parse_slug

ACCOUNT = "${account}"

_STAND_IN = "x"
"""Placeholder for an account where only the other part of the name matters."""


def is_for_images(entry: AclEntry) -> bool:
    """Whether the entry can match images at all, instead of the catalog for instance."""
    return matches(entry.type, "repository", _STAND_IN) is not False


def covered(entry: AclEntry, account: str) -> ParsedName:
    """Return what the name of an entry covers when ``account`` asks."""
    if entry.name is None:
        return ParsedName(EVERYTHING)
    text = substituted(entry.name, account)
    if text is None:
        return ParsedName(EVERYTHING, exact=False)
    regex = regex_of(text)
    return parse_glob(text) if regex is None else parse_regex(regex)


def is_own_namespace(entry: AclEntry) -> bool:
    """Whether the entry is for an account's own namespace."""
    return entry.name is not None and ACCOUNT in entry.name.partition("/")[0]


def namespace_of(entry: AclEntry) -> str | None:
    """Return the namespace that an entry names; None when it names none, or more than one."""
    if entry.name is None or is_own_namespace(entry) or not is_for_images(entry):
        return None
    region = covered(entry, _STAND_IN).region
    if region is None or region.is_everything or (len(region.components) == 1 and not region.deep):
        return None
    first = region.components[0]
    return None if STAR in first or ONE in first else first


def lacks_namespace(entry: AclEntry) -> bool:
    """Whether an entry is for images without a namespace, such as ``hello-world`` and ``test-*``."""
    region = covered(entry, _STAND_IN).region
    return region is not None and len(region.components) == 1 and not region.deep


def spans_namespaces(entry: AclEntry) -> bool:
    """Whether an entry is for every namespace, or for all whose names are alike."""
    parsed = covered(entry, _STAND_IN)
    if parsed.region is None or not parsed.exact or lacks_namespace(entry):
        return False
    return parsed.region.is_everything or STAR in parsed.region.components[0] or ONE in parsed.region.components[0]


def namespace_problem(namespace: str) -> str | None:
    """Return why a namespace cannot be an app; None if it can."""
    try:
        parse_slug(namespace, "app")
    except InputRefused as error:
        return str(error)
    return None
