"""What everybody may see of a contract beside its book, kept up with the log by its events alone."""

from typing import NamedTuple

from steelyard.core.commands import ContractRules
from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    ContractRulesSet,
    FundingSet,
    IndexSet,
    IndexStale,
    InstrumentStateChanged,
    MarkSet,
    PositionSettled,
    PositionsTraded,
    PremiumSampled,
    Traded,
)
from steelyard.core.queries import ContractStanding
from steelyard.core.units import FundingRule, InstrumentState, Side
from steelyard.replication.liquidations import Stepped, stepped_of


class Prices(NamedTuple):
    """A contract's mark and the price of its index; zeros are none."""

    mark_ticks: int
    index_ticks: int
    index_stale: bool


class Funding(NamedTuple):
    """A sample of a contract's premium, or a settlement of its funding; see ``FundingUpdate``."""

    settled: bool
    premium_ppb: int
    predicted_ppb: int
    rate_ppb: int
    mark_ticks: int
    delta_nanoatoms: int
    cumulative_nanoatoms: int
    next_ns: int


class ContractChange(NamedTuple):
    """What one entry changed of a contract: new values, oldest first; None and empty: nothing."""

    prices: list[Prices]
    fundings: list[Funding]
    open_interest_lots: int | None
    liquidations: list[Stepped]

    @property
    def moves_ticker(self) -> bool:
        """Whether something has changed that a ticker says."""
        return bool(self.prices or self.fundings) or self.open_interest_lots is not None


class MarketContract:
    """A contract after an entry; fed with its own events, and those of all indices and margin wallets."""

    def __init__(self, standing: ContractStanding) -> None:
        """Begin where it stood."""
        self._index = standing.index
        self._settled_in = standing.settle
        self._rules: ContractRules = standing.rules
        self.prices = Prices(standing.mark_ticks, standing.index_ticks, standing.index_stale)
        self.predicted_ppb = standing.predicted_ppb
        self.rate_ppb = standing.rate_ppb
        self.cumulative_nanoatoms = standing.cumulative_nanoatoms
        self.funding_ns = standing.funding_ns
        self.open_interest_lots = standing.open_interest_lots
        self._traded: Traded | None = None
        self._begin()

    @property
    def funding(self) -> Funding:
        """How funding stands."""
        return Funding(
            False, 0, self.predicted_ppb, self.rate_ppb, 0, 0, self.cumulative_nanoatoms, self.funding_ns
        )

    def follow(self, index: int, time_ns: int, event: AnyEvent) -> None:
        """Follow one event of the entry ``index``; those about others, and most kinds, say nothing."""
        match event:
            case MarkSet():
                self.funding_ns = self.funding_ns or self._next_ns(time_ns)
                self._set_prices(self.prices._replace(mark_ticks=event.mark_ticks))
            case IndexSet() if event.index == self._index:
                self._set_prices(self.prices._replace(index_ticks=event.price_ticks, index_stale=event.stale))
            case IndexStale() if event.index == self._index:
                self._set_prices(self.prices._replace(index_stale=True))
            case PremiumSampled():
                self.predicted_ppb = event.predicted_ppb
                self._fundings.append(self.funding._replace(premium_ppb=event.premium_ppb))
            case FundingSet():
                self._settle(event, time_ns)
            case ContractRulesSet():
                self._set_rules(event.rules, time_ns)
            case InstrumentStateChanged() if event.after == InstrumentState.CLOSED:
                self.funding_ns = self.predicted_ppb = 0
            case Traded():
                self._traded = event
            case PositionsTraded():
                self._count(event)
            case PositionSettled():
                self._open_interest(-max(event.qty_lots, 0))
            case _:
                self._liquidate(index, time_ns, event)

    def end_entry(self, time_ns: int) -> None:
        """Let an interval end of which nothing was said, as one does under a stale index."""
        if 0 < self.funding_ns <= time_ns:
            self._end_interval(time_ns)
            self._fundings.append(self.funding)

    def take_changes(self) -> ContractChange:
        """Return what has changed since the last call."""
        change = ContractChange(
            self._prices,
            self._fundings,
            self.open_interest_lots if self._is_counted else None,
            self._liquidations,
        )
        self._begin()
        return change

    def _begin(self) -> None:
        self._prices: list[Prices] = []
        self._fundings: list[Funding] = []
        self._liquidations: list[Stepped] = []
        self._is_counted = False

    def _set_prices(self, prices: Prices) -> None:
        self.prices = prices
        self._prices.append(prices)

    def _settle(self, event: FundingSet, time_ns: int) -> None:
        self.cumulative_nanoatoms = event.cumulative_nanoatoms
        if self._rules.funding.rule != FundingRule.DEAD_BAND or event.delta_nanoatoms == 0:
            # The end of an interval: what accrues within one is never nothing.
            self.rate_ppb = event.rate_ppb
            self._end_interval(time_ns)
        self._fundings.append(
            self.funding._replace(
                settled=True,
                rate_ppb=event.rate_ppb,
                mark_ticks=event.mark_ticks,
                delta_nanoatoms=event.delta_nanoatoms,
            )
        )

    def _set_rules(self, rules: ContractRules, time_ns: int) -> None:
        before, self._rules = self._rules.funding, rules
        if rules.funding == before:
            return
        self.predicted_ppb = 0
        if self.funding_ns:
            self.funding_ns = self._next_ns(time_ns)
        self._fundings.append(self.funding)

    def _end_interval(self, time_ns: int) -> None:
        self.funding_ns = self._next_ns(time_ns)
        if self._rules.funding.rule != FundingRule.DEAD_BAND:
            self.predicted_ppb = 0

    def _next_ns(self, time_ns: int) -> int:
        interval_ns = self._rules.funding.interval_ns
        return (time_ns // interval_ns + 1) * interval_ns

    def _count(self, event: PositionsTraded) -> None:
        """Count what a trade has added to all longs: what each was before follows from the trade."""
        traded, self._traded = self._traded, None
        assert traded is not None, event.trade
        assert traded.trade == event.trade, (traded.trade, event.trade)
        if (event.maker, event.maker_leg) == (event.taker, event.taker_leg):
            return
        taken_lots = traded.size_lots if traded.taker_side is Side.BUY else -traded.size_lots
        self._open_interest(
            _longs(event.maker_qty_lots, -taken_lots) + _longs(event.taker_qty_lots, taken_lots)
        )

    def _open_interest(self, more_lots: int) -> None:
        self.open_interest_lots += more_lots
        assert self.open_interest_lots >= 0, self.open_interest_lots
        self._is_counted |= more_lots != 0

    def _liquidate(self, index: int, time_ns: int, event: AnyEvent) -> None:
        if isinstance(event, AdlSettled):
            self._open_interest(-event.lots)
        stepped = stepped_of(index, time_ns, event)
        if stepped is not None and stepped.asset in (0, self._settled_in):
            self._liquidations.append(stepped)


def _longs(after_lots: int, more_lots: int) -> int:
    """Return by how much a position that has ``after_lots`` after ``more_lots`` came has become longer."""
    return max(after_lots, 0) - max(after_lots - more_lots, 0)
