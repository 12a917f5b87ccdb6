"""What was compared when an order was refused for its numbers, its price, its funds or its place."""

from typing import Final

from steelyard.core import Reject
from steelyard.core.commands import AmendOrder, PlaceOrder, ScheduleState, SetMark
from steelyard.core.handlers import contracting, placing
from steelyard.core.handlers.conditional import source_ticks
from steelyard.core.instruments import Instrument, collar, reference_ticks
from steelyard.core.limits import (
    ICEBERG_SLICES_MAX,
    ORDERS_MAX,
    ORDERS_PER_ACCOUNT_MAX,
    ORDERS_PER_POSITION_MAX,
    WAITING_PER_INSTRUMENT_MAX,
)
from steelyard.core.matching import Order, is_met
from steelyard.core.state import State
from steelyard.core.units import AccountId, InstrumentId, OrderKind, Side
from steelyard.ops.explain.refusals import Drafted, Refusal, drafted, no, show
from steelyard.ops.explain.telling import Explanation

_EVERYBODY: Final = AccountId(0)
_EVERYWHERE: Final = InstrumentId(0)


def price(told: Explanation, refusal: Refusal) -> None:
    """Explain a price that is outside an instrument's."""
    command = refusal.command
    if isinstance(command, SetMark):
        instrument, ticks = refusal.state.markets.instruments[command.instrument], command.mark_ticks
    elif (found := drafted(refusal)) is not None:
        instrument, ticks = found.instrument, found.order.price_ticks
    else:
        return
    no(
        told,
        "the price is not within 1 ... highest price",
        not 0 < ticks <= instrument.price_max_ticks,
        price_ticks=ticks,
        price_max_ticks=instrument.price_max_ticks,
    )


def trigger(told: Explanation, refusal: Refusal) -> None:
    """Explain a trigger that is outside an instrument's prices."""
    found = drafted(refusal)
    if found is None:
        return
    highest_ticks = found.instrument.price_max_ticks
    trigger_ticks = placing.special_of(found.order).terms.trigger_ticks
    no(
        told,
        "the trigger is above the highest price",
        trigger_ticks > highest_ticks,
        trigger_ticks=trigger_ticks,
        price_max_ticks=highest_ticks,
    )


def price_step(told: Explanation, refusal: Refusal) -> None:
    """Explain a limit that is no multiple of the step."""
    found = drafted(refusal)
    if found is None or found.instrument.rules is None:
        return
    ticks, step_ticks = found.order.price_ticks, found.instrument.rules.price_step_ticks
    no(
        told,
        "the limit is no multiple of the step",
        ticks % step_ticks != 0,
        limit_ticks=ticks,
        price_step_ticks=step_ticks,
    )


def size(told: Explanation, refusal: Refusal) -> None:
    """Explain a size that is out of the instrument's or the account's range, or too many slices."""
    found = drafted(refusal)
    if found is None:
        return
    instrument, order, was = found
    special = placing.special_of(order)
    lots, display_lots = order.size_lots, special.terms.display_lots
    rules = None if special.reduce_only else instrument.rules
    least_lots = 1 if rules is None else rules.size_min_lots
    own_lots, _ = _order_limit(refusal.state, instrument, order)
    is_no_reduction = refusal.all_or_none and was is not None and lots >= was.size_lots
    no(
        told,
        "the size is below the smallest or above the largest, or shows in too many slices,"
        " or an amend of all-or-none does not reduce",
        not least_lots <= lots <= instrument.size_max_lots
        or 0 < own_lots < lots
        or 0 < ICEBERG_SLICES_MAX * display_lots < lots
        or is_no_reduction,
        size_lots=lots,
        size_min_lots=least_lots,
        size_max_lots=instrument.size_max_lots,
        **({"size_max_of_the_account_lots": own_lots} if own_lots else {}),
        **({"display_lots": display_lots, "slices_max": ICEBERG_SLICES_MAX} if display_lots else {}),
        **({"size_before_lots": was.size_lots} if was is not None else {}),
    )


def size_step(told: Explanation, refusal: Refusal) -> None:
    """Explain a size, or a slice, that is no multiple of the step."""
    found = drafted(refusal)
    if found is None or found.instrument.rules is None:
        return
    lots, step_lots = found.order.size_lots, found.instrument.rules.size_step_lots
    display_lots = placing.special_of(found.order).terms.display_lots
    no(
        told,
        "the size, or what of it shows, is no multiple of the step",
        lots % step_lots != 0 or display_lots % step_lots != 0,
        size_lots=lots,
        display_lots=display_lots,
        size_step_lots=step_lots,
    )


