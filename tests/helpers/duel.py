"""The fast exchange and its slow twin, fed with the same log and compared on everything that can be seen."""

from collections.abc import Iterable

from tests.helpers.traffic import Traffic
from tests.helpers.world import CUSTOMERS

from steelyard.core import Exchange, queries, snapshot, wire
from steelyard.core.commands import AnyCommand
from steelyard.core.entry import Applied, Entry, Outcome, Request
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    FIRST_CUSTOMER,
    OMNIBUS,
    OPERATOR_KEY,
    AccountId,
    InstrumentId,
    KeyId,
    SessionId,
    Side,
)
from steelyard.simulation.twin import Twin
from steelyard.simulation.twin_parts import Session


class Difference(AssertionError):
    """The two exchanges disagree."""


def describe(index: int, request: Request, fast: Outcome, slow: Outcome) -> str:
    """Say what was asked and what each of the two made of it."""
    return f"entry {index}\n  asked {request}\n  fast  {fast}\n  slow  {slow}"


class Duel:
    """Both exchanges side by side; every step asserts that they agree."""

    def __init__(self) -> None:
        self.fast = Exchange()
        self.slow = Twin()
        self.index = 0
        self.commands = 0
        self.entries = 0

    def step(self, entry: Entry) -> Applied:
        """Apply one entry to both, through the bytes of the wire, and compare every reply and event."""
        # Some indexes of the log are the engine's own and never get here.
        self.index += 2 if entry.time_ns % 7 == 0 else 1
        self.entries += 1
        self.commands += len(entry.requests)
        slow = self.slow.apply(self.index, entry)
        fast, encoded = self.fast.apply_bytes(self.index, wire.encode_entry(entry))
        if fast != slow:
            for request, ours, theirs in zip(entry.requests, fast.outcomes, slow.outcomes, strict=True):
                if ours != theirs:
                    raise Difference(describe(self.index, request, ours, theirs))
            raise Difference(f"entry {self.index}: {fast} is not {slow}")
        assert encoded == wire.encode_applied(slow), "equal, but not in their bytes"
        return slow

    def compare_states(self) -> None:
        """Compare balances, open orders and books, and let both sides check themselves."""
        self.fast.check_invariants()
        check_twin(self.slow)
        for account in self.slow.accounts:
            assert balances(self.fast, AccountId(account)) == twin_balances(self.slow, account), account
            assert open_orders(self.fast, AccountId(account)) == twin_orders(self.slow, account), account
        for number, session in self.slow.sessions.items():
            if not self.slow.idle(session):
                assert session_of(self.fast, session) == twin_session(number, session), number
        for instrument in self.slow.markets:
            assert book(self.fast, InstrumentId(instrument)) == twin_book(self.slow, instrument), instrument
        for asset in totals(self.fast):
            assert asset.sum_atoms == 0, asset
            assert -asset.omnibus_atoms == asset.customers_atoms + asset.fees_atoms + asset.rounding_atoms


def duel(seed: int, commands: int, *, compare_every: int = 50) -> Duel:
    """Let both run the traffic of a seed until that many commands were applied.

    Every ``compare_every`` entries the whole states are compared, and at every fourth such stop the fast one
    goes on from its own snapshot.
    """
    both = Duel()
    script = Traffic(seed).script()
    entry = next(script)
    while both.commands < commands:
        entry = script.send(both.step(entry))
        if both.entries % compare_every == 0:
            both.compare_states()
        if both.entries % (4 * compare_every) == 0:
            both.fast = restored(both.fast)
    both.compare_states()
    return both


def restored(exchange: Exchange) -> Exchange:
    """Send an exchange through a snapshot and back, and check that the bytes survive it."""
    kept = snapshot.dump(exchange)
    copy = snapshot.load(kept)
    assert snapshot.dump(copy) == kept
    return copy


def make_log(seed: int, commands: int) -> list[Entry]:
    """Return the entries of a seed, their replies taken from the twin."""
    twin = Twin()
    script = Traffic(seed).script()
    log = [next(script)]
    while sum(len(entry.requests) for entry in log) < commands:
        log.append(script.send(twin.apply(len(log), log[-1])))
    return log


def replay(log: Iterable[Entry], exchange: Exchange | None = None) -> tuple[Exchange, list[Applied]]:
    """Apply a log to an exchange, a new one unless given; the index goes on from where it is."""
    exchange = exchange or Exchange()
    applied = [exchange.apply(exchange.applied_index + 1, entry) for entry in log]
    return exchange, applied


# ---- what can be seen of the fast one, through its questions


def ask(exchange: Exchange, query: queries.AnyQuery) -> queries.AnyAnswer:
    """Ask as the operator, who may know everything."""
    answer = queries.answer(exchange.state, OPERATOR_KEY, query)
    assert not isinstance(answer, Reject), (query, answer)
    return answer


def balances(exchange: Exchange, account: AccountId) -> dict[int, tuple[int, int]]:
    """Return what an account has, as asset -> (free, held), without the zeros."""
    answer = ask(exchange, queries.GetBalances(account=account))
    assert isinstance(answer, queries.Balances)
    return {b.asset: (b.free_atoms, b.held_atoms) for b in answer.balances if b.free_atoms or b.held_atoms}


