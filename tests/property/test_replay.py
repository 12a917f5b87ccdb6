"""The log is all there is: replaying it, or a snapshot and the rest of it, gives the same bytes."""

from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.contract_traffic import ContractTraffic
from tests.helpers.duel import Desk, make_log
from tests.helpers.spot_strategies import spot_asks
from tests.helpers.spot_traffic import SpotTraffic
from tests.helpers.strategies import Asks
from tests.helpers.traffic import Traffic

from steelyard.core import Exchange, snapshot, wire
from steelyard.core.commands import OpenSession
from steelyard.core.entry import ENTRY_VERSION, Request
from steelyard.core.units import OPERATOR, OPERATOR_KEY, SessionId
from steelyard.core.wire import UnknownEntry


def run(bodies: list[bytes], exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """Apply encoded entries; return the encoded outcome and the digest after each."""
    seen = []
    for body in bodies:
        _, encoded = exchange.apply_bytes(exchange.applied_index + 1, body)
        seen.append((encoded, exchange.digest))
    return seen


@pytest.fixture(
    scope="module",
    params=[
        (Traffic, 11),
        (SpotTraffic, 11),
        (SpotTraffic, 10),
        (ContractTraffic, 13),
        (ContractTraffic, 15),
    ],
)
def bodies(request: pytest.FixtureRequest) -> list[bytes]:
    """Return a log of about three thousand commands, encoded: of versions 1, 2 and 3, and from 1 on."""
    kind, seed = request.param
    return [wire.encode_entry(entry) for entry in make_log(seed, 3_000, kind)]


def test_replaying_the_log_gives_the_same_bytes(bodies: list[bytes]) -> None:
    live, again = Exchange(), Exchange()
    assert run(bodies, live) == run(bodies, again)
    assert snapshot.dump(live) == snapshot.dump(again)
    assert (live.applied_index, live.time_ns) == (again.applied_index, again.time_ns)


def test_the_digest_moves_with_every_entry(bodies: list[bytes]) -> None:
    digests = [digest for _, digest in run(bodies, Exchange())]
    assert all(before != after for before, after in pairwise(digests))
    assert {len(digest) for digest in digests} == {16}


def test_applying_the_entry_is_applying_its_bytes(bodies: list[bytes]) -> None:
    by_bytes, by_entry = Exchange(), Exchange()
    for index, body in enumerate(bodies, 1):
        applied, encoded = by_bytes.apply_bytes(index, body)
        assert by_entry.apply(index, wire.decode_entry(body)) == applied
        assert msgspec.msgpack.encode(applied) == encoded
    assert by_bytes.digest == by_entry.digest


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.8, 1.0])
def test_a_snapshot_and_the_rest_of_the_log_give_the_same_bytes(bodies: list[bytes], share: float) -> None:
    cut = int(len(bodies) * share)
    whole = Exchange()
    run(bodies[:cut], whole)
    kept = snapshot.dump(whole)
    restored = snapshot.load(kept)

    assert snapshot.dump(restored) == kept
    assert restored.digest == whole.digest
    restored.check_invariants()
    assert run(bodies[cut:], restored) == run(bodies[cut:], whole)
    assert snapshot.dump(restored) == snapshot.dump(whole)


def test_restoring_again_and_again_changes_nothing(bodies: list[bytes]) -> None:
    steady, restless = Exchange(), Exchange()
    for number, body in enumerate(bodies):
        if number % 40 == 0:
            restless = snapshot.load(snapshot.dump(restless))
        assert run([body], steady) == run([body], restless)
    assert snapshot.dump(steady) == snapshot.dump(restless)


def test_a_damaged_snapshot_is_never_taken_for_another_state(bodies: list[bytes]) -> None:
    exchange = Exchange()
    run(bodies, exchange)
    kept = snapshot.dump(exchange)
    random = Random(5)
    for _ in range(300):
        position = random.randrange(len(kept))
        damaged = kept[:position] + bytes([kept[position] ^ 1 << random.randrange(8)]) + kept[position + 1 :]
        assert snapshot.state_digest(damaged) != snapshot.state_digest(kept)
        try:
            loaded = snapshot.load(damaged)
            loaded.check_invariants()
        except (snapshot.SnapshotError, AssertionError):
            continue
        assert snapshot.dump(loaded) != kept


