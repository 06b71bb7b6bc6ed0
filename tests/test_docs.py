"""The documentation says what the code does: settings, commands, events, errors, roles, files, links and the story."""

import ast
import logging
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import click
import pytest
from attrs import asdict

from authsvc import errors
from authsvc.audit.events import EVENTS
from authsvc.cli.main import main
from authsvc.errors import AuthsvcError, SetupRefused
from authsvc.keys import secrets_dir
from authsvc.local.quickstart import first_start
from authsvc.outcomes import OF_ERRORS, OF_TOKENS
from authsvc.policy import ACTIONS, ROLE_ACTIONS
from authsvc.public_url import parse_public_url
from authsvc.settings import OWNED_BY_OTHERS, SETTINGS
from authsvc.setup.data_dir import MARKER, prepare
from authsvc.setup.init import configuration_of
from authsvc.tenancy.names import RESERVED_SLUGS
from authsvc.webhooks.event import EventType

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "authsvc"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
COMMON_OPTIONS = {"--data-dir", "--json", "--as"}
WITHOUT_DATABASE = {
    "authsvc reload",
    "authsvc status",
    "authsvc keys issue",
    "authsvc doctor",
    "authsvc backup",
    "authsvc restore",
    "authsvc gc",
}
"""Commands of the vendor that do not reach the database, so that no audit names anybody."""

LEVELS = {"debug", "info", "warning", "error"}
OF_EVERY_CHANGE = {"actor", "id"}
HANDED_ON = "**"
EVENT = re.compile(r"[a-z-]+\.(?!aof|conf|csv|json|rdb|toml|yml|sh|sock|pid|log|key|secret|io|py)[a-z_]+")

NOT_EVENTS = {"gitlab.com", *EventType}
"""What looks like an event of the log or the audit: host names, and the types of events that webhooks send."""

"""A constant `noun.verb`; the exceptions are ends of file and host names."""

Row = list[str]


def page(name: str) -> str:
    """Read a page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of the same or a higher level."""
    lines = text.splitlines()
    start = lines.index(heading) + 1
    level = heading.index(" ")
    ends = (i for i in range(start, len(lines)) if re.match(rf"#{{1,{level}}} ", lines[i]))
    return "\n".join(lines[start : next(ends, len(lines))])


def rows(text: str, heading: str) -> list[Row]:
    """Return the cells of the table below `heading` that begins a line with a code span, without the code marks."""
    body = section(text, heading)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line[:1] == "|"]
    return [row for row in cells if row[0].startswith("`")]


def codes(text: str) -> list[str]:
    """Return the texts of all code spans."""
    return re.findall(r"`([^`\n]+)`", text)


