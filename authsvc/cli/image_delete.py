"""``authsvc image delete``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli.confirm import run_confirmed, yes_option
from authsvc.cli.console import common_options, print_json, say

if TYPE_CHECKING:
    from authsvc.images.deletion_record import DeletedImage
    from authsvc.wiring.management import Management

DEADLINE = 300.0
"""Seconds that a deletion may take: the registry reads every tag of the repository, more than once."""


@click.command("delete")
@click.argument("image", metavar="REPOSITORY:TAG|REPOSITORY@DIGEST")
@yes_option
@common_options
def delete_command(image: str, data_dir: Path | None, *, yes: bool, as_json: bool) -> None:
    """Delete only a tag, or a digest with all of its tags.

    Deleting the last tag of an image also deletes the image, unless an index or a signature needs it. Deleting a digest
    always has to be confirmed, a tag only if customers pulled it in the last 30 days. The registry frees the space when
    it is cleaned up.
    """

    async def use(manage: "Management", confirmed: str | None) -> "DeletedImage":
        return await manage.image_deletions.delete(image, manage.operation(), confirmed)

    deleted = run_confirmed(data_dir, use, yes=yes, deadline=DEADLINE)
    if as_json:
        print_json(deleted.facts())
        return
    for line in _lines(deleted):
        say(line)


def _lines(deleted: "DeletedImage") -> list[str]:
    lines = [f"{deleted.reference} deleted"]
    if deleted.tag is None and deleted.tags_deleted:
        lines[0] += f", with its tags {', '.join(deleted.tags_deleted)}"
    if deleted.tags_kept:
        lines.append(f"its image stays under {', '.join(deleted.tags_kept)}")
    elif not deleted.manifest_deleted and not deleted.pushed_again:
        lines.append(f"its image can still be pulled as {deleted.repository}@{deleted.digest}")
    if deleted.attached and deleted.manifest_deleted:
        lines.append(f"what was attached to it stays: {', '.join(deleted.attached)}")
    if deleted.parts:
        parts = ", ".join(f"{deleted.repository}@{digest}" for digest in deleted.parts)
        lines.append(f"what it listed stays until it is deleted too: {parts}")
    lines += [f"{tag} was pushed again meanwhile and is {digest} now" for tag, digest in deleted.pushed_again.items()]
    if deleted.restored:
        lines.append(f"pushed meanwhile, and put back: {', '.join(deleted.restored)}")
    if not deleted.pushes_checked:
        lines.append("the registry did not report in time: if an image was pushed there meanwhile, push it again")
    return lines
