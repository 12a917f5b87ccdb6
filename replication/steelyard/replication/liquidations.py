"""What everybody may see of a liquidation: from its start to its end, without whose it is."""

from typing import Final, NamedTuple

from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    DebtRepaid,
    DebtTaken,
    LiquidationEnded,
    LiquidationPaid,
    LiquidationStarted,
    LiquidationStepped,
    LossShared,
)

#: Numbers of the protocol's ``LiquidationStep``; they are stored.
STARTED: Final = 1
STEPPED: Final = 2
PAID: Final = 3
DELEVERAGED: Final = 4
DEBT: Final = 5
SHARED: Final = 6
ENDED: Final = 7
REPAID: Final = 8


class Stepped(NamedTuple):
    """A step of a liquidation; which numbers are said depends on it, see ``LiquidationUpdate``.

    Where ``instrument`` is zero it is about the margin wallets of ``asset``, else that is zero.
    """

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
    asset: int = 0
    how: int = 0


def stepped_of(log_index: int, time_ns: int, event: AnyEvent) -> Stepped | None:
    """Return the public step that an event is; None: it is none."""
    match event:
        case LiquidationStarted():
            return Stepped(
                log_index,
                time_ns,
                event.instrument,
                event.liquidation,
                STARTED,
                asset=0 if event.instrument else event.asset,
            )
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
                asset=0 if event.instrument else event.asset,
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
        case LiquidationEnded():
            return Stepped(
                log_index,
                time_ns,
                event.instrument,
                event.liquidation,
                ENDED,
                asset=0 if event.instrument else event.asset,
                how=event.how,
            )
        case DebtRepaid():
            return Stepped(log_index, time_ns, 0, 0, REPAID, insurance_atoms=event.atoms, asset=event.asset)
        case _:
            return None
