"""How long a snapshot of a large state holds the loop, in the loop and by a child; prints one JSON object.

    python loadtests/micro/bench_snapshot.py --orders 1700000

A turn here applies one entry of 50 orders; the figure is the longest turn while the snapshot is made.
"""

import argparse
import gc
import json
import platform
import select
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from steelyard.core import Exchange, wire
from steelyard.core.commands import (
    AnyCommand,
    CreateApiKey,
    Deposit,
    FoundGroup,
    ListAsset,
    ListInstrument,
    OpenAccount,
    OpenSession,
    PlaceOrder,
    SetInstrumentState,
)
from steelyard.core.entry import ENTRY_VERSION, Accepted, Applied, Entry, Refused, Request, SessionReady
from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    SessionId,
    Side,
    TimeInForce,
)
from steelyard.replication.background import Background, Fork
from steelyard.replication.clock import SystemClock
from steelyard.replication.config import GroupConfig, MemberConfig
from steelyard.replication.files import FolderFiles
from steelyard.replication.group import SHARED, MemberId
from steelyard.replication.log_record import ENTRY, NO_OP
from steelyard.replication.log_store import found, open_store
from steelyard.replication.retention import Retention
from steelyard.replication.snapshot_store import SnapshotStore

BATCH = 50
GROUP = "ab" * 16
MAP_BYTES = 1 << 30
PER_ACCOUNT = 100_000


class Bench:
    """One member's exchange, log and snapshots; every turn commits and applies one entry."""

    def __init__(self, directory: Path, background: Background | None) -> None:
        config = GroupConfig(
            group=GROUP,
            operator_public_key="00" * 32,
            members=[MemberConfig(member=n, peer=f"h:{n}", client=f"h:{n}") for n in (1, 2, 3)],
            map_size_bytes=MAP_BYTES,
        )
        found(directory / "store", GROUP, MemberId(1), map_bytes=MAP_BYTES)
        self.store = open_store(directory / "store", GROUP, MemberId(1), map_bytes=MAP_BYTES)
        self.store.append(1, 0, NO_OP)
        self.snapshots = SnapshotStore(FolderFiles(directory / "snapshots"), GROUP)
        self.exchange = Exchange()
        self.retention = Retention(
            config, 1, self.store, self.snapshots, SystemClock(), background=background
        )

    def turn(self, requests: list[Request]) -> Applied:
        """Log, sync, commit and apply one entry, and look after the child."""
        index = self.store.last_index + 1
        body = wire.encode_entry(Entry(ENTRY_VERSION, index * 1_000, requests))
        self.store.append(index, 1, ENTRY + body)
        self.store.flush()
        self.store.hard_state(1, 0, index)
        applied, _ = self.exchange.apply_bytes(index, body)
        self.retention.applied(len(body))
        self.retention.poll()
        for outcome in applied.outcomes:
            assert not isinstance(outcome.reply, Refused), outcome
        return applied


