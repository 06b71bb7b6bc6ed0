"""The cache of records: what it answers, for how long, and what it never keeps."""

from collections.abc import Sequence
from random import Random

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from authsvc.store.record_cache import (
    BELIEVED_FOR,
    CURRENT_FOR,
    MOST_LOOKS,
    SAME_TIME,
    RecordCache,
    TrackedPeriod,
)


@define
class Clock:
    """Seconds that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@define
class Desk:
    """A cache in a tracked period, with a clock that the test moves."""

    clock: Clock = field(factory=Clock)
    most: int = 100
    cache: RecordCache = field(init=False)
    period: TrackedPeriod = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin."""
        self.cache = RecordCache(self.most, self.clock)
        self.period = self.cache.begin_period(self.clock.now)

    def read(self, key: str, value: str | None) -> None:
        """Let a read bring ``value``."""
        reading = self.cache.begin((key,))
        raw = None if value is None else value.encode()
        self.cache.store(reading, (raw,), (value,))
        self.cache.end(reading)

    def current(self, *keys: str) -> list[object] | None:
        """Return what is current."""
        return self.cache.current(keys)


def test_all_or_nothing() -> None:
    """What is not wholly here is not answered, so that an answer is as of one instant."""
    desk = Desk()
    desk.read("a", "1")

    assert ["1"] == desk.current("a")
    assert desk.current("a", "b") is None
    assert (1, 1) == (desk.cache.hits, desk.cache.misses)


def test_a_pair_is_one_question() -> None:
    """The second key comes from the first record; both or nothing, counted once."""
    desk = Desk()
    desk.read("a", "b")
    assert desk.cache.current_pair("a", str) is None
    desk.read("b", "2")

    assert ("b", "2") == desk.cache.current_pair("a", str)
    assert desk.cache.current_pair("c", str) is None
    assert (1, 2) == (desk.cache.hits, desk.cache.misses)
    desk.clock.now += CURRENT_FOR + 0.1
    assert desk.cache.current_pair("a", str) is None


def test_that_there_is_none_is_not_kept() -> None:
    """A record that does not exist is asked for each time, and one that went is forgotten."""
    desk = Desk()
    desk.read("a", None)
    assert desk.current("a") is None
    desk.read("a", "1")
    desk.read("a", None)
    assert desk.current("a") is None
    assert desk.cache.recent("a") is None


def test_only_for_two_seconds_after_a_proof() -> None:
    """Without a newer proof nothing is current any more; with one it is again."""
    desk = Desk()
    desk.read("a", "1")
    desk.clock.now += CURRENT_FOR
    assert ["1"] == desk.current("a")
    desk.clock.now += 0.001
    assert desk.current("a") is None
    desk.period.proven_at = desk.clock.now
    assert ["1"] == desk.current("a")


def test_nothing_of_an_older_period_is_current() -> None:
    """What was read before the connection was lost is not used after it is back, until it is read again."""
    desk = Desk()
    desk.read("a", "1")
    desk.cache.end_period(desk.period)
    assert desk.current("a") is None
    desk.cache.begin_period(desk.clock.now)
    assert desk.current("a") is None
    desk.read("a", "1")
    assert ["1"] == desk.current("a")


def test_a_read_from_before_the_period_is_not_current() -> None:
    """Its answer may be older than the first report."""
    desk = Desk()
    desk.cache.end_period(desk.period)
    reading = desk.cache.begin(("a",))
    desk.cache.begin_period(desk.clock.now)
    desk.cache.store(reading, (b"1",), ("1",))
    desk.cache.end(reading)

    assert desk.current("a") is None
    assert desk.cache.recent("a") == "1"


def test_a_change_during_a_read() -> None:
    """What a read brings that was under way when a change was reported is kept for neither purpose."""
    desk = Desk()
    reading = desk.cache.begin(("a", "b"))
    desk.cache.invalidate(["a"])
    desk.cache.store(reading, (b"1", b"2"), ("1", "2"))
    desk.cache.end(reading)

    assert desk.current("a") is None
    assert desk.cache.recent("a") is None
    assert ["2"] == desk.current("b")
    desk.read("a", "new")
    assert ["new"] == desk.current("a")


def test_a_read_that_began_after_the_change_is_kept_beside_an_older_one() -> None:
    """The older one, which ends last, neither keeps its answer nor spoils the newer one's."""
    desk = Desk()
    older = desk.cache.begin(("a",))
    desk.cache.invalidate(["a"])
    desk.read("a", "new")
    desk.cache.store(older, (b"old",), ("old",))
    desk.cache.end(older)

    assert ["new"] == desk.current("a")


def test_a_change_removes_for_both_purposes() -> None:
    """A revoked license is not believed while Redis is away, either."""
    desk = Desk()
    desk.read("a", "1")
    desk.read("b", "2")
    desk.cache.invalidate(["a", "unknown"])
    assert desk.current("a") is None
    assert desk.cache.recent("a") is None
    desk.cache.invalidate(None)
    assert desk.cache.recent("b") is None


def test_everything_flushed_during_a_read() -> None:
    """FLUSHALL names no key."""
    desk = Desk()
    reading = desk.cache.begin(("a",))
    desk.cache.invalidate(None)
    desk.cache.store(reading, (b"1",), ("1",))
    desk.cache.end(reading)
    assert desk.current("a") is None


