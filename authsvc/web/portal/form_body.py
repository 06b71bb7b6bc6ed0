"""The body of a form: its fields, and the file that a browser sends with it (RFC 7578), both of bounded size."""

from collections.abc import Iterator, Mapping
from email.message import Message
from urllib.parse import parse_qsl

from aiohttp import web
from attrs import field, frozen

from authsvc.errors import InputRefused

URL_ENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"

MAX_FIELDS = 200
"""Fields of a form, and parameters of a query."""

MAX_PART_HEADER = 2048
"""Bytes of the headers of one part."""


@frozen
class UploadedFile:
    """A file that a browser sent.

    Attributes:
        name: as sent by the browser; never used as a path.
        content: of it.
    """

    name: str
    content: bytes = field(repr=False)


@frozen
class FormBody:
    """A form.

    Attributes:
        fields: the first value of each.
        file: the one that was sent, or None.
    """

    fields: Mapping[str, str] = field(factory=dict, repr=False)
    file: UploadedFile | None = None


async def read_form(request: web.Request, file_bytes: int) -> FormBody:
    """Return the form of a request.

    Args:
        request: of the browser.
        file_bytes: of the longest body with a file; 0 for a form that has none.

    Raises:
        InputRefused: it cannot be read.
        HTTPRequestEntityTooLarge: it is too long.
    """
    if request.content_type == MULTIPART and file_bytes:
        boundary = _parameter(request.headers.get("Content-Type", ""), "boundary")
        return _parts(await request.clone(client_max_size=file_bytes).read(), boundary)
    if request.content_type != URL_ENCODED:
        raise unreadable()
    raw = await (request.clone(client_max_size=file_bytes) if file_bytes else request).read()
    return FormBody(pairs(raw.decode("ascii", "replace")))


def pairs(text: str, most: int = MAX_FIELDS) -> Mapping[str, str]:
    """Return the first value of each name of a query or form, which has ``most`` at most.

    Raises:
        InputRefused: it is not UTF-8, or has too many.
    """
    try:
        found = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=most)
    except ValueError as error:
        raise unreadable() from error
    first: dict[str, str] = {}
    for name, value in found:
        first.setdefault(name, value)
    return first


def _parts(body: bytes, boundary: str) -> FormBody:
    fields: dict[str, str] = {}
    file: UploadedFile | None = None
    for head, content in _split(body, boundary):
        name, file_name = _parameter(head, "name"), _parameter(head, "filename")
        if not name:
            raise unreadable()
        if "filename" not in head:
            try:
                fields.setdefault(name, content.decode())
            except UnicodeDecodeError as error:
                raise unreadable() from error
        elif file is None:
            file = UploadedFile(file_name, content)
    return FormBody(fields, file)


def _split(body: bytes, boundary: str) -> Iterator[tuple[str, bytes]]:
    """Yield the disposition and the content of each part.

    Raises:
        InputRefused: the body is not of this form.
    """
    if not boundary or len(boundary) > 70:  # noqa: PLR2004  RFC 2046, 5.1.1
        raise unreadable()
    mark = b"\r\n--" + boundary.encode("ascii", "replace")
    first, *parts = (b"\r\n" + body).split(mark, MAX_FIELDS + 1)
    if first or not parts or not parts[-1].startswith(b"--"):
        raise unreadable()
    for part in parts[:-1]:
        head, empty, content = part.partition(b"\r\n\r\n")
        if not empty or len(head) > MAX_PART_HEADER or not head.startswith(b"\r\n"):
            raise unreadable()
        lines = head.decode("utf-8", "replace").split("\r\n")
        disposition = [line for line in lines if line.lower().startswith("content-disposition:")]
        if len(disposition) != 1:
            raise unreadable()
        yield disposition[0].partition(":")[2].strip(), content


def _parameter(header: str, name: str) -> str:
    """Return a parameter of a header; empty if it has none."""
    message = Message()
    message["Content-Disposition"] = header.replace("\r", " ").replace("\n", " ")
    found = message.get_param(name, "", "content-disposition")
    return found if isinstance(found, str) else ""


def unreadable() -> InputRefused:
    """Return the error for a malformed form."""
    return InputRefused("the form cannot be read", code="encoding_invalid", field=None)
