"""Protobuf to operators' commands."""

from collections.abc import Callable
from typing import Any, Final

from steelyard.client.wire import NUMBER_MAX
from steelyard.core import commands
from steelyard.core.units import AccountId, AssetId, HoldId, InstrumentId, InstrumentState, KeyId, SelfTrade
from steelyard.rpc import translate_contracts as contracts
from steelyard.rpc.errors import DoorError, Reason
from steelyard.rpc.translate_orders import SELF_TRADES
from steelyard.v1 import admin_pb2

_STATES: Final[dict[int, InstrumentState]] = {state.value: state for state in InstrumentState}


def operator_command(wire: admin_pb2.AdministerRequest) -> commands.AnyCommand:
    """Return the operator's command.

    Raises:
        DoorError: MALFORMED.

    """
    kind = wire.WhichOneof("kind")
    if kind is not None:
        row = getattr(wire, kind)
        command = _TRANSLATORS[kind](row) if _numbers_fit(row) else None
        if command is not None:
            return command
    raise DoorError(Reason.MALFORMED, "a field is missing or out of range")


def _numbers_fit(row: Any) -> bool:  # noqa: ANN401 - any of the messages
    """Return whether every number of the command, inner messages included, is one that we can hold."""
    for field, value in row.ListFields():
        if field.message_type is not None:
            if not all(map(_numbers_fit, value if field.is_repeated else (value,))):
                return False
        elif isinstance(value, int) and not -NUMBER_MAX <= value <= NUMBER_MAX:
            return False
    return True


def _list_asset(wire: admin_pb2.ListAsset) -> commands.ListAsset:
    return commands.ListAsset(asset=AssetId(wire.asset), symbol=wire.symbol, decimals=wire.decimals)


def _list_instrument(wire: admin_pb2.ListInstrument) -> commands.ListInstrument:
    return commands.ListInstrument(
        instrument=InstrumentId(wire.instrument),
        symbol=wire.symbol,
        base=AssetId(wire.base_asset),
        quote=AssetId(wire.quote_asset),
        tick_mantissa=wire.tick_mantissa,
        tick_decimals=wire.tick_decimals,
        lot_mantissa=wire.lot_mantissa,
        lot_decimals=wire.lot_decimals,
        price_max_ticks=wire.price_max_ticks,
        size_max_lots=wire.size_max_lots,
        notional_min_atoms=wire.notional_min_atoms,
        maker_ppm=wire.maker_ppm,
        taker_ppm=wire.taker_ppm,
        market_protection_ppm=wire.market_protection_ppm or contracts.PROTECTION_PPM,
    )


def _set_instrument_state(wire: admin_pb2.SetInstrumentState) -> commands.SetInstrumentState | None:
    state = _STATES.get(wire.state)
    if state is None:
        return None
    return commands.SetInstrumentState(instrument=InstrumentId(wire.instrument), state=state)


def _set_instrument_rules(wire: admin_pb2.SetInstrumentRules) -> commands.SetInstrumentRules | None:
    if wire.self_trade not in SELF_TRADES:
        return None
    return commands.SetInstrumentRules(
        instrument=InstrumentId(wire.instrument),
        price_step_ticks=wire.price_step_ticks or 1,
        size_step_lots=wire.size_step_lots or 1,
        size_min_lots=wire.size_min_lots or 1,
        notional_max_atoms=wire.notional_max_atoms,
        orders_max=wire.orders_max,
        buy_down_ppm=wire.buy_down_ppm,
        buy_up_ppm=wire.buy_up_ppm,
        sell_down_ppm=wire.sell_down_ppm,
        sell_up_ppm=wire.sell_up_ppm,
        execution_down_ppm=wire.execution_down_ppm,
        execution_up_ppm=wire.execution_up_ppm,
        halt_ppm=wire.halt_ppm,
        halt_window_ns=wire.halt_window_ns,
        halt_ns=wire.halt_ns,
        auction_ns=wire.auction_ns,
        self_trade=SELF_TRADES[wire.self_trade] or SelfTrade.NONE,
    )


def _schedule_state(wire: admin_pb2.ScheduleState) -> commands.ScheduleState | None:
    state = _STATES.get(wire.state)
    if state is None:
        return None
    return commands.ScheduleState(instrument=InstrumentId(wire.instrument), state=state, at_ns=wire.at_ns)


