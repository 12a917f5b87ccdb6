"""Who is auto-deleveraged first: the positions of one side of a contract, worked out as far as anybody asks.

Not state: what it answers is what ranking everybody anew would, whoever was restored when.  It is built when
an auto-deleveraging first asks, and forgotten when a mark changes and nobody is in the queue.

**What is kept.**  For each settle asset in which somebody has asked, a row of each position with lots whose
scope is not LIQUIDATING: lots, cash flow, settled funding, and what its scope has beside its positions.
Whoever changes any of that must be touched, as for the trigger index.  Marks and cumulative fundings are
compared; others make everybody's scores anew.

**Why it is exact.**  For each row an upper bound of its score is worked out by numpy, in floating point.
Rows are scored with plain integers in the order of these bounds, and one is told only when its score is
above the bound of all that have not been scored.  So the bounds decide how much is scored, and nothing else:
that they are bounds is what has to be shown.  With ``V = q * mark * k`` (inverse ``-q * S / mark``)::

    gain G  is above  V + F - 1  and at most  V + F              F: the cash flow
    N       is at most  |V| + 1
    equity E  is within 2 of  W + the sum of V + F - owed        W: wallet or bucket; per position 2

Every number below comes from at most 80 operations (64 positions are summed), each off by at most ``2**-53``
of what was put in: ``_SLACK = 2**-44`` of the sum of all that is put in, taken without signs, covers them.
Then with ``G`` as high, ``N`` as high and ``E`` as low as that allows, of the formula of ``adl.score_ppm``

    G * 10**6 / |F| * max(1, N * 10**6 / E) / 10**6    if G > 0
    G * 10**6 / |F| / max(1, N * 10**6 / E) * 10**6    else

is not below it: floors only lower a score, and of a ``G`` of zero or less a higher leverage raises it.  Where
``E`` may be zero or less, the leverage is taken to be beyond all that there are.
"""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from steelyard.core.contracts import adl, equity
from steelyard.core.contracts.adl import SCORE_MAX_PPM, Candidate
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.equity import Marks
from steelyard.core.contracts.scales import mark_notional_atoms
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.units import PPB, PPM, AssetId, ContractKind, InstrumentId

_LINEAR: Final = ContractKind.LINEAR
_Floats = npt.NDArray[np.float64]
_Rows = npt.NDArray[np.int64]

#: What roundings may take off or add, of everything that went into a number.
_SLACK: Final = np.ldexp(1, -44)
#: Whole numbers below it are exact in floating point, and so are their sums and products.
_EXACT_MAX: Final = 2**53
#: Beyond every leverage: no notional is above ``INTEGER_MAX``, and an equity above zero is at least 1.
_LEVERAGE_MAX_PPM: Final = np.ldexp(1, 100)
#: So many rows are scored first, and then as many as there are already.
_SCORED_MIN: Final = 64


