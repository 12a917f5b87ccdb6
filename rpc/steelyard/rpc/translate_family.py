"""Protobuf to commands about the caller's own account and its family; None for what makes no sense."""

from steelyard.client.wire import NUMBER_MAX
from steelyard.core import commands
from steelyard.core.units import AccountId, AssetId
from steelyard.rpc.translate_orders import SELF_TRADES
from steelyard.v1 import trading_pb2


def transfer(wire: trading_pb2.Transfer, account: AccountId) -> commands.Transfer | None:
    """Return the command; an account that is left out is the caller's."""
    amount_atoms = wire.amount_atoms
    if max(wire.giver, wire.taker) > NUMBER_MAX or not -NUMBER_MAX <= amount_atoms <= NUMBER_MAX:
        return None
    return commands.Transfer(
        giver=AccountId(wire.giver) if wire.giver else account,
        taker=AccountId(wire.taker) if wire.taker else account,
        asset=AssetId(wire.asset),
        amount_atoms=amount_atoms,
    )


def set_self_trade(wire: trading_pb2.SetSelfTrade, account: AccountId) -> commands.SetSelfTrade | None:
    """Return the command, or None if there is no such mode."""
    if wire.mode not in SELF_TRADES:
        return None
    return commands.SetSelfTrade(account=account, mode=SELF_TRADES[wire.mode])


def open_sub_account(wire: trading_pb2.OpenSubAccount, account: AccountId) -> commands.OpenSubAccount | None:
    """Return the command, with the caller as the master."""
    if wire.account > NUMBER_MAX:
        return None
    return commands.OpenSubAccount(
        master=account, account=AccountId(wire.account), permissions=wire.permissions
    )
