"""The declaration of an endpoint of the management API, from which the routes and the document are made."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, Generic, TypeVar, get_args, get_type_hints
from urllib.parse import quote

from attrs import fields, frozen

from authsvc.manage.actor import Actor
from authsvc.manage.etag import etag
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.api.api_errors import NO_ERRORS, ApiErrors
from authsvc.web.stream_sender import StreamAnswer

Q_co = TypeVar("Q_co", covariant=True)
B_co = TypeVar("B_co", covariant=True)

PREFIX = "/api"
VERSION = "/v1"

JSON = "application/json"

ONE_LICENSE = "(?!(?:import|preview|renew)(?:/|$))[^/]+"
"""Matches a license in a path, but not the words for actions on many; a license with such a reference is named by its
id."""


ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "license_id": ("license",),
    "token_id": ("token",),
    "events": ("event",),
    "email": ("customer_email", "member"),
    "name": ("service_account",),
    "image": ("repository",),
    "link": ("member_link",),
    "app": ("slug", "apps", "grants"),
    "apps": ("grants",),
}
"""Names in requests of arguments of use cases: the first of these that the endpoint has."""


@frozen
class NoQuery:
    """A request without query parameters."""


@frozen
class NoBody:
    """A request without a body."""


@frozen
class Call(Generic[Q_co, B_co]):
    """One request to an endpoint, parsed.

    Attributes:
        actor: the caller.
        now: the time of the request, read once.
        path: the variables of the path, decoded.
        query: the query parameters.
        body: the body.
        operation: of the change, for endpoints that change something.
        media_type: JSON, or one of the endpoint's streams if the client prefers it.
    """

    actor: Actor
    now: datetime
    path: Mapping[str, str]
    query: Q_co
    body: B_co
    operation: Operation
    media_type: str = JSON

    @property
    def team(self) -> str:
        """Slug of the actor's team; the actor is never the operator here."""
        return self.actor.team or ""


AnyCall = Call[Any, Any]


@frozen
class ObjectAnswer:
    """What an endpoint returns.

    Attributes:
        body: of the declared answer type; None for no content.
        etag: of the record from which the object was made, or None.
        location: path of a new object, below ``/api/v1``, or None.
    """

    body: object = None
    etag: str | None = None
    location: str | None = None


@frozen
class ListAnswer:
    """One page of a list.

    Attributes:
        items: of the declared answer type.
        next: cursor of the next page, or None.
    """

    items: tuple[object, ...]
    next: str | None


@frozen
class FileAnswer:
    """A file to download.

    Attributes:
        text: ASCII.
        name: of the file.
        media_type: that of the text.
    """

    text: str
    name: str
    media_type: str


AnyAnswer = ObjectAnswer | ListAnswer | FileAnswer | StreamAnswer


@frozen(slots=False)
class Endpoint:
    """One operation of the API.

    Attributes:
        method: in capitals.
        path: below ``/api/v1``, with its variables in braces.
        name: of the operation, in camelCase; unique.
        summary: what it does, in a few words.
        permission: of the use case; checked before anything of the request is parsed.
        call: calls the use case; its annotation ``Call[QUERY, BODY]`` says what query and body are parsed into.
        preview: permission that is checked instead when the query says ``dry_run=true``; None if there is no dry run.
        answer: attrs class of the answer, or of the items of a list; None for no content or a file.
        is_list: whether the answer is a page of a list.
        has_etag: whether the answer is an object with an entity tag.
        if_match: whether the header ``If-Match`` counts.
        asks_others: whether it may wait for a registry, a webhook receiver or a name server; it then does not count
            towards the limit of those that do not.
        is_repeatable: whether the header ``Idempotency-Key`` counts, when it changes something.
        media_type: of the file that it returns, or None.
        streams: media types of files that it streams instead of JSON, if the client prefers one of them.
        status: of a successful answer.
        errors: its own, in addition to those that every endpoint has.
        request_example: a body, or None.
        answer_example: an answer, or an item of a list.
        description: more than the summary, in Markdown.
    """

    method: str
    path: str
    name: str
    summary: str
    permission: Permission
    call: Callable[[UseCases, AnyCall], Awaitable[AnyAnswer]]
    answer: type | None = None
    preview: Permission | None = None
    is_list: bool = False
    has_etag: bool = False
    if_match: bool = False
    asks_others: bool = False
    is_repeatable: bool = True
    media_type: str | None = None
    streams: tuple[str, ...] = ()
    status: HTTPStatus = HTTPStatus.OK
    errors: ApiErrors = NO_ERRORS
    request_example: object = None
    answer_example: object = None
    description: str = ""

    @cached_property
    def query(self) -> type:
        """The attrs class of the query parameters."""
        return self._parsed[0]

    @cached_property
    def body(self) -> type:
        """The attrs class of the body."""
        return self._parsed[1]

    @cached_property
    def arguments(self) -> frozenset[str]:
        """The names of everything that a client sends: path variables, query parameters and members of the body."""
        variables = (part.partition("}")[0] for part in self.path.split("{")[1:])
        members = (attribute.name for kind in (self.query, self.body) for attribute in fields(kind))
        return frozenset((*variables, *members))

    def argument(self, field: str) -> str:
        """Return the name that an argument of the use case, or a part of one, has in a request."""
        root, dot, rest = field.partition(".")
        if root not in self.arguments:
            root = next((name for name in ARGUMENTS.get(root, ()) if name in self.arguments), root)
        return f"{root}{dot}{rest}"

    @property
    def _parsed(self) -> tuple[type, type]:
        _use_cases, call, _answer = get_type_hints(self.call).values()
        query, body = get_args(call)
        return query, body

    @property
    def route(self) -> str:
        """The path as a route: names of images contain slashes, and some words are not licenses."""
        return self.path.replace("{image}", "{image:(?s:.+)}").replace("{license}", f"{{license:{ONE_LICENSE}}}")

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it serves: HEAD like GET, without the body."""
        return (self.method,) if self.changes else (self.method, "HEAD")

    @property
    def is_keyed(self) -> bool:
        """Whether the header ``Idempotency-Key`` counts."""
        return self.changes and self.is_repeatable

    @property
    def collection(self) -> str:
        """The first part of its path."""
        return self.path.split("/")[1]


def found(record: object, body: object) -> ObjectAnswer:
    """Return an answer with one object.

    Args:
        record: from which the object was made.
        body: the object, of the declared answer type.
    """
    return ObjectAnswer(body, etag(record))


def created(record: object, body: object, *path: str) -> ObjectAnswer:
    """Return an answer with a new object and its location: the parts of its path below ``/api/v1``."""
    return ObjectAnswer(body, etag(record), "".join(f"/{quote(part, safe='')}" for part in path))
