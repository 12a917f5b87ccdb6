"""The taker phase: what an order would meet, as a plan, and how it is worked until it rests or ends."""

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from steelyard.core.commands import NO_TERMS
from steelyard.core.entry import Placed, Request
from steelyard.core.events import AnyEvent, OrderReplaced, OrderRested
from steelyard.core.handlers import auctions, conditional, contracting
from steelyard.core.handlers.accepting import renumber, use_balances
from steelyard.core.handlers.ending import end_order, fill_order
from steelyard.core.handlers.placing import special_of
from steelyard.core.handlers.trading import (
    Prevention,
    cap_ppm,
    fees,
    prevent,
    prevention,
    trade,
)
from steelyard.core.handlers.trimming import Shadow
from steelyard.core.instruments import Instrument
from steelyard.core.instruments.bands import execution_bounds, halt_bounds, halt_window
from steelyard.core.ledger import fee_atoms
from steelyard.core.matching import Level, Order, Position, crosses
from steelyard.core.rejects import Reject
from steelyard.core.rounding import mul_div_down
from steelyard.core.state import State
from steelyard.core.units import InstrumentState, Leg, PriceSource, Side, TimeInForce

_BUY: Final = Side.BUY
_OPEN: Final = InstrumentState.OPEN
_LAST: Final = PriceSource.LAST


class Fill(NamedTuple):
    """A trade to come."""

    maker: Order
    lots: int
    price_ticks: int


class Lapse(NamedTuple):
    """A maker that will be passed over, because its time has come."""

    maker: Order


class Clash(NamedTuple):
    """A trade inside one house that will be prevented."""

    maker: Order
    price_ticks: int
    what: Prevention


Step = Fill | Lapse | Clash


class Taken(NamedTuple):
    """What an order traded in one taker phase, and what of it rests then; in lots and quote atoms."""

    executed_lots: int
    executed_atoms: int
    fee_atoms: int
    open_lots: int


