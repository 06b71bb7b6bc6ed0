"""The names of the keys of lists of one-time links."""

from authsvc.store.keys import PREFIX


def team_links(team: str) -> str:
    """Sorted set of the addresses for which a team has made one-time links, by the Unix time of their end."""
    return f"{PREFIX}team-links:{team}"
