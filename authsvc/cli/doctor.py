"""``authsvc doctor``: problems of an installation, and which line to change."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import asdict, frozen

from authsvc.cli.console import find, local_options, print_json, refuse, say
from authsvc.cli.hints import explained
from authsvc.cli.passwords import read_secret
from authsvc.counts import counted
from authsvc.errors import SetupRefused, SignerUnavailable
from authsvc.redaction import Secret

if TYPE_CHECKING:
    from authsvc.doctor.certificate_check import TrustedAuthorities
    from authsvc.doctor.finding import Diagnosis, Finding
    from authsvc.doctor.push_checks import PushRequest
    from authsvc.public_url import PublicUrl
    from authsvc.settings import Settings

NAMES_INSTALLATION = ("AUTHSVC_DATA_DIR", "AUTHSVC_REDIS_URL", "AUTHSVC_REDIS_URL_FILE", "AUTHSVC_CONFIG")
"""Variables that identify the installation."""


@click.command("doctor")
@click.argument("url", metavar="[URL]", required=False)
@click.option(
    "--username", metavar="NAME", help="An account that may push: a push is tried, and cancelled before it completes."
)
@click.option("--password-stdin", is_flag=True, help="Read its password or token from standard input.")
@click.option("--repository", metavar="APP/NAME", help="A repository to which it may push; nothing is left there.")
@click.option(
    "--push-size",
    type=click.IntRange(1, 10240),
    default=100,
    show_default=True,
    metavar="MIB",
    help="Size of the pushed blob.",
)
@click.option(
    "--push-seconds",
    type=click.IntRange(0, 3600),
    default=20,
    show_default=True,
    metavar="N",
    help="Duration of the push; half of it is a pause.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Certificates of further authorities that clients trust, in PEM.",
)
@click.option(
    "--registry-config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The registry's configuration, for the checks from inside.  [default: that of the data directory]",
)
@local_options
def doctor_command(
    url: str | None,
    username: str | None,
    repository: str | None,
    push_size: int,
    push_seconds: int,
    ca_file: Path | None,
    registry_config: Path | None,
    data_dir: Path | None,
    *,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Report problems of a registry and which line to change: as clients see it at URL, and from inside."""
    import asyncio

    from authsvc.doctor.certificate_check import TrustedAuthorities
    from authsvc.doctor.outside_diagnosis import examine_outside
    from authsvc.wiring import clock

    push = _push(username, repository, push_size, push_seconds, password_stdin=password_stdin)
    try:
        installation = _installation(url, data_dir, registry_config)
        address = _address(url) if installation is None or url else installation.settings.public_url
        authorities = TrustedAuthorities(ca_file)
        found = asyncio.run(examine_outside(address, authorities, clock, push))
        if installation is not None:
            found = found.joined(_examine_inside(installation, address, authorities))
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except SignerUnavailable as error:
        refuse(explained(error))
    _report(address, found, as_json=as_json)
    sys.exit(1 if found.findings else 0)


@frozen
class _InsideTarget:
    settings: "Settings"
    registry_config: Path | None


def _installation(url: str | None, data_dir: Path | None, registry_config: Path | None) -> _InsideTarget | None:
    """Return the installation to examine from inside, if one is named: by an option, a variable, or no URL.

    Raises:
        SetupRefused: there is none.
        click.UsageError: a registry's configuration is named without an installation.
    """
    if url is not None and data_dir is None and not any(os.environ.get(name) for name in NAMES_INSTALLATION):
        if registry_config is not None:
            raise click.UsageError("--registry-config goes with --data-dir, or without URL")
        return None
    settings, folder = find(data_dir, os.environ)
    rendered = None if folder is None else folder / "config" / "registry.yml"
    if registry_config is None and rendered is not None and rendered.is_file():
        registry_config = rendered
    return _InsideTarget(settings, registry_config)


def _address(url: str | None) -> "PublicUrl":
    from authsvc.public_url import parse_public_url

    text = url or ""
    return parse_public_url(text if "://" in text else f"https://{text}", "URL")


def _examine_inside(
    installation: _InsideTarget, address: "PublicUrl", authorities: "TrustedAuthorities"
) -> "Diagnosis":
    """Return the findings of Redis, the registry and its configuration."""
    import asyncio

    from authsvc.doctor.http_question import ServerAddress
    from authsvc.doctor.inside_checks import InsideQuestions
    from authsvc.doctor.inside_rules import diagnose_inside
    from authsvc.doctor.registry_config import read_registry_config
    from authsvc.wiring import clock
    from authsvc.wiring.keys import operator_leaf, system_tokens

    settings, path = installation.settings, installation.registry_config
    public = ServerAddress.of(address, authorities.context() if address.scheme == "https" else None)
    tokens = system_tokens(settings, operator_leaf(settings, clock()))
    config = None if path is None else read_registry_config(path)
    return diagnose_inside(asyncio.run(InsideQuestions(settings, tokens, config, public, clock).ask()))


def _push(
    username: str | None, repository: str | None, size: int, seconds: int, *, password_stdin: bool
) -> "PushRequest | None":
    """Return the settings of the push.

    Raises:
        click.UsageError: only some of account, password and repository are given.
    """
    from authsvc.doctor.push_checks import PushRequest

    if username is None and repository is None and not password_stdin:
        return None
    if username is None or repository is None:
        raise click.UsageError("--username, --repository and the password (--password-stdin) belong together")
    password = Secret(read_secret("password", from_stdin=password_stdin).reveal().rstrip("\r\n"))
    return PushRequest(username, password, repository, size, seconds)


def _report(url: "PublicUrl", found: "Diagnosis", *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url.text, **asdict(found)})
        return
    for finding in found.findings:
        _say_finding(finding)
    for skipped in found.skipped:
        say(f"not checked: {skipped.check}: {skipped.why}")
    count = len(found.findings)
    if not count:
        say(f"{url.text} is fine: {', '.join(found.passed)}")
    else:
        say(f"{url.text}: {counted(count, 'problem')}, the most basic one first")


def _say_finding(finding: "Finding") -> None:
    say(f"{finding.code}: {finding.what}")
    say(f"  why it matters: {finding.why}")
    say(f"  change: {finding.change}\n")
