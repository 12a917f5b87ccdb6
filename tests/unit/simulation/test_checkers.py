"""Each checker fires when what it is there for is done to it, and not before."""

from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from steelyard.core import Exchange, snapshot, wire
from steelyard.core.commands import AnyCommand, Deposit, FoundGroup, OpenSession
from steelyard.core.entry import ENTRY_VERSION, Entry, Request
from steelyard.core.queries import GetTotals, answer
from steelyard.core.units import OPERATOR, OPERATOR_KEY, AccountId, AssetId, KeyId, SessionId
from steelyard.replication.front import ReadMode
from steelyard.replication.log_record import HardState, pack_meta
from steelyard.replication.wire import Ack, VoteGrant, encode
from steelyard.simulation.checkers import BOUND_SET_BACKS, Body, Checkers, Promises
from steelyard.simulation.clock import Agenda
from steelyard.simulation.disk import Platter
from steelyard.simulation.history import History
from steelyard.simulation.verdict import judge, judge_member

DEPOSIT = Deposit(account=AccountId(1000), asset=AssetId(1), amount_atoms=5)


@dataclass
class Scene:
    """A short log, what the group said of it, and one client's history."""

    checkers: Checkers
    history: History
    exchange: Exchange


@pytest.fixture
def scene() -> Scene:
    exchange, checkers, history = Exchange(), Checkers(Agenda()), History()
    commands: list[tuple[int, int, AnyCommand]] = [
        (0, 0, FoundGroup(group="g", operator_public_key=bytes(32))),
        (0, 0, OpenSession(account=OPERATOR, name="main")),
        (1, 1, DEPOSIT),
        (1, 2, DEPOSIT),
    ]
    for index, (session, number, command) in enumerate(commands, start=2):
        request = Request(
            SessionId(session), number, 1, OPERATOR_KEY if index > 2 else KeyId(0), number, 0, command
        )
        body = wire.encode_entry(Entry(ENTRY_VERSION, index, [request]))
        if session:
            history.called(session, number, float(index), wire.encode_request(replace(request, wants_from=0)))
        applied, _ = exchange.apply_bytes(index, body)
        checkers.bodies[index], checkers.digests[index] = Body(1, body), exchange.digest
        if session:
            history.replied(session, number, index + 0.5, index, applied.outcomes[0].reply)
    got = answer(exchange.state, OPERATOR_KEY, GetTotals())
    history.asked(1, 6.0, ReadMode.LINEARIZABLE, 0, OPERATOR_KEY, GetTotals())
    history.answered(1, 6.1, 5, got)
    return Scene(checkers, history, exchange)


def fired(checkers: Checkers) -> set[str]:
    return {violation.checker for violation in checkers.violations}


def test_nothing_fires_when_nothing_is_wrong(scene: Scene) -> None:
    replayed = judge(scene.checkers, scene.history)
    judge_member(scene.checkers, replayed, 1, scene.exchange)
    assert scene.checkers.violations == []


def test_c1_an_index_that_nobody_applied(scene: Scene) -> None:
    del scene.checkers.bodies[3]
    judge(scene.checkers, scene.history)
    assert "C1" in fired(scene.checkers)


def test_c3_two_leaders_of_one_term() -> None:
    checkers = Checkers(Agenda())
    checkers.leads(1, 7)
    checkers.leads(1, 7)
    assert fired(checkers) == set()
    checkers.leads(2, 7)
    assert fired(checkers) == {"C3"}


def test_c4_an_ack_or_a_vote_that_the_disk_does_not_have() -> None:
    platter, checkers = Platter.founded("g", 1), Checkers(Agenda())
    checkers.promises[1] = Promises()
    ack = Ack(1, 5, True, False, 4, 0, 0, 0)
    checkers.promised(1, 2, encode(ack), platter)
    assert fired(checkers) == {"C4"}
    platter.meta[b"hard"] = pack_meta(HardState(3, 2, 0))
    again = Checkers(Agenda())
    again.promised(1, 2, encode(VoteGrant(3)), platter)
    assert fired(again) == set()
    again.promised(1, 3, encode(VoteGrant(3)), platter)
    assert fired(again) == {"C4"}


