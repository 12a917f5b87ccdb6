"""What falls due at which log time: instruments, countdowns and prices first, then orders' expiries."""

from heapq import heapify, heappop, heappush
from typing import Final

from steelyard.core.units import AccountId, InstrumentId, OrderNumber

#: What can be due, in the order of equal times: (due_ns, kind, subject, detail).
#: An instrument's next state, or the end of its auction.
INSTRUMENT: Final = 1
#: An index that becomes stale.
INDEX: Final = 2
#: A contract, by details: first its sample, then its funding.
CONTRACT: Final = 3
SAMPLE: Final = 0
FUNDING: Final = 1
#: An asset whose withdrawal gate opens again.
GATE: Final = 4
#: A countdown: an account, and in detail an instrument.
COUNTDOWN: Final = 5

Timer = tuple[int, int, int, int]


class Timers:
    """Two heaps of due times: the short work of all kinds of ``Timer``, and the expiries of orders.

    A timer is a hint.  When it fires, the state says whether it still stands: the order lives and expires
    then, the countdown was not armed again.  So nothing has to be taken out early, and everything can be
    recomputed from the state when a snapshot is loaded.
    """

    __slots__ = ("_standing", "expiries", "urgent")

    def __init__(self) -> None:
        self.urgent: list[Timer] = []
        #: (kind, subject, detail) to the time of the first timer that ``wake`` has set
        self._standing: dict[tuple[int, int, int], int] = {}
        #: (due_ns, order number)
        self.expiries: list[tuple[int, OrderNumber]] = []

    def instrument(self, due_ns: int, instrument: InstrumentId) -> None:
        """Let an instrument be looked at when ``due_ns`` has come."""
        heappush(self.urgent, (due_ns, INSTRUMENT, instrument, 0))

    def countdown(self, due_ns: int, account: AccountId, instrument: InstrumentId) -> None:
        """Let a countdown be looked at when ``due_ns`` has come."""
        heappush(self.urgent, (due_ns, COUNTDOWN, account, instrument))

    def wake(self, due_ns: int, kind: int, subject: int, detail: int = 0) -> None:
        """Let a subject of a kind that is put off again and again be looked at by ``due_ns``.

        If it is looked at earlier anyway, nothing is added: whoever looks must ask for the rest of the time.
        """
        name = kind, subject, detail
        standing_ns = self._standing.get(name)
        if standing_ns is None or due_ns < standing_ns:
            self._standing[name] = due_ns
            heappush(self.urgent, (due_ns, kind, subject, detail))

    def expiry(self, due_ns: int, number: OrderNumber) -> None:
        """Let an order be looked at when ``due_ns`` has come."""
        heappush(self.expiries, (due_ns, number))

    def next_ns(self) -> int | None:
        """Return when the first timer is due, or None if there is none."""
        first = [heap[0][0] for heap in (self.urgent, self.expiries) if heap]
        return min(first) if first else None

    def pop_urgent(self, time_ns: int) -> Timer | None:
        """Return the first urgent timer that is due at ``time_ns`` and forget it, or None."""
        if self.urgent and self.urgent[0][0] <= time_ns:
            timer = heappop(self.urgent)
            due_ns, kind, subject, detail = timer
            if self._standing.get((kind, subject, detail)) == due_ns:
                del self._standing[kind, subject, detail]
            return timer
        return None

    def pop_expiry(self, time_ns: int) -> tuple[int, OrderNumber] | None:
        """Return (due_ns, number) of the first order that is due at ``time_ns`` and forget it, or None.

        Only an order that expires exactly then is meant: others have a timer of their own, and their turn
        must not depend on timers that a restored member has not got.
        """
        if self.expiries and self.expiries[0][0] <= time_ns:
            return heappop(self.expiries)
        return None

    def keep_urgent(self, urgent: list[Timer]) -> None:
        """Let exactly these be looked at, each subject of a kind that ``wake`` sets at most once."""
        self.urgent = urgent
        heapify(self.urgent)
        self._standing = {
            (kind, subject, detail): due_ns
            for due_ns, kind, subject, detail in urgent
            if kind not in (INSTRUMENT, COUNTDOWN)
        }

    def keep_expiries(self, expiries: list[tuple[int, OrderNumber]]) -> None:
        """Let exactly these orders be looked at."""
        self.expiries = expiries
        heapify(self.expiries)

    def refill(self, urgent: list[Timer], expiries: list[tuple[int, OrderNumber]]) -> None:
        """Start again from these."""
        self.keep_urgent(urgent)
        self.keep_expiries(expiries)