def open_orders(
    exchange: Exchange, account: AccountId
) -> list[tuple[int, int, int, str, int, int, int, int]]:
    """Return an account's resting orders, by number."""
    answer = ask(exchange, queries.GetOpenOrders(account=account))
    assert isinstance(answer, queries.OpenOrders)
    return [
        (o.number, o.instrument, o.order, o.label, o.side, o.price_ticks, o.size_lots, o.open_lots)
        for o in answer.orders
    ]


def book(exchange: Exchange, instrument: InstrumentId) -> tuple[list[tuple[int, int, int]], ...]:
    """Return both sides of a book, best first."""
    answer = ask(exchange, queries.GetBook(instrument=instrument, depth=100))
    assert isinstance(answer, queries.Book)
    return answer.bids, answer.asks


def totals(exchange: Exchange) -> list[queries.AssetTotal]:
    """Return where all the money is."""
    answer = ask(exchange, queries.GetTotals())
    assert isinstance(answer, queries.Totals)
    return answer.totals


def everything_but_sessions(exchange: Exchange) -> list[object]:
    """Return all that a refused command must leave alone."""
    asked: list[queries.AnyQuery] = [queries.GetMarkets(), queries.GetTotals()]
    for account in range(FIRST_CUSTOMER - 1, FIRST_CUSTOMER + 8):
        asked.append(queries.GetBalances(account=AccountId(account)))
        asked.append(queries.GetOpenOrders(account=AccountId(account)))
    asked += [queries.GetBook(instrument=InstrumentId(number), depth=100) for number in range(1, 6)]
    asked += [queries.GetKey(key=KeyId(number)) for number in range(12)]
    return [queries.answer(exchange.state, OPERATOR_KEY, query) for query in asked]


def session_of(exchange: Exchange, session: Session) -> queries.AnyAnswer:
    """Return where a session stands, and every reply that it keeps."""
    return ask(exchange, queries.GetSession(account=AccountId(session.account), name=session.name))


# ---- the same of the slow one


def twin_session(number: int, session: Session) -> queries.SessionInfo:
    """Return where a session stands, and every reply that it keeps."""
    return queries.SessionInfo(
        session=SessionId(number),
        last_request=session.last,
        wants_from=session.wants_from,
        replies=[session.replies[request] for request in sorted(session.replies)],
    )


def twin_balances(twin: Twin, account: int) -> dict[int, tuple[int, int]]:
    """Return what an account has, as asset -> (free, held), without the zeros."""
    rows = {
        asset: (twin.free.get((account, asset), 0), twin.held.get((account, asset), 0))
        for asset in twin.assets
    }
    return {asset: row for asset, row in rows.items() if row != (0, 0)}


def twin_orders(twin: Twin, account: int) -> list[tuple[int, int, int, str, int, int, int, int]]:
    """Return an account's resting orders, by number."""
    return [
        (o.number, c.instrument, c.order, c.label, c.side, o.price, c.size_lots, o.open)
        for o in sorted(twin.own(account), key=lambda o: o.number)
        for c in [o.command]
    ]


def twin_book(twin: Twin, instrument: int) -> tuple[list[tuple[int, int, int]], ...]:
    """Return both sides of a book, best first."""
    sides = []
    for side in (Side.BUY, Side.SELL):
        orders = [o for o in twin.resting(instrument) if o.command.side == side]
        prices = sorted({o.price for o in orders}, reverse=side == Side.BUY)
        level = {price: [o.open for o in orders if o.price == price] for price in prices}
        sides.append([(price, sum(level[price]), len(level[price])) for price in prices])
    return tuple(sides)


def check_twin(twin: Twin) -> None:
    """Check the money and the books of the slow one by the formulas."""
    held: dict[tuple[int, int], int] = {}
    for order in twin.orders:
        assert order.open > 0
        market = twin.markets[order.command.instrument]
        asset, atoms = twin.pledge(market, order.command.side, order.price, order.open)
        held[order.command.account, asset] = held.get((order.command.account, asset), 0) + atoms
    assert {owner: atoms for owner, atoms in twin.held.items() if atoms} == held
    for asset in twin.assets:
        assert sum(n for rows in (twin.free, twin.held) for (_, a), n in rows.items() if a == asset) == 0
    for (account, asset), atoms in twin.free.items():
        assert atoms >= 0 or account == OMNIBUS, (account, asset, atoms)
    for instrument in twin.markets:
        bids, asks = twin_book(twin, instrument)
        assert not bids or not asks or bids[0][0] < asks[0][0], instrument


# ---- one command at a time


class Desk:
    """A duel with the small world founded, at which single commands are handed in by account."""

    def __init__(self) -> None:
        self.both = Duel()
        self.traffic = Traffic(seed=0, idle_share=0)
        founding = self.traffic.founding()
        entry: Entry | None = next(founding)
        while entry is not None:
            applied = self.both.step(entry)
            try:
                entry = founding.send(applied)
            except StopIteration:
                entry = None
        # Every session here keeps its replies for as short a time as any other.
        self.traffic.lines[CUSTOMERS[0]].lazy = False

    def request(self, account: AccountId, command: AnyCommand) -> Request:
        """Wrap a command as the next request of an account's session."""
        return self.traffic.numbered(self.traffic.lines[account], command)

    def hand_in(self, account: AccountId, command: AnyCommand) -> Outcome:
        """Send one command through an account's session."""
        return self.deliver(self.request(account, command))

    def deliver(self, request: Request) -> Outcome:
        """Send one request, in an entry of its own."""
        return self.both.step(self.traffic.entry([request])).outcomes[0]
