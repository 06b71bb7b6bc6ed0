"""The audit entries that an actor sees: the operator all, a team only those that certainly belong to it.

An entry belongs to a team when it names the team, or when it names no team and every app in it is the team's: entries
about licenses name apps. Events before identity was proven belong to no team, and neither do entries about licenses of
several vendors, which would show one vendor the customers of another.
"""

from attrs import frozen

from authsvc.audit.entry import ON_BEHALF_OF
from authsvc.audit.events import DECISIONS
from authsvc.audit.stored_entry import StoredEntry
from authsvc.manage.actor import Actor
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import AppStore
from authsvc.policy import namespaces
from authsvc.spec.scope import merge_scopes


@frozen(eq=False, repr=False)
class AuditView:
    """The audit as one actor sees it.

    Attributes:
        actor: the caller.
        apps: slugs of the team's apps that the actor sees; empty for the operator, who needs none.
    """

    actor: Actor
    apps: frozenset[str] = frozenset()

    @classmethod
    async def of(cls, actor: Actor, apps: AppStore) -> "AuditView":
        """Return the view of ``actor`` now.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        if actor.team is None:
            return cls(actor)
        return cls(actor, frozenset(a.slug for a in await apps.of_team(actor.team) if actor.sees(a.team, a.slug)))

    def shows(self, entry: StoredEntry) -> bool:
        """Whether the actor sees ``entry``."""
        if self.actor.is_operator:
            return True
        if not entry.proven or not self._is_of_the_team(entry):
            return False
        # An actor that may have requests explained may not necessarily see the changes of the team's owners.
        if not self.actor.may(Permission.AUDIT_LIST) and entry.facts["event"] not in DECISIONS:
            return False
        return self.actor.apps is None or self._within(apps_of(entry))

    def as_seen(self, entry: StoredEntry) -> StoredEntry:
        """Return ``entry`` as the actor sees it: without a person of another team for whom the operator acted."""
        person = entry.facts.get(ON_BEHALF_OF)
        if self.actor.is_operator or person is None:
            return entry
        own = isinstance(person, dict) and person.get("team") == self.actor.team
        return entry if own else entry.without(ON_BEHALF_OF)

    def _is_of_the_team(self, entry: StoredEntry) -> bool:
        credential = entry.facts.get("credential") or {}
        named = {team for team in (entry.facts.get("team"), credential.get("team")) if team}
        return named == {self.actor.team} if named else self._within(_certain_apps(entry))

    def _within(self, apps: frozenset[str]) -> bool:
        return bool(apps) and apps <= self.apps


def apps_of(entry: StoredEntry) -> frozenset[str]:
    """Return the slugs of the apps that an entry names, including those that were only requested."""
    asked = merge_scopes(str(text) for text in entry.facts.get("asked", ()))
    return namespaces(asked.scopes) | _certain_apps(entry)


def _certain_apps(entry: StoredEntry) -> frozenset[str]:
    """Return the slugs that come from records: requested names may be fictitious."""
    credential = entry.facts.get("credential") or {}
    shown = [credential, *(one for one in credential.get("licenses", ()) if isinstance(one, dict))]
    return frozenset(str(app) for app in (entry.facts.get("app"), *(one.get("app") for one in shown)) if app)
