"""A scope that the engine has, while it has it."""

from steelyard.core.units import AccountId, AssetId, InstrumentId, Leg, LiquidationEnd, LiquidationId


class Liquidation:
    """One run of the engine over one scope, from ``LiquidationStarted`` to ``LiquidationEnded``.

    ``instrument`` is zero, and ``leg`` NET, if the scope is a margin wallet with its cross positions.

    * ``has_begun``: its orders have ended and its positions are settled.
    * ``is_parked``: nothing traded; it waits for another mark.
    * ``is_below_zero``: its equity was, when the engine last looked.
    * ``has_closed``: lots of it were closed.
    * ``worst``: the furthest that the engine had to go for it: CLOSED, FUND, ADL or SHARED.
    * ``stepped``: the contract of its last step, whose winners would bear a loss; zero before the first.
    """

    __slots__ = (
        "account",
        "asset",
        "has_begun",
        "has_closed",
        "instrument",
        "is_below_zero",
        "is_parked",
        "leg",
        "liquidation",
        "stepped",
        "worst",
    )

    def __init__(
        self,
        liquidation: LiquidationId,
        account: AccountId,
        asset: AssetId,
        instrument: InstrumentId,
        leg: Leg,
    ) -> None:
        self.liquidation = liquidation
        self.account = account
        self.asset = asset
        self.instrument = instrument
        self.leg = leg
        self.has_begun = False
        self.is_parked = False
        self.is_below_zero = False
        self.has_closed = False
        self.worst = LiquidationEnd.CLOSED
        self.stepped = instrument

    def had(self, end: LiquidationEnd) -> None:
        """Remember that the engine had to go this far."""
        self.worst = max(self.worst, end)

    @property
    def end(self) -> LiquidationEnd:
        """How it ends when nothing is left."""
        return self.worst if self.has_closed else LiquidationEnd.CURED