def fences(text: str, language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# Settings


def accepts(parse: Callable[[str, str], object], text: str) -> bool:
    """Whether a setting takes a value."""
    try:
        parse(text, "setting")
    except SetupRefused:
        return False
    return True


def test_every_setting_is_documented_as_it_is() -> None:
    """The table of settings has the names, defaults and secrets of the code, and nothing else."""
    table = {codes(row[0])[0]: row for row in rows(page("configuration.md"), "## Settings")}
    assert list(table) == [setting.environment for setting in SETTINGS]
    for setting in SETTINGS:
        _, _, _, default, _, secret = table[setting.environment]
        if setting.default is not None:
            assert default == f"`{setting.default}`"
        else:
            assert default.startswith("none, ")
            assert (default == "none, required") is not setting.optional
        assert secret == ("yes" if setting.secret else "no")


def test_documented_ranges_are_the_accepted_ones() -> None:
    """The ends of each documented range are accepted and their neighbours refused; each listed word is accepted."""
    ranges = 0
    for setting, row in zip(SETTINGS, rows(page("configuration.md"), "## Settings"), strict=True):
        numbers = re.fullmatch(r"([\d.]+) to ([\d.]+)", row[4])
        if numbers:
            ranges += 1
            least, most = map(Decimal, numbers.groups())
            step = Decimal("0.1") if "." in row[4] else Decimal(1)
            assert [accepts(setting.parse, str(n)) for n in (least - step, least, most, most + step)] == [0, 1, 1, 0]
        elif setting.name == "log_level":
            assert all(accepts(setting.parse, word) for word in row[4].split(", "))
    measured = (
        "_life",
        "_renewal",
        "_budget",
        "_deadline",
        "_groups",
        "_reserve",
        "_interval",
        "_limit",
        "_records",
        "_address",
    )
    assert ranges == len([setting for setting in SETTINGS if setting.name.endswith(measured)])


def test_foreign_names_are_documented() -> None:
    """The names that are no settings are exactly those that the server passes over."""
    table = rows(page("configuration.md"), "## Names that are not settings")
    names = [name for row in table for name in codes(row[0])]
    assert all(OWNED_BY_OTHERS.fullmatch(name.replace("*", "X")) for name in names)
    pattern = OWNED_BY_OTHERS.pattern.removeprefix("AUTHSVC_(?:").removesuffix(")").replace(".*", "*")
    assert {f"AUTHSVC_{part}" for part in pattern.split("|")} == set(names)


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    """Every AUTHSVC_ name on any page is a setting, the file form of a secret, compose.yaml's, or somebody else's."""
    known = {s.environment for s in SETTINGS} | {f"{s.environment}_FILE" for s in SETTINGS if s.secret}
    known |= set(re.findall(r"AUTHSVC_[A-Z0-9_]+", (ROOT / "compose.yaml").read_text(encoding="utf-8")))
    placeholders = {"AUTHSVC_NAME", "AUTHSVC_NAME_FILE"}
    for path in PAGES:
        for name in re.findall(r"AUTHSVC_[A-Z0-9_]*(?:[A-Z0-9]|_\*)", path.read_text(encoding="utf-8")):
            foreign = OWNED_BY_OTHERS.fullmatch(name.replace("*", "X"))
            assert name in known | placeholders or foreign, (path.name, name)


# Files


def test_files_of_the_data_directory_are_documented(tmp_path: Path) -> None:
    """Every folder of a prepared data directory has a row, and every file that is rendered too."""
    documented = {codes(row[0])[0] for row in rows(page("configuration.md"), "## The data directory")}
    layout = prepare(tmp_path / "data")
    made = {f"{path.name}/" for path in layout.root.iterdir() if path.is_dir()}
    assert made - {"config/"} == {name for name in documented if name.endswith("/")}
    rendered = {f"config/{path.name}" for path in asdict(configuration_of(layout)).values()}
    assert rendered | {"config/story-told", MARKER} == {name for name in documented if not name.endswith("/")}


def test_files_of_the_secrets_directory_are_documented() -> None:
    """Every secret file has a row and every row is a secret file."""
    names = {
        value
        for name, value in vars(secrets_dir).items()
        if name.isupper() and isinstance(value, str) and not name.startswith("_")
    }
    assert names == {codes(row[0])[0] for row in rows(page("configuration.md"), "## The secrets directory")}


# Commands


def walk(command: click.Command, path: str = "authsvc") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with what one types for it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from walk(found, f"{path} {name}")


TREE = dict(walk(main))


def options(command: click.Command) -> set[str]:
    """Return the long options of a command."""
    return {name for p in command.params if isinstance(p, click.Option) for name in p.opts if name.startswith("--")}


SHARED = "## Options of several commands"


def command_texts() -> dict[str, str]:
    """Return what docs/commands.md says of each command: its section, or its row in a table of short commands."""
    text = page("commands.md")
    found = {name: section(text, f"## {name}") for name in re.findall(r"^## (authsvc .*)$", text, re.MULTILINE)}
    for heading in re.findall(r"^## More commands for .*$", text, re.MULTILINE):
        for row in rows(text.replace(r"\|", "¦"), heading):
            (path,) = [path for path in TREE if f"{codes(row[0])[0]} ".startswith(f"{path} ")]
            assert path not in found
            found[path] = " ".join(row).replace("¦", "|")
    return found


def option_rows(body: str) -> dict[str, str]:
    """Return the options in the first column of a text's table, each with its meaning."""
    return {code.split()[0]: row[1] for row in rows(f"# x\n{body}", "# x") for code in codes(row[0]) if code[0] == "-"}


def shared_options(path: str, body: str) -> dict[str, str]:
    """Return the options that a text names without a row, each with the meaning that many commands share."""
    meanings = option_rows(section(page("commands.md"), SHARED))
    usage = "|".join(code for code in codes(body) if code.startswith(f"{path} ")).replace("[", " [")
    named = [code for code in codes(body) if code.startswith("--")]
    found = {name for code in [usage, *named] for name in re.findall(r"--[a-z-]+", code)}
    shown = {name: meanings[name] for name in found & set(meanings) - set(option_rows(body))}
    return {name: f"{text}; required" if f" {name}" in usage else text for name, text in shown.items()}


def test_every_command_is_documented() -> None:
    """The sections and rows of docs/commands.md are the commands, and nothing else."""
    assert sorted(command_texts()) == sorted(TREE)


@pytest.mark.parametrize("path", TREE)
def test_every_option_is_documented(path: str) -> None:
    """A command's text has its options, says which are required, and shows its defaults."""
    command = TREE[path]
    body = command_texts()[path]
    meanings = shared_options(path, body) | option_rows(body)
    is_vendors = path.split()[1] not in {"up", "init", "serve", "key-service", "completion"}
    common = COMMON_OPTIONS - ({"--as"} if path in WITHOUT_DATABASE else set())
    assert set(meanings) - COMMON_OPTIONS == options(command) - COMMON_OPTIONS
    assert not is_vendors or options(command) & COMMON_OPTIONS == common
    assert is_vendors or set(meanings) == options(command)
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.opts[0] not in meanings:
            continue
        meaning = meanings[parameter.opts[0]]
        if "(#options-of-several-commands)" in meaning:
            meaning = option_rows(section(page("commands.md"), SHARED))[parameter.opts[0]]
        assert ("required" in meaning) is parameter.required
        if isinstance(parameter.default, str):
            assert f"default `{parameter.default}`" in meaning or meaning == "as for `up`"
        if isinstance(parameter.type, click.IntRange):
            assert f"{parameter.type.min} to {parameter.type.max}" in meaning


@pytest.mark.parametrize("path", TREE)
def test_every_argument_is_documented(path: str) -> None:
    """A command that takes an argument shows it in its usage line."""
    names = [p.metavar or p.name.upper() for p in TREE[path].params if isinstance(p, click.Argument) and p.name]
    for name in names:
        assert any(code.startswith(f"{path} {name}") for code in codes(command_texts()[path]))


def test_reserved_slugs_are_listed() -> None:
    """The list of reserved words is the one that the code refuses."""
    (line,) = [line for line in page("commands.md").splitlines() if line.startswith("Reserved: ")]
    assert set(codes(line)) == RESERVED_SLUGS


def typed(text: str) -> Iterator[list[str]]:
    """Yield the words of every `authsvc …` and `make …` that stands in a code span or a shell block."""
    blocks = " ; ".join(block.replace("\\\n", " ").replace("\n", " ; ") for block in fences(text, "sh"))
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in [*re.split(r"[;&|]+|<", blocks), *codes(outside)]:
        words = re.sub(r"#.*", "", code).split()
        while words and re.fullmatch(r"[A-Z_]+=\S+", words[0]):
            words.pop(0)
        if words[:1] in (["authsvc"], ["make"]):
            yield words


def unknown_command(words: list[str]) -> str | None:
    """Return what is wrong with the words of a command line, or None."""
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return None if all(w in targets for w in words[1:2]) else " ".join(words)
    command: click.Command = main
    rest = words[1:]
    while rest and isinstance(command, click.Group) and re.fullmatch(r"[a-z-]+", rest[0]) and rest[0][0] != "-":
        found = command.get_command(click.Context(command), rest.pop(0))
        if found is None:
            return " ".join(words)
        command = found
    known = options(command) | {"--help", "--version"}
    return next((word for word in rest if word.startswith("--") and word not in known), None)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_page_names_a_command_that_does_not_exist(path: Path) -> None:
    """Every command, option and make target on a page exists."""
    found = [unknown_command(words) for words in typed(path.read_text(encoding="utf-8"))]
    assert [wrong for wrong in found if wrong] == []


def test_commands_that_do_not_exist_are_noticed() -> None:
    """The check sees an invented command, option and target."""
    text = "`authsvc team destroy x` `authsvc up --fast`\n```sh\nmake coffee\nauthsvc team list\n```\n"
    assert [bool(unknown_command(words)) for words in typed(text)] == [True, False, True, True]


# Events


def called_events(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call that writes a log event, with the event's name."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name not in LEVELS | {"log", "entry", "entry_of_change", "partial"}:
            continue
        for argument in call.args[:2]:
            if isinstance(argument, ast.Constant) and EVENT.fullmatch(event := str(argument.value)):
                yield event, call


def code_events() -> dict[str, set[str]]:
    """Return the events of the code with the keys that each call spells out; others are handed on."""
    events: dict[str, set[str]] = {}
    for path in HOUSE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or node.value in NOT_EVENTS:
                continue
            if isinstance(node.value, str) and EVENT.fullmatch(node.value):
                events.setdefault(node.value, set())
        for event, call in called_events(tree):
            events[event].update(word.arg or HANDED_ON for word in call.keywords)
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            if name in {"entry", "entry_of_change"}:
                events[event].update(OF_EVERY_CHANGE)
            if name == "entry_of_change":
                events[event].add("changed")
    return events


def documented_events() -> dict[str, Row]:
    """Return the rows of docs/logs.md by event."""
    text = page("logs.md")
    headings = (
        "## Decisions on tokens",
        "## Preflights",
        "## Management API",
        "## Portal",
        "## Linked registries",
        "## Webhooks",
        "## Changes",
        "## The server itself",
    )
    found = [row for heading in headings for row in rows(text, heading)]
    return {codes(row[0])[0]: row for row in found if EVENT.fullmatch(codes(row[0])[0])}


def audit_events() -> set[str]:
    """Return the events that docs/audit.md lists; some of them are in the audit only."""
    return {code for row in rows(page("audit.md"), "## What is written") if EVENT.fullmatch(code := codes(row[0])[0])}


def test_every_event_is_documented() -> None:
    """The events of docs/logs.md and docs/audit.md are those that the code writes."""
    assert set(documented_events()) | audit_events() == set(code_events())


def test_the_audit_knows_its_events() -> None:
    """A list can be filtered by every event that the pages list as one of the audit, and by no other."""
    changes = {codes(row[0])[0] for row in rows(page("logs.md"), "## Changes")}
    assert {event for event in changes if EVENT.fullmatch(event)} | audit_events() == EVENTS


def test_every_key_is_documented() -> None:
    """Every key that a call spells out is in the event's row; a row has more only where facts are handed on."""
    bound = {"token.refused", "preflight.refused", "preflight.answered"}
    for event, keys in code_events().items():
        if event in audit_events() - set(documented_events()):
            assert not keys, event
            continue
        written = {"exception" if key == "exc_info" else key for key in keys - {HANDED_ON}}
        documented = set(codes(documented_events()[event][2]))
        assert written <= documented, event
        assert not keys or HANDED_ON in keys or event in bound or written == documented, event


def test_changes_have_the_keys_of_every_change() -> None:
    """Each row of the changes begins with who did it, and the operation's id."""
    table = rows(page("logs.md"), "## Changes")
    assert table
    assert all(codes(row[2])[:2] == ["actor", "id"] for row in table)


def test_keys_of_token_events_are_documented() -> None:
    """The keys that web/token.py gives every token event, and those of its facts, are in their rows."""
    tree = ast.parse((HOUSE / "web/token.py").read_text(encoding="utf-8"))
    (bound,) = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "log"]
    common = {word.arg for word in bound.keywords if word.arg is not None}
    of_issued, of_refused = returned_keys(tree, "_facts"), returned_keys(tree, "refusal_facts")
    events = documented_events()
    assert set(codes(events["token.issued"][2])) == common | of_issued
    assert set(codes(events["token.refused"][2])) == common | of_refused
    assert of_refused <= set(codes(events["preflight.refused"][2]))


def returned_keys(tree: ast.AST, name: str) -> set[str]:
    """Return the keys of the dictionary that the function of this name returns."""
    (function,) = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name]
    (returned,) = [n.value for n in ast.walk(function) if isinstance(n, ast.Return)]
    assert isinstance(returned, ast.Dict)
    return {str(key.value) for key in returned.keys if isinstance(key, ast.Constant)}


