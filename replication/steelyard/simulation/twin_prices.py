"""Index, mark and funding of the slow exchange: worked out from all there is whenever they are asked for."""

from steelyard.core import limits
from steelyard.core.commands import SetIndexSources
from steelyard.core.entry import Request
from steelyard.core.events import (
    ContractSettled,
    FundingPaid,
    FundingSet,
    FundingSwept,
    IndexSet,
    IndexStale,
    MarkSet,
    PositionSettled,
    PremiumSampled,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    ROUNDING,
    AccountId,
    FundingRule,
    IndexId,
    InstrumentId,
    InstrumentState,
    Leg,
    MarkRule,
    Permission,
    PriceSource,
    Side,
)
from steelyard.simulation.twin_contracts import (
    BILLION,
    EIGHT_HOURS_NS,
    MINUTE_NS,
    Contract,
    clamp,
    median,
    truncated,
    weighted_index,
)
from steelyard.simulation.twin_parts import MILLION, TOO_BIG, Market, ceil_div, refuse_if
from steelyard.simulation.twin_taking import Taking

QUIET = (InstrumentState.PRE_OPEN, InstrumentState.AUCTION, InstrumentState.CLOSED)


class Prices(Taking):
    """Where prices of contracts come from, and what longs and shorts pay each other."""

    # ---- the index

    def set_index_sources(self, request: Request, c: SetIndexSources) -> None:
        """Take what the sources of an index say, and mark its contracts."""
        quotes = c.quotes
        refuse_if(not 1 <= len(quotes) <= limits.SOURCES_MAX, Reject.MALFORMED)
        refuse_if(len({q.source for q in quotes}) < len(quotes), Reject.MALFORMED)
        for q in quotes:
            refuse_if(not 1 <= q.price_ticks < TOO_BIG or not 0 <= q.weight < TOO_BIG, Reject.MALFORMED)
            refuse_if(not 0 <= q.time_ns < TOO_BIG, Reject.MALFORMED)
        refuse_if(sum(q.weight for q in quotes) == 0, Reject.MALFORMED)
        self.in_time_only(request)
        refuse_if(not self.may(request, Permission.FEED), Reject.NOT_PERMITTED)
        refuse_if(c.index not in self.indices, Reject.UNKNOWN_INDEX)
        index = self.indices[c.index]
        spec, returns = index.spec, index.stale
        price, until_ns = weighted_index(quotes, spec.stale_ns, spec.outlier_ppm, self.time_ns)
        index.quotes, index.stale, index.stale_ns = quotes, price == 0, until_ns
        index.price = price or index.price
        self.say(IndexSet(index=c.index, price_ticks=index.price, stale=index.stale, quotes=quotes))
        contracts = [i for i, row in self.contracts.items() if row.spec.index == c.index]
        self.remark(contracts, judged=contracts if returns and not index.stale else [])

    def grow_stale(self, index: int) -> None:
        """Note that an index has no young source any more."""
        self.indices[index].stale, self.indices[index].stale_ns = True, 0
        self.say(IndexStale(index=IndexId(index)))

    # ---- the mark

    def mark_by_rule(self, market: Market, contract: Contract) -> int:
        """Return what a contract's mark is by now; zero: there is none."""
        index = self.indices[contract.spec.index]
        rules, i = contract.rules, index.price
        if rules.mark_rule == MarkRule.FED or index.stale or market.state == InstrumentState.CLOSED:
            return market.mark
        left_ns = max(0, contract.funding_ns - self.time_ns)
        accrues = rules.funding.rule == FundingRule.DEAD_BAND
        interval_ns = EIGHT_HOURS_NS if accrues else rules.funding.interval_ns
        by_funding = i + i * contract.rate * left_ns // (BILLION * interval_ns)
        bases = contract.bases[-limits.BASES_MAX :]
        by_basis = i + (sum(bases) // len(bases) if bases else 0)
        traded = [p for p in (*self.best_prices(market), market.last) if p]
        by_trades = median(traded) if traded else i
        low = ceil_div(i * (MILLION - rules.mark_band_ppm), MILLION)
        high = i * (MILLION + rules.mark_band_ppm) // MILLION
        banded = clamp(median([by_funding, by_basis, by_trades]), low, high)
        return clamp(banded, 1, market.spec.price_max_ticks)

    def best_prices(self, market: Market) -> tuple[int, int]:
        """Return best bid and best ask; zero: nobody is there."""
        instrument = market.spec.instrument
        return self.best_opposite(instrument, Side.SELL), self.best_opposite(instrument, Side.BUY)

    def remark(self, instruments: list[int], *, judged: list[int]) -> None:
        """Work out marks, and let everyone see the new ones; those of ``judged`` are judged in any case."""
        changed = []
        for instrument in sorted(instruments):
            market = self.markets[instrument]
            mark = self.mark_by_rule(market, self.contracts[instrument])
            if mark != market.mark:
                self.set_mark_to(market, mark)
                changed.append(instrument)
        self.look_around(sorted(instruments), changed, judged=judged)

    def set_mark_to(self, market: Market, mark: int) -> None:
        """Give a contract a mark; with the first one its samples and its funding begin."""
        contract = self.contracts[market.spec.instrument]
        if market.mark == 0:
            self.begin_times(contract)
        market.mark = mark
        self.say(MarkSet(instrument=market.spec.instrument, mark_ticks=mark))

    def begin_times(self, contract: Contract) -> None:
        """Let samples and funding come at their next times."""
        contract.sample_ns = self.next_time(limits.SAMPLE_NS)
        contract.funding_ns = self.next_time(contract.rules.funding.interval_ns)

    def next_time(self, step_ns: int) -> int:
        """Return the next multiple of a step."""
        return (self.time_ns // step_ns + 1) * step_ns

    def look_around(self, instruments: list[int], changed: list[int], *, judged: list[int]) -> None:
        """Let halts, waiting orders and scopes see new marks."""
        for instrument in changed:
            market = self.markets[instrument]
            runs = self.time_ns < market.window_ns + market.rules.halt_window_ns
            is_open = market.state == InstrumentState.OPEN
            if is_open and runs and not self.inside_halt(market, market.anchor, market.mark):
                self.halt(market, market.mark)
        for instrument in instruments:
            self.price_moved(self.markets[instrument], PriceSource.MARK)
            self.price_moved(self.markets[instrument], PriceSource.INDEX)
        self.judge_holders([*changed, *judged])

    # ---- samples

    def sample(self, instrument: int) -> None:
        """Mark a contract, then look at its basis and its premium."""
        market, contract = self.markets[instrument], self.contracts[instrument]
        due_ns, contract.sample_ns = contract.sample_ns, self.next_time(limits.SAMPLE_NS)
        index = self.indices[contract.spec.index]
        if market.state in QUIET or index.stale:
            return
        self.remark([instrument], judged=[])
        bid, ask = self.best_prices(market)
        if bid and ask:
            contract.bases = [*contract.bases, (bid + ask) // 2 - index.price][-limits.BASES_MAX :]
        if contract.rules.funding.rule == FundingRule.DEAD_BAND:
            premium = (market.mark - index.price) * BILLION // index.price
        else:
            premium = self.premium(market, contract, index.price)
        premium = clamp(premium, -(10**10), 10**10)
        contract.samples.append((ceil_div(due_ns, MINUTE_NS), premium))
        contract.predicted = self.funding_rate(contract)
        self.say(
            PremiumSampled(
                instrument=market.spec.instrument, premium_ppb=premium, predicted_ppb=contract.predicted
            )
        )
        if contract.rules.funding.rule == FundingRule.DEAD_BAND:
            since_ns = self.time_ns - contract.sampled_ns if contract.sampled_ns else 0
            elapsed_ns = min(since_ns, MINUTE_NS)
            delta = self.owed_per_lot(market, contract, contract.predicted * elapsed_ns, EIGHT_HOURS_NS)
            if delta:
                self.set_funding(market, contract, contract.predicted, delta)
        contract.sampled_ns = self.time_ns

    def premium(self, market: Market, contract: Contract, index: int) -> int:
        """Return how far the book is from the index, in ppb of the index."""
        bid = self.impact(market, contract, Side.BUY)
        ask = self.impact(market, contract, Side.SELL)
        above = max(0, bid - index) if bid else 0
        below = max(0, index - ask) if ask else 0
        return (above - below) * BILLION // index

    def impact(self, market: Market, contract: Contract, side: Side) -> int:
        """Return the mean price at which one side takes the impact notional; zero: it is too thin."""
        wanted, orders = contract.rules.funding.impact_atoms, self.resting(market.spec.instrument)
        mine = [o for o in orders if o.side == side]
        levels = sorted({o.price for o in mine}, reverse=side == Side.BUY)
        if wanted == 0:
            return levels[0] if levels else 0
        atoms = lots = weighted = 0
        for price in levels:
            shown = sum(o.shown for o in mine if o.price == price)
            if atoms + contract.notional(price, shown) < wanted:
                atoms, lots = atoms + contract.notional(price, shown), lots + shown
                weighted += price * shown
                continue
            few = next(n for n in range(1, shown + 1) if atoms + contract.notional(price, n) >= wanted)
            lots, weighted = lots + few, weighted + price * few
            return weighted // lots if side == Side.BUY else ceil_div(weighted, lots)
        return 0

    # ---- rates

    def funding_rate(self, contract: Contract) -> int:
        """Return the rate that a contract's samples make by its rule, in ppb."""
        terms = contract.rules.funding
        premiums = [premium for _, premium in contract.samples]
        if not premiums:
            return 0
        if terms.rule == FundingRule.DEAD_BAND:
            rate = max(terms.dead_band_ppb, premiums[-1]) + min(-terms.dead_band_ppb, premiums[-1])
        elif terms.rule == FundingRule.SAMPLED:
            minutes = sorted({minute for minute, _ in contract.samples})
            medians = sorted(median([p for m, p in contract.samples if m == minute]) for minute in minutes)
            ends = len(medians) * terms.tails_ppm // MILLION
            kept = medians[ends : len(medians) - ends]
            rate = sum(kept) // len(kept) + terms.interest_ppb
        else:
            weights = range(1, len(premiums) + 1) if terms.weighted else [1] * len(premiums)
            mean = sum(w * p for w, p in zip(weights, premiums, strict=True)) // sum(weights)
            rate = mean + clamp(terms.interest_ppb - mean, -terms.clamp_ppb, terms.clamp_ppb)
        return clamp(rate, -terms.cap_ppb, terms.cap_ppb)

    def owed_per_lot(self, market: Market, contract: Contract, rate: int, per: int) -> int:
        """Return what a rate makes a lot owe, in nanoatoms, cut off towards zero."""
        if contract.linear:
            return truncated(market.mark * contract.scale * rate, per)
        return truncated(contract.scale * rate, market.mark * per)

    def set_funding(self, market: Market, contract: Contract, rate: int, delta: int) -> None:
        """Let longs owe shorts more; while a sweep runs, later."""
        if contract.sweeping:
            contract.pending += delta
        else:
            contract.cumulative += delta
        self.say(
            FundingSet(
                instrument=market.spec.instrument,
                rate_ppb=rate,
                mark_ticks=market.mark,
                delta_nanoatoms=delta,
                cumulative_nanoatoms=contract.cumulative + contract.pending,
            )
        )
        if delta and not contract.sweeping:
            self.judge_holders([market.spec.instrument])

    def end_interval(self, instrument: int) -> None:
        """Let an interval of funding end, and everyone pay."""
        market, contract = self.markets[instrument], self.contracts[instrument]
        contract.funding_ns = self.next_time(contract.rules.funding.interval_ns)
        stale, rate = self.is_stale(instrument), self.funding_rate(contract)
        contract.samples = []
        if contract.rules.funding.rule != FundingRule.DEAD_BAND:
            contract.predicted = 0
        if stale:
            return
        contract.rate, delta = rate, 0
        if contract.rules.funding.rule != FundingRule.DEAD_BAND:
            delta = self.owed_per_lot(market, contract, rate, 1)
        self.set_funding(market, contract, rate, delta)
        contract.sweeping = True

    def close_contract(self, instrument: int) -> None:
        """Let a contract have no more samples and no more funding, and settle its positions."""
        contract = self.contracts[instrument]
        contract.sample_ns = contract.funding_ns = contract.predicted = 0
        contract.settling = bool(self.holders(instrument))

    # ---- units of work

    def sweep_unit(self, instrument: int) -> None:
        """Let one position pay its funding; when all have, end the sweep."""
        contract = self.contracts[instrument]
        for p in self.holders(instrument):
            if p.settled != contract.cumulative:
                self.say_paid(InstrumentId(instrument), p.account, p.leg, self.settle(p))
                return
        left, contract.funding, contract.sweeping = contract.funding, 0, False
        self.owned[ROUNDING, contract.settle] = self.owned.get((ROUNDING, contract.settle), 0) + left
        if abs(contract.cumulative) >= 2**61:
            contract.cumulative = 0
            for p in self.holders(instrument):
                p.settled = 0
        moved = contract.pending != 0
        contract.cumulative, contract.pending = contract.cumulative + contract.pending, 0
        self.say(FundingSwept(instrument=InstrumentId(instrument), rounding_atoms=left))
        if moved:
            self.judge_holders([instrument])

    def say_paid(self, instrument: InstrumentId, account: AccountId, leg: Leg, paid: int) -> None:
        """Say what funding a position has paid, if anything."""
        if paid:
            self.say(FundingPaid(account=account, instrument=instrument, leg=leg, paid_atoms=paid))

    def settlement_unit(self, instrument: int) -> None:
        """Let one position of a closed contract end at its final price; after the last, end the contract."""
        contract, price = self.contracts[instrument], self.mark_of(instrument)
        for p in self.holders(instrument):
            lots, flow = p.lots, contract.value(p.lots, price)
            realised, paid = self.fill_position(p, -lots, flow)
            self.say(
                PositionSettled(
                    account=p.account,
                    instrument=p.instrument,
                    leg=p.leg,
                    qty_lots=lots,
                    price_ticks=price,
                    realised_atoms=realised,
                    funding_atoms=paid,
                )
            )
            return
        funding = contract.funding
        left = contract.clearing + funding
        contract.clearing = contract.funding = 0
        contract.settling = False
        self.owned[ROUNDING, contract.settle] = self.owned.get((ROUNDING, contract.settle), 0) + left
        self.say(
            ContractSettled(
                instrument=InstrumentId(instrument),
                price_ticks=price,
                rounding_atoms=left,
                funding_atoms=funding,
            )
        )
