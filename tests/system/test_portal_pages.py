"""Every page of the portal in Chromium: whom it shuts out, whether it fits a telephone, and what it asks for."""

import pytest

from tests.support.chromium import flaws_of
from tests.support.portal_walk import every_page, filled_portal, walking

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]  # 112 pages, each in four forms


async def test_every_page_is_for_everybody() -> None:
    """No violation that axe finds, light and dark, wide and narrow; no complaint of the browser; no other host."""
    flaws, count = dict[str, list[str]](), 0
    async with filled_portal() as (portal, content), walking(portal) as who:
        async for path in every_page(portal, content, who):
            count += 1
            if found := await flaws_of(who.page):
                flaws[path] = found
    assert flaws == {}
    assert who.complaints == []
    assert count >= 40


async def test_what_the_walk_would_find() -> None:
    """A picture without a text, a control without a label, a wide page, a script in the page, another host."""
    async with filled_portal() as (portal, _), walking(portal) as who:
        page = await who.open("/portal/sign-in")
        await page.evaluate(
            """() => {
              document.querySelector("main").insertAdjacentHTML("beforeend",
                '<p id="wide" style="color: red">wide</p><input name="x"><img src="/portal/none.png">'
                + '<img src="http://elsewhere.example/y.png" alt="y">');
              document.querySelector("#wide").style.cssText = "width: 90rem; color: #888; background: #999";
              const script = document.createElement("script");
              script.textContent = "1";
              document.body.append(script);
            }"""
        )
        flaws = await flaws_of(page)
        found = " ".join(flaws)
    for words in ("pixels wide", "image-alt", "label", "color-contrast"):
        assert words in found, words
    assert any("color-contrast" in one and "dark" in one for one in flaws)
    said = " ".join(who.complaints)
    for words in ("script-src", "style-src", "elsewhere.example"):
        assert words in said, words
