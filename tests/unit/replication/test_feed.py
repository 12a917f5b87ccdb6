"""Whom events concern, and how far back they are held."""

import pytest

from steelyard.core.entry import Accepted, Applied, AppliedWithDue, Outcome
from steelyard.core.events import (
    AssetListed,
    CountdownFired,
    Deposited,
    LotsTransferred,
    OrderCancelled,
    ReferralEarned,
    Traded,
)
from steelyard.core.units import AccountId, AssetId, InstrumentId, OrderId, OrderNumber, Side, TradeId
from steelyard.core.wire import encode_applied
from steelyard.replication import feed as feed_module
from steelyard.replication.feed import Feed, private_events

ALICE, BOB, CAROL = AccountId(1000), AccountId(1001), AccountId(1002)


def deposited(account: AccountId) -> Deposited:
    return Deposited(account=account, asset=AssetId(1), amount_atoms=1, free_atoms=1)


def traded(maker: AccountId, taker: AccountId) -> Traded:
    return Traded(
        trade=TradeId(1),
        instrument=InstrumentId(1),
        maker=maker,
        maker_order=OrderId(1),
        maker_number=OrderNumber(1),
        taker=taker,
        taker_order=OrderId(2),
        taker_number=OrderNumber(2),
        taker_side=Side.BUY,
        price_ticks=1,
        size_lots=1,
        notional_atoms=1,
        maker_fee_atoms=0,
        taker_fee_atoms=0,
        maker_open_lots=0,
        taker_open_lots=0,
    )


CANCELLED = OrderCancelled(
    account=BOB, instrument=InstrumentId(1), order=OrderId(1), number=OrderNumber(1), open_lots=1
)
LISTED = AssetListed(asset=AssetId(1), symbol="BTC", decimals=8)


def applied(index: int, *events: object) -> Applied:
    reply = Accepted(request=1, fingerprint=0)
    return Applied(index, index * 10, [Outcome(reply, [event], index) for event in events])  # type: ignore[list-item]


def test_events_go_to_those_they_concern_with_their_number_in_the_entry() -> None:
    entry = applied(5, deposited(ALICE), LISTED, traded(BOB, ALICE), CANCELLED)
    assert private_events(entry, {ALICE}) == [(0, deposited(ALICE)), (2, traded(BOB, ALICE))]
    assert private_events(entry, {BOB}) == [(2, traded(BOB, ALICE)), (3, CANCELLED)]
    assert private_events(entry, {ALICE, BOB}) == [
        (0, deposited(ALICE)),
        (2, traded(BOB, ALICE)),
        (3, CANCELLED),
    ]
    assert private_events(entry, {CAROL}) == []


def test_what_was_due_comes_before_what_was_asked_for() -> None:
    fired = CountdownFired(account=BOB, instrument=InstrumentId(0))
    asked = applied(5, deposited(ALICE), CANCELLED)
    entry = AppliedWithDue(asked.index, asked.time_ns, asked.outcomes, [fired, LISTED])
    assert private_events(entry, {BOB}) == [(0, fired), (3, CANCELLED)]
    assert private_events(entry, {ALICE}) == [(2, deposited(ALICE))]


def test_whoever_an_event_names_is_told() -> None:
    moved = LotsTransferred(
        instrument=InstrumentId(1), buyer=ALICE, seller=BOB, price_ticks=1, size_lots=1, notional_atoms=1
    )
    earned = ReferralEarned(trade=TradeId(1), account=ALICE, referrer=CAROL, asset=AssetId(1), amount_atoms=1)
    entry = applied(5, moved, earned, traded(ALICE, ALICE))
    assert private_events(entry, {ALICE}) == [(0, moved), (1, earned), (2, traded(ALICE, ALICE))]
    assert private_events(entry, {BOB}) == [(0, moved)]
    assert private_events(entry, {CAROL}) == [(1, earned)]


def test_what_was_due_is_held_for_those_who_come_back() -> None:
    feed = Feed(complete_after=0)
    fired = CountdownFired(account=BOB, instrument=InstrumentId(0))
    feed.append(1, encode_applied(AppliedWithDue(1, 10, [], [fired])))
    assert list(feed.since(0, {BOB})) == [(1, 10, [(0, fired)])]


def test_held_entries_come_back_after_an_index() -> None:
    feed = Feed(complete_after=3)
    for index in range(4, 10):
        feed.append(index, encode_applied(applied(index, deposited(ALICE if index % 2 else BOB))))
    assert [index for index, _, _ in feed.since(0, {ALICE})] == [5, 7, 9]
    assert list(feed.since(7, {ALICE})) == [(9, 90, [(0, deposited(ALICE))])]
    assert list(feed.since(9, {ALICE})) == []
    assert feed.complete_after == 3


@pytest.mark.parametrize("bound", ["ENTRIES_MAX", "BYTES_MAX"])
def test_the_oldest_go_when_a_bound_is_reached(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encode_applied(applied(1, deposited(ALICE)))
    monkeypatch.setattr(feed_module, bound, 4 if bound == "ENTRIES_MAX" else 4 * len(encoded))
    feed = Feed(complete_after=0)
    for index in range(1, 8):
        feed.append(index, encode_applied(applied(index, deposited(ALICE))))
    assert feed.complete_after == 3
    assert [index for index, _, _ in feed.since(0, {ALICE})] == [4, 5, 6, 7]
