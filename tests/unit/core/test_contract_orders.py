"""The life of orders about positions: what they hold, what trades do, and what the house does with them."""

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, CAROL, kinds
from tests.helpers.contracts import (
    INVERSE_PERP,
    PERP,
    ContractVenue,
    about,
    contract_market,
    perpetual,
)

from steelyard.core import Reject
from steelyard.core.accounts import ALL_PERMISSIONS
from steelyard.core.commands import (
    AmendOrder,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrderList,
    SetAccountRules,
    SetContractModes,
    SetInstrumentRules,
    SetLeverage,
    SetReferrer,
    StartAuction,
)
from steelyard.core.entry import Accepted, Placed, Waiting
from steelyard.core.events import (
    AnyEvent,
    OrderAccepted,
    OrderContractSet,
    OrderExpired,
    PositionsTraded,
    ReferralEarned,
    Traded,
    TradePrevented,
)
from steelyard.core.handlers import orders
from steelyard.core.units import (
    AccountId,
    ContractKind,
    InstrumentState,
    Leg,
    LiquidationId,
    ListKind,
    MarginMode,
    OrderId,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)

BUY, SELL = Side.BUY, Side.SELL
SECOND_NS = 10**9


def placed(venue: ContractVenue, account: AccountId, command: PlaceContractOrder) -> list[AnyEvent]:
    """Place an order that must be taken, and return what happened."""
    outcome = venue.place(account, command)
    assert isinstance(outcome.reply, Placed | Waiting), outcome
    return outcome.events


def isolate(venue: ContractVenue, account: AccountId, *, hedge: bool = False) -> None:
    """Let an account have isolated positions."""
    modes = SetContractModes(account=account, instrument=PERP, margin=MarginMode.ISOLATED, hedge=hedge)
    assert isinstance(venue.ask(account, modes).reply, Accepted)


def test_a_working_order_is_counted_by_its_position_until_it_ends() -> None:
    venue = contract_market(perpetual(taker_ppm=1_000))
    placed(venue, ALICE, about(BUY, 1, 10, 90))
    placed(venue, ALICE, about(SELL, 2, 4, 120))
    position = venue.position(ALICE)
    assert (position.open_buy_lots, position.open_sell_lots, position.fees_atoms) == (10, 4, 14)

    placed(venue, BOB, about(SELL, 1, 3, 90))
    assert (position.qty_lots, position.open_buy_lots, position.fees_atoms) == (3, 7, 11)
    venue.ask(ALICE, AmendOrder(account=ALICE, order=OrderId(1), size_lots=5))
    assert (position.open_buy_lots, position.fees_atoms) == (2, 6)
    venue.cancel(ALICE, 1)
    venue.cancel(ALICE, 2)
    assert (position.open_buy_lots, position.open_sell_lots, position.fees_atoms) == (0, 0, 0)
    assert venue.margin(ALICE).wallet_atoms == 1_000_000


def test_a_position_that_says_nothing_any_more_is_forgotten() -> None:
    venue = contract_market(wallet_atoms=1_000)
    for account in (ALICE, BOB):
        assert venue.margin(account).positions == {}
    placed(venue, ALICE, about(BUY, 1, 5, 100))
    placed(venue, BOB, about(SELL, 1, 5, 100))
    placed(venue, ALICE, about(SELL, 2, 5, 101))
    placed(venue, BOB, about(BUY, 2, 5, 101))

    assert venue.margin(ALICE).positions == venue.margin(BOB).positions == {}
    assert (venue.margin(ALICE).wallet_atoms, venue.margin(BOB).wallet_atoms) == (1_005, 995)
    waiting = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.MARK, trigger_ticks=90)
    placed(venue, ALICE, about(SELL, 3, 5, 90, terms=waiting))
    assert list(venue.margin(ALICE).positions) == [(PERP, Leg.NET)]
    venue.cancel(ALICE, 3)
    assert venue.margin(ALICE).positions == {}


