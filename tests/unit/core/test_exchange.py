"""The state machine as a whole: order, digests, replay, and no garbage left behind."""

import gc
import random
import typing

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, CAROL, STEP_NS, buy, market, order

from steelyard.core import Entry, Exchange, Placed, Request, commands, wire
from steelyard.core.exchange import HANDLERS
from steelyard.core.units import InstrumentState, OrderId, Side, TimeInForce


def test_every_command_has_a_handler() -> None:
    assert set(HANDLERS) == set(typing.get_args(commands.AnyCommand))


def test_the_digest_follows_what_was_applied() -> None:
    exchange = Exchange()
    assert exchange.digest == bytes(16)
    first = exchange.apply(1, Entry(1, 10, []))
    digest = exchange.digest
    assert first.outcomes == []
    assert len(digest) == 16

    other = Exchange()
    other.apply(2, Entry(1, 10, []))
    assert other.digest != digest
    again = Exchange()
    again.apply_bytes(1, wire.encode_entry(Entry(1, 10, [])))
    assert again.digest == digest


def test_applying_an_entry_or_its_bytes_is_the_same() -> None:
    left, right = market(), market()
    for number in range(1, 6):
        request = left.request(ALICE, buy(number, number, number), number=number)
        entry = Entry(1, left.exchange.time_ns + 1, [request])
        index = left.exchange.applied_index + 1
        applied = left.exchange.apply(index, entry)
        assert right.exchange.apply_bytes(index, wire.encode_entry(entry)) == (
            applied,
            wire.encode_applied(applied),
        )
        assert left.exchange.digest == right.exchange.digest


def test_the_position_is_that_of_the_last_entry() -> None:
    exchange = Exchange()
    assert (exchange.applied_index, exchange.time_ns) == (0, 0)

    exchange.apply(7, Entry(1, 100, []))

    assert (exchange.applied_index, exchange.time_ns) == (7, 100)
    assert exchange.next_due_ns() is None


@pytest.mark.parametrize(
    ("index", "time_ns"), [(7, 101), (6, 101), (8, 100), (8, 99), (8, 0), (8, -1), (8, 2**62)]
)
def test_an_entry_that_does_not_follow_means_a_broken_replica(index: int, time_ns: int) -> None:
    exchange = Exchange()
    exchange.apply(7, Entry(1, 100, []))
    digest = exchange.digest

    with pytest.raises(AssertionError):
        exchange.apply(index, Entry(1, time_ns, []))

    assert (exchange.applied_index, exchange.time_ns, exchange.digest) == (7, 100, digest)


def test_an_entry_of_another_version_is_not_applied() -> None:
    with pytest.raises(AssertionError):
        Exchange().apply(1, Entry(2, 100, []))


def test_requests_of_one_entry_are_carried_out_in_their_order() -> None:
    venue = market()

    outcomes = venue.send(
        venue.request(ALICE, buy(1, 5, 100), number=1),
        venue.request(BOB, order(Side.SELL, 1, 5, 100, account=BOB), number=1),
        venue.request(ALICE, buy(1, 1, 1), number=2),
    )

    replies = [outcome.reply for outcome in outcomes]
    assert [isinstance(reply, Placed) and reply.executed_lots for reply in replies] == [0, 5, 0]


def random_requests(seed: int, count: int) -> tuple[Exchange, list[list[Request]]]:
    """Return a market and entries of ten requests: placements, takers and cancels at few prices."""
    venue = market(funds_atoms=10**9)
    chance = random.Random(seed)
    last = dict.fromkeys((ALICE, BOB, CAROL), 0)
    entries: list[list[Request]] = []
    for _ in range(count // 10):
        requests: list[Request] = []
        for _ in range(10):
            account = chance.choice((ALICE, BOB, CAROL))
            last[account] += 1
            number = last[account]
            command: commands.AnyCommand
            if chance.random() < 0.4:
                victim = OrderId(max(1, number - chance.randint(1, 20)))
                command = commands.CancelOrder(account=account, order=victim)
            else:
                command = order(
                    chance.choice((Side.BUY, Side.SELL)),
                    number,
                    chance.randint(1, 9),
                    chance.randint(95, 105),
                    time_in_force=chance.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC)),
                    label=f"label {number}",
                    account=account,
                )
            requests.append(venue.request(account, command, number=number, wants_from=number - 10))
        entries.append(requests)
    return venue.exchange, entries


def test_nothing_is_left_for_the_collector() -> None:
    exchange, entries = random_requests(seed=1, count=20_000)
    gc.collect()
    gc.disable()
    try:
        for requests in entries:
            body = wire.encode_entry(Entry(1, exchange.time_ns + STEP_NS, requests))
            exchange.apply_bytes(exchange.applied_index + 1, body)
        del requests, body
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert exchange.state.last_trade > 1000
    exchange.check_invariants()


def test_closing_a_market_leaves_nothing_for_the_collector() -> None:
    venue = market()
    for number in range(1, 50):
        venue.place(ALICE, buy(number, 1, 1 + number % 5))
    gc.collect()
    gc.disable()
    try:
        venue.move(InstrumentState.CLOSED)
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert venue.free_atoms(ALICE, BTC) == 1_000_000
