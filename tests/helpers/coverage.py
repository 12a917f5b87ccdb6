"""What a run of traffic has met: how often each command, reply, event and refusal came."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, get_args

from steelyard.core.commands import AnyCommand
from steelyard.core.entry import AnyReply, Applied, Entry, Many, Refused
from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    ContractListed,
    DebtTaken,
    LiquidationEnded,
    OrderExpired,
    WithdrawalGateSet,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import ContractKind, InstrumentId, LiquidationEnd

#: Refusals that traffic cannot meet: bounds that are far away (met with shrunk ones), and those of the door.
OUT_OF_REACH: Final = frozenset(
    (
        Reject.STORAGE_LOW,
        Reject.TOO_MANY_ACCOUNTS,
        Reject.TOO_MANY_HOLDS,
        Reject.TOO_MANY_KEYS,
        Reject.TOO_MANY_LEGS,
        Reject.TOO_MANY_LISTINGS,
        Reject.TOO_MANY_POSITIONS,
        Reject.TOO_MANY_SESSIONS,
        Reject.TOO_MANY_SUB_ACCOUNTS,
        Reject.WINDOW_FULL,
    )
)
#: Why orders end.
ENDS: Final = (
    Reject.NO_LIQUIDITY,
    Reject.PRICE_BAND,
    Reject.VOLATILITY_HALT,
    Reject.EXPIRED,
    Reject.SELF_TRADE,
    Reject.OTHER_LEG,
    Reject.COUNTDOWN,
    Reject.AMENDED_BELOW_FILLED,
    Reject.INSTRUMENT_CLOSED,
    Reject.POST_ONLY_WOULD_TRADE,
    Reject.INSUFFICIENT_FUNDS,
    Reject.NO_REFERENCE_PRICE,
    Reject.INSUFFICIENT_MARGIN,
    Reject.REDUCE_ONLY_NOTHING,
    Reject.RISK_LEVEL,
    Reject.LIQUIDATED,
    Reject.REDUCED_AWAY,
    Reject.AUTO_DELEVERAGED,
)

#: What an event says only now and then.
SCENES: Final = (
    "several give in an ADL",
    "an ADL at the mark",
    "a gate closes",
    "a gate opens",
    "a debt beyond the fund",
    *(f"a liquidation ends {how.name}" for how in LiquidationEnd),
)


def names(kinds: Any) -> list[str]:  # noqa: ANN401 - a union type
    """Return the names of a union's members."""
    return [kind.__name__ for kind in get_args(kinds)]


class Coverage:
    """Counts of everything that was asked and said."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.scenes: Counter[str] = Counter()
        #: What a tick of a lot of a linear contract is worth.
        self._scales: dict[InstrumentId, int] = {}

    def note(self, entry: Entry, applied: Applied) -> None:
        """Count one entry."""
        self._note_events(applied.due)
        for request, outcome in zip(entry.requests, applied.outcomes, strict=True):
            self._note_events(outcome.events)
            self._note_reply(outcome.reply)
            if not isinstance(outcome.reply, Refused):
                self.accepted[type(request.command).__name__] += 1

    def add(self, other: "Coverage") -> None:
        """Count what another run has met, too."""
        for name, counts in self._counts():
            counts.update(getattr(other, name))

    def missing(self) -> list[str]:
        """Return what a long run of all versions should have met and this one has not."""
        # Skip is answered by the refusal that it carries.
        asked = [name for name in names(AnyCommand) if name != "Skip"]
        gaps = [f"{name} was never accepted" for name in asked if not self.accepted[name]]
        gaps += [f"the reply {name} was never given" for name in names(AnyReply) if not self.replies[name]]
        gaps += [f"{name} was never said" for name in names(AnyEvent) if not self.events[name]]
        never = [reason for reason in ENDS if not self.ends[reason.name]]
        gaps += [f"no order ended with {reason.name}" for reason in never]
        refused = [reason for reason in Reject if reason not in OUT_OF_REACH and reason not in _ONLY_ENDS]
        gaps += [f"never: {scene}" for scene in SCENES if not self.scenes[scene]]
        gaps += [f"{reason.name} was never a refusal" for reason in refused if not self.refusals[reason.name]]
        return gaps

    def lines(self) -> list[str]:
        """Return the counts as a report."""
        return [
            f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
            for title, counts in self._counts()
        ]

    def _counts(self) -> list[tuple[str, Counter[str]]]:
        return [(name, counts) for name, counts in vars(self).items() if isinstance(counts, Counter)]

    def _note_events(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            self.events[type(event).__name__] += 1
            match event:
                case OrderExpired():
                    self.ends[event.reason.name] += 1
                case ContractListed():
                    if event.contract == ContractKind.LINEAR:
                        self._scales[event.instrument] = event.scale
                case AdlSettled():
                    self.scenes["several give in an ADL"] += len(event.givers) > 1
                    # The bankruptcy price is another one, for whoever is below zero.
                    at_mark = event.lots * event.mark_ticks * self._scales.get(event.instrument, 0)
                    self.scenes["an ADL at the mark"] += abs(event.cash_atoms) == at_mark
                case DebtTaken():
                    self.scenes["a debt beyond the fund"] += event.debt_atoms > 0
                case LiquidationEnded():
                    self.scenes[f"a liquidation ends {event.how.name}"] += 1
                case WithdrawalGateSet():
                    self.scenes["a gate closes" if event.on else "a gate opens"] += 1
                case _:
                    pass

    def _note_reply(self, reply: AnyReply) -> None:
        self.replies[type(reply).__name__] += 1
        if isinstance(reply, Refused):
            self.refusals[reply.reason.name] += 1
        if isinstance(reply, Many):
            for leg in reply.legs:
                self._note_reply(leg)


#: Reasons that no request is refused for.  (Skip is refused for whatever it says.)
_ONLY_ENDS: Final = frozenset(
    (
        Reject.NO_LIQUIDITY,
        Reject.SELF_TRADE,
        Reject.EXPIRED,
        Reject.OTHER_LEG,
        Reject.COUNTDOWN,
        Reject.AMENDED_BELOW_FILLED,
        Reject.INSTRUMENT_CLOSED,
        Reject.VOLATILITY_HALT,
        Reject.LIQUIDATED,
        Reject.REDUCED_AWAY,
        Reject.AUTO_DELEVERAGED,
    )
)
