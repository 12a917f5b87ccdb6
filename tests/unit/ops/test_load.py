"""The orders that drills and benchmarks send."""

from steelyard.client import CancelOrder, PlaceOrder, TimeInForce
from steelyard.ops.load import BAND_TICKS, HIGHEST_TICKS, MIDDLE_TICKS, OrderFlow


def test_the_same_seed_gives_the_same_orders() -> None:
    assert OrderFlow(1, seed=3).next(500) == OrderFlow(1, seed=3).next(500)
    assert OrderFlow(1, seed=3).next(500) != OrderFlow(1, seed=4).next(500)


def test_the_mix_is_places_cancels_and_a_tenth_that_crosses() -> None:
    commands = OrderFlow(1, seed=1).next(20_000)
    cancels = sum(isinstance(command, CancelOrder) for command in commands)
    crosses = sum(
        isinstance(command, PlaceOrder) and command.time_in_force == TimeInForce.IOC for command in commands
    )
    assert 0.42 < cancels / len(commands) < 0.47
    assert 0.08 < crosses / len(commands) < 0.12


def test_only_crossing_orders_can_meet_the_other_side() -> None:
    for command in OrderFlow(1, seed=1).next(5_000):
        if isinstance(command, PlaceOrder):
            away_ticks = command.limit_ticks - MIDDLE_TICKS
            assert 0 < command.limit_ticks < HIGHEST_TICKS
            assert 0 < abs(away_ticks) <= BAND_TICKS
            crossing = command.time_in_force == TimeInForce.IOC
            assert (away_ticks > 0) == ((command.side == 1) == crossing)


def test_no_order_is_cancelled_twice_and_no_id_is_used_twice() -> None:
    commands = OrderFlow(1, seed=2).next(5_000)
    cancelled = [command.order for command in commands if isinstance(command, CancelOrder)]
    placed = [command.order for command in commands if isinstance(command, PlaceOrder)]
    assert len(set(cancelled)) == len(cancelled)
    assert len(set(placed)) == len(placed)
