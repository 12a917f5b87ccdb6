"""Load on any group with locust: unary and streaming users, and a verdict on what they saw acknowledged.

    locust -f loadtests/locustfile.py --host 127.0.0.1:7443,127.0.0.1:7444,127.0.0.1:7445
        --key .steelyard/keys/operator.key --data .steelyard --headless -u 20 -r 10 -t 30s StreamUser

``--key`` is the operator's: every user gets an account of its own on the instrument LOAD-CASH, which is
listed when it is missing.  At the end the run is judged and the exit status is 1 unless all is well: with
``--data`` from the logs of all replicas, without it from what the door shows (it says which).
"""

import json
import random
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

import gevent
import grpc.experimental.gevent
import grpc_user
import locust.stats
import msgspec
from gevent.event import Event
from gevent.lock import RLock
from locust import User, constant, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.exception import StopUser
from locust.rpc.protocol import Message
from locust.runners import LocalRunner, MasterRunner, WorkerRunner
from locust.stats import StatsEntry

from steelyard.client import Accepted, ApiKey, Permission, Reply
from steelyard.client.errors import SteelyardError
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.load import HIGHEST_TICKS, OrderFlow
from steelyard.ops.verdict import AckBook, gather, judge
from steelyard.v1 import admin_pb2, common_pb2

# After locust has patched the standard library, before the first channel is made.
grpc.experimental.gevent.init_gevent()

SYMBOL: Final = "LOAD-CASH"
BASE: Final = "LOAD"
QUOTE: Final = "CASH"
ASSET_DECIMALS: Final = 8
PRICE_DECIMALS: Final = 2
SIZE_DECIMALS: Final = 4
SIZE_MAX_LOTS: Final = 1_000_000
FUNDS_ATOMS: Final = 10**14
FIRST_ACCOUNT: Final = 1_000_000
ACCOUNTS: Final = 10**12
VERDICT_MESSAGE: Final = "steelyard-verdict"
EXIT_NOT_OK: Final = 1
#: A message counts as failed when its replies take longer.
REPLIES_S: Final = 60.0


def bucket_response_time(response_time_ms: float) -> float:
    """Keep two significant digits: locust itself rounds to whole milliseconds, and ours are often less."""
    return float(f"{response_time_ms:.2g}")


# In the master and in every worker: all of them read this file.
locust.stats.bucket_response_time = bucket_response_time


class Bench:
    """What the users of this process share: the operator's hand, the instrument, all acknowledgements."""

    def __init__(self, options: Namespace) -> None:
        self.targets = [target.strip() for target in options.host.split(",")]
        self.data = Path(options.data) if options.data else None
        self.acks = AckBook()
        self.lines: list[grpc_user.TradeLine | grpc_user.UnaryLine] = []
        self.sessions: dict[int, tuple[grpc_user.Group, str]] = {}
        self.group = grpc_user.Group(self.targets, ApiKey.read(options.key))
        self._operator = grpc_user.UnaryLine(self.group, f"locust-{random.getrandbits(48):012x}")
        self._lock = RLock()
        self.instrument, self._assets = self._market()

    def trader(self) -> grpc_user.Group:
        """Open and fund an account; return the group as its key sees it."""
        with self._lock:
            account = FIRST_ACCOUNT + random.randrange(ACCOUNTS)
            self._do(admin_pb2.AdministerRequest(open_account=admin_pb2.OpenAccount(account=account)))
            for asset in self._assets:
                deposit = admin_pb2.Deposit(account=account, asset=asset, amount_atoms=FUNDS_ATOMS)
                self._do(admin_pb2.AdministerRequest(deposit=deposit))
            key = ApiKey.generate()
            create = admin_pb2.CreateApiKey(
                account=account, public_key=key.public_key, permissions=Permission.READ | Permission.TRADE
            )
            made = self._do(admin_pb2.AdministerRequest(create_api_key=create)).made
        return self.group.with_key(key.with_id(made, account))

    def _market(self) -> tuple[int, list[int]]:
        listed = grpc_user.markets(self.group)
        for row in listed.instruments:
            if row.symbol == SYMBOL:
                return row.instrument, [row.base_asset, row.quote_asset]
        asset = 1 + max((row.asset for row in listed.assets), default=0)
        number = 1 + max((row.instrument for row in listed.instruments), default=0)
        for offset, symbol in enumerate((BASE, QUOTE)):
            row = admin_pb2.ListAsset(asset=asset + offset, symbol=symbol, decimals=ASSET_DECIMALS)
            self._do(admin_pb2.AdministerRequest(list_asset=row))
        instrument = admin_pb2.ListInstrument(
            instrument=number,
            symbol=SYMBOL,
            base_asset=asset,
            quote_asset=asset + 1,
            tick_mantissa=1,
            tick_decimals=PRICE_DECIMALS,
            lot_mantissa=1,
            lot_decimals=SIZE_DECIMALS,
            price_max_ticks=HIGHEST_TICKS,
            size_max_lots=SIZE_MAX_LOTS,
        )
        self._do(admin_pb2.AdministerRequest(list_instrument=instrument))
        for state in (common_pb2.INSTRUMENT_STATE_POST_ONLY, common_pb2.INSTRUMENT_STATE_OPEN):
            move = admin_pb2.SetInstrumentState(instrument=number, state=state)
            self._do(admin_pb2.AdministerRequest(set_instrument_state=move))
        return number, [asset, asset + 1]

    def _do(self, request: admin_pb2.AdministerRequest) -> Accepted:
        reply = self._operator.administer(request)
        if not isinstance(reply, Accepted):
            raise SteelyardError(f"the exchange refused {request.WhichOneof('kind')}: {reply}")
        return reply


