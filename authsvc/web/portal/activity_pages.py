"""Activity: pushes and pulls, denials, and why a request was denied."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from attrs import frozen

from authsvc.audit.sentences import sentences, summary
from authsvc.audit.stored_entry import StoredEntry
from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.activity import Activity, ActivityQuery
from authsvc.manage.activity_csv import activity_csv
from authsvc.manage.audit import Audit
from authsvc.manage.audit_remedies import remedies_for
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.spreadsheet_csv import MEDIA_TYPE as CSV
from authsvc.web.portal.activity_charts import charts_of
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, Visit, status_of
from authsvc.web.portal.route import Route
from authsvc.web.stream_sender import StreamAnswer

SINCE = "7d"
"""How far the list goes back by default."""

ROWS = 50
"""Rows of a page, under the charts."""

FIELDS = ("app", "license", "customer", "image", "since", "source")

NARROW = ("license", "customer", "image", "source")
"""Filters with which the charts of an app would not match the list."""


@frozen
class ShownEntry:
    """An entry of the audit in words.

    Attributes:
        entry: the entry.
        summary: in one line.
        sentences: the outcome of the request and its reasons, most important first.
    """

    entry: StoredEntry
    summary: str
    sentences: tuple[str, ...]


@frozen(eq=False, repr=False)
class ActivityPages:
    """The pages of pushes, pulls and denials.

    Attributes:
        teams: lists the apps.
        activity: lists pushes and pulls.
        audit: explains decisions.
    """

    teams: Teams
    activity: Activity
    audit: Audit

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/activity", self.list, Permission.ACTIVITY_LIST),
            Route("GET", "/activity/csv", self.export, Permission.ACTIVITY_LIST),
            Route("GET", "/activity/refusals", self.refusals, Permission.AUDIT_REFUSALS),
            Route("GET", "/activity/explain", self.explain, Permission.AUDIT_EXPLAIN),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show the newest activity, and the charts of an app unless a narrower filter is set."""
        apps = (await self.teams.apps(visit.actor, visit.user.member.team)).items
        chosen = _chosen(visit)
        after = visit.query.get("after")
        values: dict[str, Any] = {"apps": apps, "chosen": chosen, "rows": (), "next": None, "charts": None}
        values["query"] = urlencode({name: value for name, value in chosen.items() if value})
        try:
            page = await self.activity.rows(visit.actor, _wanted(chosen), visit.now, after=after, limit=ROWS)
            app = chosen["app"] or (apps[0].slug if apps else None)
            if app is not None and after is None and not any(chosen[name] for name in NARROW):
                values["charts"] = await charts_of(self.activity, self.audit, visit, app)
        except (InputRefused, NotFound, Conflict) as error:
            return PageAnswer("activity", values | {"error": str(error)}, status_of(error))
        values |= {"rows": page.items, "next": page.next}
        return PageAnswer("activity", values)

    async def export(self, visit: Visit) -> PortalAnswer:
        """Send the whole filtered list as a file, which is made while it is sent."""
        rows = activity_csv(self.activity, visit.actor, _wanted(_chosen(visit)), visit.now)
        return StreamAnswer(rows, f"activity-{visit.user.member.team}.csv", CSV)

    async def refusals(self, visit: Visit) -> PortalAnswer:
        """Show the refused requests, newest first."""
        apps = (await self.teams.apps(visit.actor, visit.user.member.team)).items
        app = visit.query.get("app", "").strip()
        values: dict[str, Any] = {"apps": apps, "app": app, "rows": (), "next": None}
        try:
            page = await self.audit.refusals(visit.actor, visit.now, app=app or None, after=visit.query.get("after"))
        except (InputRefused, NotFound) as error:
            return PageAnswer("refusals", values | {"error": str(error)}, status_of(error))
        return PageAnswer("refusals", values | {"rows": page.items, "next": page.next})

    async def explain(self, visit: Visit) -> PortalAnswer:
        """Explain the decision on a request, or show recent decisions on a license."""
        request_id, subject = visit.query.get("request", "").strip(), visit.query.get("subject", "").strip()
        values: dict[str, Any] = {"request": request_id, "subject": subject, "found": (), "asked": False}
        values |= {"next": None, "trimmed": False}
        remedies = remedies_for(visit.actor)

        def shown(entries: tuple[StoredEntry, ...]) -> tuple[ShownEntry, ...]:
            return tuple(ShownEntry(one, summary(one.facts), tuple(sentences(one.facts, remedies))) for one in entries)

        try:
            if request_id:
                found = await self.audit.explain(visit.actor, request_id, visit.query.get("after"))
                entries = found.around if found.kept is None else (found.kept,)
                values |= {"found": shown(entries), "asked": True, "next": found.next, "trimmed": found.trimmed}
            elif subject:
                named = subject if ":" in subject else f"license:{subject}"
                page = await self.audit.decisions(visit.actor, named, visit.now, after=visit.query.get("after"))
                values |= {"found": shown(page.items), "asked": True, "next": page.next}
        except (InputRefused, NotFound) as error:
            return PageAnswer("explain", values | {"error": str(error)}, status_of(error))
        return PageAnswer("explain", values)


def _chosen(visit: Visit) -> dict[str, str]:
    """Return the filters that were chosen, all of them, empty for any."""
    chosen = {name: visit.query.get(name, "").strip() for name in FIELDS}
    return chosen | {"since": chosen["since"] or SINCE}


def _wanted(chosen: Mapping[str, str]) -> ActivityQuery:
    return ActivityQuery(**{name: value or None for name, value in chosen.items()})
