"""docs/api.md is typed as it says: its commands with a shell and curl, its Python, and its tables, on a real stack."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attrs import define

from authsvc.store.operations import MARK_LIFE
from authsvc.tenancy.pages import MAX_PAGE
from authsvc.web.api.application import MAX_WAITING, PER_TEAM, SLOTS
from authsvc.web.api.json_body import BODY_DEADLINE
from authsvc.web.api.license_rows import MAX_ROWS
from authsvc.web.api.request_headers import MAX_KEY
from authsvc.web.listener import MAX_BODY_BYTES
from tests.support.api_server import DOCUMENT, operation_of
from tests.support.http_client import Reply, ask, get_token
from tests.support.stack import PASSWORD, Ran, Stack, run, running_stack
from tests.support.tenants import License
from tests.support.waiting import PATIENCE, until
from tests.test_docs import codes, fences, page

PARTS = {part.partition("\n")[0]: part for part in page("api.md").split("\n## ")}
"""The page by its headings; a comment in a command is none."""

EXAMPLE_HOST = "registry.vendor.com"

VOLATILE = {"id", "customer_id", "issued_at", "registry", "request_id"}
"""Members of the page's answers that are others in every installation."""


def blocks(heading: str) -> list[str]:
    """Return the commands below a heading, in their order."""
    return fences(PARTS[heading], "sh")


def shown(heading: str) -> Any:
    """Return the answer that is shown below a heading."""
    (answer,) = fences(PARTS[heading], "json")
    return json.loads(answer)


STORY = "A CRM that sells licenses"
TOKEN, CRM = blocks(STORY)
BEGINNING, *PARAGRAPHS = CRM.split("\n\n")