class _Process:
    """The one bench of this process, made when the first user starts."""

    bench: Bench | None = None
    lock: Final = RLock()


def bench_of(environment: Environment) -> Bench:
    """Return this process's bench."""
    with _Process.lock:
        if _Process.bench is None:
            _Process.bench = Bench(environment.parsed_options)
        return _Process.bench


class Trader(User):
    """Places, cancels and crosses on an account of its own."""

    abstract = True
    wait_time = constant(0)

    def on_start(self) -> None:
        """Open an account and a session on it."""
        self.bench = bench_of(self.environment)
        self.doors = self.bench.trader()
        self.flow = OrderFlow(self.bench.instrument, random.getrandbits(32))
        self.begin()

    def begin(self) -> None:
        """Open the session."""
        raise NotImplementedError

    def fire(self, kind: str, name: str, began_s: float, exception: Exception | None = None) -> None:
        """Tell locust of one request."""
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=(time.perf_counter() - began_s) * 1000,
            response_length=0,
            exception=exception,
            context={},
        )


class UnaryUser(Trader):
    """One call an order, each signed: convenient, and ten times as dear as a stream."""

    def begin(self) -> None:
        """Open the session."""
        self.line = grpc_user.UnaryLine(self.doors, "unary")
        self.record = self.bench.acks.recorder(self.line.id)
        self.bench.sessions[self.line.id] = (self.doors, "unary")

    @task
    def trade(self) -> None:
        """Send one command and wait for its reply."""
        (command,) = self.flow.next(1)
        began_s = time.perf_counter()
        try:
            reply = self.line.trade(command)
        except SteelyardError as error:
            self.fire("unary", type(command).__name__, began_s, error)
            raise StopUser from error
        self.record(reply.request, reply)
        self.fire("unary", type(command).__name__, began_s)


class StreamUser(Trader):
    """One Trade stream, one order a message; the next goes out when its reply is here."""

    batch = 1

    def begin(self) -> None:
        """Attach the stream."""
        self._sent_s: dict[int, float] = {}
        self._answered = Event()
        self._record: Any = None
        self.line = grpc_user.TradeLine(self.doors, "stream", self.batch, self._acked)
        self._record = self.bench.acks.recorder(self.line.id)
        self.bench.sessions[self.line.id] = (self.doors, "stream")

    def on_stop(self) -> None:
        """End the stream."""
        self.line.close()

    @task
    def trade(self) -> None:
        """Send one message and wait for all its replies; a failover only makes them slow."""
        commands = self.flow.next(self.batch)
        self._answered.clear()
        began_s = time.perf_counter()
        for number in self.line.send(commands):
            self._sent_s[number] = began_s
        deadline_s = began_s + REPLIES_S
        while self.line.open_count and self.line.failure is None and time.perf_counter() < deadline_s:
            self._answered.wait(timeout=1)
        if self.line.open_count:
            failure = self.line.failure or TimeoutError("no reply within a minute")
            self.fire("stream", self._name(), began_s, failure)
            raise StopUser from failure

    def _acked(self, request: int, reply: Reply) -> None:
        self._record(request, reply)
        self.fire("stream", self._name(), self._sent_s.pop(request))
        if not self.line.open_count:
            self._answered.set()

    def _name(self) -> str:
        return f"{self.batch} a message"