def test_a_snapshot_cut_short_is_refused(bodies: list[bytes]) -> None:
    exchange = Exchange()
    run(bodies[:300], exchange)
    kept = snapshot.dump(exchange)
    for length in (0, 1, len(kept) // 2, len(kept) - 1):
        with pytest.raises(snapshot.SnapshotError):
            snapshot.load(kept[:length])
    with pytest.raises(snapshot.SnapshotError):
        snapshot.load(kept + b"\0")


@given(st.lists(spot_asks, max_size=40), st.integers(0, 40))
def test_a_snapshot_round_trip_equals_anywhere(log: list[Asks], cut: int) -> None:
    desk = Desk()
    for account, command in log[:cut]:
        desk.hand_in(account, command)
    kept = snapshot.dump(desk.both.fast)
    desk.both.fast = snapshot.load(kept)
    assert snapshot.dump(desk.both.fast) == kept
    for account, command in log[cut:]:
        desk.hand_in(account, command)
    desk.both.compare_states()


# ---- any bytes

messagepack = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=40)
    | st.floats(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
#: A request that is right up to a text which is no UTF-8.
not_utf8 = msgspec.msgpack.encode(
    Request(
        session=SessionId(0),
        request=1,
        wants_from=1,
        key=OPERATOR_KEY,
        fingerprint=0,
        not_after_ns=0,
        command=OpenSession(account=OPERATOR, name="abcd"),
    )
).replace(b"abcd", b"ab\xff\xfe")
poison = st.sampled_from(
    [
        not_utf8,
        b"\x91" * 5_000 + b"\xc0",
        b"\x97" + b"\x91" * 5_000 + b"\xc0" * 7,
        b"\xd6\xff" + bytes(4),
        b"\x90",
    ]
).map(msgspec.Raw)
tagged = st.builds(
    lambda head, tag, tail: [*head, [tag, *tail]],
    st.lists(st.integers(0, 3) | messagepack, min_size=6, max_size=6),
    st.integers(0, 40),
    st.lists(st.integers(-1, 3) | messagepack, max_size=15),
)


@given(st.lists(messagepack | tagged | poison, max_size=6))
def test_any_request_inside_an_entry_commits_safely(requests: list[object]) -> None:
    desk = Desk()
    exchange = desk.both.fast
    body = msgspec.msgpack.encode([ENTRY_VERSION, exchange.time_ns + 1, requests])
    applied, _ = exchange.apply_bytes(exchange.applied_index + 1, body)
    assert len(applied.outcomes) == len(requests)
    exchange.check_invariants()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_entry_are_told_apart(body: bytes) -> None:
    try:
        entry = wire.decode_entry(body)
    except UnknownEntry:
        return
    assert entry.version == ENTRY_VERSION


def test_a_bit_flipped_anywhere_in_an_entry_is_refused_or_applied_but_never_raises(
    bodies: list[bytes],
) -> None:
    random = Random(6)
    exchange = Exchange()
    run(bodies[:200], exchange)
    applied = 0
    for body in bodies[200:]:
        position = random.randrange(len(body))
        bent = body[:position] + bytes([body[position] ^ 1 << random.randrange(8)]) + body[position + 1 :]
        try:
            entry = wire.decode_entry(bent)
        except UnknownEntry:
            continue
        if entry.time_ns > exchange.time_ns:
            # An entry of a later version than the one in force is no entry of this log: a member stops.
            version = min(entry.version, exchange.state.version)
            later = msgspec.structs.replace(entry, time_ns=exchange.time_ns + 1, version=version)
            exchange.apply(exchange.applied_index + 1, later)
            applied += 1
    exchange.check_invariants()
    assert applied > 100
