"""Entries as bytes: what a client sends is never more than a refusal, and what is no entry is not applied."""

import msgspec
import pytest
from tests.helpers.builders import ALICE, buy, complete, market, refusal

from steelyard.core import Entry, Exchange, Reject, Request, versions, wire
from steelyard.core.commands import ArmCountdown, CancelOrder, OpenSession
from steelyard.core.events import CountdownFired
from steelyard.core.items import CutShort, array_header, end_of_item
from steelyard.core.units import AccountId, InstrumentId, KeyId, OrderId, SessionId

GOOD = Request(SessionId(1), 2, 1, KeyId(1), 5, 0, CancelOrder(account=ALICE, order=OrderId(7)))
NAMED = Request(SessionId(0), 0, 0, KeyId(1), 5, 0, OpenSession(account=ALICE, name="abcdefgh"))
encode = msgspec.msgpack.encode


def entry_of(*requests: bytes, version: int = 1, time_ns: int = 5) -> bytes:
    """Return an entry around requests that may be any msgpack item."""
    return encode([version, time_ns, [msgspec.Raw(request) for request in requests]])


def test_an_entry_comes_back_from_its_bytes() -> None:
    entry = Entry(1, 123, [GOOD, NAMED])

    assert wire.decode_entry(wire.encode_entry(entry)) == entry


def test_a_tick_is_an_entry_without_requests() -> None:
    assert wire.decode_entry(entry_of()) == Entry(1, 5, [])


def test_requests_replies_and_results_come_back_from_their_bytes() -> None:
    venue = market()
    entry = Entry(1, venue.exchange.time_ns + 1, [venue.request(ALICE, buy(1, 1, 1))])
    applied, body = venue.exchange.apply_bytes(1000, wire.encode_entry(entry))

    assert wire.decode_applied(body) == applied
    assert wire.encode_applied(applied) == body
    reply = applied.outcomes[0].reply
    assert wire.decode_reply(wire.encode_reply(reply)) == reply
    assert wire.decode_request(wire.encode_request(GOOD)) == GOOD


def test_what_was_due_comes_back_from_its_bytes() -> None:
    venue = complete()
    venue.ask(ALICE, ArmCountdown(account=ALICE, countdown_ns=1))
    tick = Entry(2, venue.exchange.time_ns + 1, [])
    applied, body = venue.exchange.apply_bytes(1000, wire.encode_entry(tick))

    assert applied.due == [CountdownFired(account=ALICE, instrument=InstrumentId(0))]
    assert wire.decode_applied(body) == applied
    assert wire.encode_applied(applied) == body


DEEP = msgspec.Raw(b"\x91" * 15_000 + b"\xc0")


@pytest.mark.parametrize(
    "request_",
    [
        DEEP,
        [DEEP, 2, 1, 1, 5, 0, [7, 2]],
        [1, 2, 1, 1, 5, 0, DEEP],
        [1, 2, 1, 1, 5, 0, [31, 1000, 7], DEEP],
        [1, 2, 1, 1, 5, 0, [31, 1000, 7, 0, "", DEEP]],
        [1, 2, 1, 1, 5, 0, [32, 1000, 1, 1, 1, 1, 1, 1, 1, False, "", DEEP]],
        [1, 2, 1, 1, 5, 0, [36, 1000, 1, DEEP]],
        [1, 2, 1, 1, 5, 0, [36, 1000, 1, [[99, DEEP]]]],
    ],
)
def test_decoding_goes_no_deeper_than_our_types(request_: object) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode_request(encode(request_))
    assert wire.decode_entry(entry_of(encode(request_))).requests == [wire.UNREADABLE]


UNREADABLE = [
    encode(None),
    encode(7),
    encode("text"),
    encode([]),
    encode({"a": 1}),
    encode([1, 2, 1, 1, 5, 0]),
    encode([1, 2, 1, 1, 5, 0, [31, 1000, 7], "one too many"]),
    encode([1, 2, 1, 1, 5, 0, [99, 1000, 7]]),
    encode([1, 2, 1, 1, 5, 0, [31, 1000, 7, 0, "", "one too many"]]),
    encode([1, 2, 1, 1, 5, 0, [31]]),
    encode([1, 2, 1, 1, 5, 0, [31, 1.5, 7]]),
    encode([1, 2, 1, 1, 5, 0, [31, True, 7]]),
    encode([1, 2, 1, 1, 5, 0, [31, None, 7]]),
    encode([1, 2, 1, 1, 5, 0, [30, 1000, 1, 1, 3, 1, 1]]),
    encode([1, 2, 1, 1, 5, 0, [30, 1000, 1, 1, 0, 1, 1]]),
    encode([1, 2, 1, 1, 5, 0, [30, 1000, 1, 1, 1, 1, 1, 9]]),
    encode([1, 2, 1, 1, 5, 0, [22, 1, 77]]),
    encode([1, 2, 1, 1, 5, 0, [6, 999]]),
    wire.encode_request(NAMED).replace(b"abcdefgh", b"abc\xff\xfefgh"),
    b"\x91" * 5000 + b"\x01",
    encode([1, 2, 1, 1, 5, 0, [31, 1000, 7, msgspec.Raw(b"\x91" * 500 + b"\x01")]]),
    encode(msgspec.msgpack.Ext(5, b"ext")),
]


