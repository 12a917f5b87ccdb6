"""The checks of an order in their order, and what it would pledge; ``accepting`` takes it on."""

from collections.abc import Sequence
from typing import Final

from steelyard.core.accounts import Account, ApiKey
from steelyard.core.commands import NO_TERMS, OrderTerms, PlaceOrder, PlaceOrderOnTerms
from steelyard.core.handlers import contracting
from steelyard.core.handlers.checks import may, stopped
from steelyard.core.handlers.conditional import source_ticks
from steelyard.core.instruments import Instrument
from steelyard.core.instruments.bands import collar, protection_ticks
from steelyard.core.ledger import Balance, fee_cap_ppm, lot_pledge_atoms
from steelyard.core.limits import (
    ICEBERG_SLICES_MAX,
    INTEGER_MAX,
    LABEL_MAX,
    ORDERS_MAX,
    ORDERS_PER_ACCOUNT_MAX,
    WAITING_PER_INSTRUMENT_MAX,
    is_printable_ascii,
)
from steelyard.core.matching import NO_BALANCE, Order, Special, crosses, is_met, trailing_ticks
from steelyard.core.rejects import Reject
from steelyard.core.rounding import mul_div_down, mul_div_up
from steelyard.core.state import State
from steelyard.core.units import (
    FIRST_CUSTOMER,
    PPM,
    InstrumentState,
    OrderKind,
    OrderNumber,
    OrderState,
    Permission,
    Side,
    TimeInForce,
)

_BUY: Final = Side.BUY
_SELL: Final = Side.SELL
_LIMIT: Final = OrderKind.LIMIT
_GTC: Final = TimeInForce.GTC
_IOC: Final = TimeInForce.IOC
_OPEN: Final = InstrumentState.OPEN
_TRADE: Final = int(Permission.TRADE)


def check_order(state: State, command: PlaceOrder, key: ApiKey, not_after_ns: int) -> Order | Reject:
    """Run every check of an order but the last, that of its funds, and return the order as it would be.

    Nobody knows that order yet: it has no number and has pledged nothing.  ``accept_order`` takes it on, once
    ``contracting.funds_fault`` has been asked.
    """
    order = draft_order(state, command, key, not_after_ns)
    if isinstance(order, Reject):
        return order
    contracting.cut(order)
    return order_fault(state, state.markets.instruments[order.instrument], order) or order


def draft_order(
    state: State, command: PlaceOrder, key: ApiKey, not_after_ns: int, before: Sequence[Order] = ()
) -> Order | Reject:
    """Run the checks of shape, owner, instrument's state, names and counts; return the order as it is.

    ``before`` are drafts of the account in the same instrument that count as living orders.
    """
    terms = terms_of(command)
    if is_malformed(command, terms) or contracting.is_malformed(command, terms):
        return Reject.MALFORMED
    fault = who_fault(state, command.account, key, not_after_ns)
    if fault is not None:
        return fault
    instrument = state.markets.instruments.get(command.instrument)
    if instrument is None:
        return Reject.UNKNOWN_INSTRUMENT
    if contracting.is_other_kind(instrument, command, terms):
        return Reject.NOT_THIS_KIND
    if contracting.is_off_in(state, command.instrument):
        return Reject.KILL_SWITCH
    if not takes(instrument, command, terms):
        return Reject.INSTRUMENT_STATE
    account = state.accounts[command.account]
    leg = contracting.leg_of(command)
    if not contracting.has_leg(instrument, account, leg):
        return Reject.UNKNOWN_POSITION
    fault = _names_fault(state, instrument, account, command, len(before))
    if fault is not None:
        return fault
    position = contracting.position_of(instrument, account, leg)
    if position is None:
        return _draft(state, instrument, account, command, terms)
    fault = contracting.crowd_fault(position, before)
    if fault is not None:
        return fault
    order = _draft(state, instrument, account, command, terms)
    contracting.describe(order, command, position)
    return order


def terms_of(command: PlaceOrder) -> OrderTerms:
    """Return the uncommon terms of an order; a common one has none."""
    return command.terms if isinstance(command, PlaceOrderOnTerms) else NO_TERMS


