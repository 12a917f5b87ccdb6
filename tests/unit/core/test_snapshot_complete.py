"""Snapshots of version 2: everything that is kept comes back, and goes on as if it had never been away."""

from collections.abc import Callable

import msgspec
import pytest
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
    market,
    sell,
)

from steelyard.core import snapshot
from steelyard.core.commands import (
    ActivateVersion,
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
from steelyard.core.limits import RECENT_ORDERS_MAX
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    AssetId,
    HoldId,
    InstrumentId,
    InstrumentState,
    ListKind,
    OrderId,
    OrderState,
    Permission,
    SelfTrade,
    Side,
    TriggerKind,
)

SUB = AccountId(1100)
OTHER = InstrumentId(2)
EUR = AssetId(3)
FAR_NS = 10**12
BUY, SELL = Side.BUY, Side.SELL
STOP = TriggerKind.STOP


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
        SetInstrumentRules(instrument=BTC_USD, orders_max=100, size_min_lots=2),
    ):
        venue.accepted(command)


def _orders(venue: Venue) -> None:
    stop = OrderTerms(trigger=STOP, trigger_ticks=150)
    trailing = OrderTerms(trigger=STOP, callback_ppm=100_000)
    later = OrderTerms(trigger=STOP, callback_ppm=100_000, trigger_ticks=130)
    for command in (
        on_terms(1, SELL, 50, 110, OrderTerms(display_lots=10)),
        on_terms(2, SELL, 20, 111, OrderTerms(self_trade=SelfTrade.DECREMENT)),
        on_terms(4, BUY, 5, 90, OrderTerms(expires_ns=FAR_NS), "expires"),
        on_terms(5, BUY, 3, 89, OrderTerms(expires_ns=FAR_NS // 2)),
    ):
        taken(venue, ALICE, command)
    venue.place(ALICE, buy(3, 5, 95, post_only=True))
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


def restored(venue: Venue) -> Venue:
    """Return the venue on an exchange that was loaded from its snapshot."""
    twin = Venue()
    twin.exchange = snapshot.load(snapshot.dump(venue.exchange))
    twin.keys, twin.sessions = dict(venue.keys), dict(venue.sessions)
    return twin


def test_everything_comes_back() -> None:
    venue = everything()
    body = snapshot.dump(venue.exchange)

    twin = restored(venue)

    twin.exchange.check_invariants()
    assert snapshot.dump(twin.exchange) == body
    assert msgspec.msgpack.decode(body)[0] == 3
    _is_worth_restoring(venue)


def _is_worth_restoring(venue: Venue) -> None:
    """Check that nothing that a snapshot holds is missing from ``everything``."""
    state = venue.exchange.state
    specials = [order.special for order in state.orders.values() if order.special is not None]
    assert dict.fromkeys(special.state for special in specials).keys() == dict.fromkeys(OrderState).keys()
    for attribute in ("shown_lots", "prevented_lots", "extreme_ticks", "list_number", "cap_ppm"):
        assert any(getattr(special, attribute) for special in specials), attribute
    assert any(order.post_only for order in state.orders.values())
    for part in (state.lists, state.tiers, state.countdowns, state.accounts[ALICE].recent):
        assert part
    assert state.ledger.houses[USD].referral_atoms > 0
    instrument = state.markets.instruments[BTC_USD]
    for attribute in ("rules", "last_ticks", "mark_ticks", "next_state", "next_ns", "specials", "counts"):
        assert getattr(instrument, attribute), attribute


def _closed(venue: Venue) -> None:
    venue.move(InstrumentState.CLOSED)


def _traded_up(venue: Venue) -> None:
    for number, limit_ticks in enumerate((112, 140, 155), 50):
        venue.place(BOB, buy(number, 60, limit_ticks))
        venue.place(CAROL, sell(number, 30, limit_ticks + 3))
    venue.send()


def _traded_down(venue: Venue) -> None:
    for number, limit_ticks in enumerate((100, 61, 50), 50):
        venue.place(BOB, sell(number, 12, limit_ticks))
    venue.send()


def _waited(venue: Venue) -> None:
    for _ in range(4):
        venue.send(after_ns=FAR_NS // 3)


def _marked_down(venue: Venue) -> None:
    venue.accepted(SetMark(instrument=BTC_USD, mark_ticks=50))
    venue.place(BOB, sell(60, 2, 61))
    venue.send()


def _auctioned(venue: Venue) -> None:
    venue.move(InstrumentState.HALTED)
    venue.accepted(StartAuction(instrument=BTC_USD, auction_ns=10))
    venue.send()


@pytest.mark.parametrize("go_on", [_closed, _traded_up, _traded_down, _waited, _marked_down, _auctioned])
def test_a_restored_exchange_goes_on_alike(go_on: Callable[[Venue], None]) -> None:
    venue = everything()
    twin = restored(venue)

    for each in (venue, twin):
        go_on(each)

    assert twin.exchange.digest == venue.exchange.digest
    assert snapshot.dump(twin.exchange) == snapshot.dump(venue.exchange)
    assert snapshot.dump(restored(twin).exchange) == snapshot.dump(venue.exchange)


def test_orders_between_trigger_and_admission_come_back() -> None:
    venue = complete()
    for number in (1, 2, 3):
        stop = OrderTerms(trigger=STOP, trigger_ticks=200)
        taken(venue, ALICE, on_terms(number, BUY, 5, 90, stop))
    venue.place(BOB, sell(1, 1, 200))
    venue.send(
        venue.request(BOB, msgspec.structs.replace(buy(2, 1, 200), account=BOB)),
        venue.request(
            OPERATOR, SetAccountRules(account=CAROL, trade_group=1, permissions=READ_TRADE, orders_max=0)
        ),
    )
    assert len(venue.exchange.state.work) == 3
    twin = restored(venue)
    assert list(twin.exchange.state.work) == list(venue.exchange.state.work)

    for each in (venue, twin):
        each.send()

    assert not twin.exchange.state.work
    assert twin.exchange.digest == venue.exchange.digest
    assert snapshot.dump(twin.exchange) == snapshot.dump(venue.exchange)


def test_an_auction_in_the_middle_of_its_trades_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.due.WORK_PER_ENTRY_MAX", 2)
    venue = complete()
    venue.move(InstrumentState.HALTED)
    venue.accepted(StartAuction(instrument=BTC_USD, auction_ns=10_000))
    for number in range(1, 6):
        venue.place(ALICE, buy(number, 1, 100 + number))
        venue.place(BOB, sell(number, 1, 100 - number))
    venue.send(after_ns=10_000)
    assert venue.exchange.state.markets.uncrossing == [BTC_USD]
    twin = restored(venue)
    twin.exchange.check_invariants()

    for each in (venue, twin):
        each.send()
        each.send()

    assert twin.exchange.state.markets.instruments[BTC_USD].state == InstrumentState.OPEN
    assert twin.exchange.digest == venue.exchange.digest


def test_a_snapshot_of_version_1_becomes_one_of_version_2_alike_whoever_was_restored() -> None:
    venue = market(listing(taker_ppm=750, maker_ppm=-100))
    venue.place(ALICE, buy(1, 10, 100, post_only=True, label="one"))
    venue.place(BOB, sell(1, 4, 100))
    twin = restored(venue)
    assert msgspec.msgpack.decode(snapshot.dump(venue.exchange))[0] == 2

    for each in (venue, twin):
        each.accepted(ActivateVersion(version=2))
        each.exchange.check_invariants()
    assert snapshot.dump(twin.exchange) == snapshot.dump(venue.exchange)
    assert msgspec.msgpack.decode(snapshot.dump(venue.exchange))[0] == 3

    # Neither remembers what version 1 has closed, nor its last price.
    for each in (venue, twin):
        each.place(BOB, buy(1, 1, 50))
        each.place(BOB, sell(2, 6, 100))
    assert venue.exchange.state.markets.instruments[BTC_USD].last_ticks == 100
    assert twin.exchange.digest == venue.exchange.digest


@pytest.mark.parametrize("field", [*range(7, 12), 14, 16, 18, 19])
def test_a_snapshot_that_lost_a_part_contradicts_itself(field: int) -> None:
    fields = msgspec.msgpack.decode(snapshot.dump(everything().exchange))
    assert fields[field], "nothing to lose"
    fields[field] = []

    with pytest.raises(AssertionError):
        snapshot.load(msgspec.msgpack.encode(fields)).check_invariants()


def test_the_schema_and_the_version_must_agree() -> None:
    fields = msgspec.msgpack.decode(snapshot.dump(complete().exchange))
    fields[5] = 1
    with pytest.raises(AssertionError):
        snapshot.load(msgspec.msgpack.encode(fields))


def test_an_id_may_not_come_again_while_it_is_remembered() -> None:
    venue = complete()
    venue.place(ALICE, buy(1, 1, 50))
    venue.cancel(ALICE, 1)
    again = restored(venue).place(ALICE, buy(1, 1, 50)).reply
    assert isinstance(again, Refused)
    assert again.reason == Reject.DUPLICATE_ORDER

    for number in range(2, RECENT_ORDERS_MAX + 1):
        venue.place(ALICE, buy(number, 1, 50))
        venue.cancel(ALICE, number)
    reply = venue.place(ALICE, buy(1, 1, 50)).reply
    assert isinstance(reply, Refused)
    venue.place(ALICE, buy(1000, 1, 50))
    venue.cancel(ALICE, 1000)
    assert not isinstance(venue.place(ALICE, buy(1, 1, 50)).reply, Refused)
    assert len(venue.exchange.state.accounts[ALICE].recent) == RECENT_ORDERS_MAX
