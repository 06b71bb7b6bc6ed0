"""Checks the images in a text that a customer has pasted: finds them in a separate process, and asks the preflight.

For each link one check runs at a time, and one more may wait; other links do not wait for it. The text is not stored.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from attrs import field, frozen

from authsvc.client import Client
from authsvc.errors import InputRefused
from authsvc.fair_share import FairShare
from authsvc.preflight import MAX_IMAGES, Verdict
from authsvc.redaction import Secret
from authsvc.spec.token_request import UserPassword
from authsvc.web.preflight import ImageChecker

MAX_TEXT = 256 * 1024
"""Longest text, in bytes."""

CHECKS, FINDERS = 16, 2
"""Checks of one worker that run at once, and that read their text at once."""

BUSY = "another check by this link is running; try again when it has ended"
READING = "too many texts are being read; try again in a few seconds"


@frozen
class PastedImage:
    """A part of the text that is an image, or may be one.

    Attributes:
        image: as in the text.
        line: counted from 1, or None.
        problem: why it is not checked; None when it is.
    """

    image: str
    line: int | None = None
    problem: str | None = None


@frozen
class CheckedImage:
    """The result for one image.

    Attributes:
        image: as it stands in the text.
        line: counted from 1, or None.
        ok: whether it can be pulled; None when that is unknown.
        reason: a sentence when not all is well, or None.
        size: bytes to download, or None.
    """

    image: str
    line: int | None
    ok: bool | None
    reason: str | None
    size: int | None = None


class ImageFinder(Protocol):
    """Finds images in texts, within bounds of time and memory."""

    async def find(self, text: bytes) -> Sequence[PastedImage]:
        """Return the images in a text.

        Raises:
            InputRefused: it names no image, is too long, or cannot be read in time.
        """
        ...


@frozen(eq=False, repr=False)
class ImageCheck:
    """Checks pasted texts.

    Attributes:
        finder: finds the images.
        preflight: predicts the result of a pull of each.
    """

    finder: ImageFinder
    preflight: ImageChecker
    _checks: FairShare = field(init=False, factory=lambda: FairShare(CHECKS, 1, 1, BUSY), eq=False)
    _finders: FairShare = field(init=False, factory=lambda: FairShare(FINDERS, 1, 1, READING), eq=False)

    def slot(self, link_id: str) -> AbstractAsyncContextManager[None]:
        """Hold the turn of a link, in which a text may be sent.

        Raises:
            Overloaded: another check by the link is running, and one more waits.
        """
        return self._checks.slot(link_id)

    async def check(
        self, link_id: str, text: str, secret: Secret, client: Client, now: datetime
    ) -> tuple[CheckedImage, ...]:
        """Return the result for each image in a text, in its order.

        Args:
            link_id: of the link that is used.
            text: as it was pasted.
            secret: registry token of the license.
            client: where the request comes from.
            now: the current time.

        Raises:
            InputRefused: nothing is named, it is too long, or it cannot be read.
            AccountDenied: the license is not in force.
        """
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_TEXT:
            raise InputRefused(
                f"the text is longer than {MAX_TEXT // 1024} KiB; check it in parts",
                code="body_too_large",
                field="text",
            )
        async with self._finders.slot(link_id):
            found = await self.finder.find(data)
        asked = [one.image for one in found if one.problem is None]
        verdicts: dict[str, Verdict] = {}
        for first in range(0, len(asked) or 1, MAX_IMAGES):
            part = asked[first : first + MAX_IMAGES]
            report = await self.preflight.check(UserPassword("license", secret), part, client, now)
            verdicts |= {verdict.image: verdict for verdict in report.verdicts}
        checked = []
        for one in found:
            verdict = verdicts.get(one.image) if one.problem is None else None
            if verdict is None:
                checked.append(CheckedImage(one.image, one.line, None, one.problem))
            else:
                ok = True if verdict.ok is None and verdict.may_pull else verdict.ok
                checked.append(CheckedImage(one.image, one.line, ok, verdict.reason, verdict.found.size))
        return tuple(checked)
