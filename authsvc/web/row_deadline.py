"""How long one request works on the rows of a file."""

from collections.abc import Callable

from authsvc.errors import Overloaded

PATIENCE = 20.0
"""Seconds after which no further batch of rows is begun, below the 30 s of nginx."""


def end_in_time(rows: int, seconds: Callable[[], float]) -> Callable[[int], None]:
    """Return the function to be called after each batch of rows; a license takes an operation of the key service.

    It raises Overloaded when rows are left and the time is over; sending the rows again continues where it ended.

    Args:
        rows: in all.
        seconds: a clock that only goes forward.
    """
    latest, left = seconds() + PATIENCE, rows

    def check(done: int) -> None:
        nonlocal left
        left -= done
        if left > 0 and seconds() > latest:
            raise Overloaded("this takes longer than a request may; send it again to continue where it stopped")

    return check
