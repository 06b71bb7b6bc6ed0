"""``authsvc doctor``: what is wrong with an installation, and which line to change."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import asdict

from authsvc.cli.console import find, local_options, print_json, refuse, say
from authsvc.cli.hints import explained
from authsvc.cli.passwords import read_secret
from authsvc.errors import SetupRefused
from authsvc.redaction import Secret

if TYPE_CHECKING:
    from authsvc.doctor.finding import Diagnosis, Finding
    from authsvc.doctor.push_checks import PushRequest
    from authsvc.public_url import PublicUrl


@click.command("doctor")
@click.argument("url", metavar="[URL]", required=False)
@click.option("--username", metavar="NAME", help="An account that may push: a push is tried, and given up at its end.")
@click.option("--password-stdin", is_flag=True, help="Read its password or token from standard input.")
@click.option("--repository", metavar="APP/NAME", help="Where it may push; nothing stays there.")
@click.option(
    "--push-size", type=click.IntRange(1, 10240), default=100, show_default=True, metavar="MIB", help="What is pushed."
)
@click.option(
    "--push-seconds",
    type=click.IntRange(0, 3600),
    default=20,
    show_default=True,
    metavar="N",
    help="How long that takes; half of it is a pause.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Certificates of further authorities that clients trust, in PEM.",
)
@local_options
def doctor_command(
    url: str | None,
    username: str | None,
    repository: str | None,
    push_size: int,
    push_seconds: int,
    ca_file: Path | None,
    data_dir: Path | None,
    *,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Behave like docker, podman and containerd at URL, and say what is wrong and which line to change."""
    from authsvc.doctor.certificate_check import TrustedAuthorities
    from authsvc.doctor.outside_diagnosis import examine_outside
    from authsvc.wiring import clock

    push = _push(username, repository, push_size, push_seconds, password_stdin=password_stdin)
    try:
        address = _address(url, data_dir)
        found = asyncio.run(examine_outside(address, TrustedAuthorities(ca_file), clock, push))
    except SetupRefused as error:
        refuse(explained(error), code=2)
    _report(address, found, as_json=as_json)
    sys.exit(1 if found.findings else 0)


def _address(url: str | None, data_dir: Path | None) -> "PublicUrl":
    from authsvc.public_url import parse_public_url

    if url is None:
        return find(data_dir, os.environ)[0].public_url
    return parse_public_url(url if "://" in url else f"https://{url}", "URL")


def _push(
    username: str | None, repository: str | None, size: int, seconds: int, *, password_stdin: bool
) -> "PushRequest | None":
    """Return what is to be pushed.

    Raises:
        click.UsageError: of account, password and repository some are given and some are missing.
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
        say(f"{url.text}: {'1 problem' if count == 1 else f'{count} problems'}, the most basic one first")


def _say_finding(finding: "Finding") -> None:
    say(f"{finding.code}: {finding.what}")
    say(f"  why it matters: {finding.why}")
    say(f"  change: {finding.change}\n")