def is_malformed(command: PlaceOrder, terms: OrderTerms) -> bool:
    """Return whether an order makes no sense, whatever the state is."""
    label = command.label
    if not 0 < command.order <= INTEGER_MAX or (label and not is_printable_ascii(label, LABEL_MAX)):
        return True
    is_limit = command.kind == _LIMIT
    rests = command.time_in_force == _GTC
    if not rests and command.post_only:
        return True
    if not is_limit and (rests or command.limit_ticks != 0):
        return True
    if terms is NO_TERMS:
        return False
    if terms.slide and not command.post_only:
        return True
    if min(terms.expires_ns, terms.budget_atoms, terms.callback_ppm, terms.display_lots) < 0:
        return True
    if terms.callback_ppm >= PPM or terms.expires_ns > INTEGER_MAX:
        return True
    has_trigger = terms.trigger is not None
    if has_trigger != (terms.trigger_ticks > 0 or terms.callback_ppm > 0):
        return True
    if not has_trigger and terms.trigger_ticks != 0:
        return True
    if terms.expires_ns and not (rests or has_trigger):
        return True
    if terms.display_lots and not (is_limit and rests and terms.display_lots < command.size_lots):
        return True
    return terms.budget_atoms > 0 and (
        is_limit
        or command.time_in_force != _IOC
        or command.size_lots != 0
        or has_trigger
        or terms.expires_ns > 0
    )


def who_fault(state: State, account: int, key: ApiKey, not_after_ns: int) -> Reject | None:
    """Return why a key may not order or amend for an account now, or None if it may."""
    if not_after_ns != 0 and state.time_ns > not_after_ns:
        return Reject.TOO_LATE
    owner = state.accounts.get(key.account)
    if account != key.account or owner is None or not may(owner, key, _TRADE):
        return Reject.NOT_PERMITTED
    if account < FIRST_CUSTOMER:
        return Reject.UNKNOWN_ACCOUNT
    return stopped(owner) or (Reject.KILL_SWITCH if contracting.is_off(state, owner.account) else None)


def takes(instrument: Instrument, command: PlaceOrder, terms: OrderTerms) -> bool:
    """Return whether an instrument's state takes such an order."""
    match instrument.state:
        case InstrumentState.OPEN:
            return True
        case InstrumentState.POST_ONLY:
            return command.post_only or terms.trigger is not None
        case InstrumentState.AUCTION:
            return (
                instrument.uncross_ticks == 0
                and command.kind == _LIMIT
                and command.time_in_force == _GTC
                and terms.trigger is None
                and not command.post_only
            )
        case _:
            return False


def order_fault(state: State, instrument: Instrument, order: Order) -> Reject | None:
    """Return what is wrong with the numbers of an order, given reference prices and book, or None.

    Works out the price of a market order and of one that slides, and what the order pledges per lot.
    """
    return (
        numbers_fault(state, instrument, order)
        or reference_fault(instrument, order)
        or trigger_fault(instrument, order)
        or book_fault(instrument, order)
    )


def numbers_fault(state: State, instrument: Instrument, order: Order) -> Reject | None:
    """Return which number of an order is out of its range or off its step, or None."""
    special = special_of(order)
    terms = special.terms
    rules = instrument.rules
    if special.kind == _LIMIT:
        if not 0 < order.price_ticks <= instrument.price_max_ticks:
            return Reject.PRICE_OUT_OF_RANGE
        if rules is not None and order.price_ticks % rules.price_step_ticks:
            return Reject.PRICE_OFF_STEP
    else:
        order.price_ticks = _market_ticks(instrument, order)
    if not 0 <= terms.trigger_ticks <= instrument.price_max_ticks:
        return Reject.TRIGGER_OUT_OF_RANGE
    if not terms.budget_atoms:
        fault = _size_fault(state, instrument, order)
        if fault is not None:
            return fault
    if not _notional_fits(state, instrument, order):
        return Reject.NOTIONAL_OUT_OF_RANGE
    return Reject.EXPIRY_IN_PAST if 0 < terms.expires_ns <= state.time_ns else None


