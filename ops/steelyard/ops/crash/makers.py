"""Market makers: deep and near while it is calm, thin and far away, or gone, when it falls."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from steelyard.client import Batch, CancelOrders, Command, MoveMargin, PlaceOrder, Side
from steelyard.ops.crash.crowd import Trader
from steelyard.ops.crash.market import BTC, CONTRACTS, USDT, ContractPlan, dollars_atoms

MAKERS: Final = (10_001, 10_002, 10_003)
#: The makers' own money in each settle asset, in dollars for each dollar of the crowd's notional.
FUNDS_PER_NOTIONAL: Final = 3.0
FUNDS_MIN_DOLLARS: Final = 1_000_000.0
#: Levels of a maker on one side, how far apart they are, and how far the first is from the price.
LEVELS: Final = 4
GAP: Final = 0.0012
#: At first, when the crowd comes, all of a maker's lots stand this near.
WELCOME: Final = 0.0001
#: What a maker shows on a side in calm times, as a part of all that the crowd has in the contract.
SHOWN: Final = 0.006
#: When a price falls by this part of itself within a step, makers show a third, three times as far away.
FRIGHT: Final = 0.006
FRIGHT_FACTOR: Final = 3
#: While the steps are this far on, all makers but the first have gone.
GONE: Final = (0.48, 0.8)


class Maker(NamedTuple):
    """A maker: its account, its place among the makers, and the crowd's lots by contract."""

    account: int
    place: int
    crowd_lots: dict[int, int]


def makers(traders: Sequence[Trader]) -> list[Maker]:
    """Return the makers for a crowd."""
    lots = dict.fromkeys((contract.instrument for contract in CONTRACTS), 1)
    for trader in traders:
        for bet in trader.bets:
            lots[bet.contract.instrument] += abs(bet.lots)
    return [Maker(account, place, lots) for place, account in enumerate(MAKERS)]


def endowment(traders: Sequence[Trader], starts: Sequence[float]) -> list[tuple[int, int]]:
    """Return (asset, atoms) that each maker is given."""
    notional = 0.0
    for trader in traders:
        for bet in trader.bets:
            price = starts[bet.contract.market] if bet.contract.settle == USDT else 1.0
            notional += abs(bet.lots) * float(bet.contract.lot) * price
    dollars = max(FUNDS_MIN_DOLLARS, notional * FUNDS_PER_NOTIONAL)
    return [(asset, dollars_atoms(asset, dollars)) for asset in (USDT, BTC)]


def welcome(maker: Maker, starts: Sequence[float], funds: Sequence[tuple[int, int]]) -> list[Command]:
    """Return what a maker asks for before the crowd comes: margin, and enough lots for it on both sides."""
    asked: list[Command] = [MoveMargin(asset, atoms) for asset, atoms in funds]
    for contract in CONTRACTS:
        price = starts[contract.market]
        lots = maker.crowd_lots[contract.instrument]
        asked += [
            _order(contract, Side.BUY, price * (1 - WELCOME), lots),
            _order(contract, Side.SELL, price * (1 + WELCOME), lots),
        ]
    return asked


def requote(maker: Maker, part: float, before: Sequence[float], prices: Sequence[float]) -> list[Command]:
    """Return what a maker asks for at a step: its old quotes out, new ones in, if it is still there.

    ``part`` is how far the steps are on, 0 to 1.
    """
    asked: list[Command] = []
    is_gone = maker.place > 0 and GONE[0] <= part < GONE[1]
    for contract in CONTRACTS:
        asked.append(CancelOrders(contract.instrument))
        if is_gone:
            continue
        price = prices[contract.market]
        lots = maker.crowd_lots[contract.instrument] * SHOWN / LEVELS
        gap = GAP
        if price < before[contract.market] * (1 - FRIGHT):
            lots, gap = lots / FRIGHT_FACTOR, gap * FRIGHT_FACTOR
        size = max(1, round(lots))
        away = [gap * (level + 1 + 0.2 * maker.place) for level in range(LEVELS)]
        asked.append(
            Batch(
                tuple(_order(contract, Side.BUY, price * (1 - off), size) for off in away)
                + tuple(_order(contract, Side.SELL, price * (1 + off), size) for off in away)
            )
        )
    return asked


def _order(contract: ContractPlan, side: Side, price: float, lots: int) -> PlaceOrder:
    return PlaceOrder(contract.instrument, side, lots, max(1, round(price / contract.tick)))
