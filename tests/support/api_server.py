"""The management API on a socket, over the installation of a test; every answer is checked against its document."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from io import StringIO
from socket import create_server
from typing import Any

from aiohttp import ClientSession, web
from attrs import define, field, frozen
from openapi_schema_validator import OAS31Validator
from yarl import URL

from authsvc.audit.recorder import AuditRecorder
from authsvc.credentials.authenticator import Authenticator
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.fair_share import FairShare
from authsvc.logs import make_logger
from authsvc.manage.license_signer import LicenseSigner
from authsvc.manage.secret_sealer import SecretSealer
from authsvc.manage.use_cases import UseCases
from authsvc.redaction import Secret
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.throttle import RedisThrottle
from authsvc.web.api import collections
from authsvc.web.api.answer_etag import IF_NONE_MATCH
from authsvc.web.api.application import ManagementApi
from authsvc.web.api.authentication import ApiAuthentication
from authsvc.web.api.document import ApiDocument
from authsvc.web.api.endpoint import PREFIX
from authsvc.web.api.openapi import CODES_OF_RESPONSE
from authsvc.web.api.problem import PROBLEM_JSON
from authsvc.web.api.request_headers import IDEMPOTENCY_KEY, IF_MATCH
from authsvc.web.client import ClientReader
from authsvc.web.listener import Listener, make_web_app
from authsvc.web.middleware import around
from authsvc.wiring.images import NoRegistry
from tests.support.builders import SERVICE
from tests.support.indexed_registry import IndexedRegistry
from tests.support.installation import Installation, KeysInMemory

AUDIT_BUDGET = 64 * 1024 * 1024

DOCUMENT: Mapping[str, Any] = json.loads(collections.document())


@frozen
class ApiReply:
    """An answer.

    Attributes:
        headers: with names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error."""
        assert self.headers["content-type"] == "application/problem+json; charset=utf-8", self
        return str(self.json()["code"])

    @property
    def etag(self) -> str:
        """The entity tag."""
        return self.headers["etag"]

    def fields(self) -> dict[str, str]:
        """Return the code of each argument that an error lists."""
        return {one["field"]: one["code"] for one in self.json().get("errors", ())}


@define
class ApiServer:
    """A running API.

    Attributes:
        house: the installation behind it.
        port: where it listens.
        log: what it logs.
        session: of its client.
        application: below ``/api``.
        recorder: of denials.
        counted: collection, method and status of each request.
    """

    house: Installation
    port: int
    log: StringIO
    session: ClientSession
    application: web.Application
    recorder: AuditRecorder
    counted: list[tuple[str, str, int]] = field(factory=list)

    async def ask(
        self,
        method: str,
        path: str,
        token: Secret | str | None = None,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        checked: bool = True,
    ) -> ApiReply:
        """Send one request, whose path is sent as it is, below ``/api/v1`` unless it begins with ``/api``."""
        whole = path if path.startswith(PREFIX) else f"/api/v1{path}"
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token.reveal() if isinstance(token, Secret) else token}"
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = URL(f"http://127.0.0.1:{self.port}{whole}", encoded=True)
        async with self.session.request(method, url, data=data, headers=sent, allow_redirects=False) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            reply = ApiReply(answer.status, found, await answer.read())
        if checked:
            check(method, whole.partition("?")[0], reply)
        return reply

    async def say(self, raw: bytes) -> bytes:
        """Send bytes and return all that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(raw)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


