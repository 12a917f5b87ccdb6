"""Which scopes a new mark may move to another risk level: found without looking at all of them.

Not state: what it finds is judged by the plain integers anyway, and what it does not find they would leave as
it is.  A restored member begins with everything dirty, and judges the same.

**What is kept.**  Of each position with lots, in a row of its contract's table, how far its *lot value* may
fall (``low``) and rise (``high``) before anything has to be looked at.  The lot value is what a long lot is
worth, in nanoatoms: ``v = mark * k * 10**9`` (linear), ``v = -S * 10**9 / mark`` (inverse).  With ``L`` lots
of sign ``s``, by the rules and without roundings::

    E  = ... + s * L * (v - C) / 10**9     equity; C is the cumulative funding
    N  = L * |v| / 10**9                   notional, rising with v (linear) or falling (inverse)
    MM = a convex function of N            its slope at N is the rate of N's tier

**Why it is exact.**  A scope stays on its level while ``F = a * E - 10**6 * MM > 0`` (``a``: the next
threshold; from CRITICAL ``10**6``, that is ``E >= MM``) and ``G = 10**6 * MM - b * E >= 0`` (``b``: one more
than the ratio at which the level is left; no such thing on SAFE).  When a scope is judged, both are known
exactly.  From there, let a position's lot value move by ``x`` for the worse (``s * x`` down) or for the
better, and funding by ``y`` against it.  With rates ``m`` of the notionals that it passes, per lot and 10**9:

* N falls for the worse: there F loses at most ``(a - m_least) * x + a * y``, for the better at most
  ``a * y - (a - m_top) * x``.
* N rises for the worse: there F loses at most ``(a + m_most) * x + a * y``, for the better at most
  ``a * (y - x)``.

Let ``slope`` be ``a - m_least`` or ``a + m_most``, and ``slope * L * d / 10**9 <= F``.  Then F stays above
zero while, for the worse, ``x + 2 * y <= d``, and for the better ``2 * y - x <= d``: put in the largest
``y``, and use ``2 * m_top <= a``.  Where that does not hold, ``x <= d - 2 * y`` is asked in both directions,
with the slope ``a + m_top``.  G is the same with better and worse changed.  F and G of several positions lose
at most the sum of what each takes; each has its part of the slack, so that all may move by the same share of
their value.  Roundings, at most four atoms times ``10**6`` per position, are taken off the slack first.

What funding does is gathered in two sums per contract that only rise, ``up`` and ``down``: ``y`` is never
more than what was added, since the row was written, to the one that is against it.  A row is left alone while
``low <= v - 2 * up`` and ``v + 2 * down <= high``, for which the sums of its own time were added to it.

**No overflow.**  All arithmetic is in plain integers; numpy only compares.  Values are in steps of ``unit``
nanoatoms, so that no lot value is above ``2**60``; bounds are rounded so that a row is looked at too early
rather than too late, and clamped to ``2**62``.  When the sums pass ``2**60`` all rows are written anew.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from steelyard.core.commands import MarginTerms
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.equity import Priced
from steelyard.core.contracts.ladder import AnyThresholds, threshold_ppm
from steelyard.core.contracts.scales import mark_notional_atoms
from steelyard.core.contracts.schedule import tier_of
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.rounding import mul_div_down, mul_div_up
from steelyard.core.units import PPB, PPM, AccountId, ContractKind, InstrumentId, Leg, RiskLevel

_LINEAR: Final = ContractKind.LINEAR
_SAFE: Final = RiskLevel.SAFE
_CRITICAL: Final = RiskLevel.CRITICAL

_NEXT: Final = {
    RiskLevel.SAFE: RiskLevel.WARNING,
    RiskLevel.WARNING: RiskLevel.DANGER,
    RiskLevel.DANGER: _CRITICAL,
}

_VALUE_MAX: Final = 2**60
#: Beyond every value: a bound there is none, or one that is always passed.
_FAR: Final = 2**62
#: What roundings may take off F or G, per position.
_ROUNDINGS: Final = 5 * PPM
_ROWS_MIN: Final = 64

#: How far a lot value may fall and rise, in nanoatoms; None: as far as it can.
_Distances = tuple[int | None, int | None]
_Name = tuple[AccountId, Leg]


class Marked(Priced, Protocol):
    """What of an instrument is asked here: its contract, its mark and the highest price."""

    @property
    def price_max_ticks(self) -> int:
        """The highest price."""


#: Where a position's instrument is found.
Markets = Mapping[InstrumentId, Marked]


class _Table:
    """The rows of one contract.

    ``looked_at`` are the mark and the cumulative funding of the last look; ``dirty`` the scopes to be judged,
    and written anew, at the next one.  A row whose position has ended is freed when it is passed.
    """

    __slots__ = (
        "contract",
        "dirty",
        "down_nanoatoms",
        "falls_from",
        "free",
        "high",
        "holders",
        "least_units",
        "looked_at",
        "low",
        "most_units",
        "nanoatoms",
        "rises_from",
        "rows",
        "unit",
        "up_nanoatoms",
        "valued_ticks",
    )

    def __init__(self, contract: Contract, price_max_ticks: int) -> None:
        self.contract = contract
        farthest_ticks = price_max_ticks if contract.kind == _LINEAR else 1
        self.unit = max(1, mul_div_up(contract.scale * farthest_ticks, PPB, _VALUE_MAX))
        self.low: npt.NDArray[np.int64] = np.full(_ROWS_MIN, -_FAR, np.int64)
        self.high: npt.NDArray[np.int64] = np.full(_ROWS_MIN, _FAR, np.int64)
        self.holders: list[Position] = []
        self.rows: dict[_Name, int] = {}
        self.free: list[int] = []
        self.looked_at = (0, 0)
        #: the cumulative funding of which the sums know
        self.nanoatoms = contract.cumulative_nanoatoms
        self.up_nanoatoms = 0
        self.down_nanoatoms = 0
        #: the mark of these
        self.valued_ticks = 0
        self.least_units = self.most_units = 0
        self.falls_from = self.rises_from = 0
        self.dirty: dict[Scope, None] = {}

    def set_values(self, mark_ticks: int) -> None:
        """Work out what rows are compared with at a mark, and what new ones begin with, in nanoatoms.

        The lot value less twice ``up``, and more twice ``down``; what is compared is rounded away from where
        the bounds are not, and what a row begins with towards there.
        """
        self.valued_ticks = mark_ticks
        scale = self.contract.scale
        if self.contract.kind == _LINEAR:
            least = most = mark_ticks * scale * PPB
        else:
            least, most = mul_div_down(-scale, PPB, mark_ticks), mul_div_up(-scale, PPB, mark_ticks)
        up, down = 2 * self.up_nanoatoms, 2 * self.down_nanoatoms
        self.least_units = mul_div_down(least - up, 1, self.unit)
        self.most_units = mul_div_up(most + down, 1, self.unit)
        self.falls_from = most - up
        self.rises_from = least + down

    def gather_funding(self) -> None:
        """Add what longs owe more (or less) since the last look to the sums."""
        delta = self.contract.cumulative_nanoatoms - self.nanoatoms
        if delta == 0:
            return
        self.nanoatoms += delta
        if delta > 0:
            self.up_nanoatoms += delta
        else:
            self.down_nanoatoms -= delta
        bound = self.unit * _VALUE_MAX
        if 2 * self.up_nanoatoms > bound or 2 * self.down_nanoatoms > bound or abs(delta) >= _VALUE_MAX >> 1:
            # The last: the cumulative funding has begun anew, and nobody knows what was owed in it.
            self.up_nanoatoms = self.down_nanoatoms = 0
            self.low[: len(self.holders)] = _FAR

    def passed(self, mark_ticks: int) -> list[Position]:
        """Return the positions whose rows the mark has passed, funding counted; free rows of ended ones."""
        self.gather_funding()
        self.looked_at = mark_ticks, self.nanoatoms
        self.set_values(mark_ticks)
        count = len(self.holders)
        rows = np.flatnonzero((self.low[:count] > self.least_units) | (self.high[:count] < self.most_units))
        found: list[Position] = []
        for row in rows.tolist():
            position = self.holders[row]
            if position.qty_lots:
                found.append(position)
            else:
                # Whoever takes lots again is dirty, and gets a row.
                del self.rows[position.account, position.leg]
                self.free.append(row)
                self.low[row], self.high[row] = -_FAR, _FAR
        return found

    def write(self, position: Position, mark_ticks: int, distances: _Distances) -> None:
        """Let a position be looked at when its lot value has fallen or risen so far from where it is."""
        row = self.rows.get((position.account, position.leg))
        if row is None:
            row = self._row(position)
        # The account may have given up an older position, and got this one.
        self.holders[row] = position
        if self.valued_ticks != mark_ticks:
            self.set_values(mark_ticks)
        fall, rise = distances
        low, high = -_FAR, _FAR
        if fall is not None:
            low = mul_div_up(self.falls_from - fall, 1, self.unit)
            if not -_FAR < low < _FAR:
                low = _FAR if low > 0 else -_FAR
        if rise is not None:
            high = mul_div_down(self.rises_from + rise, 1, self.unit)
            if not -_FAR < high < _FAR:
                high = _FAR if high > 0 else -_FAR
        self.low[row] = low
        self.high[row] = high

    def _row(self, position: Position) -> int:
        if self.free:
            row = self.free.pop()
        else:
            row = len(self.holders)
            self.holders.append(position)
            if row == len(self.low):
                self.low = np.concatenate((self.low, np.full(row, -_FAR, np.int64)))
                self.high = np.concatenate((self.high, np.full(row, _FAR, np.int64)))
        self.rows[position.account, position.leg] = row
        return row


class TriggerIndex:
    """The tables of all contracts with positions; see the module."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: dict[InstrumentId, _Table] = {}

    def touch(self, scope: Scope) -> None:
        """Let a scope of which anything has changed be judged at the next look at any of its contracts."""
        tables = self._tables
        if not tables:
            return
        if isinstance(scope, Position):
            table = tables.get(scope.instrument)
            if table is not None:
                table.dirty[scope] = None
            return
        assert isinstance(scope, Margin), scope
        for position in scope.positions.values():
            if position.qty_lots and not position.is_isolated:
                table = tables.get(position.instrument)
                if table is not None:
                    table.dirty[scope] = None

    def nominated(self, changed: Iterable[InstrumentId], markets: Markets) -> list[Scope]:
        """Return every scope with lots in ``changed`` contracts whose level may not be what it was.

        Whoever is judged must be written (``write``), and whoever cannot be judged touched again.  A contract
        that is seen for the first time has all its scopes among them.
        """
        changed_tables = {id_: self._table(id_, markets) for id_ in changed}
        found: dict[Scope, None] = {}
        for id_, table in self._tables.items():
            mark_ticks = markets[id_].mark_ticks
            if table.looked_at != (mark_ticks, table.contract.cumulative_nanoatoms):
                for position in table.passed(mark_ticks):
                    if id_ in changed_tables:
                        found[position.scope] = None
                    else:
                        self.touch(position.scope)
        for table in changed_tables.values():
            found.update(table.dirty)
            table.dirty.clear()
        return list(found)

    def write(
        self,
        scope: Scope,
        held: list[Position],
        markets: Markets,
        equity_atoms: int,
        maintenance_atoms: int,
        at: AnyThresholds,
    ) -> None:
        """Remember how far the marks of a scope's positions may move before its level may change.

        ``held`` are its positions with lots (at least one), the rest what it has been judged by at the marks.
        """
        level = scope.level
        roundings = _ROUNDINGS * len(held)
        rise_ppm = PPM if level == _CRITICAL else threshold_ppm(_NEXT[level], at)
        rise_slack = rise_ppm * equity_atoms - PPM * maintenance_atoms - roundings
        fall_ppm = 0 if level == _SAFE else threshold_ppm(level, at) - at.hysteresis_ppm + 1
        fall_slack = PPM * maintenance_atoms - fall_ppm * equity_atoms - roundings
        if len(held) == 1:
            position = held[0]
            table = self._table(position.instrument, markets)
            table.dirty.pop(scope, None)
            mark_ticks = markets[position.instrument].mark_ticks
            distances = _of_one(
                position, table.contract, mark_ticks, rise_ppm, rise_slack, fall_ppm, fall_slack
            )
            table.write(position, mark_ticks, distances)
            return
        self._write(
            scope, held, markets, _of_several(held, markets, rise_ppm, rise_slack, fall_ppm, fall_slack)
        )

    def leave_alone(self, scope: Scope, held: list[Position], markets: Markets) -> None:
        """Remember that no mark can move a scope that the engine has."""
        self._write(scope, held, markets, [(None, None)] * len(held))

    def _write(
        self, scope: Scope, held: list[Position], markets: Markets, all_distances: list[_Distances]
    ) -> None:
        for position, distances in zip(held, all_distances, strict=True):
            table = self._table(position.instrument, markets)
            table.dirty.pop(scope, None)
            table.write(position, markets[position.instrument].mark_ticks, distances)

    def _table(self, instrument: InstrumentId, markets: Markets) -> _Table:
        """Return the table of a contract; a new one has everybody dirty."""
        table = self._tables.get(instrument)
        if table is None:
            contract = markets[instrument].contract
            assert contract is not None, instrument
            table = self._tables[instrument] = _Table(contract, markets[instrument].price_max_ticks)
            table.dirty = {position.scope: None for position in contract.positions.values()}
        return table


