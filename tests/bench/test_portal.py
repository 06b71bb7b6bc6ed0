"""What the measurement of the portal's pages says of its figures."""

from tests.bench.portal import PageCost, pages, table


def test_what_is_missed_is_named() -> None:
    """Time, bytes, and a page that is not there."""
    good = PageCost("/portal/team", 200, 149.9, 3.0, 0.2, 99.0)
    slow = PageCost("/portal/customers", 200, 151.0, 9.0, 0.2, 101.0)
    gone = PageCost("/portal/odd", 404, 10.0, 1.0, 0.1, 2.0)
    assert [one.misses for one in (good, slow, gone)] == ["", "time, bytes", "status 404"]
    assert [line.split()[-1] for line in table([good, gone]).splitlines()] == ["KiB", "99.0", "404"]


def test_pages_without_something_to_show_are_left_out() -> None:
    """Everything else is measured."""
    found = pages({"license": "x", "app": "y"})
    assert "/portal/licenses/{license}" in found
    assert "/portal/activity?license={license}" in found
    assert not [path for path in found if "{webhook}" in path or path in {"/portal/", "/portal/sign-in"}]