class TensUser(StreamUser):
    """Ten orders a message."""

    batch = 10


class BurstUser(StreamUser):
    """A hundred orders a message."""

    batch = 100


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """Add what we need to know to locust's own options."""
    parser.add_argument(
        "--key", required=True, help="file of the operator's API key", env_var="STEELYARD_KEY"
    )
    parser.add_argument(
        "--data",
        default="",
        help="the group's data directory, to judge the run by the replicas' logs",
        env_var="STEELYARD_DATA",
    )


@events.init.add_listener
def listen(environment: Environment, **_: object) -> None:
    """Let the loop know what time it is, and the master take over the workers' verdicts.

    The loop has read the clock when it was made: after a slow start the run time would be over at once.
    """
    gevent.get_hub().loop.update_now()
    if isinstance(environment.runner, MasterRunner):

        def take(environment: Environment, msg: Message, **_: object) -> None:
            if not msg.data["ok"]:
                environment.process_exit_code = EXIT_NOT_OK

        environment.runner.register_message(VERDICT_MESSAGE, take)


@events.quitting.add_listener
def conclude(environment: Environment, **_: object) -> None:
    """Judge what this process's users saw, print it, and make it the exit status."""
    bench = _Process.bench
    if bench is None:
        options = environment.parsed_options
        if isinstance(environment.runner, LocalRunner) and options is not None and options.headless:
            environment.process_exit_code = EXIT_NOT_OK
            sys.stderr.write("no verdict: nobody came to trade in the time that was given\n")
        return
    try:
        verdict = _verdict_of_logs(bench) if bench.data is not None else _verdict_at_the_door(bench)
    except Exception as error:
        environment.process_exit_code = EXIT_NOT_OK
        sys.stderr.write(f"no verdict: {error}\n")
        raise
    verdict |= _times(environment.stats.total)
    verdict["by_name"] = {entry.name: _times(entry) for entry in environment.stats.entries.values()}
    sys.stdout.write(json.dumps(verdict) + "\n")
    if not verdict["ok"]:
        environment.process_exit_code = EXIT_NOT_OK
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message(VERDICT_MESSAGE, {"ok": verdict["ok"]})


def _times(entry: StatsEntry) -> dict[str, Any]:
    """Return rates and times; locust's own table shows whole milliseconds only."""
    return {
        "requests": entry.num_requests,
        "failures": entry.num_failures,
        "requests_per_second": round(entry.total_rps, 1),
        "p50_ms": entry.get_response_time_percentile(0.5),
        "p99_ms": entry.get_response_time_percentile(0.99),
        "max_ms": round(entry.max_response_time, 2),
    }


def _verdict_of_logs(bench: Bench) -> dict[str, Any]:
    assert bench.data is not None
    group = LocalGroup.open(bench.data)
    deadline_s = time.monotonic() + REPLIES_S
    while time.monotonic() < deadline_s and group.logged_index() < bench.acks.last_index:
        gevent.sleep(0.1)
    verdict = judge(bench.acks, gather(group.node_directories))
    return {"judged_by": "the logs of all replicas", **msgspec.structs.asdict(verdict)}


def _verdict_at_the_door(bench: Bench) -> dict[str, Any]:
    """Ask the group: where each session stands, what it still keeps, the totals, and the digests.

    Replies that a session no longer keeps, and repeats, cannot be seen from outside.
    """
    told: dict[int, dict[int, Reply]] = {}
    for (session, request), reply in bench.acks.items():
        told.setdefault(session, {})[request] = reply
    lost = changed = 0
    for session, (group, name) in bench.sessions.items():
        stands = grpc_user.stand(group, name)
        rows = told.get(session, {})
        lost += sum(request > stands.last_request for request in rows)
        changed += sum(kept != rows[request] for request, kept in stands.replies.items() if request in rows)
    totals = grpc_user.totals(bench.group).totals
    digests: dict[int, set[bytes]] = {}
    for status in bench.group.statuses():
        digests.setdefault(status.digest_index, set()).add(status.digest)
    money_conserved = all(row.sum_atoms == 0 for row in totals)
    digests_equal = all(len(found) == 1 for found in digests.values())
    return {
        "judged_by": "what the door shows",
        "acknowledged": bench.acks.count,
        "lost": lost,
        "duplicated": None,
        "changed": changed,
        "money_conserved": money_conserved,
        "digests_equal": digests_equal,
        "ok": bool(bench.acks.count and not lost and not changed and money_conserved and digests_equal),
    }
