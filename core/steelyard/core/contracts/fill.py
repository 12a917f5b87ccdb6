"""What fills and funding do to a position and to the money behind it."""

from steelyard.core.contracts.contract import Contract
from steelyard.core.matching import Position
from steelyard.core.rounding import mul_div_down, mul_div_towards_zero, mul_div_up
from steelyard.core.units import PPB


def owed_atoms(contract: Contract, position: Position) -> int:
    """Return what a position owes of funding (below zero: is owed): ``ceil(q * (C - settled) / 10**9)``."""
    delta_nanoatoms = contract.cumulative_nanoatoms - position.settled_nanoatoms
    return mul_div_up(position.qty_lots, delta_nanoatoms, PPB) if delta_nanoatoms else 0


def settle(contract: Contract, position: Position) -> int:
    """Let a position pay the funding it owes, from its bucket or wallet to FUNDING; return what it paid."""
    paid_atoms = owed_atoms(contract, position)
    if paid_atoms:
        if position.is_isolated:
            position.bucket_atoms -= paid_atoms
        else:
            position.margin.wallet_atoms -= paid_atoms
        contract.funding_atoms += paid_atoms
    position.settled_nanoatoms = contract.cumulative_nanoatoms
    return paid_atoms


def fill(
    contract: Contract,
    position: Position,
    signed_lots: int,
    flow_atoms: int,
    fee_atoms: int,
    pledge_lot_atoms: int,
) -> int:
    """Change a settled position by ``signed_lots`` (not zero) and move its money; return what was realised.

    ``flow_atoms`` is the cash of the lots: minus what was paid for them.  What is realised comes from
    CLEARING (below zero: goes there), the fee (below zero: a rebate) is the caller's to credit::

        same sign or flat:               cash_flow += flow
        opposite, c = min(|d|, |q|):     cash_flow += flow - realised
            share    = floor(cash_flow * c / |q|)
            closing  = sign of the flow * floor(|flow| * c / |d|)
            realised = share + closing

    Cross: the wallet takes ``realised - fee``.  Isolated, in this order: of a fill that only closes the
    bucket pays the fee; the closed lots' share of the bucket goes to the wallet with what was realised, or
    the bucket bears the loss; ``pledge_lot_atoms`` per lot leaves what is held: that of closed lots to the
    bucket as far as that is below zero and else to the wallet, that of opened ones to the bucket; of a fill
    that opens the bucket pays the fee.  While the position is liquidated its bucket takes what was
    realised, and keeps all of itself.
    """
    qty_lots = position.qty_lots
    lots, held_lots = abs(signed_lots), abs(qty_lots)
    closed_lots = realised_atoms = 0
    if qty_lots == 0 or (qty_lots > 0) == (signed_lots > 0):
        position.cash_flow_atoms += flow_atoms
    else:
        # What is all of it needs no division.
        closing_atoms, share_atoms = flow_atoms, position.cash_flow_atoms
        if lots > held_lots:
            closed_lots = held_lots
            closing_atoms = mul_div_towards_zero(flow_atoms, held_lots, lots)
        else:
            closed_lots = lots
            if lots < held_lots:
                share_atoms = mul_div_down(share_atoms, lots, held_lots)
        realised_atoms = share_atoms + closing_atoms
        position.cash_flow_atoms += flow_atoms - realised_atoms
        contract.clearing_atoms -= realised_atoms
    if position.is_isolated:
        _move_isolated(position, lots, closed_lots, realised_atoms, fee_atoms, pledge_lot_atoms)
    else:
        position.margin.wallet_atoms += realised_atoms - fee_atoms
    position.qty_lots = after_lots = qty_lots + signed_lots
    if qty_lots > 0:
        contract.open_interest_lots -= qty_lots
    if after_lots > 0:
        contract.open_interest_lots += after_lots
    if qty_lots == 0:
        contract.positions[position.account, position.leg] = position
        position.settled_nanoatoms = contract.cumulative_nanoatoms
    elif after_lots == 0:
        assert position.cash_flow_atoms == 0, (position.account, position.leg, position.cash_flow_atoms)
        del contract.positions[position.account, position.leg]
    assert position.settled_nanoatoms == contract.cumulative_nanoatoms, (
        "a position is settled before it changes"
    )
    return realised_atoms


def _move_isolated(
    position: Position,
    lots: int,
    closed_lots: int,
    realised_atoms: int,
    fee_atoms: int,
    pledge_lot_atoms: int,
) -> None:
    """Move the money of an isolated position's fill; ``qty_lots`` is still what it was."""
    margin = position.margin
    only_closes = closed_lots == lots
    if only_closes:
        position.bucket_atoms -= fee_atoms
    if closed_lots:
        closes_all = closed_lots == abs(position.qty_lots)
        bucket_atoms = position.bucket_atoms
        share_atoms = mul_div_down(bucket_atoms, closed_lots, abs(position.qty_lots))
        result_atoms = share_atoms + realised_atoms
        if position.liquidation:
            # What a step leaves is to stand behind what is left; the engine gives it back at the end.
            position.bucket_atoms += realised_atoms
        elif result_atoms > 0 or (closes_all and result_atoms == 0):
            margin.wallet_atoms += result_atoms
            position.bucket_atoms -= share_atoms
        else:
            position.bucket_atoms += realised_atoms
    position.held_atoms -= lots * pledge_lot_atoms
    back_atoms = closed_lots * pledge_lot_atoms
    lack_atoms = 0 if position.liquidation else min(back_atoms, max(0, -position.bucket_atoms))
    position.bucket_atoms += lack_atoms + (lots - closed_lots) * pledge_lot_atoms
    margin.wallet_atoms += back_atoms - lack_atoms
    if not only_closes:
        position.bucket_atoms -= fee_atoms
