"""The check of histories accepts what happened and finds whatever is planted."""

from collections.abc import Callable

import pytest

from steelyard import client, core
from steelyard.client import ReadMode
from steelyard.core.commands import (
    AnyCommand,
    CancelOrder,
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
from steelyard.core.entry import Entry, Request
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    KeyId,
    OrderId,
    SessionId,
    Side,
)
from steelyard.ops.history import BalanceRead, BookRead, History, Write
from steelyard.ops.linearizable import Judgement, check
from steelyard.ops.verdict import told_by
from steelyard.replication.audit import Execution

ALICE = AccountId(1000)
BTC, USD, MARKET = AssetId(1), AssetId(2), InstrumentId(1)
OPERATOR_SESSION, SESSION = SessionId(1), SessionId(2)
STEP_NS = 1_000_000
Log = list[tuple[int, Entry]]


class Recorder:
    """Writes a log through the real exchange, and the history that a client would keep."""

    def __init__(self) -> None:
        self.exchange = core.Exchange()
        self.log: Log = []
        self.history = History()
        self.now_ns = STEP_NS
        self._requests: dict[int, int] = {}
        self.numbers: list[int] = []

    def apply(self, *commands: AnyCommand, key: int = 1, session: int = 0) -> list[core.Outcome]:
        """Put commands into one entry and apply it."""
        requests: list[Request] = []
        for command in commands:
            number = self._requests.get(session, 0) + bool(session)
            self._requests[session] = number
            requests.append(Request(SessionId(session), number, 1, KeyId(key), 7, 0, command))
        index = len(self.log) + 2
        entry = Entry(core.entry.ENTRY_VERSION, index * STEP_NS, requests)
        self.log.append((index, entry))
        return self.exchange.apply(index, entry).outcomes

    def trade(self, sent: client.Command, logged: AnyCommand) -> Write:
        """Send a trader's command, and take its reply."""
        outcome = self.apply(logged, key=2, session=SESSION)[0]
        request = self._requests[SESSION]
        write = Write(sent, self.now_ns)
        told = told_by(Execution(len(self.log) + 1, 1, outcome.reply))
        assert told is not None
        write.reply, write.returned_ns = told, self.now_ns + STEP_NS
        self.history.writes[SESSION, request] = write
        self.now_ns += 2 * STEP_NS
        return write

    def place(self, order: int, side: Side, price_ticks: int) -> Write:
        """Place an order of ten lots."""
        return self.trade(
            client.PlaceOrder(MARKET, int(side), 10, price_ticks, order),
            PlaceOrder(
                account=ALICE,
                instrument=MARKET,
                order=OrderId(order),
                side=side,
                size_lots=10,
                limit_ticks=price_ticks,
            ),
        )

    def cancel(self, order: int) -> Write:
        """Cancel one."""
        return self.trade(client.CancelOrder(order), CancelOrder(account=ALICE, order=OrderId(order)))

    def read_book(self) -> None:
        """Ask for the best levels, freshly."""
        book = core.queries.answer(
            self.exchange.state, KeyId(2), core.queries.GetBook(instrument=MARKET, depth=5)
        )
        assert isinstance(book, core.queries.Book)
        answer = ([row[:2] for row in book.bids], [row[:2] for row in book.asks])
        index = len(self.log) + 1
        self.history.reads.append(
            BookRead(
                self.now_ns, self.now_ns + STEP_NS, ReadMode.LINEARIZABLE, 0, 1, index, MARKET, 5, answer
            )
        )
        self.now_ns += 2 * STEP_NS

    def read_balances(self) -> None:
        """Ask for what there is, freshly."""
        found = core.queries.answer(self.exchange.state, KeyId(2), core.queries.GetBalances(account=ALICE))
        assert isinstance(found, core.queries.Balances)
        answer = [(int(row.asset), row.free_atoms, row.held_atoms) for row in found.balances]
        index = len(self.log) + 1
        self.history.reads.append(
            BalanceRead(self.now_ns, self.now_ns + STEP_NS, ReadMode.LINEARIZABLE, 0, 1, index, ALICE, answer)
        )
        self.now_ns += 2 * STEP_NS


def recorded() -> Recorder:
    recorder = Recorder()
    recorder.apply(FoundGroup(group="g", operator_public_key=bytes(32)), key=0)
    recorder.apply(OpenSession(account=OPERATOR, name="operator"))
    recorder.apply(
        OpenAccount(account=ALICE),
        CreateApiKey(account=ALICE, public_key=bytes(32), permissions=3),
        ListAsset(asset=BTC, symbol="BTC", decimals=8),
        ListAsset(asset=USD, symbol="USD", decimals=8),
        ListInstrument(
            instrument=MARKET,
            symbol="BTC-USD",
            base=BTC,
            quote=USD,
            tick_mantissa=1,
            tick_decimals=2,
            lot_mantissa=1,
            lot_decimals=4,
            price_max_ticks=1000,
            size_max_lots=1000,
            notional_min_atoms=1,
            maker_ppm=100,
            taker_ppm=400,
        ),
        SetInstrumentState(instrument=MARKET, state=InstrumentState.POST_ONLY),
        SetInstrumentState(instrument=MARKET, state=InstrumentState.OPEN),
        Deposit(account=ALICE, asset=BTC, amount_atoms=10**12),
        Deposit(account=ALICE, asset=USD, amount_atoms=10**12),
        session=OPERATOR_SESSION,
    )
    recorder.apply(OpenSession(account=ALICE, name="trader"), key=2)
    recorder.place(1, Side.BUY, 100)
    recorder.read_book()
    recorder.place(2, Side.SELL, 110)
    recorder.place(3, Side.SELL, 100)
    recorder.read_balances()
    recorder.cancel(2)
    recorder.cancel(2)  # refused: it has gone
    recorder.read_book()
    return recorder


