"""Renders an audit entry as sentences for an operator."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from authsvc.audit.entry import BATCH, ON_BEHALF_OF
from authsvc.audit.entry_words import ACTIVE, MANY, WITH_ITS_APP
from authsvc.audit.stored_entry import TRUNCATED, instant
from authsvc.bounded_json import CUT
from authsvc.counts import counted
from authsvc.outcomes import (
    MANAGEMENT_DENIED,
    PULL_FAILED,
    PULL_STALE,
    TOKEN_DENIED,
    TOKEN_ISSUED,
    TOKEN_REFUSED,
    TOKEN_THROTTLED,
    TOKEN_UNANSWERED,
)

CHANGED = "changed"
"""Fact of a change: the old and the new value of each field."""

_OUTCOMES = {
    TOKEN_ISSUED: "A token was issued.",
    TOKEN_DENIED: "No token: the account is known, but may not be used.",
    TOKEN_REFUSED: "No token: the client proved no identity.",
    TOKEN_THROTTLED: "No token: there were too many wrong secrets for that account or from that network.",
    TOKEN_UNANSWERED: "No token: a part of the service was unreachable, and nothing was decided.",
    MANAGEMENT_DENIED: "Nothing was done: the account is known, but may not do that.",
    PULL_FAILED: "Nothing was pulled: the token was good, and the linked registry did not give it.",
    PULL_STALE: "The image was served that the tag named last, because the linked registry did not say what it is now.",
}

_PULLS = {PULL_FAILED, PULL_STALE}

_CREDENTIALS = {
    "license": "the registry token of license {id}",
    "licenses": "the registry tokens of licenses {id}",
    "personal token": "the personal token {name} ({id}) of {member}",
    "sign-in": "the sign-in {id} of {member}",
    "service account": "the secret of the service account {name} ({id})",
    "passkey": "the passkey {name} ({id}) of {member}",
    "password": "the password of {member}",
}

REMEDIES: Mapping[str, str] = {
    "expired": "extend the license {id}",
    "revoked": "reinstate the license {id}",
    "archived": "reinstate the license {id}",
    WITH_ITS_APP: "reinstate the app {app}",
}
"""What restores the access of a license, by its state."""

_PROVEN_BY = ("kind", "id", "name", "member", "licenses")
NOT_OF_A_CHANGE = {
    *("at", "event", "actor", "id", "cursor", "requests", "count", "last_at", "last_id", "addresses"),
    *("asked", "dropped", "granted", "refused", "credential", "kind", "detail", "degraded", "use_case"),
    *("address", "client_id", "user_agent", "token_id", CHANGED, CUT, TRUNCATED),
    *(ON_BEHALF_OF, BATCH),
}
"""Facts of an entry about the caller and the request, not about the change."""


def sentences(facts: Mapping[str, Any], remedies: Mapping[str, str] = REMEDIES) -> list[str]:
    """Return the sentences for an entry, the most important first.

    Args:
        facts: of the entry.
        remedies: like :data:`REMEDIES`, in the words of a user interface.
    """
    if facts["event"] not in _OUTCOMES:
        return _change(facts)
    if facts["actor"] == MANY:
        return _many(facts)
    if facts.get("examples"):
        return _more(facts, remedies)
    found = [f"{when(facts['at'])}: {_outcome(facts)}", *_why(facts), f"Asked for: {_asked(facts)}."]
    if facts["event"] == TOKEN_ISSUED:
        found.append(f"Granted: {_listed(facts.get('granted'))}.")
    if facts.get("credential"):
        found += _credential(str(facts["actor"]), _stated(facts), remedies)
    if facts["event"] in _PULLS:
        found += _linked(facts)
    if facts.get("degraded"):
        found.append("It was issued from memory, because the database was unreachable; it lived for a minute.")
    found.append(_source(facts))
    if facts.get("count", 1) > 1:
        addresses = _listed(facts.get("addresses"))
        found.append(
            f"The same happened {_counted(facts['count'], 'time')} from {when(facts['at'])} to "
            f"{when(facts.get('last_at', facts['at']))}; "
            f"first seen from {addresses}."
        )
    return found + _cut(facts)


def summary(facts: Mapping[str, Any]) -> str:
    """Return the content of an entry in one line."""
    if facts["event"] not in _OUTCOMES:
        said = _listed_facts({name: value for name, value in facts.items() if name not in NOT_OF_A_CHANGE})
        return "; ".join(filter(None, [batch_of(facts), said, ", ".join(_changes(facts))]))
    if facts["actor"] == MANY:
        return f"different decisions on the app {facts.get('app', 'of each')}"
    if facts.get("examples"):
        return "different requests, counted together"
    if facts.get("refused"):
        first = facts["refused"][0]
        more = len(facts["refused"]) - 1
        text = f"refused {first['action']} in {first['scope']}: {first['reason']}"
        return f"{text} (and {more} more)" if more else text
    if facts["event"] == TOKEN_ISSUED:
        return _listed(facts.get("granted"))
    said = str(facts.get("detail" if facts["event"] in {TOKEN_REFUSED, PULL_STALE} else "reason"))
    return f"{facts.get('upstream')} {facts.get('reference')}: {said}" if facts["event"] in _PULLS else said


def when(text: str) -> str:
    """Return an instant as people read it, to the second in UTC."""
    at = instant(text)
    return "at an unknown time" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def who(facts: Mapping[str, Any]) -> str:
    """Return the actor for people, with the member on whose behalf the operator acted."""
    person = facts.get(ON_BEHALF_OF)
    return f"{facts['actor']} for {person.get('email')}" if isinstance(person, Mapping) else str(facts["actor"])


def _outcome(facts: Mapping[str, Any]) -> str:
    if facts["event"] != TOKEN_ISSUED or not facts.get("refused"):
        return _OUTCOMES[facts["event"]]
    if facts.get("granted"):
        return "A token was issued, with less than was asked for."
    return "A token was issued that allows nothing: everything asked for was refused."


def _asked(facts: Mapping[str, Any]) -> str:
    return str(facts.get("use_case") or _listed(facts.get("asked")))


def _why(facts: Mapping[str, Any]) -> list[str]:
    found = []
    if facts.get("reason"):
        found.append(f"The client was told: {facts['reason']}")
    if facts.get("detail") and facts["event"] != TOKEN_DENIED:
        found.append(f"The client was not told: {facts['detail']}")
    found += [f"Refused: {r['action']} in {r['scope']}, because {r['reason']}." for r in facts.get("refused", ())]
    if facts.get("dropped"):
        found.append(f"Left out of the scope, malformed or too many: {_counted(facts['dropped'], 'part')}.")
    return found


def _stated(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the credential with its effective state: older versions called a license of an archived app active."""
    credential: Mapping[str, Any] = facts["credential"]
    alone = facts["event"] == TOKEN_DENIED and credential.get("kind") == "license"
    return {**credential, "state": WITH_ITS_APP} if alone and credential.get("state") == ACTIVE else credential