class Ranking:
    """One side of a contract, best first: ``ranked`` positions, ``gaining`` of them with a PnL above zero."""

    __slots__ = (
        "_gains",
        "_head",
        "_marks",
        "_next",
        "_rows",
        "_scored",
        "_table",
        "_uppers",
        "gaining",
        "ranked",
    )

    def __init__(
        self, table: "_Table", marks: Marks, rows: _Rows, uppers: _Floats, gains: npt.NDArray[np.bool_]
    ) -> None:
        self._table = table
        self._marks = marks
        best_first = np.argsort(-uppers)
        self._rows: list[int] = rows[best_first].tolist()
        self._uppers: list[float] = uppers[best_first].tolist()
        #: of each row of the table
        self._gains = np.zeros(len(table.holders), np.bool_)
        self._gains[rows] = gains
        self.ranked = len(rows)
        self.gaining = int(np.count_nonzero(gains))
        #: the place in these from which on nobody has been scored
        self._next = 0
        #: whoever has been scored, best first
        self._head: list[Candidate] = []
        #: rows that are scored, or (None) that are not what they were when the bounds were worked out
        self._scored: dict[int, Candidate | None] = {}

    def __iter__(self) -> Iterator[Candidate]:
        """Yield all, best first."""
        place = 0
        while True:
            while not self._is_sure(place):
                self._score_more()
            if place == len(self._head):
                return
            yield self._head[place]
            place += 1

    def drop(self, row: int) -> None:
        """Forget a row, which is as it was when it was added or the bounds were worked out."""
        self.ranked -= 1
        candidate = self._scored.get(row)
        if candidate is None:
            self.gaining -= bool(self._gains[row])
        else:
            self.gaining -= candidate.gain_atoms > 0
            del self._head[bisect_left(self._head, adl.turn(candidate), key=adl.turn)]
        self._scored[row] = None

    def add(self, row: int) -> None:
        """Know a row that is new, or has changed and was dropped before."""
        candidate = self._score(row)
        self.ranked += 1
        self.gaining += candidate.gain_atoms > 0
        insort(self._head, candidate, key=adl.turn)

    def _is_sure(self, place: int) -> bool:
        """Return whether nobody who has not been scored can come before or at that place of the head."""
        if self._next == len(self._rows):
            return True
        return place < len(self._head) and self._head[place].score_ppm > self._uppers[self._next]

    def _score_more(self) -> None:
        """Score the next rows; never so few that sorting them in would be the greater part of a long walk."""
        end = self._next + max(_SCORED_MIN, len(self._head))
        rows = self._rows[self._next : end]
        self._next += len(rows)
        self._head += [self._score(row) for row in rows if row not in self._scored]
        self._head.sort(key=adl.turn)

    def _score(self, row: int) -> Candidate:
        table = self._table
        position = table.holders[row]
        mark_ticks = self._marks[position.instrument].mark_ticks
        gain_atoms = equity.gain_atoms(table.contract, position, mark_ticks)
        equity_atoms = equity.equity_atoms(position.scope, self._marks)
        qty_lots = position.qty_lots
        notional_atoms = mark_notional_atoms(table.contract, abs(qty_lots), mark_ticks)
        score_ppm = adl.score_ppm(gain_atoms, position.cash_flow_atoms, notional_atoms, equity_atoms)
        candidate = Candidate(position.account, position.leg, qty_lots, gain_atoms, equity_atoms, score_ppm)
        self._scored[row] = candidate
        return candidate


class _Table:
    """The rows of one contract, and the rankings of its longs and shorts at the marks of the last look.

    A column holds a floating point number of each row; of a row that is free they are zero.
    """

    __slots__ = ("cash", "contract", "free", "holders", "qty", "rankings", "settled", "slots")

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.holders: list[Position] = []
        self.free: list[int] = []
        self.qty = array("d")
        self.cash = array("d")
        self.settled = array("d")
        self.slots = array("q")
        self.rankings: dict[bool, Ranking] = {}

    def add(self, position: Position, slot: int) -> int:
        """Return the row of a position whose scope has that slot."""
        if not self.free:
            self.holders.append(position)
            self.qty.append(position.qty_lots)
            self.cash.append(position.cash_flow_atoms)
            self.settled.append(position.settled_nanoatoms)
            self.slots.append(slot)
            row = len(self.holders) - 1
        else:
            row = self.free.pop()
            self.holders[row] = position
            self.qty[row] = position.qty_lots
            self.cash[row] = position.cash_flow_atoms
            self.settled[row] = position.settled_nanoatoms
            self.slots[row] = slot
        if self.rankings and (position.qty_lots > 0) in self.rankings:
            self.rankings[position.qty_lots > 0].add(row)
        return row

    def drop(self, row: int) -> None:
        """Free a row; its columns say what it was."""
        is_long = self.qty[row] > 0
        if is_long in self.rankings:
            self.rankings[is_long].drop(row)
        self.qty[row] = self.cash[row] = self.settled[row] = self.slots[row] = 0
        self.free.append(row)

    def values(self, mark_ticks: int) -> _Floats:
        """Return what the lots of each row are worth at the mark, without rounding."""
        scale = self.contract.scale
        if self.contract.kind is _LINEAR:
            return _floats(self.qty) * (mark_ticks * scale)
        return np.divide(_floats(self.qty) * -scale, mark_ticks)

    def standing(self, mark_ticks: int) -> tuple[_Floats, _Floats]:
        """Return what each position adds to the equity of its scope, and how far off that may be."""
        values, cash, lots = self.values(mark_ticks), _floats(self.cash), _floats(self.qty)
        settled, cumulative = _floats(self.settled), self.contract.cumulative_nanoatoms
        owed = np.divide(lots * (cumulative - settled), PPB)
        put_in = np.abs(values) + np.abs(cash)
        put_in += np.divide(np.abs(lots) * (abs(cumulative) + np.abs(settled)), PPB)
        return values + cash - owed, put_in * _SLACK + 2


