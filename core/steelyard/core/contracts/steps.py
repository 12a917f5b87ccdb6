"""One step of a liquidation: how many lots, what they must bring, at which price, and what the fund does."""

from typing import Final, NamedTuple

from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.equity import lots_maintenance_atoms
from steelyard.core.contracts.scales import mark_notional_atoms, value_atoms
from steelyard.core.contracts.schedule import tier_of
from steelyard.core.rounding import mul_div_down, mul_div_up, ppm_up
from steelyard.core.units import PPB, PPM, ContractKind

_LINEAR: Final = ContractKind.LINEAR

#: What all roundings of the condition of a step can make together, and more.
_ROUNDINGS_ATOMS: Final = 16
#: So often the fewest lots are looked for beyond what follows without roundings: see ``step_lots``.
_TRIES_MAX: Final = 1_000


class Closing(NamedTuple):
    """A position of a scope that a step may close a part of, and what the scope has and needs.

    ``others_atoms`` is the maintenance margin of the scope's other positions.
    """

    contract: Contract
    qty_lots: int
    cash_flow_atoms: int
    mark_ticks: int
    equity_atoms: int
    others_atoms: int

    def maintenance_atoms(self, closed_lots: int) -> int:
        """Return the maintenance margin of the scope without ``closed_lots`` of the position's lots."""
        qty_lots, cash_flow_atoms = self.qty_lots, self.cash_flow_atoms
        if closed_lots:
            all_lots = abs(qty_lots)
            cash_flow_atoms -= mul_div_down(cash_flow_atoms, closed_lots, all_lots)
            qty_lots = self.left_lots(closed_lots)
        own_atoms = lots_maintenance_atoms(self.contract, qty_lots, cash_flow_atoms, self.mark_ticks)
        return self.others_atoms + own_atoms

    def left_lots(self, closed_lots: int) -> int:
        """Return the signed lots that are left without ``closed_lots``."""
        return self.qty_lots - closed_lots if self.qty_lots > 0 else self.qty_lots + closed_lots

    def penalty_atoms(self, closed_lots: int) -> int:
        """Return the penalty of ``closed_lots`` lots at the mark."""
        notional_atoms = mark_notional_atoms(self.contract, closed_lots, self.mark_ticks)
        return ppm_up(notional_atoms, self.contract.rules.liquidation.penalty_ppm)

    def target_atoms(self, closed_lots: int) -> int:
        """Return the equity that is to be there without these lots: maintenance margin and the buffer."""
        return ppm_up(self.maintenance_atoms(closed_lots), PPM + self.contract.rules.liquidation.buffer_ppm)


def step_lots(closing: Closing) -> int:
    """Return the fewest lots of the position whose closing at the mark restores the scope.

    ::

        equity - ceil(N(l) * penalty / 10**6) >= ceil(MM' * (10**6 + buffer) / 10**6)

    where ``MM'`` is the scope's maintenance margin without them; at least 1 and ``ceil(|q| * step / 10**6)``,
    and all of them if no fewer suffice.

    The penalty never falls with the lots and what is needed never rises.  So from any number that is not
    above the answer, the fewest lots whose need is met after the penalty of that number are not above it
    either, and where they are that number itself it is the answer: the condition holds exactly, and of
    nothing fewer.  The search begins near it: see ``_fewest_without_roundings``.  Only where penalty and
    margin per lot are nearly the same can it be long; it is given up after ``_TRIES_MAX`` tries, for all.
    """
    all_lots = abs(closing.qty_lots)
    least_lots = max(1, ppm_up(all_lots, closing.contract.rules.liquidation.step_ppm))
    lots = _fewest_without_roundings(closing, min(least_lots, all_lots))
    for _ in range(_TRIES_MAX):
        left_atoms = closing.equity_atoms - closing.penalty_atoms(lots)
        enough_lots = _fewest_with_target(closing, lots, left_atoms)
        if enough_lots is None or enough_lots == all_lots:
            return all_lots
        if enough_lots == lots:
            return lots
        lots = enough_lots
    return all_lots


def _fewest_without_roundings(closing: Closing, lots: int) -> int:
    """Return lots from ``lots`` on that are near the answer of ``step_lots``, and not above it.

    Without roundings ``penalty(l) + target(l) - equity`` is convex: a lot more lowers it by at most what it
    does at the margin of where we are, so Newton's steps from the left never pass the first zero.  Where it
    does not fall any more it will not again, and all lots are the answer.
    """
    contract, mark_ticks = closing.contract, closing.mark_ticks
    terms, margin = contract.rules.liquidation, contract.rules.margin
    all_lots = abs(closing.qty_lots)
    if contract.kind == _LINEAR:
        lot_atoms, divisor = contract.scale * mark_ticks, 1
    else:
        lot_atoms, divisor = contract.scale, mark_ticks
    # Per lot: lot_atoms / divisor of notional at the mark, and that of which margin is asked.
    asked_atoms, asked_divisor = lot_atoms, divisor
    if margin.at_entry:
        asked_atoms, asked_divisor = abs(closing.cash_flow_atoms), all_lots
    penalty = terms.penalty_ppm * PPB * lot_atoms * asked_divisor
    while lots < all_lots:
        lack_atoms = (
            closing.penalty_atoms(lots) + closing.target_atoms(lots) - closing.equity_atoms - _ROUNDINGS_ATOMS
        )
        if lack_atoms <= 0:
            return lots
        left_lots = all_lots - lots
        if margin.slope_ppb:
            rate_ppb = 1000 * margin.tiers[0].maintenance_ppm + 2 * margin.slope_ppb * left_lots
        else:
            asked = mul_div_up(left_lots, asked_atoms, asked_divisor)
            rate_ppb = 1000 * tier_of(margin, asked).maintenance_ppm
        fall = (PPM + terms.buffer_ppm) * rate_ppb * asked_atoms * divisor - penalty
        if fall <= 0:
            return all_lots
        more_lots = mul_div_down(lack_atoms, PPM * PPB * divisor * asked_divisor, fall)
        if more_lots == 0:
            return lots
        lots = min(lots + more_lots, all_lots)
    return lots