def _credential(actor: str, credential: Mapping[str, Any], remedies: Mapping[str, str]) -> list[str]:
    form = _CREDENTIALS.get(str(credential.get("kind")), "{kind} {id}")
    shown = form.format_map({name: credential.get(name, "unknown") for name in _PROVEN_BY})
    found = [f"Who: {actor}, by {shown}."]
    then = _listed_facts({name: value for name, value in credential.items() if name not in _PROVEN_BY})
    found += [f"True at that time: {then}."] if then else []
    for one in credential.get("licenses", ()):
        if isinstance(one, dict):
            facts = {name: value for name, value in one.items() if name not in _PROVEN_BY}
            found += [f"True at that time of license {one.get('id')}: {_listed_facts(facts)}.", *_remedy(one, remedies)]
    return [*found, *_remedy(credential, remedies)]


def _linked(facts: Mapping[str, Any]) -> list[str]:
    """Return the sentences about a pull of a linked image."""
    status, served = facts.get("upstream_status"), facts.get("served")
    answered = "was not asked, or gave no answer that can be used" if status is None else f"answered {status}"
    return [
        f"The linked registry {facts.get('upstream', 'unknown')}, asked for {facts.get('reference')}, {answered}.",
        *([] if served is None else [f"Served: {served}."]),
        f"Who: {facts['actor']}, by a registry token.",
    ]


def _remedy(credential: Mapping[str, Any], remedies: Mapping[str, str]) -> list[str]:
    form = remedies.get(str(credential.get("state")))
    return (
        []
        if form is None
        else [f"To restore access: {form.format(id=credential.get('id', 'ID'), app=credential.get('app', 'APP'))}"]
    )