def notional(told: Explanation, refusal: Refusal) -> None:
    """Explain a notional that is out of the instrument's or the account's range."""
    found = drafted(refusal)
    if found is None:
        return
    instrument, order, _ = found
    special = placing.special_of(order)
    budget_atoms = special.terms.budget_atoms
    atoms = budget_atoms or contracting.notional_atoms(instrument, order.price_ticks, order.size_lots)
    is_bounded = special.kind == OrderKind.LIMIT or budget_atoms > 0
    least_atoms = instrument.notional_min_atoms if is_bounded and not special.reduce_only else 0
    most_atoms = 0 if instrument.rules is None else instrument.rules.notional_max_atoms
    _, own_atoms = _order_limit(refusal.state, instrument, order)
    no(
        told,
        "the notional is below the smallest or above the largest",
        atoms < least_atoms or 0 < most_atoms < atoms or 0 < own_atoms < atoms,
        notional_atoms=atoms,
        notional_min_atoms=least_atoms,
        **({"notional_max_atoms": most_atoms} if most_atoms else {}),
        **({"notional_max_of_the_account_atoms": own_atoms} if own_atoms else {}),
    )


def expiry(told: Explanation, refusal: Refusal) -> None:
    """Explain a time that has passed."""
    if isinstance(refusal.command, ScheduleState):
        at_ns = refusal.command.at_ns
    elif (found := drafted(refusal)) is not None:
        at_ns = placing.special_of(found.order).terms.expires_ns
    else:
        return
    now_ns = refusal.state.time_ns
    no(told, "the time is not after log time", 0 < at_ns <= now_ns, wanted_ns=at_ns, log_time_ns=now_ns)


def band(told: Explanation, refusal: Refusal) -> None:
    """Explain a limit that is too far from the reference price."""
    found = drafted(refusal)
    if found is None:
        return
    instrument, order, _ = found
    bounds = collar(instrument, order.side)
    no(
        told,
        "the limit is outside the collar of its side",
        not bounds.allow(order.price_ticks),
        limit_ticks=order.price_ticks,
        reference_ticks=reference_ticks(instrument),
        lowest_ticks=bounds.lower_ticks,
        highest_ticks=bounds.upper_ticks,
    )


def met_trigger(told: Explanation, refusal: Refusal) -> None:
    """Explain a trigger that there is nothing to wait for; one that was met is in the queue by now."""
    found = drafted(refusal)
    if found is None or (found.was is not None and found.was in refusal.state.work):
        return
    instrument, order, _ = found
    terms = placing.special_of(order).terms
    ticks = source_ticks(instrument, terms.trigger_source)
    if terms.trigger is None:
        return
    no(
        told,
        "the price has reached the trigger",
        ticks > 0 and is_met(terms.trigger, order.side, terms.trigger_ticks, ticks),
        trigger_source=terms.trigger_source.name,
        price_ticks=ticks,
        trigger_ticks=terms.trigger_ticks,
    )


def book(told: Explanation, refusal: Refusal) -> None:
    """Explain that an order would trade at once, and must not."""
    command = refusal.command
    found = drafted(refusal)
    if found is not None:
        instrument, side, limit_ticks = found.instrument, found.order.side, found.order.price_ticks
    elif isinstance(command, PlaceOrder):
        instrument = refusal.state.markets.instruments[command.instrument]
        side, limit_ticks = command.side, command.limit_ticks
    else:
        return
    best = instrument.book.best_ticks(Side.SELL if side == Side.BUY else Side.BUY)
    no(
        told,
        "the best opposite price is within the limit",
        best is not None and (limit_ticks >= best if side == Side.BUY else limit_ticks <= best),
        limit_ticks=limit_ticks,
        best_opposite_ticks=best,
    )


def reference(told: Explanation, refusal: Refusal) -> None:
    """Explain that there is no price to measure an order by, or none that is young enough."""
    found = drafted(refusal)
    if found is None:
        return
    instrument, order, _ = found
    terms = placing.special_of(order).terms
    no_source = (
        terms.trigger is not None
        and terms.trigger_ticks == 0
        and source_ticks(instrument, terms.trigger_source) == 0
    )
    if instrument.contract is None or order.position is None:
        no(
            told,
            "the price that a trailing trigger follows is not there yet",
            no_source,
            trigger_source=terms.trigger_source.name,
            mark_ticks=instrument.mark_ticks,
            last_ticks=instrument.last_ticks,
        )
        return
    index = instrument.contract.index
    is_reducing = contracting.reduces(order, order.position)
    no(
        told,
        "there is no mark, or the index is stale and the order does not reduce,"
        " or what a trailing trigger follows is not there",
        instrument.mark_ticks == 0 or (index.is_stale and not is_reducing) or no_source,
        mark_ticks=instrument.mark_ticks,
        index_ticks=index.price_ticks,
        index_is_stale=index.is_stale,
        reduces=is_reducing,
    )


