"""Images as JSON for machines, and the words of their tables for people: null, and ``?``, is *unknown*."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from authsvc.tenancy.dates import render_instant, render_optional
from authsvc.tenancy.subjects import split_subject

if TYPE_CHECKING:
    from authsvc.activity.history import ImageHistory, LastUse
    from authsvc.images.index import AppImages, CrawlState
    from authsvc.images.summary import BlobList, PlatformImage
    from authsvc.manage.images import ListedImage, ShownImage, ShownRepository

Facts = dict[str, Any]

UNKNOWN, NONE = "?", "-"

SHORT = 12
"""Hexadecimal digits of a digest in a table, as docker shows them."""

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000


def listed(one: "ListedImage") -> Facts:
    """Return a tag with its image."""
    summary = one.image.summary
    platforms = None if summary is None else summary.platforms
    return {
        "repository": one.image.repository,
        "tag": one.image.tag or None,
        "digest": one.image.digest,
        "kind": None if summary is None else str(summary.kind),
        "media_type": None if summary is None else summary.media_type,
        "artifact_type": None if summary is None else summary.artifact_type,
        "subject": None if summary is None else summary.subject,
        "platforms": None if platforms is None else [_platform(each) for each in platforms],
        "size": None if summary is None else summary.size,
        "signed": one.image.signed,
        "sbom": one.image.sbom,
        **_history(one.history, one.names),
        "read_at": render_optional(one.image.read_at),
    }


def image(shown: "ShownImage") -> Facts:
    """Return everything about one image."""
    return {
        **listed(shown.listed),
        "evidence": sorted(map(str, shown.listed.image.evidence)),
        "tags": list(shown.tags),
        "manifests": None if shown.blobs is None else [_blobs(each) for each in shown.blobs],
        "customers": [
            {"license": each.license, "customer": each.customer, "pulled_at": render_instant(each.pulled_at)}
            for each in shown.customers
        ],
        "from_registry": shown.from_registry,
    }


def repository(shown: "ShownRepository") -> Facts:
    """Return a repository as a whole."""
    state = shown.state
    return {
        "repository": state.name,
        "app": state.app,
        "tags": state.tags,
        "all_tags": state.is_whole,
        **_history(shown.history, shown.names),
        "changed_at": render_optional(state.changed_at),
        "read_at": render_optional(state.read_at),
        "from_registry": shown.from_registry,
    }


def app_images(total: "AppImages | None", crawl: "CrawlState") -> Facts | None:
    """Return what the images of an app add up to; None while that is unknown."""
    if total is None:
        return None
    return {
        "repositories": total.repositories,
        "tags": total.tags,
        "size": total.size,
        "images_of_unknown_size": total.unsized,
        "unfinished_deletions": total.leftovers,
        "all_indexed": not total.is_full,
        "counted_at": render_instant(total.counted_at),
        "crawled_at": render_optional(crawl.ended_at),
    }


def size(number: int | None) -> str:
    """Return a number of bytes for people, in powers of 1000 as docker does."""
    if number is None:
        return UNKNOWN
    value, unit = float(number), 0
    while value >= _THOUSAND and unit < len(_UNITS) - 1:
        value, unit = value / _THOUSAND, unit + 1
    return f"{number} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def yes_or_no(*, value: bool | None) -> str:
    """Return the word of an answer that may be unknown."""
    return UNKNOWN if value is None else "yes" if value else "no"


def platforms(facts: Facts) -> str:
    """Return the platforms of an image in one line, or what else it is."""
    if facts["platforms"] is None:
        return UNKNOWN
    names = [each["platform"] or UNKNOWN for each in facts["platforms"]]
    return ", ".join(names) or facts["artifact_type"] or NONE


def when(text: str | None, now: datetime) -> str:
    """Return how long ago an instant is: ``5 minutes ago``."""
    if text is None:
        return UNKNOWN
    passed = now - datetime.fromisoformat(text).astimezone(UTC)
    for unit, span in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = passed // span
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _platform(one: "PlatformImage") -> Facts:
    platform = one.platform
    return {
        "platform": None if platform is None else str(platform),
        "os": None if platform is None else platform.os,
        "architecture": None if platform is None else platform.architecture,
        "variant": None if platform is None else platform.variant,
        "digest": one.digest,
        "size": one.size,
    }


def _blobs(one: "BlobList") -> Facts:
    return {
        "digest": one.digest,
        "config": {"digest": one.config.digest, "size": one.config.size},
        "layers": [{"digest": layer.digest, "size": layer.size} for layer in one.layers],
    }


def _history(history: "ImageHistory", names: dict[str, str]) -> Facts:
    return {
        "pushed_at": _at(history.pushed),
        "pushed_by": _by(history.pushed),
        "pushed_by_name": _name(history.pushed, names),
        "first_found_at": _at(history.found),
        "pulled_at": _at(history.pulled),
        "pulled_by": _by(history.pulled),
        "pulled_by_name": _name(history.pulled, names),
    }


def _at(use: "LastUse | None") -> str | None:
    return None if use is None else render_instant(use.at)


def _by(use: "LastUse | None") -> str | None:
    return None if use is None else use.subject


def _name(use: "LastUse | None", names: dict[str, str]) -> str | None:
    if use is None or use.subject is None:
        return None
    found = [names[part] for part in split_subject(use.subject) if part in names]
    return ", ".join(dict.fromkeys(found)) or None
