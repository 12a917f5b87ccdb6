"""At which mark a position's scope becomes liquidatable, if nothing else changes."""

from typing import Final, NamedTuple

from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.equity import (
    Marks,
    cash_atoms,
    gain_atoms,
    lots_maintenance_atoms,
    positions_of,
)
from steelyard.core.contracts.fill import owed_atoms
from steelyard.core.contracts.scales import value_atoms
from steelyard.core.limits import INTEGER_MAX
from steelyard.core.matching import Position
from steelyard.core.rounding import mul_div_down, mul_div_up
from steelyard.core.units import PPB, ContractKind

_LINEAR: Final = ContractKind.LINEAR


class LiquidationPrice(NamedTuple):
    """Where equity and maintenance margin are equal.

    ``numerator / denominator`` ticks is the exact solution without the roundings of margin and value, the
    denominator above zero.  At ``ticks`` the scope is safe, and one tick beyond it is liquidatable: one below
    if ``is_below``, else one above.
    """

    numerator: int
    denominator: int
    ticks: int
    is_below: bool


class _Line(NamedTuple):
    """``const + slope * x``, in atoms * 10**9, where ``x * width`` lies between two bounds (None: open)."""

    const: int
    slope: int
    low: int
    high: int | None


def liquidation_price(position: Position, marks: Marks) -> LiquidationPrice | None:
    """Return where the mark of a position's contract makes its scope liquidatable, or None if nowhere.

    The other positions of the scope stay at their marks; a leg on the other side moves along.  With ``x = k
    * P`` (inverse: ``S / P``) every notional is ``|q| * x``, so that equity less maintenance margin is a
    concave line with a corner at every tier, and above zero between at most two points::

        cash + others' (PnL - unsettled - MM) + sum(cash_flow - unsettled) + x * sum(+-q) - sum(MM(|q| * x))

    Of two solutions it is the one nearer to the mark, of equally near ones the lower.  The tick shown is the
    solution rounded up if danger lies below, down if above; where roundings of whole atoms weigh more than a
    tick, it is the tick near there at which the exact numbers change sides.
    """
    instrument = marks[position.instrument]
    contract = instrument.contract
    if position.qty_lots == 0 or contract is None:
        return None
    scope = position.scope
    rest_atoms = cash_atoms(scope)
    legs: list[Position] = []
    for other in positions_of(scope):
        if other.qty_lots == 0:
            continue
        if other.instrument == position.instrument:
            legs.append(other)
            rest_atoms += other.cash_flow_atoms - owed_atoms(contract, other)
            continue
        priced = marks[other.instrument]
        held, mark_ticks = priced.contract, priced.mark_ticks
        assert held is not None, other.instrument
        rest_atoms += gain_atoms(held, other, mark_ticks) - owed_atoms(held, other)
        rest_atoms -= lots_maintenance_atoms(held, other.qty_lots, other.cash_flow_atoms, mark_ticks)
    found = [price for line in _lines(contract, legs, rest_atoms) if (price := _price(contract, legs, line))]
    if not found:
        return None
    mark_ticks = instrument.mark_ticks
    numerator, denominator, is_below = _nearest(found, mark_ticks)
    round_ = mul_div_up if is_below else mul_div_down
    ticks = _edge(contract, legs, rest_atoms, round_(numerator, 1, denominator), -1 if is_below else 1)
    return None if ticks is None else LiquidationPrice(numerator, denominator, ticks, is_below)


def _width(legs: list[Position]) -> int:
    """Return by what ``x`` is multiplied so that every corner is an integer: the product of all lots."""
    width = 1
    for leg in legs:
        width *= abs(leg.qty_lots)
    return width


