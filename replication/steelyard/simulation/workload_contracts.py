"""What clients ask of perpetual contracts: feeds, margin, orders about positions, what operators decide."""

import random
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from steelyard.core.commands import (
    AdjustBucket,
    AnyCommand,
    ContractRules,
    FundingTerms,
    FundInsurance,
    IndexQuote,
    LiquidationTerms,
    ListContract,
    ListIndex,
    MarginTerms,
    MarginTier,
    MoveMargin,
    OrderTerms,
    PlaceContractOrder,
    SetContractModes,
    SetContractRules,
    SetIndexSources,
    SetInstrumentState,
    SetKillSwitch,
    SetLeverage,
)
from steelyard.core.units import (
    AccountId,
    ContractKind,
    IndexId,
    InstrumentId,
    InstrumentState,
    Leg,
    MarginMode,
    OrderId,
    OrderKind,
    PriceSource,
    Side,
    TimeInForce,
    TriggerKind,
)
from steelyard.simulation.wishes import BTC, USD, account_of

PERP: Final = InstrumentId(2)
INVERSE: Final = InstrumentId(3)
_INDEX: Final = IndexId(1)
_CENTRE_TICKS: Final = 100
_SECOND_NS: Final = 10**9
_STALE_NS: Final = 40 * _SECOND_NS
_RULES: Final = ContractRules(
    margin=MarginTerms(
        tiers=[
            MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=20_000),
            MarginTier(floor_atoms=3_000, maintenance_ppm=25_000, initial_ppm=50_000),
        ]
    ),
    position_max_lots=200,
    open_interest_max_lots=600,
    funding=FundingTerms(interval_ns=60 * _SECOND_NS),
    liquidation=LiquidationTerms(step_ppm=100_000),
)


def listings() -> Iterator[AnyCommand]:
    """Yield what the operator lists beside the spot market: an index and two contracts, both open."""
    yield ListIndex(index=_INDEX, symbol="BTC/USD", tick_mantissa=1, tick_decimals=0, stale_ns=_STALE_NS)
    for instrument, kind in ((PERP, ContractKind.LINEAR), (INVERSE, ContractKind.INVERSE)):
        yield ListContract(
            instrument=instrument,
            symbol=f"BTC-{kind.name}",
            base=BTC,
            quote=USD,
            tick_mantissa=1,
            tick_decimals=0,
            lot_mantissa=1,
            lot_decimals=2,
            price_max_ticks=1_000,
            size_max_lots=100,
            notional_min_atoms=0,
            maker_ppm=100,
            taker_ppm=500,
            contract=kind,
            index=_INDEX,
            rules=_RULES,
        )
        yield SetInstrumentState(instrument=instrument, state=InstrumentState.POST_ONLY)
        yield SetInstrumentState(instrument=instrument, state=InstrumentState.OPEN)
    yield FundInsurance(asset=USD, amount_atoms=500)


def margins(traders: int) -> Iterator[AnyCommand]:
    """Yield what the operator moves to margin wallets, so that everybody can trade contracts."""
    for trader in range(traders):
        yield MoveMargin(account=account_of(trader), asset=USD, amount_atoms=400)
        yield MoveMargin(account=account_of(trader), asset=BTC, amount_atoms=40_000)


def trader_wish(rng: random.Random, trader: int, number: int, now_ns: int) -> AnyCommand:
    """Return what a trader asks for about contracts; ``now_ns`` is about the log's time."""
    account, dice = account_of(trader), rng.random()
    instrument = PERP if rng.random() < 0.8 else INVERSE
    if dice < 0.3:
        return _feed(rng, now_ns)
    if dice < 0.8:
        return _order(rng, account, instrument, number)
    if dice < 0.88:
        asset, atoms = rng.choice(((USD, 300), (USD, 60), (BTC, 10_000)))
        return MoveMargin(account=account, asset=asset, amount_atoms=rng.choice((1, 1, -1)) * atoms)
    if dice < 0.94:
        leverage = rng.choice((0, 5, 20, 50, 60))
        return SetLeverage(account=account, instrument=instrument, leverage=leverage)
    if dice < 0.96:
        mode = rng.choice(tuple(MarginMode))
        return SetContractModes(account=account, instrument=instrument, margin=mode, hedge=rng.random() < 0.2)
    return AdjustBucket(account=account, instrument=instrument, amount_atoms=rng.randrange(-50, 100))


def operator_wish(rng: random.Random, traders: int) -> AnyCommand:
    """Return what an operator decides about contracts."""
    dice = rng.random()
    if dice < 0.4:
        return FundInsurance(asset=USD, amount_atoms=rng.randrange(-100, 200))
    if dice < 0.7:
        account = rng.choice((AccountId(0), account_of(rng.randrange(traders))))
        return SetKillSwitch(on=rng.random() < 0.04, account=account)
    buffer_ppm, penalty_ppm = rng.choice((0, 100_000)), rng.choice((0, 5_000, 20_000))
    liquidation = replace(_RULES.liquidation, buffer_ppm=buffer_ppm, penalty_ppm=penalty_ppm)
    return SetContractRules(instrument=PERP, rules=replace(_RULES, liquidation=liquidation))


def _feed(rng: random.Random, now_ns: int) -> SetIndexSources:
    """Return what two or three sources say: about the centre, now and then far from it."""
    centre = _CENTRE_TICKS + rng.choice((0, 0, 0, -12, 12)) + rng.randrange(-2, 3)
    quotes = [
        IndexQuote(source=n, price_ticks=centre + rng.randrange(-1, 2), weight=1, time_ns=now_ns)
        for n in range(1, rng.randrange(3, 5))
    ]
    return SetIndexSources(index=_INDEX, quotes=quotes)


def _order(
    rng: random.Random, account: AccountId, instrument: InstrumentId, number: int
) -> PlaceContractOrder:
    """Return an order about a position: most are plain, some only reduce, some wait to close all of it."""
    side, dice = rng.choice((Side.BUY, Side.SELL)), rng.random()
    order = PlaceContractOrder(
        account=account,
        instrument=instrument,
        order=OrderId(number),
        side=side,
        size_lots=rng.randrange(1, 40),
        limit_ticks=_CENTRE_TICKS + rng.randrange(-2, 3),
        time_in_force=rng.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)),
        leg=Leg.NET if rng.random() < 0.95 else rng.choice((Leg.LONG, Leg.SHORT)),
    )
    if dice < 0.8:
        return order
    if dice < 0.9:
        return replace(order, reduce_only=True)
    terms = OrderTerms(
        trigger=rng.choice(tuple(TriggerKind)),
        trigger_source=rng.choice(tuple(PriceSource)),
        trigger_ticks=_CENTRE_TICKS + rng.randrange(-10, 11),
    )
    return replace(
        order,
        kind=OrderKind.MARKET,
        time_in_force=TimeInForce.IOC,
        limit_ticks=0,
        size_lots=0,
        terms=terms,
        close_position=True,
    )