class Plan:
    """A taker phase before it happens: whom the order meets, step by step, and how it ends.

    ``open_lots`` are those that rest in the end.  ``reason`` says why the order expires, None if it is filled
    or rests.  ``halt_ticks`` is the price that halts trading, zero if none does.

    What trades in a contract moves positions, and their reduce-only orders may be next in the book: positions
    that have such orders are followed in shadows.
    """

    __slots__ = (
        "_by_budget",
        "_instrument",
        "_left_atoms",
        "_shadows",
        "_state",
        "_taker",
        "_taker_ppm",
        "executed_atoms",
        "executed_lots",
        "fee_atoms",
        "halt_ticks",
        "open_lots",
        "reason",
        "steps",
    )

    def __init__(self, state: State, instrument: Instrument, taker: Order) -> None:
        special = special_of(taker)
        self._state = state
        self._instrument = instrument
        self._taker = taker
        self._shadows: dict[Position, Shadow] = {}
        self._left_atoms = special.terms.budget_atoms
        self._by_budget = self._left_atoms > 0
        _, taker_ppm = state.rates(state.accounts[taker.account], instrument)
        self._taker_ppm = min(taker_ppm, cap_ppm(instrument, taker))
        self.steps: list[Step] = []
        self.executed_lots = 0
        self.executed_atoms = 0
        self.fee_atoms = 0
        self.open_lots = taker.open_lots
        self.reason: Reject | None = None
        self.halt_ticks = 0
        if instrument.state != _OPEN:
            return
        is_over = self._meet_makers()
        if not is_over and (self._by_budget or special.time_in_force != TimeInForce.GTC):
            self.reason = Reject.NO_LIQUIDITY
        if special.time_in_force == TimeInForce.FOK and self.executed_lots < taker.open_lots:
            self.steps = []
            self.executed_lots = self.executed_atoms = self.fee_atoms = self.halt_ticks = 0
            self.reason = Reject.NO_LIQUIDITY
        if self._by_budget or self.reason is not None:
            self.open_lots = 0

    def _meet_makers(self) -> bool:
        """Meet everybody within the limit; return whether that ended the phase before they did."""
        instrument = self._instrument
        anchor_ticks, _ = halt_window(instrument, self._state.time_ns)
        execution, halt = execution_bounds(instrument), halt_bounds(instrument, anchor_ticks)
        limit_ticks = self._taker.price_ticks
        reach = -limit_ticks if self._taker.side == _BUY else limit_ticks
        for level in instrument.book.opposite(self._taker.side).best_first():
            if level.key < reach:
                return False
            if self._shadows and next(self._queue(level, deque()), None) is None:
                continue  # all who stand there will have been trimmed away
            price_ticks = abs(level.key)
            if not execution.allow(price_ticks):
                self.reason = Reject.PRICE_BAND
                return True
            if not halt.allow(price_ticks):
                self.reason = Reject.VOLATILITY_HALT
                self.halt_ticks = price_ticks
                return True
            if self._meet_level(level, price_ticks):
                return True
        return False

    def _meet_level(self, level: Level, price_ticks: int) -> bool:
        """Meet the makers of one price in their turn; return whether that ended the phase."""
        time_ns = self._state.time_ns
        again: deque[tuple[Order, int, int]] = deque()
        for maker, open_lots, shown_lots in self._queue(level, again):
            special = maker.special
            if special is not None and 0 < special.terms.expires_ns <= time_ns:
                self.steps.append(Lapse(maker))
                self._lose(maker, open_lots)
                continue
            wanted_lots = self._wanted_lots(price_ticks)
            if wanted_lots == 0:
                # By budget, and it cannot pay for one lot more.
                self.reason = None if self.executed_lots else Reject.NO_LIQUIDITY
                return True
            what = prevention(self._state, self._instrument, maker, self._taker, open_lots, wanted_lots)
            if what is not None:
                self._clash(maker, price_ticks, what)
                if what.taker_lots == wanted_lots:
                    self.reason = Reject.SELF_TRADE
                    return True
                continue
            lots = min(wanted_lots, shown_lots)
            self._fill(maker, lots, price_ticks)
            if lots == shown_lots < open_lots:
                assert special is not None, maker.number
                hidden_lots = open_lots - lots
                again.append((maker, hidden_lots, min(special.terms.display_lots, hidden_lots)))
            if self._by_budget:
                # What is left of the budget, or of the account's lots, buys or sells nothing more here.
                if lots < shown_lots:
                    return True
            elif self.open_lots == 0:
                return True
        return False

    def _wanted_lots(self, price_ticks: int) -> int:
        """Return how many lots the taker would trade at a price if there were any number."""
        if not self._by_budget:
            return self.open_lots
        lot_atoms = price_ticks * self._instrument.tick_lot_atoms
        if self._taker.side == _BUY:
            return mul_div_down(self._left_atoms, 1, lot_atoms + fee_atoms(lot_atoms, self._taker_ppm))
        return min(self.open_lots, mul_div_down(self._left_atoms, 1, lot_atoms))

    def _fill(self, maker: Order, lots: int, price_ticks: int) -> None:
        notional_atoms = contracting.notional_atoms(self._instrument, price_ticks, lots)
        _, taker_fee_atoms = fees(self._state, self._instrument, maker, self._taker, notional_atoms)
        self.steps.append(Fill(maker, lots, price_ticks))
        self.executed_lots += lots
        self.executed_atoms += notional_atoms
        self.fee_atoms += taker_fee_atoms
        self._spend(lots, notional_atoms, taker_fee_atoms)
        if self._taker.position is not None:
            moved = [
                (shadow, order)
                for order in (maker, self._taker)
                if (shadow := self._shadow(order)) is not None
            ]
            for shadow, order in moved:
                shadow.trade(order, lots)
            for shadow, _ in moved:
                shadow.trim()

    def _clash(self, maker: Order, price_ticks: int, what: Prevention) -> None:
        self.steps.append(Clash(maker, price_ticks, what))
        self._lose(maker, what.maker_lots)
        self._spend(what.taker_lots, price_ticks * what.taker_lots * self._instrument.tick_lot_atoms, 0)

    def _shadow(self, order: Order) -> Shadow | None:
        """Return the shadow of an order's position; one without reduce-only orders needs none."""
        position = order.position
        if position is None or position.reducing_lots == 0:
            return None
        shadow = self._shadows.get(position)
        if shadow is None:
            shadow = self._shadows[position] = Shadow(position, self._state.last_number)
        return shadow

    def _lose(self, maker: Order, lots: int) -> None:
        """Let a maker lose lots in the shadow of its position."""
        shadow = self._shadow(maker)
        if shadow is not None:
            shadow.lose(maker, lots)

    def _queue(self, level: Level, again: deque[tuple[Order, int, int]]) -> Iterator[tuple[Order, int, int]]:
        """Yield the makers of one price as ``_queue`` does, reduce-only ones as they would be by then."""
        for maker, open_lots, shown_lots in _queue(level, again):
            position = maker.position
            if position is None or position not in self._shadows or not maker.is_reduce_only:
                yield maker, open_lots, shown_lots
            elif maker in self._shadows[position].standing:
                _, left_lots, left_shown_lots = self._shadows[position].standing[maker]
                yield maker, left_lots, left_shown_lots

    def _spend(self, lots: int, notional_atoms: int, taker_fee_atoms: int) -> None:
        """Count what a step takes from the lots that are wanted, or from the budget."""
        buying = self._taker.side == _BUY
        if self._by_budget:
            self._left_atoms -= notional_atoms + (taker_fee_atoms if buying else 0)
        if not (self._by_budget and buying):
            self.open_lots -= lots