def test_an_inverse_trade_is_worked_out_once_and_pays_its_fees_in_the_base() -> None:
    # S = 10**6 atoms times ticks: 7 lots at 101 are floor(7 * 10**6 / 101) = 69306 atoms of BTC.
    inverse = perpetual(ContractKind.INVERSE, lot_mantissa=10**6, taker_ppm=1_000, maker_ppm=-500)
    venue = contract_market(inverse)
    venue.accepted(SetReferrer(account=BOB, referrer=CAROL, share_ppm=500_000))
    placed(venue, ALICE, about(BUY, 1, 7, 101, instrument=INVERSE_PERP))

    events = placed(venue, BOB, about(SELL, 1, 7, 101, instrument=INVERSE_PERP))

    traded, positions, earned = events[1:4]
    assert isinstance(traded, Traded)
    assert (traded.notional_atoms, traded.taker_fee_atoms, traded.maker_fee_atoms) == (69_306, 70, -34)
    assert isinstance(positions, PositionsTraded)
    assert (positions.maker_qty_lots, positions.maker_cash_flow_atoms) == (7, 69_306)
    assert (positions.taker_qty_lots, positions.taker_cash_flow_atoms) == (-7, -69_306)
    assert isinstance(earned, ReferralEarned)
    assert (earned.asset, earned.amount_atoms) == (BTC, 18)
    assert venue.exchange.state.ledger.houses[BTC].fees_atoms == 70 - 34 - 18
    assert venue.margin(BOB, BTC).wallet_atoms == 1_000_000 - 70


def test_an_isolated_order_pledges_and_its_pledge_follows_the_lots() -> None:
    venue = contract_market(perpetual(taker_ppm=1_000), wallet_atoms=10_000)
    isolate(venue, ALICE)
    leverage = SetLeverage(account=ALICE, instrument=PERP, leverage=10)
    assert isinstance(venue.ask(ALICE, leverage).reply, Accepted)

    # At 102: margin ceil(102 * 10 %) = 11, open loss 2, fee 1.
    placed(venue, ALICE, about(BUY, 1, 10, 102))
    position, margin = venue.position(ALICE), venue.margin(ALICE)
    assert (margin.wallet_atoms, position.held_atoms, position.bucket_atoms) == (9_860, 140, 0)
    placed(venue, BOB, about(SELL, 1, 4, 102))
    assert (margin.wallet_atoms, position.held_atoms, position.bucket_atoms) == (9_860, 84, 56)
    venue.cancel(ALICE, 1)
    assert (margin.wallet_atoms, position.held_atoms, position.bucket_atoms) == (9_944, 0, 56)
    # Half of it is closed at 104: half of the bucket goes back, with the gain of four.
    placed(venue, CAROL, about(BUY, 1, 2, 104))
    placed(venue, ALICE, about(SELL, 2, 2, 104, reduce_only=True))
    assert (margin.wallet_atoms, position.held_atoms, position.bucket_atoms) == (9_944 + 27 + 4, 0, 28)


def test_an_isolated_order_needs_its_pledge_to_the_atom() -> None:
    for wallet_atoms, is_taken in ((20, True), (19, False)):
        venue = contract_market(wallet_atoms=wallet_atoms)
        isolate(venue, ALICE)
        outcome = venue.place(ALICE, about(BUY, 1, 10, 100))
        assert isinstance(outcome.reply, Placed) == is_taken
        if not is_taken:
            assert outcome.reply.reason == Reject.INSUFFICIENT_MARGIN  # type: ignore[union-attr]


def test_an_order_that_shrinks_where_it_stands_keeps_its_pledge_per_lot() -> None:
    venue = contract_market(wallet_atoms=10_000)
    isolate(venue, ALICE)
    placed(venue, ALICE, about(BUY, 1, 10, 100))
    venue.mark(95)
    assert venue.position(ALICE).held_atoms == 20

    venue.ask(ALICE, AmendOrder(account=ALICE, order=OrderId(1), size_lots=6))
    assert venue.position(ALICE).held_atoms == 12
    # A new place is a new pledge: six lots may lose five atoms each at once.
    venue.ask(ALICE, AmendOrder(account=ALICE, order=OrderId(1), size_lots=7))
    assert venue.position(ALICE).held_atoms == 7 * (2 + 5)


