"""One account's positions in contracts, and the margin wallet that they lean on."""

from typing import TYPE_CHECKING

from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    Leg,
    LiquidationId,
    OrderId,
    RiskLevel,
)

if TYPE_CHECKING:
    from steelyard.core.matching.order import Order


class Scope:
    """What is liquidated as one: a margin wallet with its cross positions, or an isolated position.

    ``liquidation`` is zero unless the engine has it.
    """

    __slots__ = ("level", "liquidation")

    def __init__(self) -> None:
        self.level = RiskLevel.SAFE
        self.liquidation = LiquidationId(0)


class Margin(Scope):
    """One account's margin wallet of one settle asset, and everything that leans on it.

    ``wallet_atoms`` may be below zero while there are cross positions, or a debt.  ``positions`` are all that
    have lots, orders or terms of their own; ``hedged`` the contracts in hedge mode.
    """

    __slots__ = ("account", "asset", "hedged", "positions", "wallet_atoms")

    def __init__(self, account: AccountId, asset: AssetId) -> None:
        super().__init__()
        self.account = account
        self.asset = asset
        self.wallet_atoms = 0
        self.positions: dict[tuple[InstrumentId, Leg], Position] = {}
        self.hedged: dict[InstrumentId, None] = {}


class Position(Scope):
    """Signed lots with the cash flow that they have cost or brought, and the orders about them.

    ``cash_flow_atoms`` is minus what was paid for the lots held (above zero for shorts of a linear contract);
    zero lots have none.  ``settled_nanoatoms`` is the contract's cumulative funding that has been paid.

    Isolated: ``bucket_atoms`` stands behind the lots, ``held_atoms`` behind the open orders.

    ``orders`` are the working orders of this leg, by the client's id, reduce-only ones included.  The sums
    are over those that are not reduce-only: ``open_buy_lots``, ``open_sell_lots``, and ``fees_atoms``, which
    all their lots may cost (cross).  No buy of them is above ``buy_high_ticks``, no sell below
    ``sell_low_ticks``: bounds that save looking through the orders, and nothing hangs on how tight they are.
    """

    __slots__ = (
        "account",
        "bucket_atoms",
        "buy_high_ticks",
        "cash_flow_atoms",
        "fees_atoms",
        "held_atoms",
        "instrument",
        "is_isolated",
        "leg",
        "leverage",
        "margin",
        "open_buy_lots",
        "open_sell_lots",
        "orders",
        "qty_lots",
        "sell_low_ticks",
        "settled_nanoatoms",
    )

    def __init__(self, margin: Margin, instrument: InstrumentId, leg: Leg, leverage: int) -> None:
        super().__init__()
        self.margin = margin
        self.account = margin.account
        self.instrument = instrument
        self.leg = leg
        self.is_isolated = False
        self.leverage = leverage
        self.qty_lots = 0
        self.cash_flow_atoms = 0
        self.settled_nanoatoms = 0
        self.bucket_atoms = 0
        self.held_atoms = 0
        self.orders: dict[OrderId, Order] = {}
        self.open_buy_lots = 0
        self.open_sell_lots = 0
        self.fees_atoms = 0
        self.buy_high_ticks = 0
        self.sell_low_ticks = 0

    @property
    def scope(self) -> Scope:
        """What is liquidated with it."""
        return self if self.is_isolated else self.margin
