"""The output of the tools: facts of a license, the table of a preflight, warnings."""

from __future__ import annotations

import calendar
import json
import time

from authsvc.license_file import in_words
from authsvc.printable import printable

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from typing import Any

    from authsvc.installer.license_store import InstalledLicense

SOON = 30 * 86400
"""A license that ends within so many seconds is reported as ending soon."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def seconds_of(text: str) -> float | None:
    """Return a license file's time in seconds since 1970, or None when it is none."""
    try:
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None


def dates(says: dict[str, Any], now: float) -> tuple[str, list[str]]:
    """Return the state of a license by its own dates (``active``, ``pending``, ``expired``), and warnings."""
    start = seconds_of(says["not_before"]) if says["not_before"] else None
    end = seconds_of(says["expires_at"])
    ask = f"contact {says['contact']}" if says["contact"] else "ask the vendor"
    if end is None or end <= now:
        ago = f", {in_words(now - end)} ago" if end is not None else ""
        return "expired", [f"the license ended at {says['expires_at']}{ago}; {ask}"]
    if start is not None and start > now:
        return "pending", [f"the license begins at {says['not_before']}, in {in_words(start - now)}"]
    soon = [f"the license ends in {in_words(end - now)}, at {says['expires_at']}; {ask}"] if end - now <= SOON else []
    return "active", soon


def when(says: dict[str, Any], state: str) -> str:
    """Return the state of a license with the date that explains it, such as ``in force until 2027-01-31T00:00:00Z``."""
    return {
        "active": f"in force until {says['expires_at']}",
        "pending": f"not in force before {says['not_before']}",
        "expired": f"but expired at {says['expires_at']}",
    }[state]


def facts(says: dict[str, Any], state: str, signature: str) -> dict[str, Any]:
    """Return what ``show`` prints of a license: everything but its secret."""
    shown = {name: value for name, value in says.items() if name != "registry_token"}
    return {**shown, "state": state, "signature": signature}


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return aligned columns."""
    everything = [tuple(map(printable, row)) for row in (headings, *rows)]
    widths = [max(len(row[column]) for row in everything) for column in range(len(headings))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in everything]
    return "\n".join(line.rstrip() for line in lines)


def facts_table(shown: dict[str, Any]) -> str:
    """Return the facts of a license for people."""
    rows = dict(shown)
    if rows.get("repositories") is None:
        rows["repositories"] = f"all of {shown['app']}"
    return table(("FIELD", "VALUE"), [(name, _cell(value)) for name, value in rows.items()])


def images_table(images: list[dict[str, Any]]) -> str:
    """Return the result of a preflight for people."""
    rows: list[tuple[str, ...]] = []
    for image in images:
        digest = image.get("digest") or ""
        rows.append(
            (
                str(image.get("image", "")),
                _yes(image.get("may_pull")),
                _yes(image.get("exists")),
                size(image.get("size")),
                digest[:19] or "-",  # sha256: and twelve digits, as docker shows them
                _remark(image),
            )
        )
    return table(("IMAGE", "MAY PULL", "EXISTS", "SIZE", "DIGEST", "REMARK"), rows)


def ends(answer: dict[str, Any]) -> list[str]:
    """Return when each license that the server was asked with ends; with several of them, also for which app it is."""
    licenses = answer.get("licenses") or [answer.get("license")]  # servers before 0.2 know one license only
    several = len(licenses) > 1
    return [
        f"license {one['id']} of {one['customer']}{' for ' + one['app'] if several else ''} ends at {one['expires_at']}"
        for one in licenses
        if isinstance(one, dict)
    ]


def not_accepted(answer: dict[str, Any], sent: list[InstalledLicense]) -> list[str]:
    """Return a sentence on each license that was sent and that the server did not find; its token was replaced."""
    known = {one.get("id") for one in answer.get("licenses") or [answer.get("license")] if isinstance(one, dict)}
    store_away = any(image.get("ok") is None and image.get("may_pull") is False for image in answer["images"])
    if not known or store_away:
        return []
    return [
        f"the registry did not accept the license in {one.path}: a newer file has replaced it, or it is damaged; "
        + (f"contact {one.says['contact']}" if one.says["contact"] else "ask the vendor")
        for one in sent
        if one.says["id"] not in known
    ]


def size(number: object) -> str:
    """Return a number of bytes for people."""
    if not isinstance(number, int):
        return "-"
    value, unit = float(number), 0
    while value >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004  what the units mean
        value, unit = value / 1000, unit + 1
    return f"{number} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _remark(image: dict[str, Any]) -> str:
    """Return where an image is in the input, and why it cannot be pulled."""
    reason = str(image.get("reason") or "")
    return f"{image['file']}, line {image['line']}: {reason}" if reason and image.get("line") else reason


def _yes(value: object) -> str:
    return "-" if value is None else "yes" if value else "NO"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
