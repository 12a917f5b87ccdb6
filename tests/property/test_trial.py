"""A dry run says what then happens, and changes nothing."""

import random

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, CAROL, STEP_NS, USD, Venue, complete, listing

from steelyard.core import Refused, snapshot
from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
    OrderTerms,
    PlaceOrder,
    PlaceOrderOnTerms,
    SetAccountRules,
    SetAccountTier,
    SetFeeTier,
    SetInstrumentRules,
    SetMark,
    SetReferrer,
    SetSelfTrade,
)
from steelyard.core.entry import Outcome, Placed, Waiting
from steelyard.core.events import OrderAccepted, OrderExpired, Traded
from steelyard.core.queries import Trial, TryOrder
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    OrderId,
    OrderKind,
    Permission,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)

TRADERS = (ALICE, BOB, CAROL)


def some_terms(rng: random.Random, venue: Venue) -> OrderTerms:
    """Return terms of which few, and now and then impossible ones, are set."""
    rare = 0.1
    triggered = rng.random() < rare
    return OrderTerms(
        expires_ns=venue.exchange.time_ns + rng.randint(-1, 40) * STEP_NS if rng.random() < rare else 0,
        budget_atoms=rng.randint(1, 400) if rng.random() < rare else 0,
        trigger=rng.choice(tuple(TriggerKind)) if triggered else None,
        trigger_source=rng.choice(tuple(PriceSource)),
        trigger_ticks=rng.randint(0, 31) if triggered else 0,
        callback_ppm=rng.choice((0, 0, 100_000)) if triggered else 0,
        display_lots=rng.randint(1, 4) if rng.random() < rare else 0,
        self_trade=rng.choice(tuple(SelfTrade)) if rng.random() < 0.4 else None,
    )


def some_order(rng: random.Random, venue: Venue, account: AccountId) -> PlaceOrder | PlaceOrderOnTerms:
    """Return an order of few prices, mostly one that can be."""
    terms = some_terms(rng, venue)
    by_budget = terms.budget_atoms > 0
    kind = OrderKind.MARKET if by_budget or rng.random() < 0.15 else OrderKind.LIMIT
    time_in_force = rng.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
    if kind == OrderKind.MARKET and time_in_force == TimeInForce.GTC:
        time_in_force = TimeInForce.IOC
    command = PlaceOrderOnTerms(
        account=account,
        instrument=BTC_USD,
        order=OrderId(rng.randint(1, 10**6)),
        side=rng.choice((Side.BUY, Side.SELL)),
        size_lots=0 if by_budget else rng.randint(1, 20),
        limit_ticks=0 if kind == OrderKind.MARKET else rng.randint(5, 25),
        kind=kind,
        time_in_force=time_in_force,
        terms=terms,
    )
    if time_in_force == TimeInForce.GTC and rng.random() < 0.2:
        slides = msgspec.structs.replace(terms, slide=rng.random() < 0.7)
        command = msgspec.structs.replace(command, post_only=True, terms=slides)
    if rng.random() < 0.3:
        common = msgspec.structs.asdict(command)
        del common["terms"]
        return PlaceOrder(**common)
    return command


def some_other(rng: random.Random, account: AccountId) -> tuple[AccountId, AnyCommand]:
    """Return something that changes what orders meet."""
    match rng.randrange(4):
        case 0:
            return account, SetSelfTrade(account=account, mode=rng.choice((None, *SelfTrade)))
        case 1:
            return OPERATOR, SetMark(instrument=BTC_USD, mark_ticks=rng.randint(10, 20))
        case 2:
            rules = SetInstrumentRules(
                instrument=BTC_USD,
                price_step_ticks=rng.choice((1, 1, 1, 2)),
                size_min_lots=rng.choice((1, 1, 2)),
                execution_down_ppm=rng.choice((0, 700_000)),
                execution_up_ppm=rng.choice((0, 1_300_000)),
                buy_up_ppm=rng.choice((0, 1_500_000)),
                self_trade=rng.choice(tuple(SelfTrade)),
            )
            return OPERATOR, rules
        case _:
            return OPERATOR, SetAccountTier(account=account, tier=rng.choice((0, 1, 2)))


