"""A scope that the engine has, while it has it."""

from steelyard.core.units import AccountId, AssetId, InstrumentId, Leg, LiquidationId


class Liquidation:
    """One run of the engine over one scope.

    ``instrument`` is zero, and ``leg`` NET, if the scope is a margin wallet with its cross positions.
    """

    __slots__ = ("account", "asset", "instrument", "leg", "liquidation")

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
