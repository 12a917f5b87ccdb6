"""An entry that is retold is the entry that was applied, event by event."""

import msgspec
from tests.helpers.builders import ALICE, BOB, USD, buy, market, sell

from steelyard.core import Entry, Exchange, snapshot
from steelyard.core.commands import Batch
from steelyard.core.events import AnyEvent, OrderAccepted, Traded
from steelyard.core.units import BatchMode, OrderId


def test_whoever_listens_hears_every_event_in_the_state_in_which_it_happens() -> None:
    venue = market()
    venue.place(BOB, sell(1, 3, 100))
    venue.place(BOB, sell(2, 3, 101))
    before = snapshot.dump(venue.exchange)
    request = venue.request(ALICE, msgspec.structs.replace(buy(7, 6, 101), account=ALICE))
    entry = Entry(1, venue.exchange.time_ns + 1, [request])
    index = venue.exchange.applied_index + 1

    told, plain = snapshot.load(before), snapshot.load(before)
    heard: list[tuple[AnyEvent, int]] = []
    applied = told.retell(
        index, entry, lambda event: heard.append((event, told.state.accounts[BOB].free_atoms(USD)))
    )

    assert applied == plain.apply(index, entry)
    assert told.digest == plain.digest
    assert [event for event, _ in heard] == list(applied.events())
    first, second = (free_atoms for event, free_atoms in heard if isinstance(event, Traded))
    assert second == first + 303, "the second trade had not happened when the first was told"


def test_what_is_undone_is_heard_and_is_no_part_of_the_outcome() -> None:
    venue = market()
    first = msgspec.structs.replace(buy(1, 1, 100), account=ALICE)
    second = msgspec.structs.replace(buy(2, 10_000, 100_000), account=ALICE, order=OrderId(2))
    batch = Batch(account=ALICE, mode=BatchMode.ALL_OR_NONE, legs=[first, second])
    exchange: Exchange = snapshot.load(snapshot.dump(venue.exchange))
    exchange.state.version = 2
    heard: list[AnyEvent] = []
    entry = Entry(1, exchange.time_ns + 1, [venue.request(ALICE, batch)])
    applied = exchange.retell(exchange.applied_index + 1, entry, heard.append)
    assert [type(event) for event in heard] == [OrderAccepted, *[type(event) for event in heard[1:]]]
    assert list(applied.events()) == []