def test_orders_wait_for_the_index_too() -> None:
    venue = contract_market()
    placed(venue, BOB, about(SELL, 1, 5, 104))
    on_index = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.INDEX, trigger_ticks=103)
    events = placed(venue, ALICE, about(BUY, 1, 5, terms=on_index))
    assert kinds(events) == ["OrderAccepted", "OrderTermsSet"]
    assert venue.margin(ALICE).positions[PERP, Leg.NET].orders == {}

    venue.mark(103)
    assert venue.tick() == []
    assert "OrderTriggered" in kinds(venue.feed(103).events)

    assert kinds(venue.tick()) == ["Traded", "PositionsTraded", "OrderFilled", "OrderFilled"]


def test_what_cannot_be_paid_when_it_is_triggered_ends() -> None:
    venue = contract_market(wallet_atoms=20)
    on_mark = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.MARK, trigger_ticks=103)
    placed(venue, ALICE, about(BUY, 1, 11, 103, terms=on_mark))
    placed(venue, ALICE, about(BUY, 2, 9, 103, terms=on_mark))
    venue.mark(103)

    events = venue.tick()

    assert kinds(events) == ["OrderExpired", "OrderReplaced", "OrderRested"]
    expired = events[0]
    assert isinstance(expired, OrderExpired)
    assert (expired.order, expired.reason) == (1, Reject.INSUFFICIENT_MARGIN)


def test_only_the_alternative_that_works_is_counted() -> None:
    venue = contract_market(wallet_atoms=20)
    stop = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.MARK, trigger_ticks=110)
    legs = [about(BUY, 1, 10, 90), about(BUY, 2, 1_000, 110, terms=stop)]
    both = PlaceOrderList(account=ALICE, instrument=PERP, kind=ListKind.OCO, legs=list(legs))

    assert type(venue.ask(ALICE, both).reply).__name__ == "Many"

    assert venue.position(ALICE).open_buy_lots == 10
    (order_list,) = venue.exchange.state.lists.values()
    assert order_list.holder == 0
    venue.cancel(ALICE, 2)
    assert venue.margin(ALICE).positions == {}


def test_positions_do_not_change_hands_in_one_house() -> None:
    venue = contract_market()
    for account in (ALICE, BOB):
        venue.accepted(SetAccountRules(account=account, permissions=ALL_PERMISSIONS, trade_group=7))
    venue.accepted(SetInstrumentRules(instrument=PERP, self_trade=SelfTrade.TRANSFER))
    placed(venue, ALICE, about(SELL, 1, 5, 100))

    events = placed(venue, BOB, about(BUY, 1, 8, 100))

    (prevented,) = (event for event in events if isinstance(event, TradePrevented))
    assert (prevented.mode, prevented.maker_lots, prevented.taker_lots) == (SelfTrade.DECREMENT, 5, 5)
    assert "LotsTransferred" not in kinds(events)
    assert venue.position(ALICE).qty_lots == venue.position(BOB).qty_lots == 0
    assert venue.position(BOB).open_buy_lots == 3


def test_a_trade_with_oneself_says_what_each_fill_left() -> None:
    venue = contract_market()
    placed(venue, ALICE, about(BUY, 1, 5, 100))

    for number, kind in ((2, TimeInForce.IOC), (3, TimeInForce.GTC)):
        events = placed(venue, ALICE, about(SELL, number, 2, 100, time_in_force=kind))
        (positions,) = (event for event in events if isinstance(event, PositionsTraded))
        assert (positions.maker_qty_lots, positions.taker_qty_lots) == (2, 0)
    assert venue.contract().open_interest_lots == 0


