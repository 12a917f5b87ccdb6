"""A replica without a group: the real exchange behind the real socket, each Submit one entry at once."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from pathlib import Path
from typing import Final

import msgspec

from steelyard.client import ApiKey
from steelyard.core import Exchange, queries, snapshot, wire
from steelyard.core.commands import (
    AnyCommand,
    CreateApiKey,
    Deposit,
    FoundGroup,
    ListAsset,
    ListInstrument,
    OpenAccount,
    OpenSession,
    SetInstrumentState,
)
from steelyard.core.entry import (
    ENTRY_VERSION,
    Accepted,
    AnyReply,
    Applied,
    Entry,
    Refused,
    Request,
    SessionReady,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    OPERATOR_KEY,
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    SessionId,
)
from steelyard.replication.feed import private_events
from steelyard.replication.front import (
    PROTOCOL,
    Answer,
    Attach,
    Attached,
    Detach,
    Done,
    Entries,
    Failed,
    FailureReason,
    Follow,
    Frame,
    FromGateway,
    Happened,
    Open,
    Read,
    ReadMode,
    State,
    Submit,
    Unfollow,
)
from steelyard.rpc.gateway import Gateway

STEP_NS: Final = 1_000
_decode: Final = msgspec.msgpack.Decoder(FromGateway).decode
_decode_request: Final = msgspec.msgpack.Decoder(Request).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class _Peer:
    """One gateway's connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.accounts: set[int] = set()
        self.follows = False

    def send(self, frame: Frame) -> None:
        body = _encode(frame)
        self.writer.write(len(body).to_bytes(4, "little") + body)


