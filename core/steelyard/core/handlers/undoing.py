"""Taking back what an account has just done to its own orders, exactly: as if it had not happened.

Whatever ends orders, makes them smaller or lets new ones rest can be checked only against the state that the
steps before it left. So the steps act, and if one is refused, those before it are undone, last one first.
Nothing that trades can be undone.
"""

from typing import Any, Final, NamedTuple

from steelyard.core.accounts import Account
from steelyard.core.events import AnyEvent
from steelyard.core.handlers import pledging
from steelyard.core.handlers.ending import displace
from steelyard.core.instruments import Instrument
from steelyard.core.ledger import Balance
from steelyard.core.lists import OrderList
from steelyard.core.matching import Order, Special
from steelyard.core.state import State
from steelyard.core.units import AccountId, InstrumentId, OrderId

#: Where an order stands is kept apart: its links are made anew, and so is the trail that it followed, from
#: the best price that it has seen, which a trail leaves to whoever leaves it.
_ORDER_FIELDS: Final = [name for name in Order.__slots__ if name not in ("level", "before", "after")]
_SPECIAL_FIELDS: Final = [name for name in Special.__slots__ if name != "trail"]
_LIST_FIELDS: Final = list(OrderList.__slots__)


class _Kept(NamedTuple):
    """An order as it was, and where it stood.

    ``before`` is who stood before it in the queue of its level; ``work_place`` its place in the work to come.
    """

    order: Order
    fields: list[Any]
    special_fields: list[Any]
    in_book: bool
    before: Order | None
    waits: bool
    work_place: int | None


class _KeptList(NamedTuple):
    """A list as it was."""

    order_list: OrderList
    fields: list[Any]


class Undo:
    """What one account's orders, names and balances were, step by step.

    Before each step, say with ``keep`` which order it changes, or with ``adding`` which order it will add.
    """

    __slots__ = ("_account", "_events", "_last_number", "_out", "_recent", "_state", "_steps", "_touched")

    def __init__(self, state: State, account: AccountId, out: list[AnyEvent]) -> None:
        self._state = state
        self._account: Account = state.accounts[account]
        self._recent = dict(self._account.recent)
        self._touched = dict(state.touched)
        self._out = out
        self._events = len(out)
        self._last_number = state.last_number
        self._steps: list[_Step] = []

    def keep(self, order: Order) -> None:
        """Remember an order of the account that is about to change or to end, with all of its list."""
        state = self._state
        step = _Step(self._balances(order.instrument))
        orders = [order]
        if order.special is not None and order.special.list_number:
            order_list = state.lists[order.special.list_number]
            step.order_list = _KeptList(order_list, [getattr(order_list, name) for name in _LIST_FIELDS])
            order_list.legs = list(order_list.legs)
            orders = [state.orders[number] for number in order_list.legs]
        step.orders = [self._kept(each) for each in orders]
        self._steps.append(step)

    def adding(self, order: OrderId, instrument: InstrumentId) -> None:
        """Remember that the account had no order of that id, unless it has one."""
        if order in self._account.orders:
            return
        step = _Step(self._balances(instrument))
        step.added = order
        self._steps.append(step)

    def run(self) -> None:
        """Make everything what it was when this object was made, and forget the events since."""
        for step in reversed(self._steps):
            self._undo(step)
        self._steps.clear()
        self._account.recent = self._recent
        self._state.touched = self._touched
        self._state.last_number = self._last_number
        del self._out[self._events :]

    def _undo(self, step: "_Step") -> None:
        state = self._state
        if step.added is not None:
            added = self._account.orders.get(step.added)
            if added is not None:
                self._take_away(added)
        for kept in step.orders:
            if state.orders.get(kept.order.number) is kept.order:
                self._take_away(kept.order)
        for kept in step.orders:
            self._bring_back(kept)
        if step.order_list is not None:
            order_list, values = step.order_list
            for name, value in zip(_LIST_FIELDS, values, strict=True):
                setattr(order_list, name, value)
            state.lists[order_list.number] = order_list
        for balance, free_atoms, held_atoms in step.balances:
            balance.free_atoms, balance.held_atoms = free_atoms, held_atoms

    def _take_away(self, order: Order) -> None:
        pledging.uncount(order)
        displace(self._state, self._instrument(order), order)
        self._state.drop_order(order)

    def _kept(self, order: Order) -> _Kept:
        special = order.special
        return _Kept(
            order,
            [getattr(order, name) for name in _ORDER_FIELDS],
            [] if special is None else [getattr(special, name) for name in _SPECIAL_FIELDS],
            order.level is not None,
            order.before,
            order.number in self._instrument(order).triggers.orders,
            self._state.work.place(order),
        )

    def _bring_back(self, kept: _Kept) -> None:
        order = kept.order
        for name, value in zip(_ORDER_FIELDS, kept.fields, strict=True):
            setattr(order, name, value)
        special = order.special
        if special is not None:
            for name, value in zip(_SPECIAL_FIELDS, kept.special_fields, strict=True):
                setattr(special, name, value)
        self._state.add_order(order)
        position = order.position
        if position is not None:
            # It may have been forgotten meanwhile.
            position.margin.positions[position.instrument, position.leg] = position
            self._account.margins[position.margin.asset] = position.margin
            pledging.count(order)
        if special is not None and special.terms.expires_ns:
            # Timers of orders that were not there may have been cleared meanwhile.
            self._state.expire_in_time(order)
        instrument = self._instrument(order)
        if kept.in_book:
            instrument.book.put_back(order, kept.before)
        elif kept.waits:
            instrument.triggers.add(order)
        elif kept.work_place is not None:
            self._state.work.put_back(order, kept.work_place)

    def _balances(self, instrument_id: InstrumentId) -> list[tuple[Balance, int, int]]:
        instrument = self._state.markets.instruments.get(instrument_id)
        if instrument is None:
            return []
        balances = [self._account.balances.get(asset) for asset in (instrument.base, instrument.quote)]
        return [(each, each.free_atoms, each.held_atoms) for each in balances if each is not None]

    def _instrument(self, order: Order) -> Instrument:
        return self._state.markets.instruments[order.instrument]


class _Step:
    """What one step is about to change: the order it adds, or the orders as they are, and balances."""

    __slots__ = ("added", "balances", "order_list", "orders")

    def __init__(self, balances: list[tuple[Balance, int, int]]) -> None:
        self.balances = balances
        self.orders: list[_Kept] = []
        self.order_list: _KeptList | None = None
        self.added: OrderId | None = None