def test_believed_for_a_minute_after_the_last_proof() -> None:
    """Counted from when Redis proved it last, not from when it was read."""
    desk = Desk()
    desk.read("a", "1")
    desk.clock.now += 500
    desk.period.proven_at = desk.clock.now
    desk.cache.end_period(desk.period)
    desk.clock.now += BELIEVED_FOR - 0.001
    assert desk.cache.recent("a") == "1"
    desk.clock.now += 0.001
    assert desk.cache.recent("a") is None


def test_without_tracking_a_read_is_believed_from_when_it_was_sent() -> None:
    """Then nothing is current, and the minute begins with the read."""
    desk = Desk()
    desk.cache.end_period(desk.period)
    reading = desk.cache.begin(("a",))
    desk.clock.now += 5
    desk.cache.store(reading, (b"1",), ("1",))
    desk.cache.end(reading)

    assert desk.current("a") is None
    desk.clock.now += BELIEVED_FOR - 5 - 0.001
    assert desk.cache.recent("a") == "1"
    desk.clock.now += 0.001
    assert desk.cache.recent("a") is None


def test_reads_of_the_same_time_are_believed_from_the_first_one() -> None:
    """They share the time of the earliest one; a later read has a time of its own."""
    desk = Desk()
    desk.cache.end_period(desk.period)
    desk.read("a", "1")
    desk.clock.now += SAME_TIME
    desk.read("b", "2")
    desk.clock.now += 0.001
    desk.read("c", "3")

    desk.clock.now = 1000 + BELIEVED_FOR - 0.001
    assert ["1", "2", "3"] == [desk.cache.recent(key) for key in "abc"]
    desk.clock.now += 0.001
    assert [None, None, "3"] == [desk.cache.recent(key) for key in "abc"]


def test_two_answers_at_one_time_that_differ() -> None:
    """Without reports it cannot be told which one is newer: a revocation that was seen is not overwritten."""
    desk = Desk()
    desk.cache.end_period(desk.period)
    first, second = desk.cache.begin(("a",)), desk.cache.begin(("a",))
    desk.cache.store(first, (b"revoked",), ("revoked",))
    desk.cache.end(first)
    desk.cache.store(second, (b"live",), ("live",))
    desk.cache.end(second)
    assert desk.cache.recent("a") is None


def test_an_untracked_answer_does_not_replace_a_current_one() -> None:
    """A read from before the period ends after one of the period."""
    desk = Desk()
    desk.cache.end_period(desk.period)
    older = desk.cache.begin(("a",))
    desk.cache.begin_period(desk.clock.now)
    desk.read("a", "1")
    desk.cache.store(older, (b"1",), ("1",))
    desk.cache.end(older)
    assert ["1"] == desk.current("a")


def test_the_least_recently_used_go_first() -> None:
    """The bound holds, and what is used stays."""
    desk = Desk(most=3)
    for key in "abc":
        desk.read(key, key)
    assert ["a"] == desk.current("a")
    desk.read("d", "d")

    assert len(desk.cache) == 3
    assert desk.current("b") is None
    assert ["a", "c", "d"] == desk.current("a", "c", "d")


def test_room_among_records_that_are_all_used() -> None:
    """Only some of them are looked at; one is dropped."""
    desk = Desk()
    for number in range(100):
        desk.read(str(number), "old")
        assert ["old"] == desk.current(str(number))
    desk.read("new", "new")

    assert (100, ["new"]) == (len(desk.cache), desk.current("new"))
    assert [entry.used for entry in desk.cache._entries.values() if entry].count(False) == MOST_LOOKS


@given(st.lists(st.sets(st.integers(0, 9)), max_size=30), st.randoms(use_true_random=False))
def test_nothing_is_dropped_while_there_is_room(rounds: Sequence[set[int]], chance: Random) -> None:
    """Records that were changed and read again, however often, take one place each."""
    desk = Desk(most=10)
    for changed in rounds:
        desk.cache.invalidate(map(str, changed))
        for number in chance.sample(range(10), 10):
            if desk.current(str(number)) is None:
                desk.read(str(number), "new")
        assert 10 == len(desk.cache)
        assert desk.current(*map(str, range(10))) == ["new"] * 10


@given(
    st.lists(st.tuples(st.sampled_from(["read", "change", "use", "remove"]), st.sampled_from("abcdef")), max_size=60),
    st.integers(1, 4),
)
def test_bounded_and_current_whatever_happens(steps: Sequence[tuple[str, str]], most: int) -> None:
    """No more records than allowed; what is answered is what the store has, and what was just read is answered."""
    desk = Desk(most=most)
    stored = dict.fromkeys("abcdef", "0")
    for number, (step, key) in enumerate(steps):
        if step == "read":
            desk.read(key, stored[key])
            assert [stored[key]] == desk.current(key)
        elif step == "change":
            stored[key] = str(number)
            desk.cache.invalidate([key])
            assert desk.current(key) is None
        elif step == "remove":
            desk.read(key, None)
            assert desk.current(key) is None
        assert desk.current(key) in (None, [stored[key]])
        assert len(desk.cache) <= len(desk.cache._places) <= most
        assert sorted(desk.cache._places) == sorted(desk.cache._entries)
        assert len(desk.cache) == sum(entry is not None for entry in desk.cache._entries.values())


def test_a_read_that_fails_leaves_nothing_behind() -> None:
    """What marks reads under way is as large as what is under way."""
    desk = Desk()
    desk.cache.end(desk.cache.begin(("a", "b")))
    assert not desk.cache._flights
    desk.read("a", "1")
    assert ["1"] == desk.current("a")
