"""What would come of an order, by the very checks and the very plan that would carry it out."""

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import PlaceOrder
from steelyard.core.handlers import contracting
from steelyard.core.handlers.placing import check_order, needs_trigger, special_of
from steelyard.core.handlers.taking import Plan
from steelyard.core.queries.answers import Trial
from steelyard.core.queries.rehearsal import NOTHING, standing_after
from steelyard.core.readable import is_readable
from steelyard.core.rejects import Reject
from steelyard.core.state import State


def try_order(state: State, key: ApiKey, command: PlaceOrder) -> Trial:
    """Return what would come of an order if it were the next command, at the last log time."""
    if not is_readable(command, state.version):
        return _refused(Reject.MALFORMED)
    order = check_order(state, command, key, not_after_ns=0)
    if isinstance(order, Reject):
        return _refused(order)
    instrument = state.markets.instruments[order.instrument]
    fault = contracting.funds_fault(state, instrument, order)
    if fault is not None:
        return _refused(fault)
    plan = None if needs_trigger(special_of(order)) else Plan(state, instrument, order)
    standing = NOTHING if instrument.contract is None else standing_after(state, instrument, order, plan)
    if plan is None:
        return Trial(None, order.price_ticks, True, 0, 0, 0, 0, None, *standing)
    return Trial(
        None,
        order.price_ticks,
        False,
        plan.executed_lots,
        plan.executed_atoms,
        plan.fee_atoms,
        plan.open_lots,
        plan.reason,
        *standing,
    )


def _refused(reason: Reject) -> Trial:
    return Trial(reason, 0, False, 0, 0, 0, 0, None)
