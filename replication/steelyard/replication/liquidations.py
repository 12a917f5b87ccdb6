"""What everybody may see of a liquidation: its steps, without whose they are."""

from typing import Final, NamedTuple

from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    DebtTaken,
    LiquidationPaid,
    LiquidationStepped,
    LossShared,
)

#: Numbers of the protocol's ``LiquidationStep``; they are stored.
STEPPED: Final = 2
PAID: Final = 3
DELEVERAGED: Final = 4
DEBT: Final = 5
SHARED: Final = 6


class Stepped(NamedTuple):
    """A step of a liquidation; which numbers are said depends on it, see ``LiquidationUpdate``."""

    log_index: int
    time_ns: int
    instrument: int
    liquidation: int
    step: int
    side: int = 0
    lots: int = 0
    mark_ticks: int = 0
    limit_ticks: int = 0
    received_atoms: int = 0
    bankruptcy_atoms: int = 0
    insurance_atoms: int = 0
    debt_atoms: int = 0
    others: int = 0


def stepped_of(log_index: int, time_ns: int, event: AnyEvent) -> Stepped | None:
    """Return the public step that an event is; None: it is none."""
    match event:
        case LiquidationStepped():
            return Stepped(
                log_index,
                time_ns,
                event.instrument,
                event.liquidation,
                STEPPED,
                side=event.side,
                lots=event.lots,
                mark_ticks=event.mark_ticks,
                limit_ticks=event.limit_ticks,
                bankruptcy_atoms=event.bankruptcy_atoms,
            )
        case LiquidationPaid():
            return Stepped(
                log_index,
                time_ns,
                event.instrument,
                event.liquidation,
                PAID,
                lots=event.lots,
                received_atoms=event.received_atoms,
                bankruptcy_atoms=event.bankruptcy_atoms,
                insurance_atoms=event.insurance_atoms,
            )
        case AdlSettled():
            return Stepped(
                log_index,
                time_ns,
                event.instrument,
                event.liquidation,
                DELEVERAGED,
                lots=event.lots,
                mark_ticks=event.mark_ticks,
                received_atoms=event.cash_atoms,
                others=len(event.givers),
            )
        case DebtTaken():
            return Stepped(
                log_index,
                time_ns,
                event.instrument,
                event.liquidation,
                DEBT,
                insurance_atoms=event.insurance_atoms,
                debt_atoms=event.debt_atoms,
            )
        case LossShared():
            return Stepped(
                log_index,
                time_ns,
                event.instrument,
                event.liquidation,
                SHARED,
                debt_atoms=event.debt_atoms,
                others=len(event.shares),
            )
        case _:
            return None
