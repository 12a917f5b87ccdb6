"""Indices and perpetual contracts, the switches that stop new orders, and the insurance fund."""

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import (
    FundInsurance,
    ListContract,
    ListIndex,
    SetContractRules,
    SetKillSwitch,
)
from steelyard.core.contracts.scales import contract_scale
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import (
    AnyEvent,
    ContractListed,
    ContractRulesSet,
    IndexListed,
    InsuranceFunded,
    KillSwitchSet,
)
from steelyard.core.handlers import funding
from steelyard.core.handlers.checks import customer, is_too_late, may_operate
from steelyard.core.handlers.gates import look_at_gate, repay_debt
from steelyard.core.instruments import (
    bounds_are_too_wide,
    contract_fault,
    contract_is_malformed,
    contract_rules_are_malformed,
    has_tick_of,
    index_is_malformed,
    margin_is_allowed,
    settle_asset,
)
from steelyard.core.limits import INDICES_MAX, INSTRUMENTS_MAX, INTEGER_MAX
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import InstrumentState


def list_index(
    state: State, command: ListIndex, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Make an index known, on which contracts can lean."""
    if index_is_malformed(command):
        return Reject.MALFORMED
    fault = _not_operated(state, request, key)
    if fault is not None:
        return fault
    markets = state.markets
    if command.index in markets.indices or command.symbol in markets.index_symbols:
        return Reject.INDEX_EXISTS
    if len(markets.indices) >= INDICES_MAX:
        return Reject.TOO_MANY_LISTINGS

    # Nothing below can fail.
    markets.list_index(command)
    out.append(
        IndexListed(
            index=command.index,
            symbol=command.symbol,
            tick_mantissa=command.tick_mantissa,
            tick_decimals=command.tick_decimals,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def list_contract(
    state: State, command: ListContract, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """List a perpetual contract on an index, if its scale is a whole number and all longs fit the ledger."""
    if contract_is_malformed(command):
        return Reject.MALFORMED
    fault = _not_operated(state, request, key)
    if fault is not None:
        return fault
    markets = state.markets
    if command.base not in markets.assets or command.quote not in markets.assets:
        return Reject.UNKNOWN_ASSET
    if command.instrument in markets.instruments or command.symbol in markets.instrument_symbols:
        return Reject.INSTRUMENT_EXISTS
    index = markets.indices.get(command.index)
    if index is None:
        return Reject.UNKNOWN_INDEX
    if not has_tick_of(command, index.listing):
        return Reject.SCALE_NOT_INTEGER
    settle = settle_asset(command)
    scale = contract_scale(command, markets.assets[settle].decimals)
    fault = contract_fault(command, scale)
    if fault is not None:
        return fault
    if len(markets.instruments) >= INSTRUMENTS_MAX:
        return Reject.TOO_MANY_LISTINGS

    # Nothing below can fail.
    assert scale is not None, command.instrument
    markets.list_instrument(command, InstrumentState.PRE_OPEN)
    out.append(
        ContractListed(
            instrument=command.instrument,
            symbol=command.symbol,
            contract=command.contract,
            index=command.index,
            base=command.base,
            quote=command.quote,
            settle=settle,
            scale=scale,
            rules=command.rules,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_contract_rules(
    state: State, command: SetContractRules, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Set everything of a contract that may change; positions, orders and pledges stay as they are.

    All scopes with lots in it are judged anew.
    """
    if contract_rules_are_malformed(command.rules):
        return Reject.MALFORMED
    fault = _not_operated(state, request, key)
    if fault is not None:
        return fault
    instrument = state.markets.instruments.get(command.instrument)
    if instrument is None:
        return Reject.UNKNOWN_INSTRUMENT
    contract = instrument.contract
    if contract is None:
        return Reject.NOT_THIS_KIND
    listing = instrument.listing
    assert isinstance(listing, ListContract), command.instrument
    if bounds_are_too_wide(listing, command.rules, contract.scale):
        return Reject.BOUNDS_TOO_WIDE
    if not margin_is_allowed(command.rules):
        return Reject.MARGIN_OUT_OF_RANGE

    # Nothing below can fail.
    before = contract.rules
    contract.rules = command.rules
    out.append(ContractRulesSet(instrument=command.instrument, rules=command.rules))
    if command.rules.funding != before.funding:
        funding.change_terms(state, instrument, contract)
    for position in contract.positions.values():
        state.touched[position.scope] = None
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_kill_switch(
    state: State, command: SetKillSwitch, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Switch new orders of an account, in an instrument, or of everybody off, or on again."""
    if command.account != 0 and command.instrument != 0:
        return Reject.MALFORMED
    fault = _not_operated(state, request, key)
    if fault is not None:
        return fault
    if command.account != 0 and customer(state, command.account) is None:
        return Reject.UNKNOWN_ACCOUNT
    if command.instrument != 0 and command.instrument not in state.markets.instruments:
        return Reject.UNKNOWN_INSTRUMENT

    # Nothing below can fail.
    if command.on:
        state.kill_switches[command.account, command.instrument] = None
    else:
        state.kill_switches.pop((command.account, command.instrument), None)
    out.append(KillSwitchSet(on=command.on, account=command.account, instrument=command.instrument))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def fund_insurance(
    state: State, command: FundInsurance, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Let the outside world pay into the insurance fund of an asset, or take out of it.

    A bad debt of the asset is repaid with it at once.
    """
    amount_atoms = command.amount_atoms
    if amount_atoms == 0:
        return Reject.MALFORMED
    fault = _not_operated(state, request, key)
    if fault is not None:
        return fault
    if command.asset not in state.markets.assets:
        return Reject.UNKNOWN_ASSET
    if not -INTEGER_MAX <= amount_atoms <= INTEGER_MAX:
        return Reject.AMOUNT_OUT_OF_RANGE
    if amount_atoms > 0 and not state.ledger.can_deposit(command.asset, amount_atoms):
        return Reject.BALANCE_LIMIT
    house = state.ledger.houses[command.asset]
    if -amount_atoms > house.insurance_atoms:
        return Reject.INSUFFICIENT_FUNDS

    # Nothing below can fail.
    house.omnibus_atoms -= amount_atoms
    house.insure(amount_atoms, state.time_ns)
    out.append(
        InsuranceFunded(asset=command.asset, amount_atoms=amount_atoms, insurance_atoms=house.insurance_atoms)
    )
    if house.debt_atoms:
        repay_debt(state, command.asset, out)
        look_at_gate(state, command.asset, out, had_loss=False)
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def _not_operated(state: State, request: Request, key: ApiKey) -> Reject | None:
    """Return why an operator's request is refused whatever it is about, or None."""
    if is_too_late(state, request):
        return Reject.TOO_LATE
    return None if may_operate(key) else Reject.NOT_PERMITTED
