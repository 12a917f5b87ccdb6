"""The engine's queue: whose turn it is, and whether anybody has less than nothing, at any moment."""

from functools import partial
from random import Random

import pytest

from steelyard.core.contracts.liquidation import Liquidation
from steelyard.core.contracts.queue import Queue
from steelyard.core.units import AccountId, AssetId, InstrumentId, Leg, LiquidationId

USD, BTC = AssetId(1), AssetId(2)


def row(number: int, asset: AssetId = USD) -> Liquidation:
    return Liquidation(LiquidationId(number), AccountId(1000 + number), asset, InstrumentId(0), Leg.NET)


def anybody(_: Liquidation) -> bool:
    return True


def stands_in(numbers: set[LiquidationId], each: Liquidation) -> bool:
    return each.liquidation in numbers


def first(queue: Queue) -> int:
    found = queue.first(anybody)
    return 0 if found is None else found.liquidation


def test_whoever_came_first_is_first_and_who_has_had_a_turn_is_last() -> None:
    queue = Queue([row(1), row(2), row(3)])

    turns = []
    for _ in range(5):
        turns.append(first(queue))
        queue.append(queue[LiquidationId(turns[-1])])

    assert turns == [1, 2, 3, 1, 2]
    assert [each.liquidation for each in queue.rows] == [3, 1, 2]


def test_who_is_parked_keeps_the_place_and_has_the_turn_once_woken() -> None:
    queue = Queue([row(1), row(2), row(3)])
    one = queue[LiquidationId(1)]

    queue.park(one)
    assert first(queue) == 2
    queue.wake(one)
    queue.wake(one)

    assert first(queue) == 1
    queue.remove(one.liquidation)
    assert (first(queue), len(queue)) == (2, 2)


def test_who_cannot_go_on_is_asked_again_only_when_that_may_have_changed_and_stays_where_it_was() -> None:
    queue = Queue([row(1), row(2), row(3)])
    asked: list[int] = []

    def third(each: Liquidation) -> bool:
        asked.append(each.liquidation)
        return each.liquidation == 3

    for _ in range(2):
        assert queue.first(third) is queue[LiquidationId(3)]
    assert asked == [1, 2, 3, 3]
    queue.wake(queue[LiquidationId(2)])
    assert first(queue) == 2
    queue.wake_waiting()
    assert first(queue) == 1


def test_a_loss_of_an_asset_is_open_while_somebody_has_less_than_nothing_of_it() -> None:
    queue = Queue([row(1), row(2, BTC)])
    one, two = queue.rows

    for each in (one, two):
        queue.set_below_zero(each, True)
        queue.set_below_zero(each, True)
    queue.remove(two.liquidation)
    assert (queue.has_loss(USD), queue.has_loss(BTC)) == (True, False)
    queue.set_below_zero(one, False)
    assert not queue.has_loss(USD)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_it_is_what_a_search_through_the_rows_finds(seed: int) -> None:
    random, queue = Random(seed), Queue()
    able: set[LiquidationId] = set()
    for last in range(1, 401):
        queue.append(row(last, random.choice((USD, BTC))))
        for each in random.sample(list(queue.rows), min(3, len(queue))):
            match random.randrange(7):
                case 0:
                    queue.remove(each.liquidation)
                case 1:
                    queue.append(each)
                case 2:
                    queue.park(each)
                case 3:
                    queue.wake(each)
                case 4:
                    # Something of its own, of which the queue is told.
                    able ^= {each.liquidation}
                    if not each.is_parked:
                        queue.wake(each)
                case 5:
                    # Something that many wait for.
                    able = {other.liquidation for other in queue.rows if random.random() < 0.1}
                    queue.wake_waiting()
                case _:
                    queue.set_below_zero(each, random.random() < 0.5)
        queue.check_invariants()
        found = queue.first(partial(stands_in, able))
        searched = (each for each in queue.rows if not each.is_parked and each.liquidation in able)
        assert found is next(searched, None)
        again = Queue(queue.rows)
        assert again.first(partial(stands_in, able)) is found
        assert again.has_loss(USD) == queue.has_loss(USD)