def test_levels_are_documented() -> None:
    """An event's level in the table is the one of the call."""
    for path in HOUSE.rglob("*.py"):
        for event, call in called_events(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS:
                assert documented_events()[event][1] == call.func.attr
    for outcome in (*OF_TOKENS, *OF_ERRORS.values()):
        assert documented_events()[outcome.log_event][1] == logging.getLevelName(outcome.log_level).lower()


def test_undocumented_events_would_be_noticed() -> None:
    """The search finds an event in each way in which one is written."""
    calls = (
        "log.info('a.one')",
        "act.entry('a.two', x=1)",
        "partial(log.info, 'a.three')",
        "log.log(level, 'a.four')",
        "log.error('b.five_six', exc_info=e)",
    )
    found = [event for text in calls for event, _ in called_events(ast.parse(text))]
    assert found == ["a.one", "a.two", "a.three", "a.four", "b.five_six"]


# Errors and roles


def test_every_error_is_documented_as_it_is_answered() -> None:
    """Each error class is in the table of docs/architecture.md, with the status and code of outcomes.py."""
    classes = {
        name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AuthsvcError)
    }
    table = {codes(row[0])[0]: row for row in rows(page("architecture.md"), "## Errors")}
    assert set(table) == set(classes)
    for name, kind in classes.items():
        status, code, exit_code = table[name][1:4]
        outcome = OF_ERRORS[kind]
        if not outcome.is_fault:
            assert (status, code) == (str(outcome.status.value), outcome.registry_code)
        else:
            assert status.startswith("never")
        if kind is not AuthsvcError:
            assert exit_code == ("2" if issubclass(kind, SetupRefused) else "1")


