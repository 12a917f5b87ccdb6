"""Snapshots between members: offers from a leader, and a file fetched in checked pieces from whoever has it.

A leader offers a snapshot to a member that is behind its first log entry. The member asks
for one piece after the other, a few at a time and not faster than ``FETCH_BYTES_PER_S``, from
the leader or from any other member that has the very same file. What has arrived stays on its
disk, so that neither a lost connection nor a restart begins again. What a snapshot holds was
committed, so neither file nor offer depends on a term.
"""

import logging
import zlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from steelyard.replication.clock import Clock
from steelyard.replication.group import MemberId
from steelyard.replication.log_record import SnapshotRef
from steelyard.replication.snapshot_store import Snapshot
from steelyard.replication.wire import PIECE_BYTES, NoPiece, Offer, PeerMessage, Piece, PieceRequest

logger = logging.getLogger(__name__)

ASKED_MAX: Final = 4
"""Pieces that may be under way at a time."""
FETCH_BYTES_PER_S: Final = 48 << 20
"""Slow enough that the member that serves hardly notices."""
ROOM_RETRY_S: Final = 5.0
"""So long after a fetch that found no room offers are let be: a leader makes one at every heartbeat."""
PATIENCE_S: Final = 1.0
"""Without a piece for so long, another member is asked."""
PIN_S: Final = 30.0
"""How long a snapshot that was offered or served stays, and the log behind it."""


class Manifest(NamedTuple):
    """Which snapshot: its place in the log, the sha-256 that ends its file, and the file's size."""

    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody uses here
    term: int
    sha256: bytes
    size_bytes: int


class Fetched(NamedTuple):
    """A snapshot that arrived, verified and under its own name on our disk."""

    ref: SnapshotRef
    snapshot: Snapshot


class SnapshotFiles(Protocol):
    """The snapshots on our disk, whole and in part."""

    def refs(self) -> list[SnapshotRef]:
        """Return the whole ones, oldest first."""
        ...

    def manifest(self, ref: SnapshotRef) -> Manifest | None:
        """Return what there is to offer of a whole one; None if its file cannot be read."""
        ...

    def piece(self, sha256: bytes, offset: int) -> bytes | None:
        """Return up to ``PIECE_BYTES`` of the file with that sum; None if we do not have it."""
        ...

    def partial(self) -> tuple[Manifest, int] | None:
        """Return what an unfinished fetch has brought so far, in bytes."""
        ...

    def begin(self, manifest: Manifest) -> bool:
        """Make room for a new file, in place of any other unfinished one; False if there is none."""
        ...

    def add(self, data: bytes) -> bool:
        """Put a piece behind what has arrived; False if there is no room."""
        ...

    def finish(self) -> Fetched | None:
        """Verify and publish what has arrived, durably; None if it is damaged, and then it is gone."""
        ...

    def discard(self) -> None:
        """Remove the unfinished file."""
        ...


