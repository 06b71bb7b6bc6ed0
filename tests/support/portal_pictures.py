"""``make pictures``: a picture of every page of the portal, light and dark, wide and narrow, to be looked at."""

import asyncio
import re
import sys
from pathlib import Path

from tests.support.chromium import LOOKS
from tests.support.portal_walk import every_page, filled_portal, walking


async def main(folder: Path) -> int:
    """Write the pictures; return how many pages there are."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    async with filled_portal() as (portal, content), walking(portal) as who:
        names = {value: name for name, value in content.names.items()}
        async for path in every_page(portal, content, who):
            count += 1
            plain = re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], path)
            name = re.sub(r"[^a-z0-9]+", "-", plain.removeprefix("/portal").lower()).strip("-")[:60]
            for look in LOOKS:
                await look.take(who.page)
                picture = folder / f"{count:02}-{name}-{look.width}-{look.scheme}.png"
                await who.page.screenshot(path=picture, full_page=True)
    return count


if __name__ == "__main__":
    chosen = Path(sys.argv[1])
    sys.stdout.write(f"{asyncio.run(main(chosen))} pages: {chosen}\n")
