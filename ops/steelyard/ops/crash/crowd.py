"""Who is in the market: traders on both sides with 3x to 100x leverage, and what each asks for at first."""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from steelyard.client import (
    Command,
    MarginMode,
    MoveMargin,
    OpenSubAccount,
    Permission,
    PlaceOrder,
    SetContractModes,
    SetLeverage,
    Side,
    TimeInForce,
    Transfer,
)
from steelyard.ops.crash.market import BTC, CONTRACTS, USDT, ContractPlan, dollars_atoms

#: Sub-accounts of one master account; the exchange takes 256.
FAMILY: Final = 250
FIRST_MASTER: Final = 1_000
FIRST_TRADER: Final = 100_000

#: Leverages, and how many of a hundred choose each.
LEVERAGES: Final = {3: 16, 4: 10, 5: 14, 8: 12, 10: 12, 15: 8, 20: 10, 25: 6, 50: 6, 75: 2, 100: 4}
#: What a trader has, in dollars: between these, on a scale of logarithms.
FUNDS_DOLLARS: Final = (100.0, 20_000.0)
#: Parts of the crowd.
LONG: Final = 0.58
ISOLATED: Final = 0.35
INVERSE: Final = 0.2
TWO_POSITIONS: Final = 0.25
#: Of what the margin would allow, the part that a trader's position takes.
USE: Final = (0.55, 0.85)
#: The largest notional, in dollars, at which a leverage is still allowed.
_NOTIONALS_DOLLARS: Final = ((100, 50_000.0), (50, 250_000.0), (25, 2_000_000.0))
#: Orders of the crowd may trade so far from the starting price.
SLIP: Final = 0.0005

TRADER_PERMISSIONS: Final = Permission.READ + Permission.TRADE + Permission.TRANSFER


class Bet(NamedTuple):
    """One position that a trader opens: signed lots, long above zero."""

    contract: ContractPlan
    leverage: int
    lots: int


class Trader(NamedTuple):
    """An account, its master, what it has in one asset, and its bets on that."""

    account: int
    master: int
    asset: int
    funds_atoms: int
    isolated: bool
    bets: tuple[Bet, ...]


def crowd(*, seed: int, accounts: int, starts: Sequence[float]) -> list[Trader]:
    """Return so many traders; the same for the same seed."""
    chance = random.Random(seed)
    return [_trader(chance, number, starts) for number in range(accounts)]


def family(master: int, traders: Sequence[Trader]) -> Iterator[Command]:
    """Yield what opens a master's sub-accounts and gives them what they have, asked for by the master."""
    for trader in traders:
        assert trader.master == master, (trader.account, trader.master)
        yield OpenSubAccount(trader.account, TRADER_PERMISSIONS)
        yield Transfer(trader.asset, trader.funds_atoms, taker=trader.account)


def opening(trader: Trader, starts: Sequence[float]) -> list[Command]:
    """Return what a trader asks for: margin, modes, leverage, and an order for each position."""
    asked: list[Command] = [MoveMargin(trader.asset, trader.funds_atoms)]
    for bet in trader.bets:
        if trader.isolated:
            asked.append(SetContractModes(bet.contract.instrument, MarginMode.ISOLATED))
        asked.append(SetLeverage(bet.contract.instrument, bet.leverage))
    for bet in trader.bets:
        price = starts[bet.contract.market] * (1 + SLIP if bet.lots > 0 else 1 - SLIP)
        asked.append(
            PlaceOrder(
                bet.contract.instrument,
                Side.BUY if bet.lots > 0 else Side.SELL,
                abs(bet.lots),
                round(price / bet.contract.tick),
                time_in_force=TimeInForce.IOC,
            )
        )
    return asked


def _trader(chance: random.Random, number: int, starts: Sequence[float]) -> Trader:
    low, high = (math.log(bound) for bound in FUNDS_DOLLARS)
    funds = math.exp(chance.uniform(low, high))
    isolated = chance.random() < ISOLATED
    inverse = chance.random() < INVERSE
    contracts = [contract for contract in CONTRACTS if (contract.settle == BTC) == inverse]
    chance.shuffle(contracts)
    picked = contracts[: 2 if chance.random() < TWO_POSITIONS else 1]
    is_long = chance.random() < LONG
    bets = []
    for contract in picked:
        leverage = chance.choices(list(LEVERAGES), list(LEVERAGES.values()))[0]
        notional = funds / len(picked) * leverage * chance.uniform(*USE)
        for above, bound in _NOTIONALS_DOLLARS:
            if leverage > above // 2:
                notional = min(notional, bound * USE[0])
                break
        lots = contract.lots(notional, starts[contract.market])
        bets.append(Bet(contract, leverage, lots if is_long else -lots))
    asset = BTC if inverse else USDT
    return Trader(
        FIRST_TRADER + number,
        FIRST_MASTER + number // FAMILY,
        asset,
        dollars_atoms(asset, funds),
        isolated,
        tuple(bets),
    )