def funds(told: Explanation, found: Drafted) -> None:
    """Explain that a spot order's pledge is not there; an amended one has its old pledge for it."""
    _, order, was = found
    pledged_atoms = 0 if was is None else was.pledged_atoms
    no(
        told,
        "free < pledge",
        order.pledge.free_atoms + pledged_atoms < order.pledged_atoms or order.open_lots == 0,
        free_atoms=order.pledge.free_atoms,
        lots=order.open_lots,
        pledge_per_lot_atoms=order.lot_pledge_atoms,
        pledge_atoms=order.pledged_atoms,
        **({"pledged_before_atoms": pledged_atoms} if was is not None else {}),
    )


def orders(told: Explanation, refusal: Refusal) -> None:
    """Explain that somebody, or something, has as many orders as it may."""
    command, state = refusal.command, refusal.state
    if not isinstance(command, PlaceOrder):
        return
    account = state.accounts[command.account]
    instrument = state.markets.instruments[command.instrument]
    beside = refusal.before
    bounds = {
        "orders_of_the_account": (len(account.orders) + beside, ORDERS_PER_ACCOUNT_MAX),
        "orders_of_all": (len(state.orders) + beside, ORDERS_MAX),
    }
    if account.rules is not None and account.rules.orders_max:
        bounds["orders_of_the_account_by_its_rules"] = (
            len(account.orders) + beside,
            account.rules.orders_max,
        )
    if placing.terms_of(command).trigger is not None:
        bounds["waiting_in_the_instrument"] = (len(instrument.triggers.orders), WAITING_PER_INSTRUMENT_MAX)
    if instrument.counts is not None and instrument.rules is not None and instrument.rules.orders_max:
        counted = instrument.counts.get(account.account, 0) + beside
        bounds["orders_of_the_account_in_the_instrument"] = (counted, instrument.rules.orders_max)
    position = contracting.position_of(instrument, account, contracting.leg_of(command))
    if position is not None:
        bounds["working_orders_of_the_position"] = (len(position.orders) + beside, ORDERS_PER_POSITION_MAX)
    numbers = {name: f"{count} of {most}" for name, (count, most) in bounds.items()}
    no(
        told,
        "one of these bounds is reached",
        any(count >= most for count, most in bounds.values()),
        **numbers,
    )


def switches(told: Explanation, refusal: Refusal) -> None:
    """Explain which switch is off."""
    command, state = refusal.command, refusal.state
    if isinstance(command, AmendOrder):
        account = state.accounts[command.account]
        named = drafted(refusal)
        instrument = _EVERYWHERE if named is None else named.instrument.instrument
    elif isinstance(command, PlaceOrder):
        account, instrument = state.accounts[command.account], command.instrument
    else:
        return
    of = {
        "of_everybody": (_EVERYBODY, _EVERYWHERE),
        "of_the_account": (account.account, _EVERYWHERE),
        "of_the_instrument": (_EVERYBODY, instrument),
    }
    off = {name: switch in state.kill_switches for name, switch in of.items()}
    no(told, "one of these switches is off", any(off.values()), **off)


def state_of_instrument(told: Explanation, refusal: Refusal) -> None:
    """Say in which state an instrument is."""
    number = getattr(refusal.command, "instrument", None)
    instrument = refusal.state.markets.instruments.get(number) if number is not None else None
    if instrument is None and (found := drafted(refusal)) is not None:
        instrument = found.instrument
    if instrument is not None:
        show(told, state_of_the_instrument=instrument.state.name, uncross_ticks=instrument.uncross_ticks)


def _order_limit(state: State, instrument: Instrument, order: Order) -> tuple[int, int]:
    rules = state.accounts[order.account].rules
    return (0, 0) if rules is None else rules.order_limits.get(instrument.instrument, (0, 0))


ORDERS: Final = {
    Reject.PRICE_OUT_OF_RANGE: price,
    Reject.PRICE_OFF_STEP: price_step,
    Reject.SIZE_OUT_OF_RANGE: size,
    Reject.SIZE_OFF_STEP: size_step,
    Reject.NOTIONAL_OUT_OF_RANGE: notional,
    Reject.TRIGGER_OUT_OF_RANGE: trigger,
    Reject.EXPIRY_IN_PAST: expiry,
    Reject.PRICE_BAND: band,
    Reject.TRIGGER_ALREADY_MET: met_trigger,
    Reject.POST_ONLY_WOULD_TRADE: book,
    Reject.NO_REFERENCE_PRICE: reference,
    Reject.TOO_MANY_ORDERS: orders,
    Reject.KILL_SWITCH: switches,
    Reject.INSTRUMENT_STATE: state_of_instrument,
}