def _source(facts: Mapping[str, Any]) -> str:
    calls_itself = " ".join(str(facts[name]) for name in ("client_id", "user_agent") if facts.get(name))
    return f"From: {facts.get('address', 'an unknown address')}, which calls itself {calls_itself or 'nothing'}."


def _many(facts: Mapping[str, Any]) -> list[str]:
    """Return the sentences for an entry about decisions of many subjects."""
    app = f" on the app {facts['app']}" if facts.get("app") else ""
    until = when(facts.get("last_at", facts["at"]))
    count = f"{_counted(facts.get('count', 1), 'decision')}{app} until {until} counted together"
    examples = [
        f"{one.get('id')}: {one.get('actor')} asked for {one.get('asked')}" for one in facts.get("examples", ())
    ]
    return [
        f"{when(facts['at'])}: {_OUTCOMES[facts['event']]}",
        f"So many different subjects came at once that {count}. Some of them:",
        *examples,
    ]


def _more(facts: Mapping[str, Any], remedies: Mapping[str, str]) -> list[str]:
    """Return the sentences for an entry about many different requests of one subject."""
    until = when(facts.get("last_at", facts["at"]))
    count = f"{facts.get('count', 1)} of them until {until} are counted together"
    return [
        f"{when(facts['at'])}: {_OUTCOMES[facts['event']]}",
        f"This subject asked for so many different things that {count}. Some of them:",
        *(f"{one.get('id')}: {one.get('asked')}" for one in facts["examples"]),
        *(_credential(str(facts["actor"]), _stated(facts), remedies) if facts.get("credential") else ()),
    ]


def _change(facts: Mapping[str, Any]) -> list[str]:
    said = _listed_facts({name: value for name, value in facts.items() if name not in NOT_OF_A_CHANGE})
    first = f"{when(facts['at'])}: {facts['event']}, by {who(facts)}."
    changes = _changes(facts)
    changed = [f"Changed: {'; '.join(changes)}."] if changes else []
    batch = f"Part of the {batch_of(facts)}." if batch_of(facts) else ""
    return [first, *filter(None, [batch, f"With: {said}." if said else ""]), *changed, *_cut(facts)]


def _counted(number: object, one: str) -> str:
    """Return a number of an entry with its noun; never raises, whatever the entry contains."""
    return counted(number, one) if isinstance(number, int) else f"{number} {one}s"


def batch_of(facts: Mapping[str, Any]) -> str:
    """Return the batch that a change was part of; empty without one."""
    batch = facts.get(BATCH)
    if not isinstance(batch, Mapping):
        return ""
    source = f" of {batch['file']}" if batch.get("file") else ""
    return f"{batch.get('kind')}{source} with {_counted(batch.get('rows', 0), 'row')}"


def _changes(facts: Mapping[str, Any]) -> list[str]:
    """Return the old and the new value of each changed field; an entry that was cut may lack some."""
    changed = facts.get(CHANGED)
    found = []
    for name, values in changed.items() if isinstance(changed, Mapping) else ():
        if name != CUT and isinstance(values, list):
            old, new = [*map(_value, values), "(cut)", "(cut)"][:2]
            found.append(f"{str(name).replace('_', ' ')} from {old} to {new}")
    return found


def _value(value: object) -> str:
    return "nothing" if value is None else _listed(value) if isinstance(value, list) else str(value)


def _readable(name: str, value: object) -> str:
    """Return a fact for people; instants have the same form as in the other sentences."""
    is_instant = isinstance(value, str) and name.endswith(("_at", "not_before")) and instant(value) is not None
    return when(str(value)) if is_instant else _value(value)


def _cut(facts: Mapping[str, Any]) -> list[str]:
    """Return a sentence about the parts of a long entry that are not shown."""
    found = []
    if facts.get(CUT):
        found.append(f"Left out, because it was too long: {_listed_facts(facts[CUT])} (items or characters).")
    if facts.get(TRUNCATED):
        found.append(f"An older version wrote this entry; not shown of it: {_counted(facts[TRUNCATED], 'byte')}.")
    return found


def _listed(items: object) -> str:
    return ", ".join(str(item) for item in items) if isinstance(items, list | tuple) and items else "nothing"


def _listed_facts(facts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_readable(name, value)}" for name, value in facts.items() if value is not None
    )