class Traders:
    """Accounts whose orders rest and never trade."""

    def __init__(self, bench: Bench, orders: int) -> None:
        self.bench = bench
        self.numbers: dict[int, int] = {}
        self.sessions: dict[int, tuple[SessionId, KeyId]] = {}
        self.placed = 0
        key = bytes(32)
        self._ask(0, FoundGroup(group="bench", operator_public_key=key))
        self._open(9, KeyId(1))
        usd, btc, market = AssetId(1), AssetId(2), InstrumentId(1)
        for command in (
            ListAsset(asset=usd, symbol="USD", decimals=2),
            ListAsset(asset=btc, symbol="BTC", decimals=8),
            ListInstrument(
                instrument=market, symbol="BTC/USD", base=btc, quote=usd, tick_mantissa=1, tick_decimals=0,
                lot_mantissa=1, lot_decimals=2, price_max_ticks=1_000_000, size_max_lots=10_000,
                notional_min_atoms=1, maker_ppm=0, taker_ppm=0,
            ),
            SetInstrumentState(instrument=market, state=InstrumentState.POST_ONLY),
            SetInstrumentState(instrument=market, state=InstrumentState.OPEN),
        ):  # fmt: skip
            self._ask(9, command)
        self.accounts = [1_000 + n for n in range(orders // PER_ACCOUNT + 2)]
        for account in self.accounts:
            self._ask(9, OpenAccount(account=AccountId(account)))
            self._ask(9, Deposit(account=AccountId(account), asset=usd, amount_atoms=10**15))
            made = self._ask(9, CreateApiKey(account=AccountId(account), public_key=key, permissions=31))
            assert isinstance(made, Accepted)
            self._open(account, KeyId(made.made))

    def place(self) -> None:
        """Let one account place a batch of orders that rest."""
        account = self.accounts[self.placed // PER_ACCOUNT]
        requests = []
        for _ in range(BATCH):
            self.placed += 1
            command = PlaceOrder(
                account=AccountId(account), instrument=InstrumentId(1), order=OrderId(self.placed),
                side=Side.BUY, size_lots=1 + self.placed % 7, limit_ticks=1 + self.placed * 7919 % 50_000,
                time_in_force=TimeInForce.GTC, label=f"{self.placed:036d}",
            )  # fmt: skip
            requests.append(self._request(account, command))
        self.bench.turn(requests)

    def _request(self, account: int, command: AnyCommand) -> Request:
        session, key = self.sessions.get(account, (SessionId(0), KeyId(0)))
        number = self.numbers[account] = self.numbers.get(account, 0) + 1
        if not session:
            number = 0
        return Request(session, number, number, key, 0, 0, command)

    def _ask(self, account: int, command: AnyCommand) -> object:
        return self.bench.turn([self._request(account, command)]).outcomes[0].reply

    def _open(self, account: int, key: KeyId) -> None:
        command = OpenSession(account=AccountId(account), name="bench")
        applied = self.bench.turn([Request(SessionId(0), 0, 0, key, 0, 0, command)])
        ready = applied.outcomes[0].reply
        assert isinstance(ready, SessionReady)
        self.sessions[account] = (ready.session, key)
        self.numbers[account] = 0


def measure(orders: int, background: Background | None) -> dict[str, object]:
    """Return what a snapshot of that many resting orders costs."""
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), background)
        traders = Traders(bench, orders)
        flush, bench.store.flush = bench.store.flush, lambda: None  # type: ignore[method-assign]
        while traders.placed < orders:
            traders.place()
        bench.store.flush = flush  # type: ignore[method-assign]
        flush()
        gc.freeze()
        quiet = [timed(traders.place) for _ in range(200)]
        started_s = time.monotonic()
        pause_s = timed(lambda: bench.retention.take(bench.exchange, 0, b"", leads=False))
        turns = []
        while bench.retention.busy:
            turns.append(timed(traders.place))
            select.select([], [], [], 0.002)
        done_s = time.monotonic() - started_s
        (ref,) = bench.store.snapshots()
        result: dict[str, object] = {
            "state_mb": round(bench.snapshots.size_bytes(ref) / 1e6, 1),
            "take_ms": round(pause_s * 1e3, 1),
            "longest_turn_ms": round(max([pause_s, *turns]) * 1e3, 1),
            "median_turn_meanwhile_ms": round(sorted(turns)[len(turns) // 2] * 1e3, 2) if turns else None,
            "median_turn_before_ms": round(sorted(quiet)[100] * 1e3, 2),
            "done_after_s": round(done_s, 2),
            "turns_meanwhile": len(turns),
        }
        bench.store.close()
        return result


def timed(action: Callable[[], None]) -> float:
    """Return how many seconds something takes."""
    started_s = time.perf_counter()
    action()
    return time.perf_counter() - started_s


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_700_000)
    options = parser.parse_args()
    gc.disable()
    print(
        json.dumps(
            {
                "orders": options.orders,
                "machine": platform.platform(),
                "bound_ms": SHARED.min_s / 2 * 1e3,
                "in_the_loop": measure(options.orders, None),
                "by_a_child": measure(options.orders, Fork(SystemClock())),
            },
            indent=2,
        )
    )
