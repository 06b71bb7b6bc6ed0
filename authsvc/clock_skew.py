"""The least difference between two clocks, of which one was read over a network and the other before and after that."""


def certain_skew(first: float, last: float, before: float, after: float) -> float:
    """Return by how many seconds, at least, another clock is ahead of ours; negative when it is behind.

    The answer takes time to arrive and may be rounded. Only the difference that neither explains is returned: 0 when
    the clocks may be equal.

    Args:
        first: the earliest instant that the other clock can have shown, as a Unix time.
        last: the latest such instant; the same, unless it rounds.
        before: our clock when the question was sent.
        after: our clock when the answer arrived.
    """
    if first > after:
        return first - after
    return min(0.0, last - before)