def reference_fault(instrument: Instrument, order: Order) -> Reject | None:
    """Return why an order cannot stand beside the reference prices, or None."""
    fault = contracting.reference_fault(instrument, order)
    if fault is not None:
        return fault
    special = special_of(order)
    terms = special.terms
    if needs_trigger(special):
        if terms.trigger_ticks == 0 and source_ticks(instrument, terms.trigger_source) == 0:
            return Reject.NO_REFERENCE_PRICE
    elif special.kind == _LIMIT and not collar(instrument, order.side).allow(order.price_ticks):
        return Reject.PRICE_BAND
    return None


def trigger_fault(instrument: Instrument, order: Order) -> Reject | None:
    """Return ``TRIGGER_ALREADY_MET`` if an order would have nothing to wait for."""
    special = special_of(order)
    terms = special.terms
    if terms.trigger is None or terms.callback_ppm or not needs_trigger(special):
        return None
    price_ticks = source_ticks(instrument, terms.trigger_source)
    if price_ticks and is_met(terms.trigger, order.side, terms.trigger_ticks, price_ticks):
        return Reject.TRIGGER_ALREADY_MET
    return None


def book_fault(instrument: Instrument, order: Order) -> Reject | None:
    """Return what keeps an order out of the book, or None; fix its price, slid if need be, and its pledge.

    ``POST_ONLY_WOULD_TRADE``, and for reduce-only orders ``REDUCE_ONLY_NOTHING``.  An order that needs its
    trigger first is judged when it is admitted.
    """
    special = special_of(order)
    if (
        order.post_only
        and not needs_trigger(special)
        and instrument.state in (_OPEN, InstrumentState.POST_ONLY)
        and crosses(instrument.book, order.side, order.price_ticks)
    ):
        slid_ticks = _slid_ticks(instrument, order.side) if special.terms.slide else 0
        if not 0 < slid_ticks <= instrument.price_max_ticks:
            return Reject.POST_ONLY_WOULD_TRADE
        order.price_ticks = slid_ticks
    fix_pledge(instrument, order)
    return contracting.room_fault(order)


def fix_pledge(instrument: Instrument, order: Order) -> None:
    """Work out what an order pledges per lot at its price and its cap."""
    if order.position is not None:
        contracting.fix_pledge(instrument, order)
    elif order.side == _SELL:
        order.lot_pledge_atoms = instrument.lot_atoms
    else:
        order.lot_pledge_atoms = lot_pledge_atoms(
            order.price_ticks, instrument.tick_lot_atoms, special_of(order).cap_ppm
        )


def needs_trigger(special: Special) -> bool:
    """Return whether an order still has to be triggered before it can trade."""
    return special.terms.trigger is not None and special.state != OrderState.WORKING


def special_of(order: Order) -> Special:
    """Return the special fields of an order that must have them."""
    assert order.special is not None, order.number
    return order.special


def _names_fault(
    state: State, instrument: Instrument, account: Account, command: PlaceOrder, beside: int
) -> Reject | None:
    if command.order in account.orders or command.order in account.recent:
        return Reject.DUPLICATE_ORDER
    if command.label and command.label in account.labels:
        return Reject.DUPLICATE_LABEL
    living = len(account.orders) + beside
    if living >= ORDERS_PER_ACCOUNT_MAX or len(state.orders) + beside >= ORDERS_MAX:
        return Reject.TOO_MANY_ORDERS
    if account.rules is not None and 0 < account.rules.orders_max <= living:
        return Reject.TOO_MANY_ORDERS
    waits = terms_of(command).trigger is not None
    if waits and len(instrument.triggers.orders) >= WAITING_PER_INSTRUMENT_MAX:
        return Reject.TOO_MANY_ORDERS
    if instrument.counts is None or instrument.rules is None:
        return None
    in_instrument = instrument.counts.get(account.account, 0) + beside
    return Reject.TOO_MANY_ORDERS if 0 < instrument.rules.orders_max <= in_instrument else None


