"""The mirror of the book, by example and against a naive exchange."""

from hypothesis import given
from hypothesis import strategies as st

from steelyard.ops.capture import Levels
from steelyard.ops.mirror import Cancel, Mirror, Place

BIDS = [(98, 5), (99, 3)]
ASKS = [(101, 2), (102, 7)]


def opened() -> Mirror:
    mirror = Mirror(size_max_lots=10)
    mirror.reconcile(BIDS, ASKS)
    return mirror


def test_every_level_of_the_first_book_becomes_a_resting_order() -> None:
    mirror = Mirror(size_max_lots=10)
    assert mirror.reconcile(BIDS, ASKS) == [
        Place(1, True, 98, 5),
        Place(2, True, 99, 3),
        Place(3, False, 101, 2),
        Place(4, False, 102, 7),
    ]
    assert mirror.best() == ((99, 3), (101, 2))


def test_a_level_larger_than_the_largest_order_is_split() -> None:
    mirror = Mirror(size_max_lots=10)
    assert mirror.reconcile([(98, 25)], []) == [
        Place(1, True, 98, 10),
        Place(2, True, 98, 10),
        Place(3, True, 98, 5),
    ]


def test_a_smaller_level_is_cancelled_from_its_newest_order_and_the_rest_placed_again() -> None:
    mirror = opened()
    assert mirror.reconcile([(98, 9)], []) == [Place(5, True, 98, 4)]
    assert mirror.reconcile([(98, 6)], []) == [Cancel(5, 4), Place(6, True, 98, 1)]
    assert mirror.reconcile([(98, 0)], []) == [Cancel(6, 1), Cancel(1, 5)]


def test_an_unchanged_level_costs_nothing() -> None:
    assert opened().reconcile([(98, 5)], [(101, 2)]) == []


def test_all_cancels_come_before_anything_is_placed() -> None:
    assert opened().reconcile([(101, 4)], [(101, 0), (103, 1)]) == [
        Cancel(3, 2),
        Place(5, True, 101, 4),
        Place(6, False, 103, 1),
    ]


def test_a_taker_gets_the_best_price_first_and_no_more_than_its_limit_allows() -> None:
    mirror = opened()
    assert mirror.take(buying=True, limit_ticks=101, size_lots=9) == (2, 202)
    assert mirror.take(buying=True, limit_ticks=101, size_lots=9) == (0, 0)
    assert mirror.take(buying=False, limit_ticks=98, size_lots=4) == (4, 3 * 99 + 98)
    assert mirror.best() == ((98, 4), (102, 7))


def test_levels_that_fills_have_touched_are_put_back() -> None:
    mirror = opened()
    mirror.take(buying=True, limit_ticks=102, size_lots=3)
    assert mirror.reconcile([], []) == [Place(5, False, 101, 2), Place(6, False, 102, 1)]
    assert mirror.best() == ((99, 3), (101, 2))


class _Naive:
    """An exchange as a list of orders, oldest first, and the recorded book as two dictionaries."""

    def __init__(self) -> None:
        self.orders: list[list[int]] = []  # order, buying, price, open
        self.recorded: dict[int, dict[int, int]] = {True: {}, False: {}}

    def record(self, bids: Levels, asks: Levels) -> None:
        for buying, changes in ((True, bids), (False, asks)):
            self.recorded[buying].update(changes)

    def apply(self, step: Place | Cancel) -> None:
        if isinstance(step, Cancel):
            (found,) = [order for order in self.orders if order[0] == step.order]
            assert found[3] == step.open_lots
            self.orders.remove(found)
        else:
            assert all(order[0] != step.order for order in self.orders)
            assert step.size_lots > 0
            for _, buying, price_ticks, _ in self.orders:
                crosses = price_ticks <= step.price_ticks if step.buying else price_ticks >= step.price_ticks
                assert buying == step.buying or not crosses, "a post-only order would trade"
            self.orders.append([step.order, step.buying, step.price_ticks, step.size_lots])

    def take(self, *, buying: bool, limit_ticks: int, size_lots: int) -> tuple[int, int]:
        makers = [order for order in self.orders if order[1] != buying]
        makers.sort(key=lambda order: order[2] if buying else -order[2])
        filled = total = 0
        for maker in makers:
            if (maker[2] > limit_ticks) if buying else (maker[2] < limit_ticks):
                break
            lots = min(size_lots - filled, maker[3])
            maker[3] -= lots
            filled, total = filled + lots, total + lots * maker[2]
        self.orders = [order for order in self.orders if order[3]]
        return filled, total

    def levels(self, *, buying: bool) -> dict[int, int]:
        found: dict[int, int] = {}
        for _, side, price_ticks, open_lots in self.orders:
            if side == buying:
                found[price_ticks] = found.get(price_ticks, 0) + open_lots
        return found


sizes = st.integers(0, 12)
books = st.integers(6, 10).flatmap(
    lambda middle: st.tuples(
        st.lists(st.tuples(st.integers(1, middle - 1), sizes), max_size=6),
        st.lists(st.tuples(st.integers(middle, 15), sizes), max_size=6),
        st.just(middle),
    )
)
takers = st.tuples(st.booleans(), st.integers(1, 15), st.integers(1, 20))


@given(st.lists(st.tuples(st.lists(takers, max_size=4), books), max_size=12))
def test_the_book_equals_a_dictionary_of_the_recorded_one_after_every_diff(
    story: list[tuple[list[tuple[bool, int, int]], tuple[Levels, Levels, int]]],
) -> None:
    mirror, naive = Mirror(size_max_lots=5), _Naive()
    for trades, (bids, asks, middle) in story:
        for buying, limit_ticks, size_lots in trades:
            taker = {"buying": buying, "limit_ticks": limit_ticks, "size_lots": size_lots}
            assert mirror.take(**taker) == naive.take(**taker)  # type: ignore[arg-type]
        # A recorded book is never crossed: whatever the middle has passed is deleted by the same diff.
        diff = (
            [*((ticks, 0) for ticks in range(middle, 16)), *bids],
            [*((ticks, 0) for ticks in range(middle)), *asks],
        )
        naive.record(*diff)
        for step in mirror.reconcile(*diff):
            naive.apply(step)
        for buying in (True, False):
            recorded = {ticks: lots for ticks, lots in naive.recorded[buying].items() if lots}
            assert naive.levels(buying=buying) == mirror.levels(buying=buying) == recorded
        assert sorted(mirror.orders()) == sorted(order[0] for order in naive.orders)
        assert mirror.resting == len(naive.orders)
