"""The scale of a contract, and what its lots are worth."""

from typing import Final

from steelyard.core.commands import ListContract
from steelyard.core.contracts.contract import Contract
from steelyard.core.rounding import exact_div, mul_div_down, mul_div_up
from steelyard.core.units import ContractKind

_LINEAR: Final = ContractKind.LINEAR


def contract_scale(listing: ListContract, settle_decimals: int) -> int | None:
    """Return ``k`` of a linear contract, ``S`` of an inverse one, or None unless that is an integer.

    ::

        k = tick * lot * 10**settle_decimals        atoms per tick and lot
        S = lot * 10**settle_decimals / tick        atoms times ticks per lot
    """
    lot, lot_unit = listing.lot_mantissa * 10**settle_decimals, 10**listing.lot_decimals
    tick, tick_unit = listing.tick_mantissa, 10**listing.tick_decimals
    if listing.contract == _LINEAR:
        return exact_div(tick * lot, tick_unit * lot_unit)
    return exact_div(lot * tick_unit, lot_unit * tick)


def notional_atoms(contract: Contract, price_ticks: int, lots: int) -> int:
    """Return the notional of ``lots >= 0`` lots that trade at ``price_ticks``, in settle atoms.

    Linear: ``price * lots * k``, exact.  Inverse: ``floor(lots * S / price)``, once per fill and the same
    number on both sides.
    """
    if contract.kind is _LINEAR:
        return price_ticks * lots * contract.scale
    return mul_div_down(lots, contract.scale, price_ticks)


def value_atoms(contract: Contract, qty_lots: int, mark_ticks: int) -> int:
    """Return what signed lots are worth at the mark, in settle atoms.

    Linear: ``qty * mark * k``, exact.  Inverse: ``floor(-qty * S / mark)``, for either sign.
    """
    if contract.kind is _LINEAR:
        return qty_lots * mark_ticks * contract.scale
    return mul_div_down(-qty_lots, contract.scale, mark_ticks) if qty_lots else 0


def mark_notional_atoms(contract: Contract, lots: int, mark_ticks: int) -> int:
    """Return the notional ``N`` of ``lots >= 0`` lots at the mark, by which margin is measured.

    Linear: ``lots * mark * k``, exact.  Inverse: ``ceil(lots * S / mark)``.  Zero lots need no mark.
    """
    if contract.kind is _LINEAR:
        return lots * mark_ticks * contract.scale
    return mul_div_up(lots, contract.scale, mark_ticks) if lots else 0


def flow_atoms(contract: Contract, signed_lots: int, notional: int) -> int:
    """Return the cash flow of a fill: minus what was paid.

    Linear: a buy pays the notional, a sell receives it.  Inverse: the other way round, for a long is short
    of the settle asset.
    """
    return -notional if (signed_lots > 0) == (contract.kind is _LINEAR) else notional