def _create_api_key(wire: admin_pb2.CreateApiKey) -> commands.CreateApiKey:
    return commands.CreateApiKey(
        account=AccountId(wire.account),
        public_key=wire.public_key,
        permissions=wire.permissions,
        expires_ns=wire.expires_ns,
    )


def _hold_funds(wire: admin_pb2.HoldFunds) -> commands.HoldFunds:
    return commands.HoldFunds(
        account=AccountId(wire.account),
        hold=HoldId(wire.hold),
        asset=AssetId(wire.asset),
        amount_atoms=wire.amount_atoms,
        legal=wire.legal,
    )


def _set_account_rules(wire: admin_pb2.SetAccountRules) -> commands.SetAccountRules:
    return commands.SetAccountRules(
        account=AccountId(wire.account),
        trade_group=wire.trade_group,
        permissions=wire.permissions,
        orders_max=wire.orders_max,
    )


def _set_order_limit(wire: admin_pb2.SetOrderLimit) -> commands.SetOrderLimit:
    return commands.SetOrderLimit(
        account=AccountId(wire.account),
        instrument=InstrumentId(wire.instrument),
        size_max_lots=wire.size_max_lots,
        notional_max_atoms=wire.notional_max_atoms,
    )


def _set_fee_tier(wire: admin_pb2.SetFeeTier) -> commands.SetFeeTier:
    return commands.SetFeeTier(
        tier=wire.tier,
        instrument=InstrumentId(wire.instrument),
        maker_ppm=wire.maker_ppm,
        taker_ppm=wire.taker_ppm,
    )


def _moved(
    kind: type[commands.Deposit] | type[commands.Withdraw],
) -> Callable[[Any], commands.AnyCommand]:
    return lambda wire: kind(
        account=AccountId(wire.account), asset=AssetId(wire.asset), amount_atoms=wire.amount_atoms
    )


#: One for each kind of ``AdministerRequest``.
_TRANSLATORS: Final[dict[str, Callable[[Any], commands.AnyCommand | None]]] = {
    "list_asset": _list_asset,
    "list_instrument": _list_instrument,
    "set_instrument_state": _set_instrument_state,
    "open_account": lambda wire: commands.OpenAccount(account=AccountId(wire.account)),
    "deposit": _moved(commands.Deposit),
    "withdraw": _moved(commands.Withdraw),
    "create_api_key": _create_api_key,
    "revoke_api_key": lambda wire: commands.RevokeApiKey(key=KeyId(wire.key)),
    "activate_version": lambda wire: commands.ActivateVersion(version=wire.version),
    "set_instrument_rules": _set_instrument_rules,
    "set_mark": lambda wire: commands.SetMark(
        instrument=InstrumentId(wire.instrument), mark_ticks=wire.mark_ticks
    ),
    "start_auction": lambda wire: commands.StartAuction(
        instrument=InstrumentId(wire.instrument), auction_ns=wire.auction_ns
    ),
    "schedule_state": _schedule_state,
    "open_sub_account": lambda wire: commands.OpenSubAccount(
        master=AccountId(wire.master), account=AccountId(wire.account), permissions=wire.permissions
    ),
    "set_account_rules": _set_account_rules,
    "set_order_limit": _set_order_limit,
    "set_frozen": lambda wire: commands.SetFrozen(account=AccountId(wire.account), frozen=wire.frozen),
    "set_legal_hold": lambda wire: commands.SetLegalHold(account=AccountId(wire.account), on=wire.on),
    "hold_funds": _hold_funds,
    "release_hold": lambda wire: commands.ReleaseHold(
        account=AccountId(wire.account), hold=HoldId(wire.hold), legal=wire.legal
    ),
    "set_fee_tier": _set_fee_tier,
    "set_account_tier": lambda wire: commands.SetAccountTier(account=AccountId(wire.account), tier=wire.tier),
    "set_referrer": lambda wire: commands.SetReferrer(
        account=AccountId(wire.account), referrer=AccountId(wire.referrer), share_ppm=wire.share_ppm
    ),
    "list_index": contracts.list_index,
    "list_contract": contracts.list_contract,
    "set_contract_rules": contracts.set_contract_rules,
    "set_index_sources": contracts.set_index_sources,
    "set_kill_switch": contracts.set_kill_switch,
    "fund_insurance": contracts.fund_insurance,
}