class _Book:
    """All positions that lean on margin of one settle asset, but those of scopes that the engine has."""

    __slots__ = ("_dirty", "_free", "_known", "_money", "_stamp", "_tables")

    def __init__(self, asset: AssetId, marks: Marks) -> None:
        self._tables: dict[InstrumentId, _Table] = {}
        #: the wallet or bucket of the scope that has a slot
        self._money = array("d")
        self._free: list[int] = []
        #: the slot of a scope with lots, and its rows
        self._known: dict[Scope, tuple[int, list[tuple[_Table, int]]]] = {}
        self._dirty: dict[Scope, None] = {}
        self._stamp: list[tuple[int, int]] = []
        for instrument in marks.values():
            contract = instrument.contract
            if contract is not None and contract.settle == asset:
                for position in contract.positions.values():
                    scope = position if position.is_isolated else position.margin
                    if scope not in self._known:
                        self._add(scope, marks)

    def touch(self, scope: Scope) -> None:
        """Have a scope of which anything has changed looked at again."""
        self._dirty[scope] = None

    def ranking(self, instrument: InstrumentId, marks: Marks, *, is_long: bool) -> Ranking:
        """Return one side of a contract at the marks."""
        stamp = [
            (marks[id_].mark_ticks, table.contract.cumulative_nanoatoms)
            for id_, table in self._tables.items()
        ]
        if stamp != self._stamp:
            self._stamp = stamp
            for table in self._tables.values():
                table.rankings.clear()
        for scope in self._dirty:
            self._drop(scope)
            self._add(scope, marks)
        self._dirty.clear()
        table = self._table(instrument, marks)
        ranking = table.rankings.get(is_long)
        if ranking is None:
            ranking = table.rankings[is_long] = self._ranked(table, instrument, marks, is_long=is_long)
        return ranking

    def _drop(self, scope: Scope) -> None:
        known = self._known.pop(scope, None)
        if known is not None:
            slot, rows = known
            self._money[slot] = 0
            self._free.append(slot)
            for table, row in rows:
                table.drop(row)

    def _add(self, scope: Scope, marks: Marks) -> None:
        """Know the positions with lots of a scope, unless the engine has it."""
        if scope.liquidation:
            return
        if isinstance(scope, Position):
            held, money_atoms = [scope] if scope.qty_lots else [], scope.bucket_atoms
        else:
            assert isinstance(scope, Margin), scope
            positions = scope.positions.values()
            held = [position for position in positions if position.qty_lots and not position.is_isolated]
            money_atoms = scope.wallet_atoms
        if not held:
            return
        if self._free:
            slot = self._free.pop()
            self._money[slot] = money_atoms
        else:
            slot = len(self._money)
            self._money.append(money_atoms)
        rows: list[tuple[_Table, int]] = []
        for position in held:
            table = self._tables.get(position.instrument)
            if table is None:
                table = self._table(position.instrument, marks)
            rows.append((table, table.add(position, slot)))
        self._known[scope] = slot, rows

    def _table(self, instrument: InstrumentId, marks: Marks) -> _Table:
        table = self._tables.get(instrument)
        if table is None:
            contract = marks[instrument].contract
            assert contract is not None, instrument
            table = self._tables[instrument] = _Table(contract)
        return table

    def _ranked(self, table: _Table, instrument: InstrumentId, marks: Marks, *, is_long: bool) -> Ranking:
        """Work out the upper bounds of all scores of a side; see the module."""
        equities = _floats(self._money)
        errors = np.abs(equities) * _SLACK
        for id_, each in self._tables.items():
            slots = np.array(each.slots, np.int64)
            worth, off = each.standing(marks[id_].mark_ticks)
            equities += np.bincount(slots, worth, len(equities))
            errors += np.bincount(slots, off, len(equities))
        qty = _floats(table.qty)
        rows = np.flatnonzero(qty > 0 if is_long else qty < 0)
        mark_ticks = marks[instrument].mark_ticks
        values, cash = table.values(mark_ticks)[rows], _floats(table.cash)[rows]
        slots = np.array(table.slots, np.int64)[rows]
        equities, errors = equities[slots], errors[slots]

        put_in = np.abs(values) + np.abs(cash)
        is_linear = table.contract.kind is _LINEAR
        off = np.where(is_linear & (put_in < _EXACT_MAX), 0, put_in * _SLACK)
        most = values + cash + off
        gains = most - 2 * off > (0 if is_linear else 1)
        for place in np.flatnonzero(~gains & (most > 0)).tolist():
            position = table.holders[rows[place]]
            gains[place] = equity.gain_atoms(table.contract, position, mark_ticks) > 0

        least = equities - errors
        is_poor = least <= 0
        leverage = np.divide((np.abs(values) * (1 + _SLACK) + 1) * PPM, np.where(is_poor, 1, least))
        leverage = np.where(is_poor, _LEVERAGE_MAX_PPM, np.maximum(leverage, 1))
        has_none = (equities + errors <= 0) | (cash == 0)
        gain = np.divide(most * PPM, np.where(cash == 0, 1, np.abs(cash)))
        uppers = np.where(most > 0, np.divide(np.maximum(gain, 0) * leverage, PPM), 0)
        uppers = np.where(most > 0, uppers, np.divide(np.minimum(gain, 0) * PPM, leverage))
        uppers += np.abs(uppers) * _SLACK
        uppers = np.where(has_none, -SCORE_MAX_PPM, np.clip(uppers, -SCORE_MAX_PPM, SCORE_MAX_PPM))
        return Ranking(table, marks, rows, uppers, gains)


