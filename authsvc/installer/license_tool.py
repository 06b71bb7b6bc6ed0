"""``authsvc-license``: the license holder's commands for the file.

Exit codes: 0 done, 1 refused, 2 wrong usage or a file that cannot be read; ``verify`` has two more, 3 for a genuine
license that has ended or not begun, 4 for a signature that could not be checked.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from authsvc import __version__
from authsvc.installer import client_files, documents, kubelet, report
from authsvc.installer.credential_helper import USERNAME
from authsvc.installer.license_store import UNCHECKED, InstalledLicense, ToolError
from authsvc.installer.verification import open_license
from authsvc.printable import accept_all_characters, printable, printable_json, printable_lines

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from authsvc.installer.license_selection import Selection

PROGRAM = "authsvc-license"
NOT_IN_FORCE = 3
"""Exit code of ``verify`` for a genuine license outside its dates."""

_MAX_REQUEST = 1024 * 1024
"""Longest request of kubelet that is read, in characters."""


def main() -> int:
    """Run one command and return the exit code."""
    accept_all_characters(sys.stdout, sys.stderr)
    try:
        options = _options()
        code: int = options.run(options)
        sys.stdout.flush()
    except ToolError as error:
        sys.stderr.write(f"{PROGRAM}: {printable(str(error))}\n")
        return error.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has closed the pipe; Python would report that again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _show(options: argparse.Namespace) -> int:
    license_, notes = open_license(options.file, os.environ, options.key)
    state, warnings = report.dates(license_.says, time.time())
    shown = report.facts(license_.says, state, "valid" if license_.key else "not checked: no key of the vendor is here")
    clients = client_files.uses(license_.registry, os.environ)
    warnings += _omitted(license_)
    if options.online:
        answer = _server(license_, options).preflight([])
        shown["token_ends_at"] = (answer.get("license") or {}).get("token_ends_at")
        warnings = list(dict.fromkeys([*warnings, *_messages(answer)]))
    if options.as_json:
        _print_json({**shown, "clients": [use.to_json() for use in clients], "warnings": warnings})
    else:
        _say(report.facts_table({**shown, **{use.client: use.what() for use in clients}}))
        _warn(warnings)
    _warn(notes)
    return 0


def _verify(options: argparse.Namespace) -> int:
    try:
        license_, notes = open_license(options.file, os.environ, options.key, required=True)
    except ToolError as error:
        if options.as_json and error.code in {1, UNCHECKED}:
            genuine = None if error.code == UNCHECKED else False
            _print_json({"genuine": genuine, "error": str(error), "field": error.field})
            return error.code
        raise
    says, key = license_.says, license_.key
    assert key is not None  # noqa: S101  it was required
    state, warnings = report.dates(says, time.time())
    if options.as_json:
        facts = {**report.facts(says, state, "valid"), "key": key.kid, "key_files": key.paths}
        _print_json({"genuine": True, "in_force": state == "active", **facts, "warnings": warnings})
    else:
        _say(f"genuine, {report.when(says, state)}: license {says['id']} of {says['customer']} for {says['app']}")
        _say(f"registry: {license_.registry}\nkey: {key.kid} ({', '.join(key.paths)})")
        _warn(warnings)
    _warn(notes)
    return 0 if state == "active" else NOT_IN_FORCE


def _login(options: argparse.Namespace) -> int:
    from authsvc.installer import login

    if options.undo:
        done = login.undo(options.file, os.environ)
    else:
        if len(options.key) > 1:
            raise ToolError("give one --key to be kept", 2)
        license_, notes = open_license(options.file, os.environ, options.key)
        state, warnings = report.dates(license_.says, time.time())
        if state == "expired":
            raise ToolError(warnings[0])
        done = login.log_in(license_, options.key, os.environ, time.time(), replace=options.replace)
        _warn([*warnings, *notes])
    _print_json({"done": done}) if options.as_json else _say("\n".join(map(printable, done)))
    return 0


def _docker_config(options: argparse.Namespace) -> int:
    _print_document(documents.docker_config(_selected(options.files)))
    return 0


def _pull_secret(options: argparse.Namespace) -> int:
    _print_document(documents.pull_secret(_selected(options.files), options.namespace, options.name))
    return 0


def _token(options: argparse.Namespace) -> int:
    from authsvc.installer.license_selection import joined

    licenses = _selected(options.files)
    registries = sorted({license_.registry for license_ in licenses})
    if len(registries) > 1:
        raise ToolError(f"one password is for one registry, and these files are for {', '.join(registries)}", 2)
    _print_document(joined(licenses))
    return 0


def _containerd(options: argparse.Namespace) -> int:
    from authsvc.installer.client_config import write_file

    license_ = _opened(options.file)
    text = documents.hosts_toml(license_.registry, plain_http=options.plain_http, ca_file=options.ca_file)
    if options.directory is None:
        _print_document(text)
        return 0
    path = os.path.join(options.directory, license_.registry, "hosts.toml")
    write_file(path, f"{text}\n")
    _say(f"wrote {path}")
    return 0


def _kubelet_provider(options: argparse.Namespace) -> int:
    if options.config:
        licenses = [_opened(os.path.abspath(path)) for path in options.config]
        seconds = kubelet.cache_seconds(licenses, time.time())
        _print_document(documents.provider_config(licenses, options.program, seconds))
    else:
        answer, notes = kubelet.answer(sys.stdin.read(_MAX_REQUEST), os.environ, time.time())
        _warn(notes)
        _print_document(answer)
    return 0


def _preflight(options: argparse.Namespace) -> int:
    from authsvc.installer import client_check, preflight

    license_ = _opened(options.file)
    found = preflight.collect(options.images, license_.registry)
    selected = _selected_with(license_)
    secret = selected.secret
    answer = preflight.rows(found, license_.registry, _server(license_, options, (USERNAME, secret)).preflight)
    good = [image["image"] for image in answer["images"] if image.get("may_pull")]
    clients = client_check.check(
        client_files.uses(license_.registry, os.environ),
        secret,
        good,
        lambda login, images: _server(license_, options, login).preflight(images),
    )
    answer["ok"] = answer["ok"] and not any(one.ok is False for one in clients)
    if options.as_json:
        _print_json({**answer, "clients": [one.to_json() for one in clients]})
    else:
        _say(report.images_table(answer["images"]))
        _say("\n" + "\n".join(report.ends(answer)))
        _warn(_messages(answer))
        if all(image["ok"] is None for image in answer["images"]):
            _warn([f"none of these images is of {license_.registry}"])
    _warn(report.not_accepted(answer, selected.licenses))
    _warn([one.problem for one in clients if one.problem])
    return 0 if answer["ok"] else 1


def _selected_with(license_: InstalledLicense) -> Selection:
    """Return the licenses that clients send once ``license_`` is logged in: itself, and those on this machine."""
    from authsvc.installer.license_selection import left_out, select
    from authsvc.installer.verification import usable

    held = usable(os.environ, license_.registry)[0]
    others = [one for one in held if not os.path.samefile(one.path, license_.path)]
    license_.named = any(one.named for one in held if one not in others)
    selection = select([*others, license_], license_.registry, time.time())
    if license_.token not in {one.token for one in selection.licenses}:
        newer = next((one.path for one in selection.licenses if one.says["id"] == license_.says["id"]), None)
        _warn([f"{license_.path} is not what clients use{f': {newer} is newer' if newer else ''}"])
    _warn(left_out(selection))
    return selection


def _server(license_: InstalledLicense, options: argparse.Namespace, login: tuple[str, str] | None = None) -> Any:
    from authsvc.installer.server import Server

    login = login or (USERNAME, license_.token)
    return Server(license_.registry, login, plain_http=options.plain_http, ca_file=options.ca_file, environ=os.environ)


def _opened(path: str) -> InstalledLicense:
    """Return a license file that may be used; print messages about it to standard error."""
    license_, notes = open_license(path, os.environ)
    _warn(notes)
    return license_


def _selected(paths: Sequence[str]) -> list[InstalledLicense]:
    """Return the licenses of several files that go into one login: of each registry those that a client would get."""
    from authsvc.installer.license_selection import left_out, select

    opened, now = [_opened(path) for path in paths], time.time()
    selections = [select(opened, registry, now) for registry in dict.fromkeys(one.registry for one in opened)]
    chosen = [license_ for selection in selections for license_ in selection.licenses]
    _warn([sentence for selection in selections for sentence in left_out(selection)])
    _warn([f"{one.path}: not in force, left out" for one in opened if one not in chosen and not one.in_force(now)])
    return [license_ for license_ in opened if license_ in chosen]


def _omitted(license_: InstalledLicense) -> list[str]:
    """Return a sentence that names the licenses of the same registry which clients do not get, or none."""
    from authsvc.installer.license_selection import left_out, select
    from authsvc.installer.verification import usable

    return left_out(select(usable(os.environ, license_.registry)[0], license_.registry, time.time()))


def _messages(answer: dict[str, Any]) -> list[str]:
    return [str(warning.get("message")) for warning in answer["warnings"] if isinstance(warning, dict)]


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        sys.stderr.write(f"warning: {printable(warning)}\n")


def _say(text: str) -> None:
    """Print text for people, each of its lines made printable."""
    print(printable_lines(text))


def _print_document(text: str) -> None:
    """Print a document for another program, unchanged."""
    print(text)


def _print_json(value: Any) -> None:
    print(printable_json(value))


def _completion(options: argparse.Namespace) -> int:
    from authsvc.installer.completion import script

    made = {
        name: tuple(option for action in parser._actions for option in action.option_strings)  # noqa: SLF001 -- argparse has no other list of them
        for name, parser in options.commands.items()
    }
    _print_document(script(options.shell, made).rstrip())
    return 0


def _options() -> argparse.Namespace:
    """Return the parsed arguments. argparse alone would not accept images after an option."""
    parser = _parser()
    options, rest = parser.parse_known_args()
    unknown = rest if not hasattr(options, "images") else [word for word in rest if word[0:1] == "-" != word]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        options.images += rest
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="What to do with a license file (*.license.json).")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, text: str, file: str | None = "the license file") -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        if file is not None:
            made.add_argument("file", metavar="FILE", help=file)
        return made

    def command_for_files(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = command(name, run, text, file=None)
        made.add_argument("files", nargs="+", metavar="FILE", help="the license files, of one registry or several")
        return made

    show = command("show", _show, "Show what a license says, and warn when it or its token is about to end.")
    show.add_argument("--online", action="store_true", help="ask the server too, which knows of newer files")
    check = command("verify", _verify, "Check offline that a license is genuine and unedited, and say when it ends.")
    login = command("login", _login, "Keep the license and let docker and podman sign in with it.")
    login.add_argument("--undo", action="store_true", help="take it back; FILE may be the registry's name too")
    login.add_argument("--replace", action="store_true", help="take the place of another login, or of other keys")
    command_for_files("docker-config", _docker_config, "Print a config.json for tools that want one.")
    secret = command_for_files("pull-secret", _pull_secret, "Print a Kubernetes pull secret for `kubectl apply -f -`.")
    secret.add_argument("--namespace", metavar="NAME", help="of the pods; else kubectl's own")
    secret.add_argument("--name", metavar="NAME", help="of the secret; else APP-license")
    command_for_files("token", _token, "Print the registry token, for tools that want a password.")
    containerd = command("containerd", _containerd, "Print containerd's hosts.toml for the registry.")
    containerd.add_argument("--directory", metavar="DIR", help="write it to DIR/REGISTRY/hosts.toml")
    provider = command(
        "kubelet-provider", _kubelet_provider, "Answer kubelet as a credential provider (exec plugin v1).", file=None
    )
    provider.add_argument(
        "--config", nargs="+", metavar="FILE", help="print kubelet's configuration for these licenses"
    )
    provider.add_argument("--program", default=PROGRAM, metavar="NAME", help="name of this program in kubelet's folder")
    preflight = command("preflight", _preflight, "Ask whether images can be pulled: will tonight's install work?")
    preflight.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="or a file: a list of images, a compose file, manifests; without any, or for -, standard input",
    )
    completion = command("completion", _completion, "Print the script with which a shell completes.", file=None)
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    for with_key in (show, check, login):
        with_key.add_argument("--key", action="append", default=[], metavar="FILE", help="the vendor's public key")
    for with_json in (show, check, login, preflight):
        with_json.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    for online in (show, preflight, containerd):
        online.add_argument("--plain-http", action="store_true", help="the registry has no TLS")
        online.add_argument("--ca-file", metavar="FILE", help="certificates to trust, as PEM")
    completion.set_defaults(commands=commands.choices)
    return parser
