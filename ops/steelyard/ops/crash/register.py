"""The liquidations of one log, by number: each begins once and ends once, or is odd."""

from steelyard.core import Applied, events
from steelyard.core.units import LiquidationEnd


class Register:
    """When the liquidations of one log began and ended, and how."""

    def __init__(self) -> None:
        self.started_ns: dict[int, int] = {}
        self.ended_ns: dict[int, int] = {}
        self.ends: dict[int, LiquidationEnd] = {}
        #: Numbers that began or ended twice, or ended without having begun.
        self.odd: list[int] = []

    def see(self, applied: Applied) -> None:
        """Note what an entry did."""
        for event in applied.events():
            if isinstance(event, events.LiquidationStarted):
                self.began(event.liquidation, applied.time_ns)
            elif isinstance(event, events.LiquidationEnded):
                self.ended(event.liquidation, event.how, applied.time_ns)

    def began(self, number: int, time_ns: int) -> None:
        """Note a beginning."""
        if number in self.started_ns:
            self.odd.append(number)
        self.started_ns.setdefault(number, time_ns)

    def ended(self, number: int, how: LiquidationEnd, time_ns: int) -> None:
        """Note an end."""
        if number in self.ended_ns or number not in self.started_ns:
            self.odd.append(number)
        self.ended_ns[number] = time_ns
        self.ends[number] = how

    @property
    def odd_count(self) -> int:
        """How many numbers are odd: came twice, ended without a beginning, or were left out."""
        return len(self.odd) + max(self.started_ns, default=0) - len(self.started_ns)

    @property
    def left(self) -> int:
        """How many have not ended."""
        return len(self.started_ns.keys() - self.ended_ns.keys())

    @property
    def span_ns(self) -> tuple[int, int]:
        """The times of the first beginning and of the last end; zeros if there was none."""
        return min(self.started_ns.values(), default=0), max(self.ended_ns.values(), default=0)

    def in_work(self, time_ns: int) -> int:
        """Return how many had begun by a time and not ended."""
        return sum(
            began_ns <= time_ns < self.ended_ns.get(number, time_ns + 1)
            for number, began_ns in self.started_ns.items()
        )