def test_c4_an_ack_of_what_an_accident_took_from_the_disk_since_is_no_broken_promise() -> None:
    platter, checkers = Platter.founded("g", 1), Checkers(Agenda())
    checkers.promises[1] = Promises()
    platter.log[4] = b"an entry"
    before = platter.copy()
    del platter.log[4]
    checkers.spoiled(1, before)
    checkers.promised(1, 2, encode(Ack(1, 5, True, False, 4, 0, 0, 0)), platter)
    assert fired(checkers) == set()
    checkers.promised(1, 2, encode(Ack(1, 6, True, False, 5, 0, 0, 0)), platter)
    assert fired(checkers) == {"C4"}
    again = Checkers(Agenda())
    again.promises[1] = Promises()
    again.spoiled(1, before)
    again.replaced(1, before, platter)
    again.promised(1, 2, encode(Ack(1, 5, True, False, 4, 0, 0, 0)), platter)
    assert fired(again) == {"C4"}


def test_c5_an_acknowledged_request_that_is_lost(scene: Scene) -> None:
    del scene.checkers.bodies[5]
    judge(scene.checkers, scene.history)
    assert "C5" in fired(scene.checkers)


def test_c5_a_reply_that_was_altered(scene: Scene) -> None:
    write = scene.history.writes[1, 2]
    write.reply = write.reply[:-1] + bytes([write.reply[-1] ^ 1])
    judge(scene.checkers, scene.history)
    assert fired(scene.checkers) == {"C5"}


def test_c6_two_answers_to_one_request(scene: Scene) -> None:
    first = wire.decode_reply(scene.history.writes[1, 1].reply)
    scene.history.replied(1, 1, 9.0, 5, first)
    judge(scene.checkers, scene.history)
    assert fired(scene.checkers) == {"C6"}


def test_c7_a_read_that_does_not_know_what_was_acknowledged_before_it(scene: Scene) -> None:
    scene.history.asked(2, 9.0, ReadMode.LINEARIZABLE, 0, OPERATOR_KEY, GetTotals())
    scene.history.answered(2, 9.1, 4, scene.history.questions[1].answer)  # type: ignore[arg-type]
    judge(scene.checkers, scene.history)
    assert fired(scene.checkers) == {"C7"}


def test_c7_a_write_placed_before_one_that_was_acknowledged_earlier(scene: Scene) -> None:
    scene.history.writes[1, 1].called_s = 20.0
    judge(scene.checkers, scene.history)
    assert fired(scene.checkers) == {"C7"}


def test_c8_an_atom_from_nowhere(scene: Scene) -> None:
    scene.checkers.money(1, scene.exchange)
    assert fired(scene.checkers) == set()
    ledger = scene.exchange.state.ledger
    ledger.open_asset(AssetId(1))
    ledger.houses[AssetId(1)].omnibus_atoms -= 1
    scene.checkers.money(1, scene.exchange)
    assert fired(scene.checkers) == {"C8"}


def test_c10_a_disk_that_falls_back() -> None:
    checkers, platter = Checkers(Agenda()), Platter.founded("g", 1)
    checkers.promises[1] = Promises()
    platter.meta[b"hard"] = pack_meta(HardState(5, 2, 9))
    checkers.kept(1, platter)
    assert fired(checkers) == set()
    platter.meta[b"hard"] = pack_meta(HardState(5, 3, 9))
    checkers.kept(1, platter)
    assert fired(checkers) == {"C10"}


def test_c12_a_member_that_stops_itself_and_one_that_floods() -> None:
    checkers = Checkers(Agenda())
    checkers.stopped(1, 74, "its disk failed as told", excused=True)
    checkers.bounded(1, 10, 0, 0, taken=0, per_frame=4096)
    checkers.bounded(1, 1_400, 0, 0, taken=500, per_frame=4096)
    assert fired(checkers) == set()
    checkers.stopped(1, 70, "a broken invariant", excused=False)
    assert fired(checkers) == {"C12"}
    flooded = Checkers(Agenda())
    flooded.bounded(1, 5_000, 0, 0, taken=500, per_frame=4096)
    assert fired(flooded) == {"C12"}


def test_c13_a_member_that_is_not_what_its_log_gives(scene: Scene) -> None:
    replayed = judge(scene.checkers, scene.history)
    other = snapshot.load(snapshot.dump(scene.exchange))
    next(iter(other.state.sessions.values())).used_ns -= 1
    judge_member(scene.checkers, replayed, 2, other)
    assert fired(scene.checkers) == {"C13"}


def test_c12_a_leader_that_asks_for_every_entry_of_a_conflict() -> None:
    checkers = Checkers(Agenda())
    for times, links in ((BOUND_SET_BACKS - 1, 1), (BOUND_SET_BACKS - 1, 2), (1, 2)):
        assert fired(checkers) == set()
        for _ in range(times):
            checkers.set_back(2, 3, links)
    assert fired(checkers) == {"C12"}
