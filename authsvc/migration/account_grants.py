"""Converts the rights of one account in one app into grants: the first matching entry decides, but grants only add up.

An entry that is certain to match gives its actions where no earlier entry stands before it. Where an earlier one does,
what is granted is what both allow, so nothing is ever more than docker_auth gives, whatever the order.
"""

from collections.abc import Iterable, Sequence

from attrs import define, field, frozen

from authsvc.decision import DELETE, PULL, PUSH
from authsvc.errors import InputRefused
from authsvc.migration.document import AclEntry
from authsvc.migration.name_region import NameRegion
from authsvc.tenancy.machine_records import Grant

EVERY_ACTION = frozenset({PULL, PUSH, DELETE})

MAX_COMPARISONS = 2_000_000
"""Most comparisons of two entries in one conversion."""


def allowed_actions(entry: AclEntry) -> frozenset[str]:
    """Return what an entry allows of the actions that there are on images. Only a ``*`` that stands alone is all."""
    return EVERY_ACTION if entry.actions == ("*",) else EVERY_ACTION.intersection(entry.actions)


@frozen
class AppliedEntry:
    """An entry as it applies to one account within one app.

    Attributes:
        entry: of the ACL.
        region: relative to the app; has all that the entry can match.
        certain: whether it matches all of the region, whatever the request.
    """

    entry: AclEntry
    region: NameRegion
    certain: bool

    @property
    def actions(self) -> frozenset[str]:
        """What it allows."""
        return allowed_actions(self.entry)


@define
class WorkLimit:
    """Counts comparisons, so that no file takes for ever."""

    _left: int = MAX_COMPARISONS

    def spend(self, comparisons: int) -> None:
        """Count some.

        Raises:
            InputRefused: there were too many.
        """
        self._left -= comparisons
        if self._left < 0:
            raise InputRefused(
                "users, entries and apps of the configuration are too many for one conversion; split the file",
                code="configuration_invalid",
                field="file",
            )


@define
class AppGrants:
    """What one account gets in one app.

    Attributes:
        app: slug.
        grants: what it gets.
        narrowed: entries that give less than they did, each with an earlier entry that stands in the way.
        push_alone: entries that allow pushing without pulling, which has no equivalent.
        uncertain: entries that may decide, depending on the request or on unknown conditions.
    """

    app: str
    grants: list[Grant] = field(factory=list)
    narrowed: list[tuple[AclEntry, AclEntry]] = field(factory=list)
    push_alone: list[AclEntry] = field(factory=list)
    uncertain: list[AclEntry] = field(factory=list)

    @property
    def exact(self) -> bool:
        """Whether this is what docker_auth gives, for every request."""
        lost = any(allowed_actions(entry) for entry in self.uncertain)
        return not (self.narrowed or self.push_alone or lost)

    @classmethod
    def of(cls, app: str, entries: Iterable[AppliedEntry], limit: WorkLimit) -> "AppGrants":
        """Return what entries give in an app, in their order."""
        found = cls(app)
        earlier: list[AppliedEntry] = []
        given: list[tuple[NameRegion, frozenset[str]]] = []
        for one in entries:
            limit.spend(len(earlier) + 1)
            if any(before.certain and before.region.covers(one.region) for before in earlier):
                continue  # nothing reaches it
            if one.certain:
                actions = found._allowed(one, earlier)
                if actions:
                    given.append((one.region, actions))
            else:
                found.uncertain.append(one.entry)
            earlier.append(one)
            if one.certain and one.region.is_everything:
                break  # nothing reaches what follows
        found.grants = [*_as_grants(app, given)]
        return found

    def _allowed(self, one: AppliedEntry, earlier: Sequence[AppliedEntry]) -> frozenset[str]:
        allowed = one.actions
        for before in earlier:
            if not allowed <= before.actions and before.region.overlaps(one.region):
                self.narrowed.append((one.entry, before.entry))
                allowed &= before.actions
        if PUSH in allowed and PULL not in allowed:  # in authsvc an account that may push may also pull
            self.push_alone.append(one.entry)
            allowed -= {PUSH}
        return allowed


def _as_grants(app: str, given: Sequence[tuple[NameRegion, frozenset[str]]]) -> Iterable[Grant]:
    """Yield the grants without those that another one includes."""
    for place, (region, actions) in enumerate(given):
        others = (*given[:place], *given[place + 1 :])
        pattern = region.pattern()
        if pattern is not None and not any(
            wide.covers(region) and actions <= more and not (region.covers(wide) and more <= actions)
            for wide, more in others
        ):
            yield Grant(app, pattern, tuple(sorted(actions)))
