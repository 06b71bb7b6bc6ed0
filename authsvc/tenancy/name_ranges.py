"""Ranges of names in the list of an app's repositories that the patterns of a license can cover.

A pattern begins with literal text: ``api/*`` covers only names that begin with ``api/``. So a reader of the ordered
list needs to read only those ranges, however many repositories the app has.
"""

from collections.abc import Sequence

from attrs import frozen

from authsvc.tenancy.patterns import PROXY, covers_native


@frozen
class NameRange:
    """Names with a common prefix; the ranges of one app do not overlap, and are in order.

    Attributes:
        prefix: of the names, beginning with the slug of the app.
        patterns: those that cover some of the names; None when all are covered.
        is_name: whether ``prefix`` is the only name in the range.
    """

    prefix: str
    patterns: tuple[str, ...] | None
    is_name: bool = False

    @property
    def cost(self) -> int:
        """The approximate number of steps that the comparison takes for each character of a name."""
        return sum(len(one) for one in self.patterns or () if "*" in one)

    def covers(self, repository: str) -> bool:
        """Whether a name is in the range and covered by a pattern."""
        if repository != self.prefix if self.is_name else not repository.startswith(self.prefix):
            return False
        rest = repository.split("/")[1:]
        return self.patterns is None or any(covers_native(pattern, rest) for pattern in self.patterns)


def name_ranges(app: str, patterns: Sequence[str] | None) -> tuple[NameRange, ...]:
    """Return the ranges of an app's repositories that patterns cover; None for every repository."""
    if patterns is None:
        return (NameRange(f"{app}/", None),)
    found: list[NameRange] = []
    native = {one for one in patterns if one.partition("/")[0] != PROXY}
    for pattern in sorted(native, key=lambda one: (one.partition("*")[0], "*" not in one)):
        prefix = f"{app}/{pattern.partition('*')[0]}"
        last = found[-1] if found else None
        if last is not None and not last.is_name and prefix.startswith(last.prefix):
            found[-1] = NameRange(last.prefix, (*(last.patterns or ()), pattern))
        else:
            found.append(NameRange(prefix, (pattern,), "*" not in pattern))
    return tuple(found)
