"""The whole exchange as bytes and back."""

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC, CAROL, USD, Venue, buy, listing, market, sell

from steelyard.core import Exchange, snapshot
from steelyard.core.units import AccountId, InstrumentState

DAVE = AccountId(1100)


def busy() -> Venue:
    """Return a market with orders of three accounts, a partly filled one, fees, and idle sessions."""
    venue = market(listing(taker_ppm=750, maker_ppm=-100))
    venue.place(ALICE, buy(1, 10, 100, label="one"))
    venue.place(BOB, buy(1, 10, 100))
    venue.place(ALICE, buy(2, 5, 101))
    venue.place(CAROL, sell(9, 7, 100, label="nine"))
    venue.place(CAROL, sell(10, 4, 130))
    venue.place(BOB, buy(2, 0, 1))
    venue.open_session(BOB, "second")
    return venue


def test_a_snapshot_of_a_loaded_snapshot_is_the_same_bytes() -> None:
    for venue in (Venue(), market(), busy()):
        body = snapshot.dump(venue.exchange)
        assert snapshot.dump(snapshot.load(body)) == body


def test_a_loaded_exchange_is_sound_and_goes_on_alike() -> None:
    venue = busy()
    twin = Venue()
    twin.exchange = snapshot.load(snapshot.dump(venue.exchange))
    twin.keys, twin.sessions = dict(venue.keys), dict(venue.sessions)
    twin.exchange.check_invariants()
    assert twin.exchange.digest == venue.exchange.digest
    assert twin.exchange.applied_index == venue.exchange.applied_index
    assert twin.exchange.time_ns == venue.exchange.time_ns

    for each in (venue, twin):
        each.place(CAROL, sell(11, 15, 99))
        each.cancel(BOB, 1)
        each.send(each.request(ALICE, buy(7, 7, 7), number=1))
        each.open_account(DAVE)
        each.deposit(DAVE, BTC, 5)
        each.move(InstrumentState.CLOSED)

    assert twin.exchange.digest == venue.exchange.digest
    assert snapshot.dump(twin.exchange) == snapshot.dump(venue.exchange)


def test_the_queue_of_a_level_survives() -> None:
    venue = busy()
    loaded = snapshot.load(snapshot.dump(venue.exchange))

    def book(exchange: Exchange) -> list[tuple[int, int]]:
        instrument = next(iter(exchange.state.markets.instruments.values()))
        return [(order.number, order.open_lots) for order in instrument.book.orders()]

    assert book(loaded) == book(venue.exchange)


def test_balances_without_anything_in_them_are_not_state() -> None:
    venue = market(funds_atoms=0)
    body = snapshot.dump(venue.exchange)

    venue.exchange.state.accounts[ALICE].balance(USD)

    assert snapshot.dump(venue.exchange) == body


def test_the_state_digest_names_the_bytes() -> None:
    body = snapshot.dump(busy().exchange)

    assert len(snapshot.state_digest(body)) == 16
    assert snapshot.state_digest(body) == snapshot.state_digest(bytes(body))
    assert snapshot.state_digest(body) != snapshot.state_digest(body[:-1] + b"x")


def test_damaged_bytes_are_not_loaded() -> None:
    body = snapshot.dump(busy().exchange)
    for damaged in (
        b"",
        body[:-1],
        body[: len(body) // 2],
        body + b"x",
        b"garbage",
        msgspec.msgpack.encode([1]),
    ):
        with pytest.raises(snapshot.SnapshotError):
            snapshot.load(damaged)


def test_a_snapshot_of_another_schema_is_not_loaded() -> None:
    fields = msgspec.msgpack.decode(snapshot.dump(busy().exchange))
    fields[0] = snapshot.SCHEMA_VERSION + 1

    with pytest.raises(snapshot.SnapshotError):
        snapshot.load(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize("field", range(7, 12))
def test_a_snapshot_that_lost_a_part_contradicts_itself(field: int) -> None:
    fields = msgspec.msgpack.decode(snapshot.dump(busy().exchange))
    assert fields[field], "nothing to lose"
    fields[field] = []

    with pytest.raises(AssertionError):
        snapshot.load(msgspec.msgpack.encode(fields)).check_invariants()


def test_a_snapshot_with_an_atom_too_many_is_neither_written_nor_read() -> None:
    venue = busy()
    fields = msgspec.msgpack.decode(snapshot.dump(venue.exchange))
    fields[7][0][3] += 1
    with pytest.raises(AssertionError):
        snapshot.load(msgspec.msgpack.encode(fields))

    venue.exchange.state.accounts[ALICE].balance(BTC).free_atoms += 1
    with pytest.raises(AssertionError):
        snapshot.dump(venue.exchange)
