"""What clients ask of the complete spot exchange: every kind of order, change and sweep."""

import random
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from steelyard.core.commands import (
    AmendOrder,
    AnyCommand,
    ArmCountdown,
    Batch,
    CancelOrder,
    CancelOrders,
    Leg,
    OrderTerms,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReplaceOrder,
    SetFrozen,
    SetInstrumentRules,
    SetSelfTrade,
    StartAuction,
)
from steelyard.core.units import (
    AccountId,
    BatchMode,
    ListKind,
    OrderId,
    OrderKind,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)
from steelyard.simulation import wishes
from steelyard.simulation.wishes import MARKET

_CENTRE_TICKS: Final = 100
_SECOND_NS: Final = 10**9
#: Legs of a list or batch have ids of their own, far from the request numbers that single orders have.
_LEG_STRIDE: Final = 10**6


def trader_wish(rng: random.Random, trader: int, number: int, now_ns: int) -> AnyCommand:
    """Return what a trader asks for; ``now_ns`` is about the log's time."""
    account = wishes.account_of(trader)
    dice = rng.random()
    if dice < 0.35:
        return wishes.trader_wish(rng, trader, number)
    if dice < 0.6:
        return _on_terms(rng, account, number, now_ns)
    if dice < 0.67:
        return _list(rng, account, number, now_ns)
    if dice < 0.8:
        return _amend(rng, account, number)
    if dice < 0.86:
        place = _on_terms(rng, account, number, now_ns)
        cancel = CancelOrder(account=account, order=_recent(rng, number))
        return ReplaceOrder(cancel=cancel, place=place, place_anyway=rng.random() < 0.5)
    if dice < 0.93:
        return _batch(rng, account, number)
    if dice < 0.96:
        return CancelOrders(account=account, side=rng.choice((None, *Side)))
    if dice < 0.98:
        return ArmCountdown(account=account, countdown_ns=rng.choice((0, 1, 1, 5)) * _SECOND_NS)
    return SetSelfTrade(account=account, mode=rng.choice((None, *SelfTrade)))


def operator_wish(rng: random.Random, traders: int) -> AnyCommand:
    """Return what an operator asks for while trading goes on."""
    dice = rng.random()
    if dice < 0.7:
        return wishes.operator_wish(rng, traders)
    if dice < 0.8:
        return StartAuction(instrument=MARKET, auction_ns=rng.randrange(1, _SECOND_NS))
    if dice < 0.9:
        account = wishes.account_of(rng.randrange(traders))
        return SetFrozen(account=account, frozen=rng.random() < 0.2)
    rules = SetInstrumentRules(instrument=MARKET, self_trade=rng.choice(tuple(SelfTrade)))
    if rng.random() < 0.5:
        return rules
    return replace(
        rules,
        execution_down_ppm=970_000,
        execution_up_ppm=1_030_000,
        halt_ppm=40_000,
        halt_window_ns=_SECOND_NS,
        halt_ns=_SECOND_NS // 10,
        auction_ns=_SECOND_NS // 10,
    )


def _recent(rng: random.Random, number: int) -> OrderId:
    return OrderId(max(1, number - rng.randrange(1, 12)))


def _near(rng: random.Random, spread: int = 6) -> int:
    return _CENTRE_TICKS + rng.randrange(-spread, spread + 1)


def _resting(rng: random.Random, account: AccountId, order: int) -> PlaceOrderOnTerms:
    return PlaceOrderOnTerms(
        account=account,
        instrument=MARKET,
        order=OrderId(order),
        side=rng.choice((Side.BUY, Side.SELL)),
        size_lots=rng.randrange(1, 6),
        limit_ticks=_near(rng),
    )