class Rankings:
    """The positions of all settle assets in which somebody was deleveraged lately; see the module."""

    __slots__ = ("books",)

    def __init__(self) -> None:
        self.books: dict[AssetId, _Book] = {}

    def forget(self) -> None:
        """Begin anew with the next question."""
        self.books.clear()

    def touch(self, scope: Scope) -> None:
        """Have a scope of which anything has changed, or that the engine takes, scored again when asked."""
        if self.books:
            margin = scope.margin if isinstance(scope, Position) else scope
            assert isinstance(margin, Margin), margin
            book = self.books.get(margin.asset)
            if book is not None:
                book.touch(scope)

    def ranking(
        self, instrument: InstrumentId, marks: Marks, touched: Iterable[Scope], *, is_long: bool
    ) -> Ranking:
        """Return the longs or the shorts of a contract that are not liquidated themselves, best first.

        ``touched`` are scopes that have changed and have not been told of by ``touch``.  The ranking is good
        until anything changes.
        """
        contract = marks[instrument].contract
        assert contract is not None, instrument
        for scope in touched:
            self.touch(scope)
        book = self.books.get(contract.settle)
        if book is None:
            book = self.books[contract.settle] = _Book(contract.settle, marks)
        return book.ranking(instrument, marks, is_long=is_long)


def _floats(column: "array[float]") -> _Floats:
    """Return a copy of a column: numpy may not look at what still grows."""
    return np.array(column, np.float64)
