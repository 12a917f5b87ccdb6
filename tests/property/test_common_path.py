"""The short way of common orders comes to the same as the way of all others: replies, events, state."""

import random
from collections.abc import Callable
from functools import partial

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, CAROL, USD, Venue, listing, market

from steelyard.core import exchange, snapshot, versions
from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    Command,
    PlaceOrder,
    SetAccountTier,
    SetFeeTier,
    SetInstrumentState,
    SetReferrer,
)
from steelyard.core.entry import Outcome
from steelyard.core.handlers import orders
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    InstrumentState,
    OrderId,
    OrderKind,
    OrderNumber,
    Side,
    TimeInForce,
)

TRADERS = (ALICE, BOB, CAROL)
TERMS = listing(
    price_max_ticks=30, size_max_lots=20, notional_min_atoms=20, maker_ppm=-20_000, taker_ppm=50_000
)


def some_command(rng: random.Random, account: AccountId) -> AnyCommand:
    """Return a command that collides: few prices, few ids, bounds met and passed by one."""
    if rng.random() < 0.3:
        named = rng.randrange(3)
        return CancelOrder(
            account=account,
            order=OrderId(rng.randint(1, 12)) if named == 0 else OrderId(0),
            number=OrderNumber(rng.randint(1, 200)) if named == 1 else OrderNumber(0),
            label=rng.choice("abc") if named == 2 else "",
        )
    kind = OrderKind.MARKET if rng.random() < 0.2 else OrderKind.LIMIT
    return PlaceOrder(
        account=account if rng.random() < 0.97 else rng.choice(TRADERS),
        instrument=BTC_USD if rng.random() < 0.98 else InstrumentId(7),
        order=OrderId(rng.randint(0, 40) if rng.random() < 0.5 else rng.randint(1, 10**6)),
        side=rng.choice((Side.BUY, Side.SELL)),
        size_lots=rng.randint(0, 21),
        limit_ticks=0 if kind == OrderKind.MARKET and rng.random() < 0.95 else rng.randint(0, 31),
        kind=kind,
        time_in_force=rng.choice(tuple(TimeInForce)),
        post_only=rng.random() < 0.2,
        label=rng.choice(("", "", "", "a", "b", "c", "\n")),
    )


def played(venue: Venue, seed: int, steps: int) -> tuple[list[Outcome], bytes]:
    """Play the seed's commands and return what came of them, and the state at the end."""
    rng = random.Random(seed)
    outcomes: list[Outcome] = []
    for _ in range(steps):
        account = rng.choice(TRADERS)
        if rng.random() < 0.01:
            state = rng.choice((InstrumentState.POST_ONLY, InstrumentState.OPEN, InstrumentState.OPEN))
            outcomes.append(venue.operate(SetInstrumentState(instrument=BTC_USD, state=state)))
        outcomes.append(venue.ask(account, some_command(rng, account)))
    return outcomes, snapshot.dump(venue.exchange)


def with_poor_traders(version: int) -> Venue:
    """Return a market in which money runs short now and then, and one trader has nothing of one asset."""
    venue = market(TERMS, funds_atoms=0, version=version)
    for account in TRADERS:
        venue.deposit(account, BTC, 300)
    for account in (ALICE, BOB):
        venue.deposit(account, USD, 4000)
    return venue


def with_a_ruled_maker() -> Venue:
    """Return a market in which one trader has a tier and a referrer, and what it pledges is common."""
    venue = with_poor_traders(versions.SPOT_COMPLETE)
    venue.accepted(SetFeeTier(tier=1, instrument=BTC_USD, maker_ppm=30_000, taker_ppm=50_000))
    venue.accepted(SetAccountTier(account=CAROL, tier=1))
    venue.accepted(SetReferrer(account=CAROL, referrer=BOB, share_ppm=300_000))
    return venue


MARKETS: list[Callable[[], Venue]] = [
    partial(with_poor_traders, versions.FIRST),
    partial(with_poor_traders, versions.SPOT_COMPLETE),
    with_a_ruled_maker,
]


@pytest.mark.parametrize("opened", MARKETS, ids=["first version", "second version", "a maker with rules"])
@pytest.mark.parametrize("seed", range(5))
def test_a_common_order_comes_to_the_same_on_the_general_path(
    seed: int, opened: Callable[[], Venue], monkeypatch: pytest.MonkeyPatch
) -> None:
    common = played(opened(), seed, 400)
    placing: type[Command] = PlaceOrder
    monkeypatch.setitem(exchange.HANDLERS, placing, orders.place_generally)

    general = played(opened(), seed, 400)

    assert general == common


def test_the_commands_of_that_comparison_are_worth_comparing() -> None:
    outcomes, _ = played(with_a_ruled_maker(), 0, 400)
    said = {type(event).__name__ for outcome in outcomes for event in outcome.events}

    assert said >= {
        "OrderAccepted",
        "OrderRested",
        "Traded",
        "ReferralEarned",
        "OrderFilled",
        "OrderExpired",
        "OrderCancelled",
    }
