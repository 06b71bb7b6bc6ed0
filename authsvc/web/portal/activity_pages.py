"""Activity: pushes and pulls, denials, and why a request was denied."""

from datetime import date, datetime, timedelta
from typing import Any

from attrs import frozen

from authsvc.activity.history import AppDay
from authsvc.audit.sentences import sentences, summary
from authsvc.audit.stored_entry import StoredEntry
from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.activity import Activity, ActivityQuery
from authsvc.manage.audit import Audit
from authsvc.manage.audit_remedies import remedies_for
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, Visit, status_of
from authsvc.web.portal.charts import bars
from authsvc.web.portal.route import Route

DAYS = 14
"""Days of the chart."""

SINCE = "7d"
"""How far the list goes back unless something else is chosen."""

FIELDS = ("app", "license", "image", "since", "source")


@frozen
class ShownEntry:
    """An entry of the audit in words.

    Attributes:
        entry: the entry.
        summary: in one line.
        sentences: what became of the request and why, most important first.
    """

    entry: StoredEntry
    summary: str
    sentences: tuple[str, ...]


@frozen
class ActivityPages:
    """The pages of what was pushed, pulled and denied.

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
            Route("GET", "/activity/explain", self.explain, Permission.AUDIT_EXPLAIN),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show what was pushed and pulled, newest first, with a chart of the app's pulls."""
        apps = (await self.teams.apps(visit.actor, visit.user.member.team)).items
        chosen = {name: visit.query.get(name, "").strip() for name in FIELDS}
        chosen["since"] = chosen["since"] or SINCE
        values: dict[str, Any] = {"apps": apps, "chosen": chosen, "rows": (), "next": None, "chart": (), "days": ()}
        query = ActivityQuery(**{name: value or None for name, value in chosen.items()})
        try:
            page = await self.activity.rows(visit.actor, query, visit.now, after=visit.query.get("after"))
            app = chosen["app"] or (apps[0].slug if apps else None)
            days = () if app is None else await self._days(visit, app)
        except (InputRefused, NotFound, Conflict) as error:
            return PageAnswer("activity", values | {"error": str(error)}, status_of(error))
        pulls = [(day.start.date().isoformat(), day.pulls) for day in days]
        values |= {"rows": page.items, "next": page.next, "chart": bars(pulls), "days": days, "chart_app": app}
        return PageAnswer("activity", values)

    async def explain(self, visit: Visit) -> PortalAnswer:
        """Say why a request was decided as it was, or what was decided on a license lately."""
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
                page = await self.audit.decisions(visit.actor, subject, visit.now, after=visit.query.get("after"))
                values |= {"found": shown(page.items), "asked": True, "next": page.next}
        except (InputRefused, NotFound) as error:
            return PageAnswer("explain", values | {"error": str(error)}, status_of(error))
        return PageAnswer("explain", values)

    async def _days(self, visit: Visit, app: str) -> tuple[AppDay, ...]:
        """Return the last days of an app, oldest first; those without activity too."""
        page = await self.activity.app(visit.actor, app, visit.now, since=f"{DAYS}d")
        known = {day.start.date(): day for day in page.items}
        today = visit.now.date()
        return tuple(
            known.get(day) or AppDay(_start(day), app)
            for day in (today - timedelta(days=n) for n in range(DAYS - 1, -1, -1))
        )


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001  shown as a day alone
