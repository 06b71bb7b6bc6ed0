"""Sets of repository names that ``name`` conditions of docker_auth describe, and relations between two of them.

A condition is matched as Go's ``path.Match`` does: ``*`` and ``?`` stay within one component, and ``**`` is no more
than ``*``. Only a regular expression reaches any depth. Names are valid names of repositories; what no such name can
match is the empty set.
"""

import re
from collections.abc import Sequence

from attrs import frozen

from authsvc.tenancy.patterns import PROXY, is_pattern, matches_glob

STAR, ONE = "*", "?"
"""Any text within one component, and any one character of it."""

_SOUND_COMPONENT = re.compile(r"[a-z0-9*?](?:[a-z0-9._*?-]*[a-z0-9*?])?", re.ASCII)
"""A component that a valid component can match; others, such as ``Team`` and ``-x``, match no repository."""


@frozen
class NameRegion:
    """A set of repository names.

    Attributes:
        components: literal characters, ``*`` and ``?``.
        deep: whether at least one more component of any kind follows; otherwise the name ends here.
    """

    components: tuple[str, ...]
    deep: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether every name is in it."""
        return self.deep and not self.components

    def contains(self, name: Sequence[str]) -> bool:
        """Whether the name with these components is in it."""
        return self.covers(NameRegion(tuple(name)))

    def covers(self, other: "NameRegion") -> bool:
        """Whether every name of ``other`` is in it for certain."""
        own, theirs = len(self.components), len(other.components)
        longer = theirs >= own if other.deep else theirs > own
        fits = longer if self.deep else not other.deep and theirs == own
        return fits and all(map(_covers, self.components, other.components))

    def overlaps(self, other: "NameRegion") -> bool:
        """Whether some name might be in both."""
        own, theirs = len(self.components), len(other.components)
        if not self.deep and not other.deep:
            fits = own == theirs
        else:
            fits = (self.deep or own > theirs) and (other.deep or theirs > own)
        return fits and all(map(_overlaps, self.components, other.components))

    def within(self, app: str) -> "NameRegion | None":
        """Return the part in the namespace ``app``, relative to it; None when there is none."""
        if self.is_everything:
            return self
        first, *rest = self.components
        if not _covers(first, app) or not (rest or self.deep):
            return None
        return NameRegion(tuple(rest), self.deep)

    def pattern(self) -> str | None:
        """Return the pattern of a grant that covers exactly this within an app; None when there is none."""
        text = "/".join((*self.components, "**") if self.deep else self.components)
        if ONE in text or self.components[:1] == (PROXY,) or not is_pattern(text):
            return None
        return text


EVERYTHING = NameRegion((), deep=True)


@frozen
class ParsedName:
    """What a ``name`` condition describes.

    Attributes:
        region: None when no repository can have such a name; else a set that has all that match.
        exact: whether everything in the set matches; else nothing is known but that the rest does not.
    """

    region: NameRegion | None
    exact: bool = True


def parse_glob(text: str) -> ParsedName:
    """Return what a glob describes, whose variables are replaced already."""
    components = [""]
    characters = iter(text)
    for character in characters:
        if character == "[":  # a class may even match a slash
            return ParsedName(EVERYTHING, exact=False)
        literal = next(characters, None) if character == "\\" else ""
        if literal is None:
            return ParsedName(EVERYTHING, exact=False)
        if literal in {STAR, ONE}:  # no name has one
            return ParsedName(None)
        if "/" in {character, literal}:
            components.append("")
        elif literal:
            components[-1] += literal
        elif character != STAR or not components[-1].endswith(STAR):
            components[-1] += character
    if not all(_SOUND_COMPONENT.fullmatch(component) for component in components):
        return ParsedName(None)
    return ParsedName(NameRegion(tuple(components)))


_LITERAL = r"(?:[A-Za-z0-9_-]|\\[._-])+"
_DEEP_REGEX = re.compile(rf"\^({_LITERAL}(?:\\?/{_LITERAL})*)\\?/(?:\.[*+]\$?)?", re.ASCII)
_FIXED_REGEX = re.compile(rf"\^({_LITERAL}(?:\\?/{_LITERAL})*)\$", re.ASCII)
_EVERYTHING_REGEX = re.compile(r"\^?\.[*+]\$?", re.ASCII)


def parse_regex(text: str) -> ParsedName:
    """Return what a regular expression describes: exactly for a fixed name, and for everything below a fixed path."""
    if _EVERYTHING_REGEX.fullmatch(text):
        return ParsedName(EVERYTHING)
    deep = _DEEP_REGEX.fullmatch(text)
    found = deep or _FIXED_REGEX.fullmatch(text)
    if found is None:
        return ParsedName(EVERYTHING, exact=False)
    components = tuple(found[1].replace("\\", "").split("/"))
    if not all(_SOUND_COMPONENT.fullmatch(component) for component in components):
        return ParsedName(None)
    return ParsedName(NameRegion(components, deep=deep is not None))


def _covers(wide: str, narrow: str) -> bool:
    """Whether a glob of one component matches all that another does: a star is covered by a star alone."""
    if wide == narrow or _is_literal(wide):
        return wide == narrow
    return matches_glob(wide, narrow, star=STAR, same=lambda one, other: one == other or (one == ONE and other != STAR))


def _overlaps(one: str, other: str) -> bool:
    """Whether some text matches both globs of one component. The work is the product of their lengths."""
    if one == other or (_is_literal(one) and _is_literal(other)):
        return one == other
    ends = [False] * len(other) + [True]
    for place in range(len(other) - 1, -1, -1):
        ends[place] = ends[place + 1] and other[place] == STAR
    for character in reversed(one):
        row = [False] * len(other) + [character == STAR and ends[-1]]
        for place in range(len(other) - 1, -1, -1):
            if character == STAR or other[place] == STAR:
                row[place] = row[place + 1] or ends[place]
            else:
                row[place] = ends[place + 1] and (character == other[place] or ONE in {character, other[place]})
        ends = row
    return ends[0]


def _is_literal(component: str) -> bool:
    return STAR not in component and ONE not in component
