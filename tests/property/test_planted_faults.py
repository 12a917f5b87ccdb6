"""The comparison with the twin is worth something: each fault planted in the core makes it fire."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.helpers.duel import duel
from tests.helpers.traffic import Traffic

from steelyard.core import Exchange, Outcome, Request, exchange, snapshot
from steelyard.core.events import AnyEvent
from steelyard.core.handlers import funds, orders, spot_orders
from steelyard.core.instruments import bands
from steelyard.core.ledger import Balance, Ledger
from steelyard.core.matching import Book
from steelyard.core.rounding import mul_div_down, mul_div_up
from steelyard.core.sessions import Session
from steelyard.core.state import State
from steelyard.core.units import PPM

Plant = Callable[[pytest.MonkeyPatch], None]

SEEDS = range(5, 10)
COMMANDS = 6_000


def instead(owner: object, name: str, fault: Callable[..., Any]) -> Plant:
    """Replace a function of the core by a faulty one."""
    return lambda monkeypatch: monkeypatch.setattr(owner, name, fault)


def around(owner: object, name: str, fault: Callable[..., Any]) -> Plant:
    """Replace a function of the core by a faulty one, which is given the right one first."""
    right = getattr(owner, name)
    return instead(owner, name, lambda *args: fault(right, *args))


def newest_first(right: Callable[..., None], book: Book, order: Any) -> None:  # noqa: ANN401
    """Queue an order in front of its level instead of behind it."""
    right(book, order)
    level = order.level
    if level.oldest is not order:
        order.before.after, level.newest = None, order.before
        order.before, order.after, level.oldest.before = None, level.oldest, order
        level.oldest = order


def worst_price_first(right: Callable[..., Any], book: Book, side: Any, *rest: int) -> Any:  # noqa: ANN401
    """Match from the wrong end of the book."""
    keys = book.opposite(side).keys
    keys.reverse()
    fills = right(book, side, *rest)
    keys.sort()
    return fills


def without_replies(right: Callable[[bytes], Exchange], body: bytes) -> Exchange:
    """Restore a snapshot as if the replies had been left out of it."""
    exchange = right(body)
    for session in exchange.state.sessions.values():
        session.replies.clear()
        session.wants_from = session.last_request + 1
    return exchange


def without_counters(right: Callable[[bytes], Exchange], body: bytes) -> Exchange:
    """Restore a snapshot as if the number of the last order had been left out of it."""
    exchange = right(body)
    exchange.state.last_number = 0
    return exchange


def one_atom_more(right: Callable[..., None], ledger: Ledger, asset: int, to: Balance, atoms: int) -> None:
    """Credit a deposit and one atom."""
    right(ledger, asset, to, atoms)
    to.free_atoms += 1


def keep_the_rest(balance: Balance, released_atoms: int, spent_atoms: int) -> None:
    """Spend from a pledge without giving back what the fill did not need."""
    balance.held_atoms -= released_atoms
    balance.free_atoms += min(0, released_atoms - spent_atoms)


def forget_the_number(
    right: Callable[..., list[Outcome]],
    state: State,
    requests: list[Request],
    new_out: Callable[[], list[AnyEvent]],
) -> list[Outcome]:
    """Keep the last reply without using up its number, so that a retry is executed again."""
    outcomes = right(state, requests, new_out)
    session = state.sessions.get(requests[-1].session) if requests else None
    if session is not None:
        session.last_request -= 1
    return outcomes


FAULTS: dict[str, Plant] = {
    "time priority is ignored": around(Book, "rest", newest_first),
    "price priority is ignored": around(spot_orders, "match", worst_price_first),
    "fees round down": instead(spot_orders, "fee_atoms", lambda atoms, ppm: mul_div_down(atoms, ppm, PPM)),
    "a fee is charged on one atom more": instead(
        spot_orders, "fee_atoms", lambda atoms, ppm: mul_div_up(atoms + 1, ppm, PPM)
    ),
    "a hold is not released": instead(Balance, "release", lambda balance, atoms: None),
    "the rest of a pledge is kept": instead(Balance, "spend_held", keep_the_rest),
    "a pledge forgets the fee": instead(orders, "lot_pledge_atoms", lambda ticks, k, cap: ticks * k),
    "a deposit credits one atom too much": around(Ledger, "deposit", one_atom_more),
    "any deposit fits": instead(Ledger, "can_deposit", lambda ledger, asset, atoms: True),
    "fill or kill fills in part": instead(orders, "can_fill", lambda *args: True),
    "protection rounds the other way": instead(bands, "mul_div_down", mul_div_up),
    "everyone may deposit": instead(funds, "may_operate", lambda key: True),
    "a deposit is never too late": instead(funds, "is_too_late", lambda state, request: False),
    "a session never runs out": instead(Session, "is_expired", lambda session, time_ns: False),
    "a retry is executed again": around(exchange, "_outcomes", forget_the_number),
    "replies are missing in the snapshot": around(snapshot, "load", without_replies),
    "the order number is missing in the snapshot": around(snapshot, "load", without_counters),
}


def try_seeds() -> None:
    """Run the traffic of a few seeds; a fault is usually seen in the first."""
    for seed in SEEDS:
        duel(seed, COMMANDS, Traffic)


def test_without_a_fault_nothing_fires() -> None:
    try_seeds()


@pytest.mark.parametrize("plant", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        try_seeds()
