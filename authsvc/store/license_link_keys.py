"""The names of the keys of links to the pages of licenses."""

from authsvc.store.keys import PREFIX

LICENSE_LINK = f"{PREFIX}license-link:"
"""With an id behind it: :func:`license_link`."""


def license_link(link_id: str) -> str:
    """Record of a link to the page of a license."""
    return f"{LICENSE_LINK}{link_id}"


def license_links(license_id: str) -> str:
    """Sorted set of the ids of the links to the page of a license, by the Unix time of their end."""
    return f"{PREFIX}license-links:{license_id}"


def license_link_downloads(link_id: str) -> str:
    """Sorted set of the downloads by a link, by Unix time."""
    return f"{PREFIX}license-link-downloads:{link_id}"
