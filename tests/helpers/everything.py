"""A market of version 2 in which everything that a state can keep is there."""

from typing import Final

import msgspec
from tests.helpers.builders import (
    ALICE,
    BOB,
    BTC,
    BTC_USD,
    CAROL,
    READ_TRADE,
    USD,
    Venue,
    buy,
    complete,
    listing,
)

from steelyard.core.commands import (
    AnyCommand,
    ArmCountdown,
    HoldFunds,
    ListAsset,
    OpenSubAccount,
    OrderTerms,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ScheduleState,
    SetAccountRules,
    SetAccountTier,
    SetFeeTier,
    SetInstrumentRules,
    SetLegalHold,
    SetMark,
    SetOrderLimit,
    SetReferrer,
    SetSelfTrade,
    StartAuction,
)
from steelyard.core.entry import Refused
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    AssetId,
    HoldId,
    InstrumentId,
    InstrumentState,
    ListKind,
    OrderId,
    Permission,
    SelfTrade,
    Side,
    TriggerKind,
)

SUB: Final = AccountId(1100)
OTHER: Final = InstrumentId(2)
EUR: Final = AssetId(3)
#: Later than anything these tests wait for.
FAR_NS: Final = 10**12
BUY: Final = Side.BUY
SELL: Final = Side.SELL
STOP: Final = TriggerKind.STOP


def on_terms(
    number: int, side: Side, size_lots: int, limit_ticks: int, terms: OrderTerms, label: str = ""
) -> PlaceOrderOnTerms:
    """Return a command to place a limit order of Alice's on terms."""
    return PlaceOrderOnTerms(
        account=ALICE,
        instrument=BTC_USD,
        order=OrderId(number),
        side=side,
        size_lots=size_lots,
        limit_ticks=limit_ticks,
        label=label,
        terms=terms,
    )


def taken(venue: Venue, account: AccountId, command: AnyCommand) -> None:
    """Have an account do something that must be taken."""
    reply = venue.ask(account, command).reply
    assert not isinstance(reply, Refused), (command, reply)


def _accounts(venue: Venue) -> None:
    venue.keys[OPERATOR] = venue.create_key(OPERATOR, int(Permission.OPERATE | Permission.FEED))
    for command in (
        SetFeeTier(tier=2, instrument=BTC_USD, maker_ppm=-50, taker_ppm=500),
        SetFeeTier(tier=1, instrument=InstrumentId(0), maker_ppm=0, taker_ppm=600),
        SetAccountTier(account=ALICE, tier=2),
        SetReferrer(account=BOB, referrer=CAROL, share_ppm=1_000_000),
        OpenSubAccount(master=CAROL, account=SUB, permissions=3),
        SetAccountRules(account=CAROL, trade_group=5, permissions=READ_TRADE, orders_max=77),
        SetOrderLimit(account=SUB, instrument=BTC_USD, size_max_lots=9, notional_max_atoms=99),
        SetLegalHold(account=SUB, on=True),
        HoldFunds(account=BOB, hold=HoldId(7), asset=USD, amount_atoms=77, legal=True),
        HoldFunds(account=BOB, hold=HoldId(3), asset=BTC, amount_atoms=5),
        SetSelfTrade(account=BOB, mode=SelfTrade.EXPIRE_MAKER),
        ListAsset(asset=EUR, symbol="EUR", decimals=0),
        listing(instrument=OTHER, symbol="OTHER", base=EUR),
        SetInstrumentRules(
            instrument=BTC_USD,
            orders_max=100,
            size_min_lots=2,
            halt_ppm=900_000,
            halt_window_ns=FAR_NS,
            halt_ns=1000,
            auction_ns=1000,
        ),
    ):
        venue.accepted(command)


def _orders(venue: Venue) -> None:
    stop = OrderTerms(trigger=STOP, trigger_ticks=150)
    trailing = OrderTerms(trigger=STOP, callback_ppm=100_000)
    later = OrderTerms(trigger=STOP, callback_ppm=100_000, trigger_ticks=100)
    for command in (
        on_terms(1, SELL, 50, 110, OrderTerms(display_lots=10)),
        on_terms(2, SELL, 20, 111, OrderTerms(self_trade=SelfTrade.DECREMENT)),
        on_terms(4, BUY, 5, 90, OrderTerms(expires_ns=FAR_NS), "expires"),
        on_terms(5, BUY, 3, 89, OrderTerms(expires_ns=FAR_NS // 2)),
    ):
        taken(venue, ALICE, command)
    taken(venue, ALICE, buy(3, 5, 95, post_only=True))
    taken(venue, CAROL, msgspec.structs.replace(buy(1, 4, 92), account=CAROL))
    # An iceberg gives a slice and a half; then it loses lots to an own order without a trade.
    venue.place(BOB, buy(1, 15, 110))
    taken(venue, ALICE, on_terms(6, BUY, 8, 111, OrderTerms(self_trade=SelfTrade.DECREMENT)))
    for command in (
        on_terms(7, SELL, 5, 70, trailing),
        on_terms(8, SELL, 5, 70, later),
        on_terms(9, SELL, 5, 70, OrderTerms(trigger=STOP, trigger_ticks=80)),
    ):
        taken(venue, ALICE, command)
    for kind, legs in (
        (ListKind.OCO, [on_terms(20, BUY, 5, 60, OrderTerms()), on_terms(21, BUY, 5, 151, stop)]),
        (ListKind.OTO, [on_terms(22, BUY, 5, 61, OrderTerms()), on_terms(23, SELL, 5, 160, OrderTerms())]),
        (
            ListKind.OTOCO,
            [
                on_terms(24, BUY, 5, 62, OrderTerms()),
                on_terms(25, SELL, 5, 160, OrderTerms(expires_ns=FAR_NS)),
                on_terms(26, SELL, 5, 50, OrderTerms(trigger=STOP, trigger_ticks=55)),
            ],
        ),
    ):
        taken(venue, ALICE, PlaceOrderList(account=ALICE, instrument=BTC_USD, kind=kind, legs=legs))


def everything() -> Venue:
    """Return a market of version 2 in which everything that can be kept is there."""
    venue = complete(listing(taker_ppm=750, maker_ppm=-100), funds_atoms=10_000_000)
    _accounts(venue)
    _orders(venue)
    taken(venue, BOB, ArmCountdown(account=BOB, countdown_ns=FAR_NS // 20))
    taken(venue, ALICE, ArmCountdown(account=ALICE, countdown_ns=FAR_NS // 20, instrument=BTC_USD))
    venue.accepted(SetMark(instrument=BTC_USD, mark_ticks=104))
    venue.accepted(StartAuction(instrument=OTHER, auction_ns=FAR_NS // 30))
    venue.accepted(ScheduleState(instrument=BTC_USD, state=InstrumentState.HALTED, at_ns=FAR_NS // 4))
    return venue