def _lines(contract: Contract, legs: list[Position], rest_atoms: int) -> list[_Line]:
    """Return equity less maintenance margin, piece by piece, from ``x = 0`` on."""
    terms = contract.rules.margin
    sign = 1 if contract.kind == _LINEAR else -1
    width = _width(legs)
    const, slope = rest_atoms * PPB, 0
    corners: list[tuple[int, int, int]] = []
    for leg in legs:
        lots = abs(leg.qty_lots)
        slope += sign * leg.qty_lots * PPB
        first = terms.tiers[0]
        if terms.at_entry:
            const -= lots_maintenance_atoms(contract, leg.qty_lots, leg.cash_flow_atoms, 1) * PPB
        elif terms.slope_ppb:
            slope -= lots * (1000 * first.maintenance_ppm + terms.slope_ppb * lots)
        else:
            slope -= 1000 * lots * first.maintenance_ppm
            before_ppm = first.maintenance_ppm
            others = mul_div_down(width, 1, lots)
            for tier in terms.tiers[1:]:
                rise = 1000 * (tier.maintenance_ppm - before_ppm)
                before_ppm = tier.maintenance_ppm
                corners.append((tier.floor_atoms * others, tier.floor_atoms * rise, -lots * rise))
    lines: list[_Line] = []
    low = 0
    for corner, more_const, more_slope in sorted(corners):
        lines.append(_Line(const, slope, low, corner))
        const, slope, low = const + more_const, slope + more_slope, corner
    lines.append(_Line(const, slope, low, None))
    return lines


def _price(contract: Contract, legs: list[Position], line: _Line) -> tuple[int, int, bool] | None:
    """Return the price at which a piece crosses zero, and whether danger lies below; None: nowhere."""
    const, slope = line.const, line.slope
    rises = slope > 0
    # x = top / bottom, both above zero.
    top, bottom = (-const, slope) if rises else (const, -slope)
    if bottom == 0 or top <= 0:
        return None
    at = top * _width(legs)
    if at < line.low * bottom or (line.high is not None and at > line.high * bottom):
        return None
    if contract.kind == _LINEAR:
        return top, bottom * contract.scale, rises
    return contract.scale * bottom, top, not rises


def _nearest(found: list[tuple[int, int, bool]], mark_ticks: int) -> tuple[int, int, bool]:
    """Return the price that is nearest to the mark, of equally near ones the lower."""
    best = found[0]
    for price in found[1:]:
        far, best_far = abs(price[0] - mark_ticks * price[1]), abs(best[0] - mark_ticks * best[1])
        here, there = far * best[1], best_far * price[1]
        if here < there or (here == there and price[0] * best[1] < best[0] * price[1]):
            best = price
    return best


def _edge(contract: Contract, legs: list[Position], rest_atoms: int, start: int, outward: int) -> int | None:
    """Return the last safe tick towards the danger near ``start``, or None if there is none of all prices."""
    first, last = 1, INTEGER_MAX
    ticks = min(max(start, first), last)
    is_safe = _is_safe(contract, legs, rest_atoms, ticks)
    way = outward if is_safe else -outward
    step = 1
    while True:
        next_ticks = ticks + way * step
        if not first <= next_ticks <= last:
            if step > 1:
                step = 1
                continue
            # Every price from here to the end of all prices is on the same side.
            return first if is_safe and ticks == first else None
        if _is_safe(contract, legs, rest_atoms, next_ticks) != is_safe:
            break
        ticks, step = next_ticks, 2 * step
    safe, unsafe = (ticks, next_ticks) if is_safe else (next_ticks, ticks)
    while abs(safe - unsafe) > 1:
        middle = mul_div_down(safe + unsafe, 1, 2)
        if _is_safe(contract, legs, rest_atoms, middle):
            safe = middle
        else:
            unsafe = middle
    return safe


def _is_safe(contract: Contract, legs: list[Position], rest_atoms: int, mark_ticks: int) -> bool:
    """Return whether equity covers maintenance margin at a mark, by the numbers that the engine uses."""
    atoms = rest_atoms
    for leg in legs:
        atoms += value_atoms(contract, leg.qty_lots, mark_ticks)
        atoms -= lots_maintenance_atoms(contract, leg.qty_lots, leg.cash_flow_atoms, mark_ticks)
    return atoms >= 0
