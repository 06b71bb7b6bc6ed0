"""``authsvc keys``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from authsvc import atomic_file
from authsvc.cli.console import (
    common_options,
    find,
    local_options,
    print_file,
    print_json,
    print_table,
    refuse,
    remark,
    run,
    say,
)
from authsvc.cli.file_name import FILE_NAME
from authsvc.cli.hints import explained
from authsvc.errors import AuthsvcError, InputRefused, SetupRefused
from authsvc.tenancy.dates import parse_span, render_instant
from authsvc.wiring import clock

if TYPE_CHECKING:
    from authsvc.manage.keys import KeysShown, Rotation
    from authsvc.wiring.management import Management
    from authsvc.worker_status import WorkerStatus

STDOUT = "-"
ROOT_STEPS = ("prepare", "switch", "drop")

LONGEST_REQUEST = 65_536
"""Bytes; those for a P-256 key have some hundred."""

NEXT_STEP = {
    "prepare": "the next root is in the bundle; restart the registry, every replica, then: authsvc keys rotate --root "
    "switch",
    "switch": "workers sign under the new root; when the tokens of the old one have ended: authsvc keys rotate --root "
    "drop",
    "drop": "old roots are out of the bundle; the registry forgets them when it is restarted",
}


@click.group("keys")
def keys_group() -> None:
    """Keys that sign tokens and license files, and how they are replaced while everything runs."""


@keys_group.command("show")
@common_options
def show(data_dir: Path | None, *, as_json: bool) -> None:
    """Show the roots, the license keys, and every worker's signing certificate."""
    facts = _facts(run(data_dir, lambda manage: manage.keys.show(manage.actor)))
    if as_json:
        print_json(facts)
        return
    roots = [(root["fingerprint"][:16], root["state"], root["not_after"]) for root in facts["roots"]]
    print_table(("TOKEN ROOT", "STATE", "ENDS"), roots, "no root")
    say()
    print_table(("LICENSE KEY", "STATE"), [(key["kid"], key["state"]) for key in facts["license_keys"]], "no key")
    say()
    workers = [(w["id"], w["root"][:16], w["leaf_until"], w["seen_at"]) for w in facts["workers"]]
    print_table(("WORKER", "TOKEN ROOT", "LEAF ENDS", "SEEN"), workers, "no worker is connected to this Redis")


