"""Where in the list of an app's repositories those can be that the patterns of a license cover.

A pattern begins with text that stands for itself: ``api/*`` covers nothing that does not begin with ``api/``. So who
reads names in order reads those ranges alone, however many repositories the app has.
"""

from collections.abc import Sequence

from attrs import frozen

from authsvc.tenancy.patterns import PROXY, covers_native


@frozen
class NameRange:
    """The names that begin alike; those of one app do not overlap, and are in order.

    Attributes:
        prefix: how they begin, with the slug of the app in front.
        patterns: those that cover some of them; None when all are covered.
        is_name: whether ``prefix`` is the only one.
    """

    prefix: str
    patterns: tuple[str, ...] | None
    is_name: bool = False

    @property
    def cost(self) -> int:
        """About the steps of comparing that each character of a name takes."""
        return sum(len(one) for one in self.patterns or () if "*" in one)

    def covers(self, repository: str) -> bool:
        """Whether a name is in the range, and covered."""
        if repository != self.prefix if self.is_name else not repository.startswith(self.prefix):
            return False
        rest = repository.split("/")[1:]
        return self.patterns is None or any(covers_native(pattern, rest) for pattern in self.patterns)


def name_ranges(app: str, patterns: Sequence[str] | None) -> tuple[NameRange, ...]:
    """Return where the repositories of an app are that patterns cover; None for every repository."""
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