def judged(recorder: Recorder) -> Judgement:
    return check(recorder.history, recorder.log)


def write(recorder: Recorder, request: int) -> Write:
    return recorder.history.writes[SESSION, request]


def counts(found: Judgement) -> tuple[int, int, int, int]:
    return found.misplaced, found.stale, found.wrong, found.disordered


def test_what_really_happened_is_linearizable() -> None:
    found = judged(recorded())
    assert found == Judgement(writes=5, reads=3, misplaced=0, stale=0, wrong=0, disordered=0, findings=[])
    assert found.ok


def test_a_lost_write_is_found() -> None:
    recorder = recorded()
    index, entry = recorder.log[-1]
    recorder.log[-1] = (index, Entry(entry.version, entry.time_ns, []))
    found = judged(recorder)
    assert (found.misplaced, found.ok) == (1, False)
    assert "not in the log" in found.findings[0]


def test_a_write_at_another_index_than_promised_is_found() -> None:
    recorder = recorded()
    one = write(recorder, 3)
    assert one.reply is not None
    one.reply = one.reply._replace(log_index=one.reply.log_index + 1)
    assert judged(recorder).misplaced == 1


def test_another_command_than_was_sent_is_found() -> None:
    recorder = recorded()
    write(recorder, 1).command = client.PlaceOrder(MARKET, 1, 11, 100, 1)
    assert counts(judged(recorder)) == (1, 0, 0, 0)


def test_an_altered_reply_is_found() -> None:
    recorder = recorded()
    one = write(recorder, 3)
    assert isinstance(one.reply, client.Placed)
    assert one.reply.executed_lots == 10
    one.reply = one.reply._replace(executed_lots=9)
    assert counts(judged(recorder)) == (0, 0, 1, 0)


def test_a_stale_read_is_found() -> None:
    recorder = recorded()
    last = recorder.history.reads.pop()
    first = recorder.history.reads[0]
    recorder.history.reads.append(first._replace(called_ns=last.called_ns, returned_ns=last.returned_ns))
    found = judged(recorder)
    assert counts(found) == (0, 1, 0, 0)


def test_a_read_that_was_asked_to_be_stale_may_be() -> None:
    recorder = recorded()
    last = recorder.history.reads.pop()
    first = recorder.history.reads[0]
    assert isinstance(first, BookRead)
    recorder.history.reads.append(
        first._replace(called_ns=last.called_ns, returned_ns=last.returned_ns, mode=ReadMode.STALE)
    )
    assert judged(recorder).ok


def test_a_read_below_the_index_asked_for_is_found() -> None:
    recorder = recorded()
    first = recorder.history.reads[0]
    assert isinstance(first, BookRead)
    recorder.history.reads[0] = first._replace(mode=ReadMode.AT_LEAST, min_index=first.log_index + 1)
    assert counts(judged(recorder)) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    "alter",
    [
        lambda read: read._replace(log_index=read.log_index + 1),
        lambda read: read._replace(answer=([], [])),
    ],
)
def test_an_answer_that_does_not_fit_its_index_is_found(alter: Callable[[BookRead], BookRead]) -> None:
    recorder = recorded()
    read = recorder.history.reads[0]
    assert isinstance(read, BookRead)
    recorder.history.reads[0] = alter(read)
    assert judged(recorder).wrong == 1


def test_swapped_entries_are_found() -> None:
    recorder = recorded()
    (one, first), (two, second) = recorder.log[4:6]
    recorder.log[4:6] = [
        (one, Entry(second.version, first.time_ns, second.requests)),
        (two, Entry(first.version, second.time_ns, first.requests)),
    ]
    assert not judged(recorder).ok


def test_a_write_placed_before_what_was_known_when_it_was_called_is_found() -> None:
    recorder = recorded()
    for request in (1, 3):
        one = write(recorder, request)
        # As if the third request had come back before the first was even called.
        one.called_ns, one.returned_ns = (10**9, 10**9 + 1) if request == 1 else (1, 2)
    # The first request, and all that was called behind it and placed before the third.
    assert counts(judged(recorder)) == (0, 3, 0, 0)


def test_a_write_that_was_never_answered_may_be_in_the_log_or_not() -> None:
    recorder = recorded()
    write(recorder, 5).reply = None
    assert judged(recorder).ok
    recorder.history.writes[SESSION, 99] = Write(client.CancelOrder(1), recorder.now_ns)
    assert judged(recorder).ok


def test_a_second_copy_in_one_entry_is_no_second_place() -> None:
    recorder = recorded()
    index, entry = recorder.log[-1]
    recorder.log[-1] = (index, Entry(entry.version, entry.time_ns, [*entry.requests, *entry.requests]))
    assert judged(recorder).ok