def _of_one(
    position: Position,
    contract: Contract,
    mark_ticks: int,
    rise_ppm: int,
    rise_slack: int,
    fall_ppm: int,
    fall_slack: int,
) -> _Distances:
    """Return how far the lot value of a scope's only position may fall and rise.

    ``rise_ppm`` and ``rise_slack`` are ``a`` and F, ``fall_ppm`` (zero: never) and ``fall_slack`` are ``b``
    and G.
    """
    margin = contract.rules.margin
    lots = abs(position.qty_lots)
    notional = mark_notional_atoms(contract, lots, mark_ticks)
    falls_for_worse = (position.qty_lots > 0) == (contract.kind == _LINEAR)
    top_ppb = _top_ppb(margin, lots)
    rise_ppb, fall_ppb = 1000 * rise_ppm, 1000 * fall_ppm
    better: int | None = None
    if 2 * top_ppb > rise_ppb:
        worse = better = _reach(rise_slack, (rise_ppb + top_ppb) * lots)
    elif falls_for_worse:
        rate_ppb = _rate_ppb(margin, notional, lots)
        worse = _reach(rise_slack, (rise_ppb - rate_ppb) * lots)
        if rate_ppb != _rate_ppb(margin, 0, lots):
            least = notional - mul_div_up(worse, lots, PPB) - 1
            worse = _reach(rise_slack, (rise_ppb - _rate_ppb(margin, least, lots)) * lots)
    else:
        rate_ppb = top_ppb
        if rate_ppb != _rate_ppb(margin, notional, lots):
            farthest = _reach(rise_slack, rise_ppb * lots)
            most = notional + mul_div_up(farthest, lots, PPB) + 1
            rate_ppb = _rate_ppb(margin, most, lots)
        worse = _reach(rise_slack, (rise_ppb + rate_ppb) * lots)
    if fall_ppb > 0:
        if 2 * top_ppb > fall_ppb:
            reach = _reach(fall_slack, (fall_ppb + top_ppb) * lots)
            worse = min(worse, reach)
        elif falls_for_worse:
            reach = _reach(fall_slack, (fall_ppb - _rate_ppb(margin, notional - 1, lots)) * lots)
        else:
            reach = _reach(fall_slack, (fall_ppb + _rate_ppb(margin, notional + 1, lots)) * lots)
        better = reach if better is None else min(better, reach)
    return (worse, better) if position.qty_lots > 0 else (better, worse)


