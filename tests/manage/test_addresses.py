"""Addresses that look alike: each is one account in one spelling, or is refused; never two accounts by accident."""

import pytest

from authsvc.errors import Conflict, InputRefused
from authsvc.tenancy.names import parse_email
from tests.support.builders import PASSWORD
from tests.support.installation import OPERATOR, REFUSED, TEAM, Installation

EMAIL = "kim.lee@acme.test"

SAME = [
    EMAIL,
    "Kim.Lee@acme.test",
    "KIM.LEE@ACME.TEST",
    "kim.lee@Acme.Test",
    "kIM.lEE@aCME.tEST",
    " kim.lee@acme.test",
    "kim.lee@acme.test ",
    "\tkim.lee@acme.test",
    "kim.lee@acme.test\n",
    "\r\nkim.lee@acme.test\r\n",
    "  KIM.LEE@acme.TEST \t",
]
"""Spellings of one address."""

REFUSED_TWINS = [
    "\u212aim.lee@acme.test",  # Kelvin sign, whose lower case is k
    "k\u0131m.lee@acme.test",  # dotless i: the forgotten-password attack on a code host
    "k\u0130m.lee@acme.test",  # dotted capital I: its lower case has two characters
    "k\u00edm.lee@acme.test",
    "ki\u0301m.lee@acme.test",  # combining acute
    "k\u0456m.lee@acme.test",  # Cyrillic i
    "\u043aim.lee@acme.test",  # Cyrillic k
    "kim.l\u0435e@acme.test",  # Cyrillic e
    "kim.le\u0435@acme.test",
    "kim.lee@\u0430cme.test",  # Cyrillic a in the domain
    "kim.lee@a\u0441me.test",
    "kim.lee@acm\u0435.test",
    "kim.lee@acme.t\u0435st",
    "kim.lee@acme.te\u017ft",  # long s, whose upper case is S
    "kim.lee@acme.te\u00dft",  # sharp s, which folds to ss
    "\uff4bim.lee@acme.test",  # full width
    "\uff2bim.lee@acme.test",
    "kim.lee\uff20acme.test",
    "kim\uff0elee@acme.test",
    "kim\u2024lee@acme.test",  # one dot leader
    "kim.lee@acme\u3002test",  # ideographic full stop, a dot to IDNA
    "kim.lee@acme\uff61test",
    "k\U0001d456m.lee@acme.test",  # mathematical italic i
    "\U0001d424im.lee@acme.test",
    "\u24dam.lee@acme.test",
    "kim.lee@acme.test\u200b",  # zero width space
    "kim\u200b.lee@acme.test",
    "kim\u200d.lee@acme.test",
    "kim\u00ad.lee@acme.test",  # soft hyphen
    "\ufeffkim.lee@acme.test",
    "kim.lee@acme.test\u00a0",
    "\u2003kim.lee@acme.test",
    "\u202ekim.lee@acme.test",  # right to left
    "kim\ufe0f.lee@acme.test",
    "\u1e31im.lee@acme.test",
    "kim.lee@acm\u1eb9.test",
    "kim.lee@\u03b1cme.test",  # Greek alpha
    "kim.\u217cee@acme.test",  # Roman numeral fifty
    "kim.\u04cfee@acme.test",
    "k1m\u0660@acme.test",
    "kim.lee@acme.test\x00",
    "kim\x00.lee@acme.test",
    "kim.lee\x7f@acme.test",
    "kim.lee\x0b@acme.test",
    "kim.lee@acme.test\x0c",
    "kim.lee@acme.test\nbcc:evil@acme.test",
    "kim.lee@acme.test\r\nX: y",
    "kim .lee@acme.test",
    "kim.lee @acme.test",
    "kim.lee@ acme.test",
    '"kim.lee"@acme.test',
    "kim.lee(x)@acme.test",
    "Kim <kim.lee@acme.test>",
    "<kim.lee@acme.test>",
    "mailto:kim.lee@acme.test",
    "kim.lee@acme.test.",
    "kim..lee@acme.test",
    ".kim.lee@acme.test",
    "kim.lee.@acme.test",
    "kim.lee@acme..test",
    "kim.lee@.acme.test",
    "kim.lee@acme",
    "kim.lee@-acme.test",
    "kim.lee@acme-.test",
    "kim.lee@[127.0.0.1]",
    "kim.lee@@acme.test",
    "kim@lee@acme.test",
    "kim.lee%acme.test",
    "@acme.test",
    "kim.lee@",
    "",
    "kim.lee@acme.test,ann@acme.test",
    "kim:lee@acme.test",
    "kim\\lee@acme.test",
    "kim[a]@acme.test",
    f"{'x' * 250}@acme.test",
    f"kim@{'x' * 64}.test",
]
"""What somebody might hope to be taken for the address, or for another account; none of it can be one."""

OTHERS = [
    "kimlee@acme.test",
    "kim.lee+x@acme.test",
    "kim.lee+@acme.test",
    "kim-lee@acme.test",
    "kim_lee@acme.test",
    "k1m.lee@acme.test",
    "kirn.lee@acme.test",
    "kim.lee@acme.test.test",
    "kim.lee@xn--acme-epa.test",
    "kim.lee@acme-test.test",
    "kim*lee@acme.test",
    "kim?lee@acme.test",
    "kim{a}@acme.test",
]
"""Addresses of other people, however alike: mail to them goes elsewhere."""


@pytest.mark.parametrize("text", SAME)
async def test_a_spelling_is_the_same_account(house: Installation, text: str) -> None:
    """Every spelling signs in to the one account, and none makes a second."""
    await house.members.add(EMAIL, TEAM, "viewer", (), PASSWORD, house.operation())

    assert EMAIL == parse_email(text)
    assert "pull" == await house.gets(PASSWORD, text)
    with pytest.raises(Conflict, match="is a member already"):
        await house.members.add(text, TEAM, "owner", (), PASSWORD, house.operation())
    with pytest.raises(InputRefused, match="is a member already"):
        await house.links.invite(text, TEAM, "owner", (), house.operation())


@pytest.mark.parametrize("text", REFUSED_TWINS)
async def test_a_twin_is_no_account(house: Installation, text: str) -> None:
    """It cannot be added, invited or reset, and with the right password it signs in to nothing."""
    await house.members.add(EMAIL, TEAM, "viewer", (), PASSWORD, house.operation())
    uses = (
        lambda: house.members.add(text, TEAM, "owner", (), PASSWORD, house.operation()),
        lambda: house.links.invite(text, TEAM, "owner", (), house.operation()),
        lambda: house.links.reset(text, house.operation()),
    )

    for use in uses:
        with pytest.raises(InputRefused):
            await use()
    assert REFUSED == await house.gets(PASSWORD, text)
    assert 1 == len(await house.all_members(OPERATOR, TEAM))


async def test_other_addresses_are_other_accounts(house: Installation) -> None:
    """Dots, plus signs and look-alikes within ASCII are other mailboxes: other accounts with passwords of their own."""
    everybody = [EMAIL, *OTHERS]
    for email in everybody:
        await house.members.add(email, TEAM, "viewer", (), PASSWORD, house.operation())

    assert sorted(everybody) == [member.email for member in await house.all_members(OPERATOR, TEAM)]
    assert len(everybody) == len({member.id for member in await house.all_members(OPERATOR, TEAM)})
    await house.members.remove(EMAIL, house.operation())
    assert ["pull"] * len(OTHERS) == [await house.gets(PASSWORD, email) for email in OTHERS]
