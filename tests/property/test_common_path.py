"""The short way of common orders comes to the same as the way of all others: replies, events, state."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, CAROL, USD, Venue, listing, market
from tests.helpers.contracts import (
    INVERSE_PERP,
    PERP,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import Reject, exchange, snapshot, versions
from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    Command,
    MarginTerms,
    MarginTier,
    MoveMargin,
    PlaceOrder,
    SetAccountTier,
    SetContractModes,
    SetFeeTier,
    SetInstrumentState,
    SetReferrer,
)
from steelyard.core.entry import Outcome, Refused
from steelyard.core.handlers import orders
from steelyard.core.units import (
    AccountId,
    ContractKind,
    InstrumentId,
    InstrumentState,
    MarginMode,
    OrderId,
    OrderKind,
    OrderNumber,
    Side,
    TimeInForce,
)

TRADERS = (ALICE, BOB, CAROL)
OTHER_PERP = InstrumentId(4)
CONTRACTS = (PERP, PERP, PERP, OTHER_PERP, INVERSE_PERP)
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


def some_contract_command(rng: random.Random, account: AccountId) -> AnyCommand:
    """Return a command about a contract near its mark, with a size that margin and limits mostly bear."""
    drawn = some_command(rng, account)
    if not isinstance(drawn, PlaceOrder) or rng.random() < 0.1:
        return drawn
    return msgspec.structs.replace(
        drawn,
        account=account,
        instrument=rng.choice(CONTRACTS),
        order=OrderId(rng.randint(1, 12) if rng.random() < 0.4 else rng.randint(1, 10**6)),
        size_lots=rng.randint(0, 12),
        limit_ticks=rng.randint(17, 23) if drawn.kind == OrderKind.LIMIT else 0,
        time_in_force=drawn.time_in_force if drawn.kind == OrderKind.LIMIT else TimeInForce.IOC,
        post_only=drawn.post_only
        and drawn.kind == OrderKind.LIMIT
        and drawn.time_in_force == TimeInForce.GTC,
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


def with_contracts() -> ContractVenue:
    """Return markets of contracts in which margin runs short now and then; some traders are uncommon."""
    tiers = [
        MarginTier(floor_atoms=0, maintenance_ppm=90_000, initial_ppm=100_000),
        MarginTier(floor_atoms=500, maintenance_ppm=180_000, initial_ppm=200_000),
    ]
    rules = contract_rules(margin=MarginTerms(tiers=tiers), position_max_lots=20, open_interest_max_lots=25)
    terms: dict[str, Any] = {
        "price_max_ticks": 30,
        "size_max_lots": 20,
        "notional_min_atoms": 20,
        "maker_ppm": -20_000,
        "taker_ppm": 50_000,
    }
    inverse = contract_rules(position_max_lots=20, open_interest_max_lots=25)
    venue = contract_market(
        perpetual(ContractKind.LINEAR, rules, **terms),
        perpetual(ContractKind.LINEAR, rules, **terms, instrument=OTHER_PERP, symbol="BTC-OTHER"),
        perpetual(ContractKind.INVERSE, inverse, **terms, lot_mantissa=100),
        price_ticks=20,
        wallet_atoms=60,
        accounts=TRADERS,
    )
    venue.accepted(SetFeeTier(tier=1, instrument=PERP, maker_ppm=30_000, taker_ppm=50_000))
    venue.accepted(SetAccountTier(account=CAROL, tier=1))
    venue.accepted(SetReferrer(account=CAROL, referrer=BOB, share_ppm=300_000))
    return venue


def played_in_contracts(venue: ContractVenue, seed: int, steps: int) -> tuple[list[Outcome], bytes]:
    """Play the seed's commands about contracts while marks move and margin comes and goes."""
    rng = random.Random(seed)
    outcomes: list[Outcome] = []
    for _ in range(steps):
        account = rng.choice(TRADERS)
        draw = rng.random()
        if draw < 0.03:
            outcomes.append(venue.mark(rng.randint(17, 23), rng.choice(CONTRACTS)))
        elif draw < 0.045:
            # The index becomes stale every other time.
            venue.tick(after_ns=rng.choice((10**9, 11 * 10**9)))
            if rng.random() < 0.8:
                outcomes.append(venue.feed(20))
        elif draw < 0.07:
            amount_atoms = rng.randint(-40, 60)
            move = MoveMargin(account=account, asset=rng.choice((BTC, USD)), amount_atoms=amount_atoms)
            outcomes.append(venue.ask(account, move))
        elif draw < 0.08:
            isolated = SetContractModes(account=BOB, instrument=PERP, margin=rng.choice(tuple(MarginMode)))
            outcomes.append(venue.ask(BOB, isolated))
        else:
            outcomes.append(venue.ask(account, some_contract_command(rng, account)))
    return outcomes, snapshot.dump(venue.exchange)


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


@pytest.mark.parametrize("seed", range(8))
def test_a_common_order_about_a_position_comes_to_the_same_on_the_general_path(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = played_in_contracts(with_contracts(), seed, 600)
    placing: type[Command] = PlaceOrder
    monkeypatch.setitem(exchange.HANDLERS, placing, orders.place_generally)

    general = played_in_contracts(with_contracts(), seed, 600)

    assert general == common


def test_the_commands_of_those_comparisons_are_worth_comparing() -> None:
    refused: set[Reject] = set()
    said: set[str] = set()
    for seed in range(8):
        outcomes, _ = played_in_contracts(with_contracts(), seed, 600)
        said |= {type(event).__name__ for outcome in outcomes for event in outcome.events}
        refused |= {outcome.reply.reason for outcome in outcomes if isinstance(outcome.reply, Refused)}

    assert said >= {"PositionsTraded", "ReferralEarned", "OrderFilled", "OrderExpired", "RiskLevelChanged"}
    assert refused >= {
        Reject.INSUFFICIENT_MARGIN,
        Reject.POSITION_LIMIT,
        Reject.OPEN_INTEREST_LIMIT,
        Reject.NO_REFERENCE_PRICE,
        Reject.NOTIONAL_OUT_OF_RANGE,
        Reject.POST_ONLY_WOULD_TRADE,
    }


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
