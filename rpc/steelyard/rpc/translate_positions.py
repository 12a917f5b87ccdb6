"""Protobuf to commands about positions and margin; None for what makes no sense in any state."""

from typing import Final

from steelyard.client.wire import NUMBER_MAX
from steelyard.core import commands
from steelyard.core.units import AccountId, AssetId, InstrumentId, MarginMode
from steelyard.rpc.translate_orders import LEGS
from steelyard.v1 import trading_pb2

_MODES: Final[dict[int, MarginMode]] = {mode.value: mode for mode in MarginMode}


def set_leverage(wire: trading_pb2.SetLeverage, account: AccountId) -> commands.SetLeverage | None:
    """Return the command; an account that is left out is the caller's, here and below."""
    if wire.account > NUMBER_MAX or not 0 <= wire.leverage <= NUMBER_MAX or wire.leg not in LEGS:
        return None
    return commands.SetLeverage(
        account=_account(wire.account, account),
        instrument=InstrumentId(wire.instrument),
        leverage=wire.leverage,
        leg=LEGS[wire.leg],
    )


def set_contract_modes(
    wire: trading_pb2.SetContractModes, account: AccountId
) -> commands.SetContractModes | None:
    """Return the command, or None unless there is such a mode."""
    if wire.account > NUMBER_MAX or wire.margin not in _MODES:
        return None
    return commands.SetContractModes(
        account=_account(wire.account, account),
        instrument=InstrumentId(wire.instrument),
        margin=_MODES[wire.margin],
        hedge=wire.hedge,
    )


def move_margin(wire: trading_pb2.MoveMargin, account: AccountId) -> commands.MoveMargin | None:
    """Return the command; the amount may be below zero."""
    if wire.account > NUMBER_MAX or not _is_amount(wire.amount_atoms):
        return None
    return commands.MoveMargin(
        account=_account(wire.account, account), asset=AssetId(wire.asset), amount_atoms=wire.amount_atoms
    )


def adjust_bucket(wire: trading_pb2.AdjustBucket, account: AccountId) -> commands.AdjustBucket | None:
    """Return the command; the amount may be below zero."""
    if wire.account > NUMBER_MAX or not _is_amount(wire.amount_atoms) or wire.leg not in LEGS:
        return None
    return commands.AdjustBucket(
        account=_account(wire.account, account),
        instrument=InstrumentId(wire.instrument),
        amount_atoms=wire.amount_atoms,
        leg=LEGS[wire.leg],
    )


def _account(said: int, own: AccountId) -> AccountId:
    return AccountId(said) if said else own


def _is_amount(atoms: int) -> bool:
    """Return whether it is above or below zero, and can be held."""
    return atoms != 0 and -NUMBER_MAX <= atoms <= NUMBER_MAX