def busy_market() -> Venue:
    """Return a market with tiers, a referrer and two traders of one house."""
    terms = listing(
        price_max_ticks=30,
        size_max_lots=20,
        notional_min_atoms=10,
        maker_ppm=-20_000,
        taker_ppm=50_000,
        market_protection_ppm=200_000,
    )
    venue = complete(terms, funds_atoms=0)
    venue.keys[OPERATOR] = venue.create_key(OPERATOR, int(Permission.FEED | Permission.OPERATE))
    for account in TRADERS:
        venue.deposit(account, BTC, 400)
        venue.deposit(account, USD, 5000)
    permissions = int(Permission.READ | Permission.TRADE)
    for account in (ALICE, BOB):
        venue.accepted(SetAccountRules(account=account, trade_group=7, permissions=permissions))
    venue.accepted(SetFeeTier(tier=1, instrument=BTC_USD, maker_ppm=-10_000, taker_ppm=30_000))
    venue.accepted(SetFeeTier(tier=2, instrument=BTC_USD, maker_ppm=10_000, taker_ppm=60_000))
    venue.accepted(SetReferrer(account=CAROL, referrer=BOB, share_ppm=300_000))
    return venue


def what_happened(outcome: Outcome) -> Trial:
    """Return what a dry run should have said, from the events of the real one."""
    reply = outcome.reply
    if isinstance(reply, Refused):
        return Trial(reply.reason, 0, False, 0, 0, 0, 0, None)
    accepted = outcome.events[0]
    assert isinstance(accepted, OrderAccepted)
    if isinstance(reply, Waiting):
        return Trial(None, accepted.limit_ticks, True, 0, 0, 0, 0, None)
    assert isinstance(reply, Placed)
    traded = [e for e in outcome.events if isinstance(e, Traded) and e.taker_number == reply.number]
    ended = [e for e in outcome.events if isinstance(e, OrderExpired) and e.number == reply.number]
    return Trial(
        None,
        accepted.limit_ticks,
        False,
        sum(event.size_lots for event in traded),
        sum(event.notional_atoms for event in traded),
        sum(event.taker_fee_atoms for event in traded),
        reply.open_lots,
        ended[0].reason if ended else None,
    )


def due_soon(venue: Venue) -> bool:
    """Return whether the next entry has something to do before its commands."""
    due_ns = venue.exchange.next_due_ns()
    return due_ns is not None and due_ns <= venue.exchange.time_ns + STEP_NS


def tried_and_done(seed: int, steps: int) -> list[tuple[Trial, Trial]]:
    """Return what dry runs said, and what then happened."""
    rng = random.Random(seed)
    venue = busy_market()
    seen: list[tuple[Trial, Trial]] = []
    for _ in range(steps):
        account = rng.choice(TRADERS)
        draw = rng.random()
        if draw < 0.05:
            venue.ask(*some_other(rng, account))
        elif draw < 0.15 and venue.exchange.state.accounts[account].orders:
            order = rng.choice(list(venue.exchange.state.accounts[account].orders))
            venue.ask(account, CancelOrder(account=account, order=order))
        while due_soon(venue):
            venue.tick()
        command = some_order(rng, venue, account)
        before = snapshot.dump(venue.exchange)
        said = venue.query(account, TryOrder(command=command))
        assert snapshot.dump(venue.exchange) == before
        assert isinstance(said, Trial), said
        outcome = venue.send(venue.request(account, command), after_ns=1)[0]
        seen.append((said, what_happened(outcome)))
    return seen


@pytest.mark.parametrize("seed", range(10))
def test_a_dry_run_says_what_then_happens(seed: int) -> None:
    for said, happened in tried_and_done(seed, 300):
        assert said == happened
