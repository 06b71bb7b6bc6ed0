"""Checks of pasted texts: one at a time for a link, and no link waits for another."""

import asyncio
from collections.abc import Sequence

import pytest

from authsvc.client import Client
from authsvc.errors import InputRefused, Overloaded
from authsvc.installer.pasted import MAX_SHOWN, named
from authsvc.preflight import FoundManifest, Preflight
from authsvc.redaction import Secret
from authsvc.system_token import SystemTokens
from authsvc.web.license_page.image_check import CheckedImage, ImageCheck, PastedImage
from authsvc.wiring.pasted_images import PastedTexts
from tests.support.builders import NOW, SERVICE, Knows, Root, as_license, make_app, make_license

LICENSE = make_license()
TEXT = f"{SERVICE}/{LICENSE.app}/x:1"


class HeldFinder:
    """Finds when it is told to.

    Attributes:
        running: texts that are being read.
        may_end: by text.
    """

    def __init__(self) -> None:
        self.running: list[bytes] = []
        self.may_end: dict[bytes, asyncio.Event] = {}

    async def find(self, text: bytes) -> Sequence[PastedImage]:
        """Wait."""
        self.running.append(text)
        try:
            await self.may_end.setdefault(text, asyncio.Event()).wait()
        finally:
            self.running.remove(text)
        return [PastedImage(TEXT)]


class Everything:
    """A registry that has every image."""

    async def find(self, repository: str, reference: str, token: Secret) -> FoundManifest:  # noqa: ARG002  as every lookup
        """Return that it is there."""
        return FoundManifest(exists=True)


def checks(finder: HeldFinder) -> ImageCheck:
    """Return the checks of one worker."""
    subject = as_license(LICENSE, make_app())
    tokens = SystemTokens(Root.make().leaf(), SERVICE, lambda: "t1")
    return ImageCheck(finder, Preflight(Knows(subject), Everything(), tokens, SERVICE))


async def checked(made: ImageCheck, link: str, text: str) -> tuple[CheckedImage, ...]:
    """Check a text by a link."""
    async with made.slot(link):
        return await made.check(link, text, Secret("x" * 20), Client(), NOW)


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_at_a_time_for_a_link() -> None:
    """A second one waits, a third is refused, and another link is served meanwhile."""
    finder = HeldFinder()
    made = checks(finder)
    first, second = (asyncio.create_task(checked(made, "a", text)) for text in ("one", "two"))
    await settled()
    assert finder.running == [b"one"]
    with pytest.raises(Overloaded, match="another check by this link"):
        await checked(made, "a", "three")
    finder.may_end[b"other"] = asyncio.Event()
    finder.may_end[b"other"].set()
    (found,) = await checked(made, "b", "other")
    assert (found.image, found.ok) == (TEXT, True)
    finder.may_end[b"one"].set()
    await first
    await settled()
    assert finder.running == [b"two"]
    finder.may_end[b"two"].set()
    await second


async def test_a_text_that_takes_too_long() -> None:
    """Its process is ended, and the sentence says what to do."""
    with pytest.raises(InputRefused, match="could not be read within a few seconds"):
        await PastedTexts(SERVICE, deadline=0.0).find(b"image: x\n" * 1000)


async def test_nothing_of_our_environment_gets_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process finds images without what the server knows from its environment."""
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    monkeypatch.setenv("PYTHONINSPECT", "1")
    found = await PastedTexts(SERVICE).find(f"image: {TEXT}".encode())
    assert found == [PastedImage(TEXT, 1)]


def test_no_part_of_an_image_is_checked_in_its_place() -> None:
    """The longest image is asked about whole; of a longer text a part is shown, and nobody is asked about that."""
    name = f"{SERVICE}/{LICENSE.app}/".ljust(255, "x")
    longest = f"{name}:{'1' * 128}@sha256:{'a' * 64}"
    assert [{"image": longest, "line": 1, "problem": None}] == named(longest.encode(), SERVICE)["images"]
    for longer in (f"{longest}{'a' * 64}", f"{name}:{'1' * 300}", f"{name}{'x' * 300}:1"):
        (row,) = named(longer.encode(), SERVICE)["images"]
        assert (row["image"], row["problem"] is None) == (longer[:MAX_SHOWN], False)
