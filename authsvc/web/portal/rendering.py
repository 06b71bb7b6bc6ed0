"""Renders pages with Jinja2: everything is escaped, and an undefined name is an error."""

import hashlib
import shlex
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import jinja2
from attrs import frozen
from markupsafe import Markup

from authsvc.audit.entry_words import MANY
from authsvc.audit.sentences import summary
from authsvc.audit.stored_entry import instant as moment
from authsvc.counts import counted
from authsvc.manage.etag import etag
from authsvc.tenancy.subjects import SYSTEM, split_subject
from authsvc.web.portal.client_names import client_name
from authsvc.web.portal.license_states import last_day

PACKAGE = "authsvc.web.portal"

STATIC = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
"""The files that pages use, with their media types; the last one is the icon in the tabs of browsers."""

_UNNAMED = {
    "member": "a former member",
    "service-account": "a former service account",
    "license": "a license that is gone",
}
"""Stands for the name of a subject without a record."""

_OTHERS = {SYSTEM: "authsvc", MANY: "several accounts"}

_UNITS = ("B", "KB", "MB", "GB", "TB")
_STEP = 1000


class _TemplateCache(jinja2.BytecodeCache):
    """Caches compiled templates in memory: a worker has two applications with the same templates."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Fill the bucket from the cache, if the source is the same."""
        kept = self._compiled.get(bucket.key)
        if kept is not None:
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Store the bucket in the cache."""
        self._compiled[bucket.key] = bucket.bytecode_to_string()


@lru_cache
def _template_cache() -> _TemplateCache:
    return _TemplateCache()


@frozen(slots=False)
class Renderer:
    """Makes pages from templates.

    Attributes:
        host: host and port, as in a command of docker.
    """

    host: str

    @cached_property
    def _environment(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader(PACKAGE),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=_template_cache(),
        )
        environment.filters |= {
            "size": size,
            "instant": instant,
            "day": day,
            "last_day": last_day,
            "quoted": shlex.quote,
            "etag": etag,
            "who": who,
            "client_name": client_name,
            "summary": summary,
            "sentence": sentence,
            "at": moment,
        }
        environment.globals |= {"host": self.host, "static": static_path}
        return environment

    def render(self, template: str, **values: Any) -> str:
        """Return the page of a template, which is named without its suffix."""
        return self._environment.get_template(f"{template}.html").render(**values)


@lru_cache
def static_file(kind: str) -> bytes:
    """Return the file of this kind."""
    return files(PACKAGE).joinpath("static", f"portal.{kind}").read_bytes()


@lru_cache
def static_path(kind: str) -> str:
    """Return the path of the file of this kind; it changes with the content, so that browsers may keep it for ever."""
    return f"/portal/static/{hashlib.sha256(static_file(kind)).hexdigest()[:16]}/portal.{kind}"


def size(value: int | None) -> str:
    """Return a number of bytes for people, in decimal units, as registries' pages show it."""
    if value is None:
        return "unknown"
    number, unit = float(value), 0
    while number >= _STEP - 0.5 and unit < len(_UNITS) - 1:
        number, unit = number / _STEP, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 or number >= 100 else f"{number:.1f} {_UNITS[unit]}"  # noqa: PLR2004  three digits


def sentence(said: object) -> str:
    """Return an error's message as a sentence: messages begin in lower case and end without a full stop."""
    text = str(said)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?', '!', ':')) else '.'}"


def day(value: datetime | None) -> str:
    """Return an ISO day."""
    return "-" if value is None else value.date().isoformat()


def instant(value: datetime | None, now: datetime, missing: str = "unknown") -> Markup:
    """Return how long ago something was, with the exact time in the element."""
    if value is None:
        return Markup(missing)  # noqa: S704  a word of the template
    exact = value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(exact, ago(value, now))


def ago(value: datetime, now: datetime) -> str:
    """Return how long before ``now`` something was; the day, when that is more than a month."""
    seconds = (now - value).total_seconds()
    for most, divisor, unit in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < most:
            return "just now" if unit == "s" else f"{round(seconds / divisor)} {unit} ago"
    days = round(seconds / 86_400)
    return f"{counted(days, 'day')} ago" if days <= 30 else value.date().isoformat()  # noqa: PLR2004  a month


def who(subject: str | None, names: Mapping[str, str | None]) -> str:
    """Return the name of a subject; for several licenses all their customers.

    Args:
        subject: as in records, or None if unknown.
        names: of the subjects that have records.
    """
    if subject is None:
        return "unknown"
    if subject in _OTHERS:
        return _OTHERS[subject]
    found = (names.get(one) or _UNNAMED.get(one.partition(":")[0], "unknown") for one in split_subject(subject))
    return ", ".join(dict.fromkeys(found))