class StubReplica:
    """Speaks the frames of a replica; tests say whether it leads, and make it fail after applying."""

    def __init__(self, path: Path, group: str, operator_public_key: bytes) -> None:
        self.path = path
        self.group = group
        self.member = 1
        self.exchange = Exchange()
        self.role = "leader"
        self.leader = 1
        self.leader_endpoint = ""
        self.term = 1
        self.log_used_ppm = 0
        self.hangs = False
        """Say nothing of itself any more."""
        self.swallow_replies = False
        """Apply, and say nothing: what a leader killed after its commit looks like."""
        self.refuse_with: FailureReason | None = None
        """Answer every Submit like this instead of applying it."""
        self.behind = False
        """Know no key yet when asked for what is at hand; asked freshly, know everything."""
        self.hold_feed_from = 0
        """Events at or below this index are not held any more."""
        self.part_bytes = 64
        """Of an entry, in one frame."""
        self.applied: list[Applied] = []
        self.executed: dict[tuple[int, int], list[AnyReply]] = {}
        """Every reply that came of an execution, by (session, request); one each is right."""
        self._peers: list[_Peer] = []
        self._server: asyncio.Server | None = None
        self._telling: asyncio.Future[None] | None = None
        self._enter(KeyId(0), FoundGroup(group=group, operator_public_key=operator_public_key))
        ready = self._enter(OPERATOR_KEY, OpenSession(account=OPERATOR, name="stub"))
        assert isinstance(ready, SessionReady)
        self._operator_session = ready.session
        self._operator_request = 0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, os.fspath(self.path))
        self._telling = asyncio.ensure_future(self._keep_telling())

    async def stop(self) -> None:
        """Hang up on everybody and listen no more."""
        assert self._server is not None
        assert self._telling is not None
        self._telling.cancel()
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()
        self.path.unlink(missing_ok=True)

    def do(self, *commands: AnyCommand) -> list[AnyReply]:
        """Have the operator do something, straight in the exchange."""
        requests = []
        for command in commands:
            self._operator_request += 1
            number = self._operator_request
            requests.append(Request(self._operator_session, number, number, OPERATOR_KEY, number, 0, command))
        replies = [outcome.reply for outcome in self._apply(requests).outcomes]
        assert not any(isinstance(reply, Refused) for reply in replies), replies
        return replies

    def wait(self, more_ns: int) -> None:
        """Let log time pass: an entry without requests, which does what is due."""
        applied = self.exchange.apply(
            self._index + 1, Entry(ENTRY_VERSION, self.exchange.time_ns + more_ns, [])
        )
        self._tell_all(applied)

    def act(self, key: KeyId, account: AccountId, command: AnyCommand) -> AnyReply:
        """Carry out a customer's command in a session of its own; nobody is told of it."""
        ready = self._enter(key, OpenSession(account=account, name=f"straight {self._index}"))
        assert isinstance(ready, SessionReady), ready
        reply = self._apply([Request(ready.session, 1, 1, key, 0, 0, command)]).outcomes[0].reply
        assert not isinstance(reply, Refused), reply
        return reply

    def hang_up(self) -> None:
        """Break all connections."""
        for peer in self._peers:
            peer.writer.transport.abort()

    def tell(self) -> None:
        """Send the state to every gateway."""
        for peer in self._peers:
            peer.send(self.state())

    def shadow(self, path: Path, member: int) -> "StubReplica":
        """Return another replica over the same exchange, following this one: as level as two can be."""
        other = copy(self)
        other.path, other.member, other.role = path, member, "follower"
        other._peers = []
        return other

    def lead(self, term: int, endpoint: str) -> None:
        """Become the leader."""
        self.role, self.leader, self.leader_endpoint, self.term = "leader", self.member, endpoint, term
        self.swallow_replies = False
        self.tell()

    def lose_leadership(self, leader: int, endpoint: str) -> None:
        """Become a follower of somebody else."""
        self.role, self.leader, self.leader_endpoint = "follower", leader, endpoint
        self.term += 1
        self.tell()

    def state(self) -> State:
        """Return what this replica says it is."""
        return State(
            group=self.group,
            member=self.member,
            pid=os.getpid(),
            role=self.role,
            ready=True,
            term=self.term,
            leader=self.leader,
            leader_endpoint=self.leader_endpoint,
            last_index=self._index,
            commit_index=self._index,
            applied_index=self._index,
            time_ns=self.exchange.time_ns,
            digest_index=self._index,
            digest=self.exchange.digest,
            snapshot_index=0,
            log_first_index=1,
            log_used_ppm=self.log_used_ppm,
            commands_applied=0,
            sync_mode="none: a stub",
            version=self.exchange.state.version,
        )

    @property
    def _index(self) -> int:
        return self.exchange.applied_index

    def _enter(self, key: KeyId, command: AnyCommand) -> AnyReply:
        """Apply a command outside any session."""
        return self._apply([Request(SessionId(0), 0, 0, key, 0, 0, command)]).outcomes[0].reply

    def _apply(self, requests: list[Request]) -> Applied:
        applied = self.exchange.apply(
            self._index + 1, Entry(ENTRY_VERSION, self.exchange.time_ns + STEP_NS, requests)
        )
        self._tell_all(applied)
        for request, outcome in zip(requests, applied.outcomes, strict=True):
            if outcome.events:
                self.executed.setdefault((request.session, request.request), []).append(outcome.reply)
        return applied

    def _tell_all(self, applied: Applied) -> None:
        """Keep what an entry came to, and send it to whoever follows."""
        self.applied.append(applied)
        for peer in self._peers:
            if peer.follows:
                self._send_entry(peer, applied)

    async def _keep_telling(self) -> None:
        """Send the state five times a second, as a replica does, unless told to hang."""
        while True:
            await asyncio.sleep(0.2)
            if not self.hangs:
                self.tell()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(writer)
        self._peers.append(peer)
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(4), "little")
                self._take(peer, _decode(await reader.readexactly(size)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._peers.remove(peer)
            writer.close()

    def _take(self, peer: _Peer, frame: FromGateway) -> None:
        match frame:
            case Open():
                assert (frame.protocol, frame.group) == (PROTOCOL, self.group)
                peer.send(self.state())
            case Submit():
                self._submit(peer, frame)
            case Read():
                self._read(peer, frame)
            case Attach():
                self._attach(peer, frame)
            case Detach():
                peer.accounts.difference_update(frame.accounts)
            case Follow():
                self._follow(peer, frame)
            case Unfollow():
                peer.follows = False

    def _submit(self, peer: _Peer, frame: Submit) -> None:
        if self.role != "leader":
            peer.send(Failed(frame.refs, FailureReason.NOT_LEADER))
            return
        if self.refuse_with is not None:
            peer.send(Failed(frame.refs, self.refuse_with))
            return
        applied = self._apply([_decode_request(raw) for raw in frame.requests])
        if self.swallow_replies:
            return
        for each in self._peers:
            self._send_events(each, applied, each.accounts)
        peer.send(
            Done(
                applied.index,
                applied.time_ns,
                frame.refs,
                [outcome.replied_index for outcome in applied.outcomes],
                [msgspec.Raw(_encode(outcome.reply)) for outcome in applied.outcomes],
            )
        )

    def _send_events(self, peer: _Peer, applied: Applied, accounts: set[int]) -> None:
        events = private_events(applied, accounts)
        if events:
            peer.send(Happened(applied.index, applied.time_ns, events))

    def _read(self, peer: _Peer, frame: Read) -> None:
        if frame.mode is ReadMode.LINEARIZABLE and self.role != "leader":
            peer.send(Failed([frame.ref], FailureReason.NOT_LEADER))
        elif frame.mode is ReadMode.AT_LEAST and frame.min_index > self._index:
            peer.send(Failed([frame.ref], FailureReason.INDEX_NOT_REACHED))
        else:
            stale = self.behind and frame.mode is ReadMode.STALE
            answer = (
                Reject.UNKNOWN_KEY
                if stale
                else queries.answer(self.exchange.state, KeyId(frame.key), frame.query)
            )
            refused = answer if isinstance(answer, Reject) else None
            peer.send(Answer(frame.ref, self._index, None if isinstance(answer, Reject) else answer, refused))

    def _follow(self, peer: _Peer, frame: Follow) -> None:
        after = frame.after_index or self._index
        complete_after = max(after, self.hold_feed_from)
        peer.send(Attached(frame.ref, complete_after))
        peer.follows = True
        for applied in self.applied:
            if applied.index > complete_after:
                self._send_entry(peer, applied)

    def _send_entry(self, peer: _Peer, applied: Applied) -> None:
        """Send an entry in parts, however short it is."""
        encoded = wire.encode_applied(applied)
        for start in range(0, len(encoded), self.part_bytes):
            end = start + self.part_bytes
            peer.send(Entries(encoded[start:end], more=end < len(encoded)))

    def _attach(self, peer: _Peer, frame: Attach) -> None:
        peer.accounts.update(frame.accounts)
        after = frame.after_index or self._index
        complete_after = max(after, self.hold_feed_from)
        peer.send(Attached(frame.ref, complete_after))
        for applied in self.applied:
            if applied.index > complete_after:
                self._send_events(peer, applied, set(frame.accounts))


GROUP: Final = "0123456789abcdef0123456789abcdef"
BTC, USD, BTC_USD = AssetId(1), AssetId(2), InstrumentId(1)
ALICE, BOB = 1000, 1001
RICH_ATOMS: Final = 10**15


class Door:
    """A stub, a gateway before it, a market with two funded traders, and their keys."""

    def __init__(self, stub: StubReplica, gateway: Gateway, operator: ApiKey) -> None:
        self.stub = stub
        self.gateway = gateway
        self.operator = operator
        self.target = f"127.0.0.1:{gateway.port}"
        stub.leader_endpoint = self.target
        stub.do(
            ListAsset(asset=BTC, symbol="BTC", decimals=8),
            ListAsset(asset=USD, symbol="USD", decimals=2),
            ListInstrument(
                instrument=BTC_USD,
                symbol="BTC-USD",
                base=BTC,
                quote=USD,
                tick_mantissa=5,
                tick_decimals=1,
                lot_mantissa=2,
                lot_decimals=2,
                price_max_ticks=1_000_000,
                size_max_lots=10_000,
                notional_min_atoms=1,
                maker_ppm=100,
                taker_ppm=200,
            ),
            SetInstrumentState(instrument=BTC_USD, state=InstrumentState.POST_ONLY),
            SetInstrumentState(instrument=BTC_USD, state=InstrumentState.OPEN),
        )
        self.alice = self.trader(ALICE)
        self.bob = self.trader(BOB)
        stub.tell()

    def trader(self, account: int) -> ApiKey:
        """Open and fund an account; return a key for it."""
        self.stub.do(
            OpenAccount(account=AccountId(account)),
            Deposit(account=AccountId(account), asset=BTC, amount_atoms=RICH_ATOMS),
            Deposit(account=AccountId(account), asset=USD, amount_atoms=RICH_ATOMS),
        )
        return self.key(account, 3)

    def key(self, account: int, permissions: int, expires_ns: int = 0) -> ApiKey:
        """Return a new key for an account."""
        key = ApiKey.generate()
        create = CreateApiKey(
            account=AccountId(account),
            public_key=key.public_key,
            permissions=permissions,
            expires_ns=expires_ns,
        )
        (made,) = self.stub.do(create)
        assert isinstance(made, Accepted)
        return key.with_id(made.made, account)

    def state_digest(self) -> bytes:
        """Return the digest of everything the exchange holds."""
        return snapshot.state_digest(snapshot.dump(self.stub.exchange))


@asynccontextmanager
async def open_door(folder: Path) -> AsyncIterator[Door]:
    """Run a stub and a gateway, for as long as the context lasts."""
    operator = ApiKey.generate(OPERATOR_KEY, OPERATOR)
    stub = StubReplica(folder / "front.sock", GROUP, operator.public_key)
    await stub.start()
    gateway = Gateway(GROUP, 1, stub.path, "127.0.0.1:0", name="test")
    await gateway.start()
    try:
        door = Door(stub, gateway, operator)
        while not gateway.door.leads:
            await gateway.door.changed.wait()
        yield door
    finally:
        await gateway.stop(patience_s=0.2)
        await stub.stop()
