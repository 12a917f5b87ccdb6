"""Snapshots of version 2: everything that is kept comes back, and goes on as if it had never been away."""

from collections.abc import Callable

import msgspec
import pytest
from tests.helpers.builders import (
    ALICE,
    BOB,
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
from tests.helpers.everything import BUY, FAR_NS, STOP, everything, on_terms, taken

from steelyard.core import snapshot
from steelyard.core.commands import (
    ActivateVersion,
    OrderTerms,
    SetAccountRules,
    SetMark,
    StartAuction,
)
from steelyard.core.entry import Refused
from steelyard.core.limits import RECENT_ORDERS_MAX
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    InstrumentState,
    OrderState,
)


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
    for attribute in (
        "rules",
        "last_ticks",
        "mark_ticks",
        "anchor_ticks",
        "anchor_ns",
        "next_state",
        "next_ns",
        "specials",
        "counts",
    ):
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
