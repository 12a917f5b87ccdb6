"""One account's positions in contracts, and the margin wallet that they lean on."""

from typing import TYPE_CHECKING, Final

from steelyard.core.units import (
    AccountId,
    AssetId,
    InstrumentId,
    Leg,
    LiquidationId,
    OrderId,
    RiskLevel,
    Side,
)

if TYPE_CHECKING:
    from steelyard.core.matching.order import Order

_BUY: Final = Side.BUY


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

    def position(self, instrument: InstrumentId, leg: Leg) -> "Position":
        """Return the position of that leg, an empty one that the margin knows from now on if it had none."""
        position = self.positions.get((instrument, leg))
        if position is None:
            position = self.positions[instrument, leg] = Position(self, instrument, leg, 0)
        return position

    def says_something(self) -> bool:
        """Return whether anything here is not as if the margin had never been."""
        return bool(self.positions) or self.says_more_than_positions()

    def says_more_than_positions(self) -> bool:
        """Return whether anything here is not said by its positions."""
        return (
            self.wallet_atoms != 0
            or self.liquidation != 0
            or self.level != RiskLevel.SAFE
            or bool(self.hedged)
        )


class Position(Scope):
    """Signed lots with the cash flow that they have cost or brought, and the orders about them.

    ``cash_flow_atoms`` is minus what was paid for the lots held (above zero for shorts of a linear contract);
    zero lots have none.  ``settled_nanoatoms`` is the contract's cumulative funding that has been paid.

    Isolated: ``bucket_atoms`` stands behind the lots, ``held_atoms`` behind the open orders.

    ``orders`` are the working orders of this leg, by the client's id, reduce-only ones included.  The sums
    are over those that are not reduce-only: ``open_buy_lots``, ``open_sell_lots``, and ``fees_atoms``, which
    all their lots may cost (cross).  No buy of them is above ``buy_high_ticks``, no sell below
    ``sell_low_ticks``: bounds that save looking through the orders, and nothing hangs on how tight they are.

    ``reducing_lots`` are the open lots of the working reduce-only orders: above zero those of sells, below
    zero those of buys, so that it stands between zero and ``qty_lots``.  ``living`` counts all living orders
    about the position, those that do not work yet included.  Both follow from the orders.
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
        "living",
        "margin",
        "open_buy_lots",
        "open_sell_lots",
        "orders",
        "qty_lots",
        "reducing_lots",
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
        self.reducing_lots = 0
        self.living = 0

    @property
    def scope(self) -> Scope:
        """What is liquidated with it."""
        return self if self.is_isolated else self.margin

    def says_something(self) -> bool:
        """Return whether anything here is not as if the position had never been."""
        return self.living != 0 or self.says_more_than_orders()

    def says_more_than_orders(self) -> bool:
        """Return whether anything here is not said by the orders about it."""
        return (
            self.qty_lots != 0
            or self.is_isolated
            or self.leverage != 0
            or self.instrument in self.margin.hedged
            or self.bucket_atoms != 0
            or self.liquidation != 0
        )

    def begin(self, order: "Order") -> None:
        """Know an order that begins to work, and count its open lots."""
        assert order.order not in self.orders, order.number
        self.orders[order.order] = order
        lots = order.open_lots
        special = order.special
        if special is not None and special.reduce_only:
            self.reducing_lots += -lots if order.side is _BUY else lots
            return
        price_ticks = order.price_ticks
        if order.side is _BUY:
            if self.open_buy_lots == 0 or price_ticks > self.buy_high_ticks:
                self.buy_high_ticks = price_ticks
            self.open_buy_lots += lots
        else:
            if self.open_sell_lots == 0 or price_ticks < self.sell_low_ticks:
                self.sell_low_ticks = price_ticks
            self.open_sell_lots += lots
        if not self.is_isolated:
            self.fees_atoms += lots * order.lot_pledge_atoms

    def lose(self, order: "Order", lots: int) -> None:
        """Count fewer lots of a working order, which has traded them or lost them."""
        special = order.special
        if special is not None and special.reduce_only:
            self.reducing_lots -= -lots if order.side is _BUY else lots
            return
        if order.side is _BUY:
            self.open_buy_lots -= lots
        else:
            self.open_sell_lots -= lots
        if not self.is_isolated:
            self.fees_atoms -= lots * order.lot_pledge_atoms

    def end(self, order: "Order") -> None:
        """Forget an order that works no more, with what it has open."""
        del self.orders[order.order]
        lots = order.open_lots
        if lots == 0:
            return
        # ``lose`` written out: a call would take longer than that.
        special = order.special
        if special is not None and special.reduce_only:
            self.reducing_lots -= -lots if order.side is _BUY else lots
            return
        if order.side is _BUY:
            self.open_buy_lots -= lots
        else:
            self.open_sell_lots -= lots
        if not self.is_isolated:
            self.fees_atoms -= lots * order.lot_pledge_atoms
