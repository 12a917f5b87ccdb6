"""A snapshot's way to another member: offers, pieces, faults on the way, and what is left after them."""

import random
import zlib

import msgspec
import pytest
from tests.helpers.scripted import GROUP, ManualClock, entries, founded
from tests.helpers.snapshots import MemoryFiles, Shelf

from steelyard.replication.fetching import (
    ASKED_MAX,
    FETCH_BYTES_PER_S,
    PATIENCE_S,
    PIN_S,
    ROOM_RETRY_S,
    Fetching,
)
from steelyard.replication.group import MemberId
from steelyard.replication.log_record import Record
from steelyard.replication.log_store import LogStore
from steelyard.replication.wire import PIECE_BYTES, NoPiece, Offer, PeerMessage, Piece, PieceRequest

LEADER, OTHER, US = MemberId(1), MemberId(2), MemberId(3)
STATE = random.Random(7).randbytes(6 * PIECE_BYTES + 1000)
PIECES = 7


def store(member: MemberId, last: int = 1) -> LogStore:
    made = LogStore(founded(member), GROUP, member)
    made.append(1, 0, b"\x01")
    for record in entries(2, last, 1):
        made.append(record.index, record.term, record.body)
    made.hard_state(1, 0, last)
    made.flush()
    return made


class Scene:
    """One member that fetches, two that serve; messages travel when the test says so."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.wire: list[tuple[MemberId, MemberId, PeerMessage]] = []
        self.links = {LEADER, OTHER}
        self.shelves = {LEADER: Shelf(store(LEADER, 20), GROUP), OTHER: Shelf(store(OTHER, 20), GROUP)}
        self.files = MemoryFiles()
        for shelf in self.shelves.values():
            shelf.take(15, STATE)
        self.servers = {member: self._fetching(member, shelf) for member, shelf in self.shelves.items()}
        self.restart()

    def restart(self) -> None:
        """Let the fetching member begin anew over what its disk holds."""
        self.wire.clear()
        self.shelf = Shelf(store(US), GROUP, self.files)
        self.us = self._fetching(US, self.shelf)

    def _fetching(self, member: MemberId, shelf: Shelf) -> Fetching:
        return Fetching(
            shelf.pieces,
            self.clock,
            lambda to, message: self.wire.append((member, to, message)),
            lambda: sorted(self.links),
        )

    def offer(self, source: MemberId = LEADER, first_index: int = 10) -> Offer:
        """Let a member offer what it has."""
        offer = self.servers[source].offer(US, 1, first_index)
        assert offer is not None
        self.us.offered(source, offer)
        return offer

    def step(self) -> None:
        """Deliver one message."""
        sender, receiver, message = self.wire.pop(0)
        if isinstance(message, PieceRequest):
            self.servers[receiver].serve(sender, message)
        elif isinstance(message, Piece):
            assert self.us.got(sender, message)
        else:
            assert isinstance(message, NoPiece)
            self.us.refused(sender, message)

    def run(self, pieces: int | None = None) -> None:
        """Deliver everything, in time; or until so many pieces arrived."""
        for _ in range(10_000):
            if not self.us.active:
                return
            while self.wire:
                if pieces == 0:
                    return
                pieces = pieces and pieces - isinstance(self.wire[0][2], Piece)
                self.step()
            self.clock.now_s += 0.01
            self.us.tick()
        raise AssertionError("it never ends")

    def check_arrived(self) -> None:
        """Raise unless the snapshot is here, whole, under its own name and once."""
        fetched = self.us.take()
        assert fetched is not None
        assert fetched.snapshot.state == STATE
        assert self.files.names() == [fetched.ref.name]
        assert self.us.take() is None


def test_a_snapshot_arrives_whole_and_is_handed_out_once() -> None:
    scene = Scene()
    scene.offer()
    scene.run()
    scene.check_arrived()


@pytest.mark.parametrize("after", range(PIECES))
def test_a_lost_connection_costs_nothing_that_arrived(after: int) -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=after)
    scene.wire.clear()
    scene.us.lost(LEADER)
    asked = [message.offset for _, _, message in scene.wire if isinstance(message, PieceRequest)]
    assert asked[0] == after * PIECE_BYTES
    scene.run()
    scene.check_arrived()


@pytest.mark.parametrize("after", range(1, PIECES))
def test_a_restart_goes_on_from_what_is_on_disk(after: int) -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=after)
    scene.restart()
    assert scene.us.take() is None
    scene.offer()
    asked = [message.offset for _, _, message in scene.wire if isinstance(message, PieceRequest)]
    assert asked[0] == after * PIECE_BYTES
    scene.run()
    scene.check_arrived()


def test_a_torn_tail_on_our_disk_is_found_and_everything_is_fetched_again() -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=3)
    (name,) = scene.files.names()
    scene.files.held[name] = scene.files.held[name][:-5000] + bytes(5000)
    scene.restart()
    scene.offer()
    scene.run()
    assert scene.us.take() is None
    assert scene.files.names() == []
    scene.offer()
    scene.run()
    scene.check_arrived()


def test_a_short_tail_on_our_disk_is_completed() -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=3)
    (name,) = scene.files.names()
    scene.files.held[name] = scene.files.held[name][:-5000]
    scene.restart()
    scene.offer()
    scene.run()
    scene.check_arrived()


def test_an_unfinished_file_is_finished_even_if_the_leader_offers_a_newer_one() -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=3)
    scene.restart()
    scene.shelves[LEADER].take(18, b"newer")
    scene.servers[LEADER].not_needed(US)
    assert scene.offer().index == 18
    scene.run()
    scene.check_arrived()


def test_an_unfinished_file_below_the_leaders_log_gives_way() -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=3)
    scene.restart()
    scene.shelves[LEADER].take(18, b"newer")
    scene.offer(first_index=16)
    scene.run()
    fetched = scene.us.take()
    assert fetched is not None
    assert (fetched.ref.index, fetched.snapshot.state) == (18, b"newer")


def test_the_same_snapshot_is_offered_again_and_kept_while_it_is_needed() -> None:
    scene = Scene()
    server, shelf = scene.servers[LEADER], scene.shelves[LEADER]
    first = server.offer(US, 1, 10)
    shelf.take(18, b"newer")
    assert server.offer(US, 1, 10) == first
    assert server.pinned() == {"snap-15-1.sys"}
    scene.clock.now_s += PIN_S + 1
    assert server.pinned() == set()
    newer = server.offer(US, 1, 16)
    assert newer is not None
    assert newer.index == 18
    assert server.offer(US, 1, 19) is None


def test_a_flipped_piece_is_not_taken() -> None:
    scene = Scene()
    offer = scene.offer()
    data = bytes(PIECE_BYTES)
    assert not scene.us.got(LEADER, Piece(offer.sha256, 0, zlib.crc32(data) ^ 1, data))
    scene.run()
    scene.check_arrived()


def test_a_piece_of_the_wrong_length_is_not_taken() -> None:
    scene = Scene()
    offer = scene.offer()
    assert not scene.us.got(LEADER, Piece(offer.sha256, 0, zlib.crc32(b"short"), b"short"))


def test_wrong_content_with_right_checksums_is_discarded_at_the_end_and_fetched_anew() -> None:
    scene = Scene()
    offer = scene.offer()
    for offset in range(0, offer.size_bytes, PIECE_BYTES):
        data = bytes(min(PIECE_BYTES, offer.size_bytes - offset))
        assert scene.us.got(LEADER, Piece(offer.sha256, offset, zlib.crc32(data), data))
    assert scene.us.take() is None
    assert scene.files.names() == []
    scene.wire.clear()
    scene.offer()
    scene.run()
    scene.check_arrived()


def test_a_truncated_file_at_the_leader_is_fetched_from_the_other_member() -> None:
    scene = Scene()
    shelf = scene.shelves[LEADER]
    offer = scene.servers[LEADER].offer(US, 1, 10)
    assert offer is not None
    (name,) = shelf.files.names()
    shelf.files.held[name] = shelf.files.held[name][: 2 * PIECE_BYTES]
    scene.us.offered(LEADER, offer)
    scene.run()
    scene.check_arrived()


def test_a_silent_member_is_given_up_for_another() -> None:
    scene = Scene()
    scene.offer()
    scene.wire.clear()
    scene.clock.now_s += PATIENCE_S + 0.1
    scene.us.tick()
    assert {receiver for _, receiver, _ in scene.wire} == {OTHER}
    scene.run()
    scene.check_arrived()


def test_when_nobody_has_the_file_any_more_it_is_forgotten() -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=2)
    for shelf in scene.shelves.values():
        shelf.store.drop_snapshot("snap-15-1.sys")
    scene.run()
    assert not scene.us.active
    assert scene.files.names() == []


def test_with_nobody_there_it_waits_and_goes_on() -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=2)
    scene.wire.clear()
    scene.links = set()
    scene.us.lost(LEADER)
    for _ in range(300):
        scene.clock.now_s += 0.1
        scene.us.tick()
    assert scene.us.active
    scene.links = {OTHER}
    scene.run()
    scene.check_arrived()


def test_a_full_disk_ends_the_fetch_and_a_later_one_succeeds() -> None:
    scene = Scene()
    scene.files.room_bytes = 3 * PIECE_BYTES
    scene.offer()
    scene.run()
    assert scene.us.take() is None
    assert scene.files.names() == []
    scene.files.room_bytes = 1 << 30
    scene.wire.clear()
    scene.clock.now_s += ROOM_RETRY_S
    scene.offer()
    scene.run()
    scene.check_arrived()


def test_a_disk_that_stays_full_is_not_tried_at_every_offer_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    scene.files.room_bytes = 3 * PIECE_BYTES
    tries = 0
    for _ in range(50):
        scene.offer()
        tries += scene.us.active
        scene.run()
        scene.clock.now_s += 0.1
    assert 1 <= tries <= 2
    assert caplog.text.count("no room") == 1


def test_only_a_few_pieces_are_under_way_and_not_more_than_the_rate_allows() -> None:
    scene = Scene()
    scene.offer()
    assert len(scene.wire) == ASKED_MAX
    for _ in range(2 * ASKED_MAX):
        scene.step()  # four requests, then their four pieces, in no time
    assert scene.wire == []
    scene.clock.now_s += PIECE_BYTES / FETCH_BYTES_PER_S * 1.01
    scene.us.tick()
    assert len(scene.wire) == 1


def test_what_the_log_brought_meanwhile_ends_the_fetch() -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=2)
    scene.us.drop()
    assert not scene.us.active
    assert scene.files.names() == []


def test_a_fetched_file_of_the_past_is_removed_at_start() -> None:
    scene = Scene()
    scene.offer()
    scene.run(pieces=2)
    caught_up = store(US, 20)
    Shelf(caught_up, GROUP, scene.files)
    assert scene.files.names() == []


def test_an_install_replaces_log_pointers_and_hard_state_at_once() -> None:
    scene = Scene()
    scene.offer()
    scene.run()
    fetched = scene.us.take()
    assert fetched is not None
    header = fetched.snapshot.header
    disk = founded(US)
    ours = LogStore(disk, GROUP, US)
    ours.append(1, 0, b"\x01")
    for record in entries(2, 5, 1, "conflicting"):
        ours.append(record.index, record.term, record.body)
    ours.flush()
    commits = disk.commits
    ours.install(
        fetched.ref,
        header.chain_before,
        Record(header.before.body, header.before.index, header.before.term),
        Record(header.at.body, header.at.index, header.at.term),
    )
    assert disk.commits == commits + 1
    again = LogStore(disk, GROUP, US)
    assert (again.first_index, again.last_index, again.commit_index) == (14, 15, 15)
    assert again.chain(15) == scene.shelves[LEADER].store.chain(15)
    assert again.snapshots() == [fetched.ref]


def test_the_messages_of_a_fetch_are_bounded() -> None:
    decode = msgspec.msgpack.Decoder(Piece).decode
    with pytest.raises(msgspec.ValidationError):
        decode(msgspec.msgpack.encode(Piece(bytes(32), 0, 0, bytes(PIECE_BYTES + 1))))
    with pytest.raises(msgspec.ValidationError):
        decode(msgspec.msgpack.encode(Piece(bytes(32), 0, 0, b"")))
