"""The fast exchange and its slow twin, fed with the same log and compared on everything that can be seen."""

from collections.abc import Iterable

from tests.helpers import contract_sight, sight
from tests.helpers.coverage import Coverage
from tests.helpers.spot_traffic import SpotTraffic
from tests.helpers.traffic import Traffic
from tests.helpers.twin_checks import check_twin
from tests.helpers.world import CUSTOMERS

from steelyard.core import Exchange, snapshot, versions, wire
from steelyard.core.commands import AnyCommand
from steelyard.core.entry import Applied, Entry, Outcome, Request
from steelyard.core.events import AnyEvent
from steelyard.core.units import (
    FEES,
    REFERRAL,
    AccountId,
    InstrumentId,
    KeyId,
)
from steelyard.simulation.twin import Twin


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
        self.coverage = Coverage()

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
        self.coverage.note(entry, slow)
        return slow

    def compare_states(self) -> None:
        """Compare balances, open orders and books, and let both sides check themselves."""
        self.fast.check_invariants()
        check_twin(self.slow)
        assert self.fast.state.version == self.slow.version
        for number in self.slow.accounts:
            account = AccountId(number)
            assert sight.balances(self.fast, account) == sight.twin_balances(self.slow, account), account
            assert sight.open_orders(self.fast, account) == sight.twin_orders(self.slow, account), account
            assert sight.account_info(self.fast, account) == sight.twin_account(self.slow, account), account
            assert sight.lists(self.fast, account) == sight.twin_lists(self.slow, account), account
            assert list(self.fast.state.accounts[account].recent) == self.slow.accounts[account].recent
            ours, theirs = (
                contract_sight.margins(self.fast, account),
                contract_sight.twin_margins(self.slow, account),
            )
            assert ours == theirs, (account, contract_sight.differences(ours, theirs))
        for number, session in self.slow.sessions.items():
            if not self.slow.idle(session):
                seen = sight.session_of(self.fast, session)
                assert seen == sight.twin_session(number, session), number
        for number in self.slow.markets:
            instrument = InstrumentId(number)
            assert sight.book(self.fast, instrument) == sight.twin_book(self.slow, instrument), instrument
            assert sight.queue(self.fast, instrument) == sight.twin_queue(self.slow, instrument), instrument
            # Below version 2 nothing comes of a last price, and snapshots do not hold it.
            if self.slow.version >= versions.SPOT_COMPLETE:
                stands = sight.standing(self.fast, instrument)
                assert stands == sight.twin_standing(self.slow, instrument), stands
        here, there = contract_sight.contracts(self.fast), contract_sight.twin_contracts(self.slow)
        assert here == there, contract_sight.differences(here, there)
        assert sight.tiers(self.fast) == self.slow.tiers
        assert list(self.fast.state.work) == [order.number for order in self.slow.work]
        for asset in sight.totals(self.fast):
            assert asset.sum_atoms == 0, asset
            assert asset.fees_atoms == self.slow.owned.get((FEES, asset.asset), 0), asset
            assert asset.referral_atoms == self.slow.owned.get((REFERRAL, asset.asset), 0), asset


def duel(seed: int, commands: int, kind: type[Traffic] = SpotTraffic, *, compare_every: int = 50) -> Duel:
    """Let both run the traffic of a seed until that many commands were applied.

    Every ``compare_every`` entries the whole states are compared, and at every fourth such stop the fast one
    goes on from its own snapshot.
    """
    both = Duel()
    script = kind(seed).script()
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


def make_log(seed: int, commands: int, kind: type[Traffic] = SpotTraffic) -> list[Entry]:
    """Return the entries of a seed, their replies taken from the twin."""
    twin = Twin()
    script = kind(seed).script()
    log = [next(script)]
    while sum(len(entry.requests) for entry in log) < commands:
        log.append(script.send(twin.apply(len(log), log[-1])))
    return log


def replay(log: Iterable[Entry], exchange: Exchange | None = None) -> tuple[Exchange, list[Applied]]:
    """Apply a log to an exchange, a new one unless given; the index goes on from where it is."""
    exchange = exchange or Exchange()
    applied = [exchange.apply(exchange.applied_index + 1, entry) for entry in log]
    return exchange, applied


# ---- one command at a time


class Desk:
    """A duel with the small world founded, at which single commands are handed in by account.

    ``kind`` says in which version; ``due`` is what the last entry did before its command.
    """

    def __init__(self, kind: type[Traffic] = SpotTraffic) -> None:
        self.both = Duel()
        self.due: list[AnyEvent] = []
        self.traffic = kind(seed=1, idle_share=0)
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

    @property
    def feed_key(self) -> KeyId:
        """The operator's key that feeds prices."""
        assert isinstance(self.traffic, SpotTraffic)
        return self.traffic.feed_key

    def request(self, account: AccountId, command: AnyCommand) -> Request:
        """Wrap a command as the next request of an account's session."""
        return self.traffic.numbered(self.traffic.lines[account], command)

    def hand_in(self, account: AccountId, command: AnyCommand) -> Outcome:
        """Send one command through an account's session."""
        return self.deliver(self.request(account, command))

    def deliver(self, request: Request) -> Outcome:
        """Send one request, in an entry of its own."""
        applied = self.both.step(self.traffic.entry([request]))
        self.due = applied.due
        return applied.outcomes[0]

    def pass_time(self, after_ns: int) -> list[AnyEvent]:
        """Let time pass, and return what came due."""
        self.traffic.time_ns += after_ns
        self.due = self.both.step(self.traffic.entry([])).due
        return self.due