class Fetching:
    """Both sides: what we serve to others, and the one file that we fetch."""

    def __init__(
        self,
        files: SnapshotFiles,
        clock: Clock,
        send: Callable[[MemberId, PeerMessage], None],
        linked: Callable[[], Iterable[MemberId]],
    ) -> None:
        self._files = files
        self._clock = clock
        self._send = send
        self._linked = linked
        self._offered: dict[MemberId, SnapshotRef] = {}
        self._pinned_s: dict[str, float] = {}
        self._wanted: Manifest | None = None
        self._source = MemberId(0)
        self._refused: set[MemberId] = set()
        self._arrived = self._next = 0
        self._budget_bytes = 0.0
        self._ticked_s = self._heard_s = clock.monotonic_s()
        self._done: Fetched | None = None
        self._full = False
        self._room_s = 0.0

    # --- what we serve ------------------------------------------------------------------------

    def pinned(self) -> set[str]:
        """Return the names of the snapshots that another member is about to need."""
        now_s = self._clock.monotonic_s()
        self._pinned_s = {name: until_s for name, until_s in self._pinned_s.items() if until_s > now_s}
        return set(self._pinned_s)

    def offer(self, member: MemberId, term: int, first_index: int) -> Offer | None:
        """Return an offer to a member that is behind ``first_index``: the same one while it can be used."""
        refs = [ref for ref in self._files.refs() if ref.index >= first_index]
        ref = self._offered.get(member)
        if ref not in refs:
            if not refs:
                return None
            self._offered[member] = ref = refs[-1]
        assert ref is not None
        manifest = self._files.manifest(ref)
        if manifest is None:
            return None
        self._pin(ref)
        return Offer(term, first_index, *manifest)

    def not_needed(self, member: MemberId) -> None:
        """Forget what was offered: the member follows the log."""
        self._offered.pop(member, None)

    def serve(self, member: MemberId, request: PieceRequest) -> None:
        """Answer a request for a piece."""
        data = self._files.piece(request.sha256, request.offset)
        if data is None:
            self._send(member, NoPiece(request.sha256))
            return
        for ref in self._files.refs():
            if ref.sha256 == request.sha256:
                self._pin(ref)
        self._send(member, Piece(request.sha256, request.offset, zlib.crc32(data), data))

    def _pin(self, ref: SnapshotRef) -> None:
        self._pinned_s[ref.name] = self._clock.monotonic_s() + PIN_S

    # --- what we fetch ------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether a fetch is under way."""
        return self._wanted is not None

    @property
    def busy(self) -> bool:
        """Whether a fetch is under way, or its outcome waits to be taken."""
        return self._wanted is not None or self._done is not None

    def offered(self, member: MemberId, offer: Offer) -> None:
        """Begin to fetch, or go on with what an earlier fetch left if it is as good."""
        if self._wanted is not None or self._done is not None:
            return
        if self._full and self._clock.monotonic_s() < self._room_s:
            return
        manifest = Manifest(offer.index, offer.at_term, offer.sha256, offer.size_bytes)
        left = self._files.partial()
        if left is not None and left[0].index >= offer.first_index:
            manifest, self._arrived = left
        elif self._files.begin(manifest):
            self._arrived = 0
        else:
            self._no_room(manifest)
            return
        logger.warning(
            "fetching the snapshot of index %d: %d of %d bytes are here",
            manifest.index,
            self._arrived,
            manifest.size_bytes,
        )
        self._wanted, self._refused, self._source = manifest, set(), member
        self._restart()
        self._proceed()

    def got(self, member: MemberId, piece: Piece) -> bool:
        """Take a piece; return False if it is one that no sound member sends."""
        wanted = self._wanted
        if wanted is None or piece.sha256 != wanted.sha256 or member != self._source:
            return True  # an answer to what we asked before we turned to somebody else
        if zlib.crc32(piece.data) != piece.crc32:
            return False
        if piece.offset != self._arrived:
            return True
        if len(piece.data) != min(PIECE_BYTES, wanted.size_bytes - self._arrived):
            return False
        if not self._files.add(piece.data):
            self._no_room(wanted)
            self._give_up()
            return True
        self._arrived += len(piece.data)
        self._heard_s = self._clock.monotonic_s()
        self._proceed()
        return True

    def refused(self, member: MemberId, answer: NoPiece) -> None:
        """Ask somebody else; when nobody has the file any more, forget it."""
        if self._wanted is not None and answer.sha256 == self._wanted.sha256:
            self._refused.add(member)
            if member == self._source:
                self._turn_to_another()

    def lost(self, member: MemberId) -> None:
        """Turn to another member if the link to the one that served us is gone."""
        if self._wanted is not None and member == self._source:
            self._turn_to_another()

    def tick(self) -> None:
        """Ask for what the rate allows by now, and somebody else after too long a silence."""
        now_s = self._clock.monotonic_s()
        span_s, self._ticked_s = now_s - self._ticked_s, now_s
        if self._wanted is None:
            return
        room_bytes = ASKED_MAX * PIECE_BYTES
        self._budget_bytes = min(room_bytes, self._budget_bytes + span_s * FETCH_BYTES_PER_S)
        if now_s - self._heard_s > PATIENCE_S:
            self._turn_to_another()
        else:
            self._proceed()

    def drop(self) -> None:
        """Stop fetching: the log brought us further than the snapshot would."""
        if self._wanted is not None:
            self._give_up()

    def wanted_index(self) -> int:
        """Return the index of what is being fetched, 0 if nothing is."""
        return self._wanted.index if self._wanted is not None else 0

    def take(self) -> Fetched | None:
        """Return what arrived whole, once."""
        done, self._done = self._done, None
        return done

    def _proceed(self) -> None:
        """Finish if everything is here, else ask for what may be asked."""
        wanted = self._wanted
        assert wanted is not None
        if self._arrived == wanted.size_bytes:
            self._wanted = None
            self._done = self._files.finish()
            if self._done is None:
                logger.error("the fetched snapshot of index %d is damaged: it is discarded", wanted.index)
            else:
                self._full = False
            return
        while (
            self._next < wanted.size_bytes
            and self._next - self._arrived < ASKED_MAX * PIECE_BYTES
            and self._budget_bytes >= PIECE_BYTES
        ):
            self._budget_bytes -= PIECE_BYTES
            self._send(self._source, PieceRequest(wanted.sha256, self._next))
            self._next += PIECE_BYTES

    def _restart(self) -> None:
        """Ask again from what has arrived on."""
        self._next = self._arrived
        self._ticked_s = self._heard_s = self._clock.monotonic_s()
        self._budget_bytes = float(ASKED_MAX * PIECE_BYTES)

    def _turn_to_another(self) -> None:
        able = [member for member in self._linked() if member not in self._refused]
        if not able:
            if self._refused:
                self._give_up()
                return
            self._heard_s = self._clock.monotonic_s()  # nobody is there: wait for somebody
            return
        later = [member for member in able if member > self._source]
        self._source = later[0] if later else able[0]
        self._restart()
        self._proceed()

    def _no_room(self, manifest: Manifest) -> None:
        """Look at offers again later; say it once, until a whole file finds room."""
        self._room_s = self._clock.monotonic_s() + ROOM_RETRY_S
        if not self._full:
            self._full = True
            logger.error("no room for a snapshot of %d bytes: it cannot be fetched", manifest.size_bytes)

    def _give_up(self) -> None:
        self._wanted = None
        self._files.discard()