def _on_terms(rng: random.Random, account: AccountId, number: int, now_ns: int) -> PlaceOrderOnTerms:
    """Return an order that says one uncommon thing, now and then what to do about its own house as well."""
    order = _resting(rng, account, number)
    make: Callable[[random.Random, PlaceOrderOnTerms], PlaceOrderOnTerms] = rng.choice(
        (_iceberg, _by_budget, _waiting, _waiting, _sliding)
    )
    if rng.random() < 0.2:
        expires_ns = now_ns + rng.randrange(3 * _SECOND_NS)
        return replace(order, terms=OrderTerms(expires_ns=expires_ns))
    order = make(rng, order)
    if rng.random() < 0.4:
        order = replace(order, terms=replace(order.terms, self_trade=rng.choice(tuple(SelfTrade))))
    return order


def _iceberg(rng: random.Random, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
    return replace(order, size_lots=rng.randrange(4, 12), terms=OrderTerms(display_lots=rng.randrange(1, 4)))


def _by_budget(rng: random.Random, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
    terms = OrderTerms(budget_atoms=rng.randrange(1, 1_000))
    return replace(
        order,
        kind=OrderKind.MARKET,
        time_in_force=TimeInForce.IOC,
        limit_ticks=0,
        size_lots=0,
        terms=terms,
    )


def _waiting(rng: random.Random, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
    trails = rng.random() < 0.4
    terms = OrderTerms(
        trigger=rng.choice(tuple(TriggerKind)),
        trigger_source=PriceSource.LAST,
        trigger_ticks=0 if trails else _near(rng, 10),
        callback_ppm=rng.choice((10_000, 30_000)) if trails else 0,
    )
    if rng.random() < 0.5:
        return replace(order, terms=terms)
    return replace(order, kind=OrderKind.MARKET, time_in_force=TimeInForce.IOC, limit_ticks=0, terms=terms)


def _sliding(rng: random.Random, order: PlaceOrderOnTerms) -> PlaceOrderOnTerms:
    return replace(order, post_only=True, terms=OrderTerms(slide=rng.random() < 0.8))


def _list(rng: random.Random, account: AccountId, number: int, now_ns: int) -> PlaceOrderList:
    """Return orders that depend on each other; the pair of an OCO or OTOCO is of one side."""
    kind = rng.choice(tuple(ListKind))
    count = 3 if kind == ListKind.OTOCO else 2
    legs = [_resting(rng, account, _LEG_STRIDE * (place + 1) + number) for place in range(count)]
    if kind == ListKind.OTO:
        legs[1] = replace(_on_terms(rng, account, number, now_ns), order=legs[1].order)
    else:
        stop = _waiting(rng, legs[-1])
        away = -20 if stop.side == Side.BUY else 20
        legs[-2:] = [replace(legs[-2], side=stop.side, limit_ticks=_near(rng) + away), stop]
    return PlaceOrderList(account=account, instrument=MARKET, kind=kind, legs=legs)


def _amend(rng: random.Random, account: AccountId, number: int) -> AmendOrder:
    order = _recent(rng, number)
    match rng.randrange(4):
        case 0:
            return AmendOrder(account=account, order=order, size_lots=rng.randrange(1, 9))
        case 1:
            return AmendOrder(account=account, order=order, limit_ticks=_near(rng))
        case 2:
            return AmendOrder(account=account, order=order, new_label=f"l{number}")
        case _:
            return AmendOrder(account=account, order=order, trigger_ticks=_near(rng, 10))


def _batch(rng: random.Random, account: AccountId, number: int) -> Batch:
    """Return several commands as one; in an all-or-none one, orders that seldom trade."""
    whole = rng.random() < 0.5
    legs: list[Leg] = []
    for place in range(rng.randrange(1, 5)):
        if rng.random() < 0.4:
            legs.append(CancelOrder(account=account, order=_recent(rng, number)))
            continue
        order: PlaceOrder = _resting(rng, account, _LEG_STRIDE * (place + 1) + number)
        away = 0 if not whole else -10 if order.side == Side.BUY else 10
        legs.append(replace(order, limit_ticks=order.limit_ticks + away))
    return Batch(account=account, mode=BatchMode.ALL_OR_NONE if whole else BatchMode.EACH, legs=legs)
