"""Pages of a list of tags (OCI distribution specification, "Listing Tags")."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from aiohttp import web

from authsvc.web.proxy.answers import API_VERSION

MAX_PAGE = 1000
"""Most tags of one page, as in the registry."""


def list_page(repository: str, names: Sequence[str], query: Mapping[str, str]) -> web.Response:
    """Return one page of ``names``, which are sorted, and the link to the next one.

    Args:
        repository: as clients name it.
        names: all tags.
        query: ``n`` and ``last`` of the request; a nonsensical ``n`` is the most.
    """
    wanted = query.get("n", "")
    size = min(int(wanted), MAX_PAGE) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else MAX_PAGE  # noqa: PLR2004  digits
    begin = bisect_right(names, query["last"]) if "last" in query else 0
    page = list(names[begin : begin + size])
    headers = dict(API_VERSION)
    if page and begin + size < len(names):
        more = urlencode({"last": page[-1], "n": size})
        headers["Link"] = f'</v2/{repository}/tags/list?{more}>; rel="next"'
    body = json.dumps({"name": repository, "tags": page})
    return web.Response(text=body, content_type="application/json", headers=headers)
