"""A refused command with the state in which it was, and how the numbers are told that refused it."""

from typing import Final, NamedTuple

from steelyard.core import Reject, Request
from steelyard.core.commands import AmendOrder, AnyCommand, PlaceOrder
from steelyard.core.handlers import amending, contracting, placing, pledging
from steelyard.core.handlers.checks import named_order
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Order
from steelyard.core.state import State
from steelyard.ops.explain.telling import Explanation, Value

_COMPARED: Final = "what was compared"


class Refusal(NamedTuple):
    """A refused command, or leg of one, and the state in which it was.

    ``before`` are so many legs of a list that count as living; ``all_or_none``: it is of a batch like that.
    """

    state: State
    request: Request
    command: AnyCommand
    reason: Reject
    before: int = 0
    all_or_none: bool = False


class Drafted(NamedTuple):
    """An order as it would have been, with its price and its pledge; ``was``: as it is, if amended."""

    instrument: Instrument
    order: Order
    was: Order | None


def show(told: Explanation, **numbers: Value) -> None:
    """Add numbers to those that were compared."""
    told.table(
        _COMPARED, [{"what": name.replace("_", " "), "value": value} for name, value in numbers.items()]
    )


def no(told: Explanation, words: str, holds: bool, **numbers: Value) -> None:
    """Say which numbers were compared, and that they refuse if ``holds``."""
    show(told, **numbers)
    told.check(f"refused, because {words}", True, holds)


def drafted(refusal: Refusal) -> Drafted | None:
    """Return the order that was refused; None if the command is about none, or it did not come so far.

    The order that is amended is taken out of its position's way, as the exchange does.  One of a list is not
    worked out: its alternative goes with it.
    """
    command, state = refusal.command, refusal.state
    key = state.keys.get(refusal.request.key)
    if key is None:
        return None
    if isinstance(command, AmendOrder):
        return _amended(state, command)
    if not isinstance(command, PlaceOrder):
        return None
    order = placing.draft_order(state, command, key, 0)
    if isinstance(order, Reject):
        return None
    contracting.cut(order)
    instrument = state.markets.instruments[command.instrument]
    placing.order_fault(state, instrument, order)
    return Drafted(instrument, order, None)


def _amended(state: State, command: AmendOrder) -> Drafted | None:
    account = state.accounts.get(command.account)
    if account is None:
        return None
    was = named_order(state, account, command.order, command.number, command.label)
    if was is None or (was.special is not None and was.special.list_number):
        return None
    instrument = state.markets.instruments[was.instrument]
    order = amending.as_it_would_be(instrument, was, command)
    pledging.uncount(was)
    placing.order_fault(state, instrument, order)
    return Drafted(instrument, order, was)