def _of_several(
    held: list[Position], markets: Markets, rise_ppm: int, rise_slack: int, fall_ppm: int, fall_slack: int
) -> list[_Distances]:
    """Return how far the lot values of a scope's positions may fall and rise, all by the same share."""
    rise_ppb, fall_ppb = 1000 * rise_ppm, 1000 * fall_ppm
    rises = falls = 0
    #: lot value, and whether both ways count for F and for G
    parts: list[tuple[int, bool, bool]] = []
    for position in held:
        market = markets[position.instrument]
        contract = market.contract
        assert contract is not None, position.instrument
        lots = abs(position.qty_lots)
        notional = mark_notional_atoms(contract, lots, market.mark_ticks)
        top_ppb = _top_ppb(contract.rules.margin, lots)
        both_rise, both_fall = 2 * top_ppb > rise_ppb, 2 * top_ppb > fall_ppb
        rises_for_worse = (position.qty_lots > 0) != (contract.kind == _LINEAR)
        rises += (rise_ppb + (top_ppb if both_rise or rises_for_worse else 0)) * notional
        falls += (fall_ppb + (top_ppb if both_fall or rises_for_worse else 0)) * notional
        parts.append((mul_div_down(notional, PPB, lots), both_rise, both_fall))
    all_distances: list[_Distances] = []
    for position, (value, both_rise, both_fall) in zip(held, parts, strict=True):
        worse = _reach(rise_slack * value, rises * PPB)
        better = worse if both_rise else None
        if fall_ppb > 0:
            reach = _reach(fall_slack * value, falls * PPB)
            worse = min(worse, reach) if both_fall else worse
            better = reach if better is None else min(better, reach)
        all_distances.append((worse, better) if position.qty_lots > 0 else (better, worse))
    return all_distances


def _reach(slack: int, slope_ppb: int) -> int:
    """Return how far a lot value may move if a nanoatom takes ``slope_ppb / 1000 / 10**9`` of the slack."""
    return mul_div_down(slack, 1000 * PPB, slope_ppb)


def _rate_ppb(margin: MarginTerms, notional_atoms: int, lots: int) -> int:
    """Return by how much maintenance margin changes with the notional of ``lots`` lots at the mark."""
    if margin.at_entry:
        return 0
    if margin.slope_ppb:
        return _top_ppb(margin, lots)
    tiers = margin.tiers
    if len(tiers) == 1 or notional_atoms < tiers[1].floor_atoms:
        return 1000 * tiers[0].maintenance_ppm
    return 1000 * tier_of(margin, notional_atoms).maintenance_ppm


def _top_ppb(margin: MarginTerms, lots: int) -> int:
    """Return the highest such rate, at whatever mark."""
    if margin.at_entry:
        return 0
    return 1000 * margin.tiers[-1].maintenance_ppm + margin.slope_ppb * lots