def work_order(
    state: State, instrument: Instrument, order: Order, out: list[AnyEvent], *, renews: bool = False
) -> Taken:
    """Let a living, pledged order trade with whom it meets, then rest, or end with what is left.

    Nobody trades unless the instrument is open.  What is left takes a new number if the order ``renews``:
    its time in the queue begins only now, long after it got the one it has.
    """
    if (
        instrument.rules is not None
        and instrument.state == _OPEN
        and crosses(instrument.book, order.side, order.price_ticks)
    ):
        instrument.anchor_ticks, instrument.anchor_ns = halt_window(instrument, state.time_ns)
    plan = Plan(state, instrument, order)
    if plan.steps:
        use_balances(state, instrument, order)
    for step in plan.steps:
        match step:
            case Fill(maker, lots, price_ticks):
                trade(state, instrument, maker, order, lots, price_ticks, out)
                instrument.last_ticks = price_ticks
            case Lapse(maker):
                end_order(state, maker, Reject.EXPIRED, out)
            case Clash(maker, price_ticks, what):
                prevent(state, instrument, maker, order, what, price_ticks, out)
    if plan.reason is not None:
        end_order(state, order, plan.reason, out)
    elif plan.open_lots == 0:
        fill_order(state, order, out)
    else:
        assert order.open_lots == plan.open_lots, (order.number, order.open_lots, plan.open_lots)
        if renews:
            renew(state, order, out)
        rest_order(state, instrument, order, out)
    if plan.halt_ticks:
        auctions.halt(state, instrument, plan.halt_ticks, out)
    if plan.executed_lots:
        conditional.price_moved(state, instrument, _LAST, out)
    return Taken(plan.executed_lots, plan.executed_atoms, plan.fee_atoms, plan.open_lots)


def place_taken(
    state: State, instrument: Instrument, order: Order, request: Request, out: list[AnyEvent]
) -> Placed:
    """Work an order that has just been accepted, and return the reply."""
    number = order.number
    taken = work_order(state, instrument, order, out)
    return Placed(
        request=request.request,
        fingerprint=request.fingerprint,
        number=number,
        executed_lots=taken.executed_lots,
        executed_atoms=taken.executed_atoms,
        fee_atoms=taken.fee_atoms,
        open_lots=taken.open_lots,
    )


def rest_order(state: State, instrument: Instrument, order: Order, out: list[AnyEvent]) -> None:
    """Queue a living, pledged order with what it has left; it becomes common if nothing of it is uncommon."""
    use_balances(state, instrument, order)
    special = special_of(order)
    if special.terms.display_lots:
        special.shown_lots = min(special.terms.display_lots, order.open_lots)
    become_common(instrument, order)
    instrument.book.rest(order)
    out.append(
        OrderRested(
            account=order.account,
            instrument=order.instrument,
            order=order.order,
            number=order.number,
            side=order.side,
            price_ticks=order.price_ticks,
            open_lots=order.shown_lots,
        )
    )


def become_common(instrument: Instrument, order: Order) -> None:
    """Let a living order without anything uncommon take no more room and time than others."""
    special = special_of(order)
    if (
        special.list_number == 0
        and special.prevented_lots == 0
        and special.cap_ppm == instrument.cap_ppm
        and special.terms == NO_TERMS
        and special.leg == Leg.NET
        and not special.reduce_only
    ):
        order.special = None
        instrument.specials -= 1


def renew(state: State, order: Order, out: list[AnyEvent]) -> None:
    """Give a living order that stands nowhere a new number, and say what it is now."""
    before = renumber(state, order)
    out.append(
        OrderReplaced(
            account=order.account,
            instrument=order.instrument,
            order=order.order,
            before=before,
            number=order.number,
            limit_ticks=order.price_ticks,
            size_lots=order.size_lots,
            open_lots=order.open_lots,
        )
    )


def _queue(level: Level, again: deque[tuple[Order, int, int]]) -> Iterator[tuple[Order, int, int]]:
    """Yield (maker, its whole rest, what it shows) in turn; ``again`` are those that come back behind all."""
    maker = level.oldest
    while maker is not None:
        yield maker, maker.open_lots, maker.shown_lots
        maker = maker.after
    while again:
        yield again.popleft()