def _draft(
    state: State, instrument: Instrument, account: Account, command: PlaceOrder, terms: OrderTerms
) -> Order:
    """Return the order that a command describes, on the account's balances, or on empty ones it lacks."""
    if instrument.contract is None:
        base = account.balances.get(instrument.base) or Balance()
        quote = account.balances.get(instrument.quote) or Balance()
    else:
        base = quote = NO_BALANCE
    buying = command.side == _BUY
    open_lots = command.size_lots
    if terms.budget_atoms and not buying:
        open_lots = mul_div_down(base.free_atoms, 1, instrument.lot_atoms)
    order = Order(
        account.account,
        instrument.instrument,
        command.order,
        OrderNumber(0),
        command.label,
        command.side,
        command.limit_ticks,
        command.size_lots,
        open_lots,
        0,
        quote if buying else base,
        base if buying else quote,
    )
    order.post_only = command.post_only
    order.special = Special(
        terms,
        command.kind,
        command.time_in_force,
        fee_cap_ppm(*state.rates(account, instrument)),
        OrderState.WORKING if terms.trigger is None else OrderState.WAITING,
    )
    return order


def _market_ticks(instrument: Instrument, order: Order) -> int:
    """Return the worst price at which a market order may trade, or zero if nobody and nothing is there."""
    terms = special_of(order).terms
    if terms.trigger is None:
        opposite = _SELL if order.side == _BUY else _BUY
        return protection_ticks(instrument, order.side, instrument.book.best_ticks(opposite) or 0)
    if terms.trigger_ticks:
        return protection_ticks(instrument, order.side, terms.trigger_ticks)
    extreme_ticks = special_of(order).extreme_ticks or source_ticks(instrument, terms.trigger_source)
    return protection_ticks(
        instrument, order.side, trailing_ticks(order.side, extreme_ticks, terms.callback_ppm)
    )


def _size_fault(state: State, instrument: Instrument, order: Order) -> Reject | None:
    special = special_of(order)
    size_lots = order.size_lots
    display_lots = special.terms.display_lots
    if special.close_position:
        return None
    if not 0 < size_lots <= instrument.size_max_lots:
        return Reject.SIZE_OUT_OF_RANGE
    # What is left of a position may be smaller than any new order.
    rules = None if special.reduce_only else instrument.rules
    if rules is not None and size_lots < rules.size_min_lots:
        return Reject.SIZE_OUT_OF_RANGE
    size_max_lots, _ = _order_limit(state, instrument, order)
    if 0 < size_max_lots < size_lots or 0 < ICEBERG_SLICES_MAX * display_lots < size_lots:
        return Reject.SIZE_OUT_OF_RANGE
    if rules is not None and (size_lots % rules.size_step_lots or display_lots % rules.size_step_lots):
        return Reject.SIZE_OFF_STEP
    return None


def _notional_fits(state: State, instrument: Instrument, order: Order) -> bool:
    special = special_of(order)
    budget_atoms = special.terms.budget_atoms
    notional_atoms = budget_atoms or contracting.notional_atoms(
        instrument, order.price_ticks, order.size_lots
    )
    is_bounded = special.kind == _LIMIT or budget_atoms > 0
    if is_bounded and not special.reduce_only and notional_atoms < instrument.notional_min_atoms:
        return False
    _, notional_max_atoms = _order_limit(state, instrument, order)
    if 0 < notional_max_atoms < notional_atoms:
        return False
    rules = instrument.rules
    return rules is None or not 0 < rules.notional_max_atoms < notional_atoms


def _order_limit(state: State, instrument: Instrument, order: Order) -> tuple[int, int]:
    """Return the account's own bounds of one order, (lots, notional); zero is no bound."""
    rules = state.accounts[order.account].rules
    return (0, 0) if rules is None else rules.order_limits.get(instrument.instrument, (0, 0))


def _slid_ticks(instrument: Instrument, side: Side) -> int:
    """Return the best price on a step at which an order of that side does not trade."""
    step_ticks = 1 if instrument.rules is None else instrument.rules.price_step_ticks
    opposite = _SELL if side == _BUY else _BUY
    best_ticks = instrument.book.best_ticks(opposite)
    assert best_ticks is not None, "nobody to slide away from"
    if side == _BUY:
        return mul_div_down(best_ticks - 1, 1, step_ticks) * step_ticks
    return mul_div_up(best_ticks + 1, 1, step_ticks) * step_ticks
