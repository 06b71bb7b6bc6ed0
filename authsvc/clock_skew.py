"""How far apart two clocks certainly are, when one was read over a network and the other before and after."""


def certain_skew(first: float, last: float, before: float, after: float) -> float:
    """Return the seconds by which another clock is ahead of ours at least; negative when it is behind.

    The answer took a while and may be rounded, so only what neither of the two can explain counts: 0 when the clocks
    may be equal.

    Args:
        first: the earliest instant that the other clock can have shown, as a Unix time.
        last: the latest such instant; the same, unless it rounds.
        before: our clock when the question was sent.
        after: our clock when the answer was there.
    """
    if first > after:
        return first - after
    return min(0.0, last - before)
