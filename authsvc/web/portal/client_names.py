"""Short names of browsers and tools, from their ``User-Agent``, which is too long to read."""

import re

MAX_NAME = 40
"""Characters of a name."""

_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
)
"""The words before the version, the most specific first: every browser also claims to be some of the others."""

_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)

_NUMBER = re.compile(r"[0-9]{1,5}", re.ASCII)


def client_name(user_agent: str) -> str:
    """Return a short name: ``Firefox 143 on Linux``, or the first word of a tool, such as ``docker/27.1.1``."""
    if not user_agent.startswith("Mozilla/"):
        return (user_agent.split() or ["unknown"])[0][:MAX_NAME]
    for mark, name in _BROWSERS:
        _, found, rest = user_agent.partition(mark)
        if found:
            number = _NUMBER.match(rest)
            system = next((shown for sign, shown in _SYSTEMS if sign in user_agent), None)
            version = "" if number is None else f" {number[0]}"
            return f"{name}{version}" + ("" if system is None else f" on {system}")
    return "a browser"