@keys_group.command("rotate")
@click.option("--license", "license_", is_flag=True, help="The license-signing key; old files stay valid.")
@click.option("--sealing", is_flag=True, help="The sealing key; what was sealed before can still be opened.")
@click.option(
    "--root",
    "step",
    type=click.Choice(ROOT_STEPS),
    metavar="STEP",
    help="The token root, one step of three: prepare, switch or drop.",
)
@click.option("--force", is_flag=True, help="Take the step although its conditions cannot be checked.")
@common_options
def rotate(
    data_dir: Path | None, *, license_: bool, sealing: bool, step: str | None, force: bool, as_json: bool
) -> None:
    """Give every worker of every server a new signing certificate now, after changing a key if one is named."""
    if [license_, sealing, bool(step)].count(True) > 1:
        raise click.UsageError("--license, --sealing and --root are different changes; make one after the other")

    changed, rotation = run(
        data_dir, lambda manage: _change(manage, license_=license_, sealing=sealing, step=step, force=force)
    )
    if as_json:
        print_json({**changed, **_rotation_facts(rotation)})
    else:
        for name, value in changed.items():
            say(f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")
        for worker in rotation.reached:
            say(f"reached {worker.id}: leaf until {render_instant(worker.leaf_until)}")
        if step:
            say(NEXT_STEP[step])
    _tell_missing(rotation)


@keys_group.command("issue")
@click.option(
    "--request",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Certificate request of the key.",
)
@click.option("--life", default="30d", show_default=True, metavar="SPAN", help="How long it is valid, up to 90d.")
@click.option(
    "--output",
    required=True,
    type=FILE_NAME,
    metavar="FILE",
    help="Write the certificate to this file; - is standard output.",
)
@local_options
def issue(request: Path, life: str, output: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Issue a leaf certificate where the root is, for a key that stays on its server. Nothing has to run here."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from authsvc.keys.authority import issue_offline
    from authsvc.keys.secrets_dir import load_token_root
    from authsvc.signing.root import fingerprint

    try:
        settings, _ = find(data_dir, os.environ)
        root, root_key = load_token_root(settings.secrets_dir)
        leaf = issue_offline(root, root_key, _read(request), clock(), parse_span(life, "--life"))
        text = leaf.public_bytes(Encoding.PEM).decode("ascii")
        if output == STDOUT:
            print_file(text)
        else:
            atomic_file.write_output(output, text.encode("ascii"), mode=atomic_file.PUBLIC)
    except OSError as error:
        refuse(f"cannot use {error.filename}: {error.strerror}")
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except AuthsvcError as error:
        refuse(explained(error))
    facts = {"output": output, "not_after": render_instant(leaf.not_valid_after_utc), "root": fingerprint(root)}
    if as_json and output != STDOUT:
        print_json(facts)
    else:
        tell = remark if output == STDOUT else say
        tell(f"leaf until {facts['not_after']} below root {facts['root'][:16]}")


def _read(request: Path) -> bytes:
    """Return a request, which is short; no more is read of a device or a pipe without an end."""
    with request.open("rb") as opened:
        data = opened.read(LONGEST_REQUEST + 1)
    if len(data) > LONGEST_REQUEST:
        raise InputRefused(f"{request} is longer than any certificate request", code="file_unusable", field="request")
    return data


async def _change(
    manage: "Management", *, license_: bool, sealing: bool, step: str | None, force: bool
) -> "tuple[dict[str, Any], Rotation]":
    """Make the requested change, and return it with the workers that adopted it."""
    operation = manage.operation()
    if license_:
        kid, rotation = await manage.keys.rotate_license_key(operation)
        return {"license_key": kid}, rotation
    if sealing:
        key, rotation = await manage.keys.rotate_sealing_key(operation)
        return {"sealing_key": key}, rotation
    match step:
        case "prepare":
            root, rotation = await manage.keys.prepare_root(operation)
            return {"root": root}, rotation
        case "switch":
            root, rotation = await manage.keys.switch_root(operation, force=force)
            return {"root": root}, rotation
        case "drop":
            roots, rotation = await manage.keys.drop_old_roots(operation, force=force)
            return {"dropped": roots}, rotation
        case _:
            return {}, await manage.keys.rotate(operation)


def _tell_missing(rotation: "Rotation") -> None:
    for worker in rotation.missed:
        remark(f"not reached: {worker.id}, last heartbeat at {render_instant(worker.seen_at)}")
    for worker_id in rotation.gone:
        remark(f"ended meanwhile: {worker_id}")
    for worker_id in rotation.elsewhere:
        remark(f"uses other keys than this directory: {worker_id}; copy the secrets directory there")
    if not rotation.reached and not rotation.missed:
        remark("no worker is connected to this Redis")
    if not rotation.complete:
        sys.exit(1)


def _facts(shown: "KeysShown") -> dict[str, Any]:
    return {
        "roots": [
            {"fingerprint": root.fingerprint, "state": root.state, "not_after": render_instant(root.not_after)}
            for root in shown.roots
        ],
        "license_keys": [
            {"kid": kid, "state": "retired" if place else "in use"} for place, kid in enumerate(shown.license_keys)
        ],
        "workers": [_worker_facts(worker) for worker in shown.workers],
    }


def _worker_facts(worker: "WorkerStatus") -> dict[str, Any]:
    return {
        "id": worker.id,
        "root": worker.root,
        "leaf_serial": worker.leaf_serial,
        "leaf_until": render_instant(worker.leaf_until),
        "license_keys": list(worker.license_keys),
        "seen_at": render_instant(worker.seen_at),
    }


def _rotation_facts(rotation: "Rotation") -> dict[str, Any]:
    return {
        "reached": [_worker_facts(worker) for worker in rotation.reached],
        "missed": [_worker_facts(worker) for worker in rotation.missed],
        "gone": rotation.gone,
        "elsewhere": rotation.elsewhere,
        "complete": rotation.complete,
    }