def check(method: str, path: str, reply: ApiReply) -> None:
    """Accept an answer that is as the document says, and an error outside of it that is a problem."""
    operation = operation_of("GET" if method == "HEAD" else method, path)
    if method == "HEAD" and reply.status >= HTTPStatus.BAD_REQUEST:
        assert reply.body == b"", reply
        return
    if operation is None or str(reply.status) not in operation["responses"]:
        assert operation is None or (reply.status, reply.code) == (405, "method_not_allowed"), (method, path, reply)
        validate({"$ref": "#/components/schemas/Problem"}, reply.json())
        return
    response = resolved(operation["responses"][str(reply.status)])
    assert {name.lower() for name in response.get("headers", {})} - {"link"} <= reply.headers.keys(), reply
    content = response.get("content")
    if content is None or method == "HEAD":
        assert reply.body == b"", reply
        return
    media_type = reply.headers["content-type"].partition(";")[0]
    assert media_type in content, reply
    schema = content[media_type]["schema"]
    if media_type == PROBLEM_JSON:
        codes = schema["allOf"][1]["properties"]["code"][CODES_OF_RESPONSE]
        assert reply.code in codes, f"{method} {path} does not document the code {reply.code} of a {reply.status}"
        named = {name.partition(".")[0] for name, code in reply.fields().items() if code != "argument_unknown"}
        assert named <= arguments_of(operation), (method, path, reply.fields())
    validate(schema, reply.json() if media_type.endswith("json") else reply.body.decode())


def arguments_of(operation: Any) -> set[str]:
    """Return what the errors of an operation may name, as the client sends it; ``body`` is the whole of it."""
    parameters = {resolved(parameter)["name"] for parameter in operation["parameters"]}
    names = parameters | {"body", IDEMPOTENCY_KEY, IF_MATCH, IF_NONE_MATCH}
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        names |= resolved(schema).get("properties", {}).keys()
    return names


def resolved(described: Any) -> Any:
    """Return what a part of the document says, also when it refers to a component."""
    if "$ref" not in described:
        return described
    _, _, kind, name = described["$ref"].split("/")
    return DOCUMENT["components"][kind][name]


def validate(schema: Mapping[str, Any], found: Any) -> None:
    """Accept what a schema of the document describes."""
    OAS31Validator({**schema, "components": DOCUMENT["components"]}).validate(found)


def operation_of(method: str, path: str) -> Any:
    """Return the operation of the document that serves a path, or None."""
    for template, item in DOCUMENT["paths"].items():
        # The name of an image may have its slashes as they are.
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template).replace(r"\{image\}", ".+"))
        if re.fullmatch(pattern, path) and method.lower() in item:
            return item[method.lower()]
    return None


@asynccontextmanager
async def api_server(
    house: Installation,
    signer: LicenseSigner | None = None,
    share: FairShare | None = None,
    sealer: SecretSealer | None = None,
) -> AsyncIterator[ApiServer]:
    """Serve the API of an installation."""
    log = StringIO()
    logger = make_logger("info", log)
    counted: list[tuple[str, str, int]] = []
    throttle = RedisThrottle(house.connection)
    passwords = ThrottledPasswords(house.verifier, house.cache, throttle, b"g" * 32)
    authenticator = Authenticator(house.facts_reader, passwords, throttle, on_use=house.usage.record)
    audit = RedisAudit(house.connection, AUDIT_BUDGET)
    recorder = AuditRecorder(audit, logger, lambda: house.now, lambda: secrets.token_hex(8))
    api = ManagementApi(
        UseCases(
            *(house.stores, signer or KeysInMemory(), SERVICE, audit, NoRegistry(), IndexedRegistry()),
            sealer=sealer or house.keys,
            upstream_checks=house.checks,
            webhook_checks=house.receivers,
            password_hasher=house.verifier,
        ),
        ApiAuthentication(authenticator),
        collections.ENDPOINTS,
        ApiDocument(collections.document),
        logger,
        lambda: house.now,
        share=share or FairShare(16, 8, 64, "busy"),
        count=lambda collection, method, status, _: counted.append((collection, method, status)),
        record_denied=recorder.record_denied,
    )

    def new_request_id() -> str:
        return f"{int(house.now.timestamp()):08x}{secrets.token_hex(4)}"

    middleware = around(logger, SERVICE, new_request_id, ClientReader(), ())
    application = api.application()
    listener = Listener(make_web_app([], middleware, {PREFIX: application}))
    with create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        await listener.start(bound)
        async with ClientSession() as session:
            yield ApiServer(house, bound.getsockname()[1], log, session, application, recorder, counted)
        await listener.close()