def test_role_table_is_the_policy() -> None:
    """The table of docs/isolation.md grants what authsvc/policy.py grants."""
    body = section(page("isolation.md"), "## Who may do what")
    head, _, *lines = [[c.strip() for c in li.strip("|").split("|")] for li in body.splitlines() if li[:1] == "|"]
    granted = {
        line[0]: {action for action, word in zip(head[1:], line[1:], strict=True) if word == "yes"} for line in lines
    }
    assert set(head[1:]) == ACTIONS
    assert granted.pop("license") == {"pull"}
    assert granted.pop("service account") == set()
    assert granted == {str(role): set(actions) for role, actions in ROLE_ACTIONS.items()}


# HTTP


ROUTE = re.compile(r'web\.(get|post)\(\s*"(/[^"]+)"')


def test_every_path_is_documented() -> None:
    """The paths and methods of docs/protocol.md are those that the code serves."""
    sources = [
        path.read_text(encoding="utf-8") for folder in ("web", "wiring") for path in (HOUSE / folder).glob("*.py")
    ]
    served: dict[str, set[str]] = {}
    for method, path in ROUTE.findall("\n".join(sources)):
        served.setdefault(path, set()).add(method.upper())
    documented = {codes(row[0])[0]: set(row[2].split(", ")) for row in rows(page("protocol.md"), "## HTTP surface")}
    assert documented == served
    assert len(served) > 5


