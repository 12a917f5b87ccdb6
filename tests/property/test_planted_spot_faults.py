"""Each rule of version 2 is watched by the twin: a fault planted in the core makes the comparison fire."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.helpers.duel import duel
from tests.helpers.spot_traffic import SpotTraffic
from tests.property.test_planted_faults import Plant, around, instead

from steelyard.core import Exchange, snapshot
from steelyard.core.handlers import (
    admission,
    amending,
    auctions,
    batches,
    conditional,
    due,
    legs,
    lists,
    placing,
    sweeps,
    taking,
    trading,
)
from steelyard.core.handlers.trading import Prevention
from steelyard.core.handlers.undoing import Undo
from steelyard.core.instruments.bands import NO_BOUNDS, Bounds
from steelyard.core.matching import Triggers
from steelyard.core.matching.auction import Clearing
from steelyard.core.state import State
from steelyard.core.timers import Timers
from steelyard.core.units import OrderNumber, SelfTrade

SEEDS = range(1, 10)
COMMANDS = 4_000


def visible_only(right: Callable[..., Iterator[Any]], level: Any, again: Any) -> Iterator[Any]:  # noqa: ANN401
    """Meet every maker of a level once, without what it hides."""
    met = right(level, again)
    for _ in range(level.count):
        yield next(met)


def taker_alone(right: Callable[..., Prevention | None], *args: Any) -> Prevention | None:  # noqa: ANN401
    """Let only the taker expire where both should."""
    what = right(*args)
    if what is None or what.mode != SelfTrade.EXPIRE_BOTH:
        return what
    return Prevention(what.mode, 0, what.taker_lots)


def cheaper_maker(right: Callable[..., tuple[int, int]], *args: int) -> tuple[int, int]:
    """Let makers pay one atom less."""
    maker_atoms, taker_atoms = right(*args)
    return maker_atoms - 1, taker_atoms


def without_reference(right: Callable[..., Clearing], bids: Any, asks: Any, reference: int) -> Clearing:  # noqa: ANN401
    """Let the reference not decide between equal prices of an auction."""
    return right(bids, asks, 0 * reference)


def one_tick_wider(right: Callable[..., Bounds], *args: Any) -> Bounds:  # noqa: ANN401
    """Allow one tick more on both sides."""
    bounds = right(*args)
    return Bounds(bounds.lower_ticks - 1, bounds.upper_ticks + 1)


def without_recent(right: Callable[[bytes], Exchange], body: bytes) -> Exchange:
    """Restore a snapshot as if the ids of closed orders had been left out."""
    exchange = right(body)
    for account in exchange.state.accounts.values():
        account.recent = {}
    return exchange


def without_countdowns(right: Callable[[bytes], Exchange], body: bytes) -> Exchange:
    """Restore a snapshot as if countdowns had been left out."""
    exchange = right(body)
    exchange.state.countdowns.clear()
    return exchange


def keeps_number(state: State, order: Any) -> OrderNumber:  # noqa: ANN401
    """Let a slice keep the number of the one before it."""
    number: OrderNumber = order.number
    return number


FAULTS: dict[str, Plant] = {
    "an iceberg keeps its place": instead(trading, "renumber", keeps_number),
    "hidden lots do not trade in one sweep": around(taking, "_queue", visible_only),
    "a house trades with itself": instead(taking, "prevention", lambda *args: None),
    "a house trades with itself in an auction": instead(auctions, "prevention", lambda *args: None),
    "where both should expire one does": around(taking, "prevention", taker_alone),
    "a maker pays an atom less": around(trading, "fill_fees", cheaper_maker),
    "a referral share rounds up": around(
        trading, "referral_atoms", lambda right, *args: tuple(atoms + (atoms > 0) for atoms in right(*args))
    ),
    "tiers do not count": instead(
        State, "rates", lambda state, account, instrument: (instrument.maker_ppm, instrument.taker_ppm)
    ),
    "those met together act the wrong way round": around(
        Triggers, "met", lambda right, *args: list(reversed(right(*args)))
    ),
    "a trigger is met only beyond it": around(
        placing, "is_met", lambda right, *args: args[-2] != args[-1] and right(*args)
    ),
    "a trailing order begins a tick away": around(
        conditional,
        "_activate",
        lambda right, order, special, price, out: right(order, special, price + 1, out),
    ),
    "nobody looks at marks": around(
        conditional, "source_ticks", lambda right, instrument, source: instrument.last_ticks
    ),
    "the collar is not asked again at admission": instead(admission, "reference_fault", lambda *args: None),
    "an order follows a first one that was not filled": around(
        lists, "leg_ended", lambda right, state, order, filled, out: right(state, order, True, out)
    ),
    "alternatives pledge like the smaller one": instead(
        legs, "payer_of", lambda both: min(both, key=lambda leg: leg.pledged_atoms)
    ),
    "orders do not expire": instead(due, "_next_expired", lambda state: None),
    "countdowns do not fire": instead(due, "countdown_due", lambda *args: None),
    "a sweep ends one order": around(
        sweeps, "end_orders", lambda right, state, orders, reason, out: right(state, orders[:1], reason, out)
    ),
    "nothing halts trading": instead(taking, "halt_bounds", lambda *args: NO_BOUNDS),
    "the execution band is a tick wider": around(taking, "execution_bounds", one_tick_wider),
    "post-only trades": instead(placing, "crosses", lambda *args: False),
    "the collar is a tick wider": around(placing, "collar", one_tick_wider),
    "an auction knows no reference": around(auctions, "clearing", without_reference),
    "a frozen account may order": instead(placing, "stopped", lambda owner: None),
    "an account's permissions do not bind its keys": instead(
        placing, "may", lambda owner, key, permission: key.permissions & permission != 0
    ),
    "an amended order keeps its place at another price": instead(
        amending,
        "_keeps_place",
        lambda order, changed: order.level is not None and changed.size_lots <= order.size_lots,
    ),
    "a batch that is refused has acted": instead(Undo, "run", lambda undo: None),
    "all or none takes legs that cannot be undone": instead(batches, "_can_be_undone", lambda leg: True),
    "a budget forgets the fee": instead(taking, "fee_atoms", lambda *args: 0),
    "due times are forgotten in a snapshot": around(
        Timers, "refill", lambda right, timers, urgent, expiries: right(timers, [], [])
    ),
    "closed orders are forgotten in a snapshot": around(snapshot, "load", without_recent),
    "countdowns are forgotten in a snapshot": around(snapshot, "load", without_countdowns),
}


def try_seeds() -> None:
    """Run the traffic of a few seeds; a fault is usually seen in the first."""
    for seed in SEEDS:
        duel(seed, COMMANDS, SpotTraffic)


@pytest.mark.parametrize("plant", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        try_seeds()