@define
class Crm:
    """A machine with curl and a token, on which the page is typed.

    Attributes:
        stack: has the team ``acme`` with the app ``myapp``, as the page.
        folder: where it is typed.
    """

    stack: Stack
    folder: Path

    def types(self, text: str) -> Ran:
        """Type some lines behind those that the page begins with; the host is the only thing that is replaced."""
        script = f"{BEGINNING}\n{text}".replace(f"https://{EXAMPLE_HOST}", f"http://{self.stack.name}")
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return run("bash", "-euo", "pipefail", "-c", script, environ=environ, cwd=self.folder)

    def gets(self, text: str) -> Any:
        """Type some lines that must work, and return the answer."""
        ran = self.types(text)
        assert (ran.code, ran.err) == (0, ""), ran
        return json.loads(ran.out)

    def saves(self, text: str) -> Any:
        """Type the lines that create the license, and return the answer that they saved."""
        ran = self.types(text)
        assert (ran.code, ran.err) == (0, ""), ran
        return json.loads((self.folder / "order-1001.json").read_text())

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request without curl."""
        token = (self.folder / "crm.token").read_text().strip()
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return ask(self.stack.port, method, f"/api/v1{path}", headers=sent, body=data)


def prepared(stack: Stack, folder: Path) -> Crm:
    """Make what the page assumes, and the token as it says."""
    stack.authsvc("team", "create", "acme")
    stack.authsvc("app", "create", "myapp", "--team", "acme")
    environ = {**stack.environ, "AUTHSVC_DATA_DIR": str(stack.data_dir)}
    environ["PATH"] = f"{Path(stack.command[0]).parent}:{environ['PATH']}"
    made = run("bash", "-euo", "pipefail", "-c", TOKEN, environ=environ, cwd=folder)
    assert made.code == 0, made
    assert made.err == "authsvc: shown once; use it at the management API: 'Authorization: Bearer TOKEN'\n"
    return Crm(stack, folder)


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    """Return the machine of a CRM, beside a stack of its own."""
    with running_stack() as stack:
        yield prepared(stack, tmp_path_factory.mktemp("crm"))


def code_of(reply: Reply) -> tuple[int, str]:
    """Return status and code of an error."""
    assert reply.headers["content-type"].startswith("application/problem+json"), reply
    return reply.status, json.loads(reply.body)["code"]


def same_but_volatile(found: dict[str, Any], documented: dict[str, Any]) -> bool:
    """Whether an answer is the one that the page shows."""
    return found.keys() == documented.keys() and all(
        found[name] == documented[name] for name in found.keys() - VOLATILE
    )


def test_the_story(crm: Crm) -> None:
    """A license is created, downloaded, renewed and revoked, and the customer pulls as long as it is in force."""
    create, download, renew, revoke = PARAGRAPHS
    scope = "repository:myapp/x:pull"
    made = crm.saves(create)
    assert same_but_volatile(made, shown(STORY)), made
    assert crm.saves(create) == made

    assert crm.types(download).code == 0
    file = License(made["id"], (crm.folder / "acme.license.json").read_text())
    assert file.document["license"]["customer"] == "Acme Corp"
    assert get_token(crm.stack.port, file.account, scope).status == 200

    assert crm.gets(renew)["expires_at"] == "2032-01-31T00:00:00Z"
    assert get_token(crm.stack.port, file.account, scope).status == 200
    assert crm.types(download).code == 0
    assert '"2032-01-31T00:00:00Z"' in (crm.folder / "acme.license.json").read_text()

    assert crm.gets(revoke)["state"] == "revoked"
    assert get_token(crm.stack.port, file.account, scope).status == 401
    again = crm.saves(create)
    assert (again["id"], again["state"]) == (made["id"], "revoked")
    assert crm.ask("GET", f"/licenses/{made['id']}").json() == again
    assert (crm.folder / "crm.header").stat().st_mode & 0o077 == 0


def test_repeating(crm: Crm) -> None:
    """The table on keys: the same, another request, none, and none without a reference."""
    new = {"app": "myapp", "customer": "Initech", "reference": "order-7", "expires": "2031-01-31"}
    first = crm.ask("POST", "/licenses", new, Idempotency_Key="k7")
    again = crm.ask("POST", "/licenses", new, Idempotency_Key="k7")
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    other = crm.ask("POST", "/licenses", {**new, "expires": "2033-01-31"}, Idempotency_Key="k7")
    without = crm.ask("POST", "/licenses", new)
    assert [code_of(other), code_of(without)] == [(409, "idempotency_conflict"), (409, "reference_taken")]
    del new["reference"]
    assert crm.ask("POST", "/licenses", new).json()["id"] != crm.ask("POST", "/licenses", new).json()["id"]
    text = PARTS["Repeating a request"]
    assert all(f"409 `{code}`" in text for code in ("idempotency_conflict", "reference_taken", "operation_repeated"))
    assert f"up to {MAX_KEY} printable" in text
    assert ("within a day" in text, MARK_LIFE) == (True, 24 * 3600)


def test_references_in_addresses(crm: Crm) -> None:
    """Any text percent-encoded, but for the two words that name what is done to many licenses."""
    for reference, address, status in (
        ("2026/17", "2026%2F17", 200),
        ("Größe 1 & 2?", quote("Größe 1 & 2?", safe=""), 200),
        ("imports", "imports", 200),
        ("import", "import", 405),
        ("renew", "renew", 405),
    ):
        new = {"app": "myapp", "customer": "Umbrella", "reference": reference, "expires": "90d"}
        made = crm.ask("POST", "/licenses", new).json()
        found = crm.ask("GET", f"/licenses/{address}")
        assert found.status == status, (reference, found)
        assert crm.ask("GET", f"/licenses/{made['id']}").json() == made
        assert found.headers.get("allow", "POST") == "POST"


def test_an_error(crm: Crm) -> None:
    """The request that the page shows fails as it shows."""
    (command,) = blocks("Errors")
    found, documented = crm.gets(command), shown("Errors")
    assert same_but_volatile(found, documented), found
    ran = crm.types(PARAGRAPHS[1].replace("order-1001", "order-9"))
    assert (ran.code, "404" in ran.err) == (22, True)


def test_every_status_is_explained() -> None:
    """The table of errors has each status that the document has for any operation."""
    statuses = {
        status
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        for status in operation["responses"]
        if status >= "400"
    }
    lines = [line for line in PARTS["Errors"].splitlines() if re.match(r"\| \d", line)]
    documented = {status for line in lines for status in re.findall(r"\b[45]\d\d\b", line.split("|")[1])}
    assert statuses == documented
    known = {code for line in lines for code in codes(line.split("|")[1])}
    assert known
    page_of_codes = page("errors.md")
    assert all(f"| `{code}` |" in page_of_codes for code in known)


def test_lists(crm: Crm) -> None:
    """The loop finds all, page by page."""
    for number in range(5):
        new = {"app": "myapp", "customer": "Hooli", "reference": f"hooli-{number}", "expires": "20d"}
        assert crm.ask("POST", "/licenses", new).status == 201
    (text,) = fences(PARTS["Lists"], "python")
    names: dict[str, Any] = {}
    exec(compile(text, "api.md", "exec"), names)  # noqa: S102  the page's own code
    address = f"http://{crm.stack.name}/api/v1"
    token = (crm.folder / "crm.token").read_text().strip()
    found = [one["reference"] for one in names["licenses"](address, token, limit=2, reference="hooli")]
    assert sorted(found) == [f"hooli-{number}" for number in range(5)]
    soon = list(names["licenses"](address, token, state="active", ends_within="30d"))
    assert {one["customer"] for one in soon} == {"Hooli"}
    links = crm.ask("GET", "/licenses?limit=2").headers["link"]
    assert links.endswith('rel="next"')


def test_changing_what_was_read(crm: Crm) -> None:
    """The change is made, and refused when it is repeated with the tag of before."""
    crm.ask("POST", "/licenses", {"app": "myapp", "customer": "Acme Corp", "reference": "order-1001", "expires": "90d"})
    commands, again = blocks("Changing only what you have read")
    assert crm.gets(commands)["fields"]["seats"] == 50
    stale = crm.types(commands.splitlines()[1].replace("50", "60"))
    assert (stale.code, json.loads(stale.out)["code"]) == (22, "version_conflict")
    assert crm.gets('call "$API/licenses/order-1001"')["fields"]["seats"] == 50
    read = crm.folder / "order.json"
    for seats in (50, None):  # what was changed since is read again, once
        read.unlink(missing_ok=True)
        assert crm.types(again).code == 0
        found = json.loads(read.read_text())["fields"]["seats"] if read.exists() and read.read_bytes() else None
        assert found == seats


def test_what_a_token_may(crm: Crm) -> None:
    """The commands make tokens, of which the one that reads does not change."""
    for command in (code for row in rows_of_tokens() for code in codes(row[1])):
        arguments = command.replace("\\|", "|").replace("read|manage", "read").split()[1:]
        if arguments[0] == "token":
            email = "me@acme.test"
            given = ("member", "add", email, "--team", "acme", "--role", "owner", "--password-stdin")
            crm.stack.authsvc(*given, stdin=PASSWORD)
        words = {"NAME": "reader", "TEAM": "acme", "EMAIL": "me@acme.test"}
        token = crm.stack.authsvc(*(words.get(word, word) for word in arguments)).out.strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        assert ask(crm.stack.port, "GET", "/api/v1/licenses", headers=headers).status == 200
        refused = ask(crm.stack.port, "POST", "/api/v1/licenses", headers=headers, body=b"{}")
        assert code_of(refused) == (403, "permission_denied")


def rows_of_tokens() -> list[list[str]]:
    """Return the rows of the table of tokens."""
    body = PARTS["Tokens, and who may do what"].replace("\\|", "\0")
    lines = [[cell.strip().replace("\0", "|") for cell in line.strip("|").split("|")] for line in body.splitlines()]
    found = [line for line in lines if line[0].startswith("of ")]
    assert len(found) == 2
    return found


def test_limits_are_those_of_the_code(crm: Crm) -> None:
    """Each number of the table, and what lies beyond it."""
    body = PARTS["Limits"]
    assert f"| {MAX_BODY_BYTES // 1024} KiB, `application/json`" in body
    assert f"| items of a page | {MAX_PAGE} |" in body
    assert f"/licenses/renew` | 1 to {MAX_ROWS} |" in body
    assert f"a worker works on {SLOTS}, of them {PER_TEAM} of one team; {MAX_WAITING} of a team may wait" in body
    assert f"arrive | {BODY_DEADLINE:.0f} seconds |" in body
    assert code_of(crm.ask("POST", "/licenses", b" " * (MAX_BODY_BYTES + 1))) == (413, "body_too_large")
    assert code_of(crm.ask("GET", f"/licenses?limit={MAX_PAGE + 1}")) == (400, "limit_invalid")
    assert code_of(crm.ask("POST", "/licenses", b"{}", Content_Encoding="gzip")) == (415, "media_type_unsupported")
    assert crm.ask("GET", "/licenses", X_Long="x" * 15_000).status == 200
    assert code_of(crm.ask("GET", "/licenses", X_Long="x" * 17_000)) == (431, "request_refused")


def test_every_command_is_of_an_operation() -> None:
    """Each address that a command of the page calls is in the document, with the method that curl uses for it."""
    lines = [line for part in PARTS.values() for block in fences(part, "sh") for line in block.splitlines()]
    commands = [line for line in lines if "$API/" in line]
    assert len(commands) >= 7
    for command in commands:
        _, _, path = command.partition("$API")
        path = "/api/v1" + re.split('[?" ]', path)[0]
        named = re.search(r"--request (\w+)", command)
        method = named[1] if named else "POST" if "--json" in command else "GET"
        assert operation_of(method, path) is not None, (method, path)


def test_unknown_members_are_refused(crm: Crm) -> None:
    """As the page says of requests."""
    refused = crm.ask("POST", "/licenses", {"app": "myapp", "customer": "X", "expires": "9d", "seats": 1})
    assert code_of(refused) == (400, "argument_unknown")
    assert "`argument_unknown`" in PARTS["What may change"]


def test_curl_waits_while_the_store_is_down(tmp_path: Path) -> None:
    """A create that is answered 503 is repeated by curl, as the page has it, and makes one license."""
    with running_stack(REDIS_DEADLINE="1.5") as stack:
        crm = prepared(stack, tmp_path)
        redis = stack.pid("redis")
        ran: list[Ran] = []
        os.kill(redis, signal.SIGSTOP)
        try:
            typing = threading.Thread(target=lambda: ran.append(crm.types(PARAGRAPHS[0])))
            typing.start()
            until(lambda: [one for one in stack.events("serve.log") if one.get("status") == 503], "a 503")
        finally:
            os.kill(redis, signal.SIGCONT)
        typing.join(PATIENCE)
        assert ran[0].code == 0, ran
        made = json.loads((tmp_path / "order-1001.json").read_text())

        def listed() -> list[Any]:
            reply = crm.ask("GET", "/licenses?customer=acme")
            return [] if reply.status == 503 else reply.json()["items"]

        assert [one["id"] for one in until(listed, "the list")] == [made["id"]]
