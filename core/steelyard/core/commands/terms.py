"""What an order can say beyond side, size and price."""

import msgspec

from steelyard.core.units import PriceSource, SelfTrade, TriggerKind


class OrderTerms(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False, forbid_unknown_fields=True
):
    """The uncommon terms of an order; each default says nothing.

    * ``expires_ns``: a GTC order leaves when log time reaches it; it never trades at or after it.
    * ``slide``: a post-only order that would trade is moved to one price step behind the best opposite price.
    * ``budget_atoms``: a market order by quote amount; its ``size_lots`` is zero.  A buy pays at most that,
      fee included; a sell sells at most as many lots as bring it.
    * ``trigger``, ``trigger_source``, ``trigger_ticks``: the order waits until the source reaches it.
    * ``callback_ppm``: the trigger trails the best price seen by this much.  With ``trigger_ticks`` zero from
      the start, else from the moment the source reaches ``trigger_ticks``.
    * ``display_lots``: an iceberg shows this much at a time.
    * ``self_trade``: in place of the account's or instrument's default.
    """

    expires_ns: int = 0
    slide: bool = False
    budget_atoms: int = 0
    trigger: TriggerKind | None = None
    trigger_source: PriceSource = PriceSource.LAST
    trigger_ticks: int = 0
    callback_ppm: int = 0
    display_lots: int = 0
    self_trade: SelfTrade | None = None


NO_TERMS = OrderTerms()
