"""Reads pasted texts in a separate process (:mod:`authsvc.installer.pasted`), which is ended when it takes too long."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from authsvc.errors import InputRefused
from authsvc.web.license_page.image_check import PastedImage

DEADLINE = 20.0
"""Seconds that one text may take, including the start of the process."""

UNREADABLE = "the text could not be read within a few seconds; check it in parts"

_SOURCES = str(Path(__file__).parents[2])
"""The folder of the package: the process gets nothing else of our environment, which may contain secrets."""


@frozen(eq=False, repr=False)
class PastedTexts:
    """Finds images in pasted texts.

    Attributes:
        registry: host and port of the images that are asked about.
        deadline: in seconds.
    """

    registry: str
    deadline: float = DEADLINE

    async def find(self, text: bytes) -> Sequence[PastedImage]:
        """Return what is in a text.

        Raises:
            InputRefused: nothing is named, it is too long, or it cannot be read in time.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-s", "-m", "authsvc.installer.pasted", self.registry),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": _SOURCES},
        )
        try:
            async with asyncio.timeout(self.deadline):
                said, _ = await process.communicate(text)
        except TimeoutError:
            raise _unreadable() from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.returncode != 0:
            raise _unreadable()
        answer = json.loads(said)
        if "error" in answer:
            raise InputRefused(answer["error"], code="body_invalid", field="text")
        return [PastedImage(one["image"], one["line"], one["problem"]) for one in answer["images"]]


def _unreadable() -> InputRefused:
    return InputRefused(UNREADABLE, code="body_invalid", field="text")