# The quickstart


def commands(text: str) -> list[str]:
    """Return the command lines of a text: continued lines joined, comments and spare blanks dropped."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = (re.sub(r"\s+# .*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if re.match(r"(authsvc|docker|podman|skopeo) ", line)]


def test_the_quickstart_of_the_readme_is_what_up_prints() -> None:
    """The commands in README are those that the first start prints, in the same order."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    printed = first_start(parse_public_url("http://localhost:5000"), Path("/d"), None)
    told = commands("".join(fences(section(readme, "## Quickstart"), "sh")))
    assert told == commands(printed)
    assert len(told) > 15


def test_plain_http_is_only_for_the_start_on_one_machine() -> None:
    """No page but README turns the check of certificates off."""
    assert [path.name for path in PAGES if "--tls-verify=false" in path.read_text(encoding="utf-8")] == ["README.md"]


# Links


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path, text: str) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_resolve(path: Path) -> None:
    """Every relative link leads to a file, and to a heading if it names one."""
    assert broken_links(path, path.read_text(encoding="utf-8")) == []


def test_broken_links_are_noticed() -> None:
    """The check sees a missing file and a missing heading, and lets good links pass."""
    text = (
        "[a](docs/nothing.md) [b](docs/logs.md#nothing) [c](docs/logs.md#changes) [d](https://example.com) [e](LICENSE)"
    )
    assert broken_links(ROOT / "README.md", text) == ["docs/nothing.md", "docs/logs.md#nothing"]


def test_every_page_can_be_reached_from_the_readme() -> None:
    """Somebody who follows links from README finds every page."""
    seen, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        links = re.findall(r"\]\(([^)\s#:]+\.md)", path.read_text(encoding="utf-8"))
        waiting += [(path.parent / link).resolve() for link in links]
    assert set(PAGES) - seen == set()


def test_the_code_refers_to_pages_that_exist() -> None:
    """A page or a section of it that a comment, docstring or message names is there."""
    for path in [*HOUSE.rglob("*.py"), *(ROOT / "registry-config").iterdir()]:
        text = re.sub(r"\s+#?\s*", " ", path.read_text(encoding="utf-8"))
        for name, heading in re.findall(r'\bdocs/([\w/.-]+\.md)(?:, "([^"]+)")?', text):
            assert (ROOT / "docs" / name).exists(), (path, name)
            assert not heading or f"## {heading}" in page(name).splitlines(), (path, name, heading)


def test_decisions_are_numbered_and_listed() -> None:
    """Decision records are numbered without a gap, and each is listed under its own title."""
    listed = re.findall(r"^(\d+)\. \[(.*)\]\((.*)\)$", page("decisions/README.md"), re.MULTILINE)
    files = sorted(path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [file for _, _, file in listed] == files
    for number, (shown, title, file) in enumerate(listed, start=1):
        assert (int(shown), int(file[:4])) == (number, number)
        assert page(f"decisions/{file}").startswith(f"# {number}. {title}\n\nStatus: ")