def test_an_auction_trades_positions_and_trims_between_maker_and_taker() -> None:
    venue = contract_market()
    placed(venue, ALICE, about(BUY, 1, 10, 100))
    placed(venue, BOB, about(SELL, 1, 10, 100))
    placed(venue, ALICE, about(SELL, 2, 10, 105, reduce_only=True))
    venue.move(InstrumentState.HALTED, instrument=PERP)
    venue.accepted(StartAuction(instrument=PERP, auction_ns=SECOND_NS))
    placed(venue, CAROL, about(BUY, 1, 4, 102))
    placed(venue, ALICE, about(SELL, 3, 4, 101))

    events = venue.tick(after_ns=2 * SECOND_NS)

    assert kinds(events) == [
        "AuctionEnded",
        "Traded",
        "PositionsTraded",
        "OrderFilled",
        "OrderReduced",
        "OrderFilled",
        "InstrumentStateChanged",
    ]
    assert venue.position(ALICE).qty_lots == 6
    assert venue.position(ALICE).reducing_lots == 6


def test_the_engine_closes_lots_without_a_fee_and_whoever_stands_in_the_way_trades() -> None:
    venue = contract_market(perpetual(taker_ppm=1_000, maker_ppm=-500))
    venue.accepted(SetInstrumentRules(instrument=PERP, self_trade=SelfTrade.EXPIRE_TAKER))
    placed(venue, ALICE, about(BUY, 1, 10, 100))
    placed(venue, BOB, about(SELL, 1, 10, 100))
    placed(venue, CAROL, about(BUY, 1, 6, 99))
    state = venue.exchange.state
    before_atoms = state.ledger.houses[venue.contract().settle].fees_atoms
    recent = dict(state.accounts[ALICE].recent)
    out: list[AnyEvent] = []

    done = orders.liquidate(
        state, venue.instrument(), venue.position(ALICE), SELL, 10, 98, LiquidationId(3), out
    )
    state.touched.clear()

    assert done == (6, 594, 594)
    assert kinds(out) == [
        "OrderAccepted",
        "OrderContractSet",
        "Traded",
        "PositionsTraded",
        "OrderFilled",
        "OrderExpired",
    ]
    accepted, said, traded = out[:3]
    assert isinstance(accepted, OrderAccepted)
    assert (accepted.order, accepted.time_in_force) == (0, TimeInForce.IOC)
    assert isinstance(said, OrderContractSet)
    assert (said.reduce_only, said.liquidation) == (True, 3)
    assert isinstance(traded, Traded)
    assert (traded.taker_fee_atoms, traded.maker_fee_atoms) == (0, 0)
    assert state.ledger.houses[venue.contract().settle].fees_atoms == before_atoms
    assert state.accounts[ALICE].recent == recent
    venue.exchange.check_invariants()


@pytest.mark.parametrize("leg", [Leg.LONG, Leg.SHORT])
def test_legs_of_isolated_hedge_mode_have_buckets_of_their_own(leg: Leg) -> None:
    venue = contract_market(wallet_atoms=10_000)
    isolate(venue, ALICE, hedge=True)
    opening, closing = (BUY, SELL) if leg == Leg.LONG else (SELL, BUY)
    placed(venue, ALICE, about(opening, 1, 10, 100, leg=leg))
    placed(venue, BOB, about(closing, 1, 10, 100))
    other = Leg.SHORT if leg == Leg.LONG else Leg.LONG

    assert venue.position(ALICE, leg=leg).bucket_atoms == 20
    assert venue.position(ALICE, leg=other).bucket_atoms == 0
    placed(venue, ALICE, about(closing, 2, 10, 100, leg=leg))
    assert venue.position(ALICE, leg=leg).held_atoms == 0
    placed(venue, BOB, about(opening, 2, 10, 100))
    assert venue.margin(ALICE).wallet_atoms == 10_000