def _fewest_with_target(closing: Closing, lots: int, left_atoms: int) -> int | None:
    """Return the fewest lots from ``lots`` on for which ``left_atoms`` are enough, or None."""
    if closing.target_atoms(lots) <= left_atoms:
        return lots
    all_lots = abs(closing.qty_lots)
    too_few, enough, stride = lots, lots, 1
    while True:
        enough = min(too_few + stride, all_lots)
        if closing.target_atoms(enough) <= left_atoms:
            break
        if enough == all_lots:
            return None
        too_few, stride = enough, 2 * stride
    while enough - too_few > 1:
        middle = (too_few + enough) >> 1
        if closing.target_atoms(middle) <= left_atoms:
            enough = middle
        else:
            too_few = middle
    return enough


def bankruptcy_atoms(closing: Closing, lots: int) -> int:
    """Return the cash that ``lots`` lots must bring for nobody to lose by closing them (below zero: cost).

    What they are worth at the mark, less the equity that stands behind them, floored::

        MM_c       = MM - MM'
        bankruptcy = -(value(q', mark) - value(q, mark)) - floor(equity * MM_c / MM)
    """
    contract, mark_ticks = closing.contract, closing.mark_ticks
    value_change_atoms = value_atoms(contract, closing.left_lots(lots), mark_ticks) - value_atoms(
        contract, closing.qty_lots, mark_ticks
    )
    needed_atoms = closing.maintenance_atoms(0)
    freed_atoms = needed_atoms - closing.maintenance_atoms(lots)
    return -value_change_atoms - mul_div_down(closing.equity_atoms, freed_atoms, needed_atoms)


def limit_ticks(
    contract: Contract, closed_long: bool, lots: int, least_atoms: int, price_max_ticks: int
) -> int:
    """Return the last tick at which closing ``lots`` lots brings at least ``least_atoms``; 0 if none does.

    A long sells down to it, a short buys up to it; within 1 ... ``price_max_ticks``.  ``p`` is the price::

        linear   long  p * lots * k >= least              short  -p * lots * k >= least
        inverse  long  -floor(lots * S / p) >= least      short  floor(lots * S / p) >= least
    """
    all_atoms = lots * contract.scale
    if contract.kind == _LINEAR:
        if closed_long:
            ticks = mul_div_up(least_atoms, 1, all_atoms)
        else:
            ticks = mul_div_down(-least_atoms, 1, all_atoms)
    elif closed_long:
        # lots * S / p < 1 - least
        ticks = mul_div_down(all_atoms, 1, 1 - least_atoms) + 1 if least_atoms <= 0 else price_max_ticks + 1
    else:
        ticks = mul_div_down(all_atoms, 1, least_atoms) if least_atoms > 0 else price_max_ticks
    if closed_long:
        return max(ticks, 1) if ticks <= price_max_ticks else 0
    return min(ticks, price_max_ticks) if ticks >= 1 else 0


def budget_atoms(closing: Closing, lots: int, insurance_atoms: int, peak_atoms: int) -> int:
    """Return what the fund may spend on a step of ``lots`` lots; nothing if it is too far below its peak.

    ::

        min(insurance, ceil(N(l) * fund_step / 10**6))

    Without the second bound a few lots would sweep a thin book to its last order, at the fund's cost.
    """
    terms = closing.contract.rules.liquidation
    if (peak_atoms - insurance_atoms) * PPM >= peak_atoms * terms.fund_drawdown_ppm:
        return 0
    notional_atoms = mark_notional_atoms(closing.contract, lots, closing.mark_ticks)
    return min(insurance_atoms, ppm_up(notional_atoms, terms.fund_step_ppm))


def insured_atoms(
    received_atoms: int, due_atoms: int, notional_atoms: int, penalty_ppm: int, insurance_atoms: int
) -> int:
    """Return what the fund takes of a step's fills, below zero: gives.

    What they brought above what was due, at most the penalty; what they lack, as far as the fund has it.
    """
    if received_atoms >= due_atoms:
        return min(received_atoms - due_atoms, ppm_up(notional_atoms, penalty_ppm))
    return -min(due_atoms - received_atoms, insurance_atoms)