@pytest.mark.parametrize("request_body", UNREADABLE)
def test_a_request_that_cannot_be_read_is_malformed_and_its_neighbours_are_not(request_body: bytes) -> None:
    good = wire.encode_request(GOOD)

    entry = wire.decode_entry(entry_of(good, request_body, good))

    assert entry.requests == [GOOD, wire.UNREADABLE, GOOD]
    outcome = Exchange().apply(1, Entry(1, 5, [wire.UNREADABLE])).outcomes[0]
    assert refusal(outcome) == Reject.MALFORMED


@pytest.mark.parametrize("request_body", UNREADABLE)
def test_one_request_that_cannot_be_read_raises(request_body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        wire.decode_request(request_body)


def test_integers_beyond_64_bits_cannot_be_written_down() -> None:
    venue = market()
    for request in (2**63, 2**64 - 1, -(2**63)):
        outcome = venue.send(venue.request(ALICE, buy(1, 1, 1), number=request, fingerprint=2**64 - 1))[0]
        assert refusal(outcome) == Reject.REQUEST_GAP
        assert outcome.reply.fingerprint == 2**64 - 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93",
        b"\xc1",
        b"garbage",
        encode(5),
        encode([]),
        encode([1, 5]),
        encode([1, 5, [], 0]),
        encode([1, 5, {}]),
        encode([1, 5, None]),
        encode(["1", 5, []]),
        encode([1, 5.0, []]),
        encode([1, "5", []]),
        encode({"version": 1}),
        entry_of() + b"\x00",
        entry_of(encode("bad")) + b"\x00",
        entry_of(encode("bad"))[:-1],
        entry_of(wire.encode_request(GOOD))[:-1],
        b"\x93\x01\x05\xdd\xff\xff\xff\xff",
        b"\x93\x01\x05\x91\xc1",
        entry_of(version=0),
        entry_of(version=versions.KNOWN_MAX + 1),
        entry_of(wire.encode_request(GOOD), version=versions.KNOWN_MAX + 1),
        entry_of(encode("bad"), version=versions.KNOWN_MAX + 1),
        entry_of(time_ns=0),
        entry_of(time_ns=-1),
        entry_of(time_ns=2**62),
    ],
)
def test_what_is_no_entry_is_refused_as_a_whole_and_changes_nothing(body: bytes) -> None:
    exchange = Exchange()
    digest = exchange.digest

    with pytest.raises(wire.UnknownEntry):
        exchange.apply_bytes(1, body)

    assert (exchange.applied_index, exchange.digest) == (0, digest)


def test_items_end_where_they_end() -> None:
    for value in (
        0, 127, 128, 255, 256, 65_535, 65_536, 2**32, 2**64 - 1, -1, -32, -33, -129, -40_000, -(2**40),
        None, True, False, 1.5, "", "a" * 31, "a" * 32, "a" * 300, "a" * 70_000,
        b"", b"a" * 300, b"a" * 70_000, [], [1] * 15, [1] * 16, [[1], ["a"]], [0] * 70_000,
        {}, {"a": 1}, {str(n): n for n in range(20)}, {str(n): n for n in range(70_000)},
        msgspec.msgpack.Ext(1, b"a"), msgspec.msgpack.Ext(1, b"aa"), msgspec.msgpack.Ext(1, b"a" * 3),
        msgspec.msgpack.Ext(1, b"a" * 16), msgspec.msgpack.Ext(1, b"a" * 300),
        msgspec.msgpack.Ext(1, b"a" * 70_000),
    ):  # fmt: skip
        body = encode(value)
        assert end_of_item(b"xx" + body + b"rest", 2) == 2 + len(body), value
        for cut in {1, len(body) // 2, len(body) - 1} - {0, len(body)}:
            with pytest.raises(CutShort):
                end_of_item(body[:cut], 0)


def test_an_array_says_how_long_it_is() -> None:
    for length in (0, 1, 15, 16, 65_535, 65_536):
        body = encode([None] * length)
        assert array_header(body, 0) == (length, len(body) - length)
    for body in (b"", encode(5), encode({}), b"\xdc\x00"):
        with pytest.raises(CutShort):
            array_header(body, 0)


def test_a_request_for_an_account_beyond_64_bits_is_refused_on_the_way_in() -> None:
    with pytest.raises(OverflowError):
        wire.encode_request(msgspec.structs.replace(GOOD, command=CancelOrder(account=AccountId(2**64))))
