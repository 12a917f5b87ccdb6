"""What a funding round followed from: samples, rate, and what a lot, an account and everybody paid."""

from typing import Final

from steelyard.core import Exchange, events
from steelyard.core.commands import FundingTerms
from steelyard.core.contracts import funding
from steelyard.core.contracts.contract import Contract, Premiums
from steelyard.core.contracts.index import median_down
from steelyard.core.instruments import Instrument
from steelyard.core.matching import BookSide
from steelyard.core.rounding import mul_div_up
from steelyard.core.state import State
from steelyard.core.units import (
    PPB,
    PPM,
    AccountId,
    ContractKind,
    FundingRule,
    InstrumentId,
    Leg,
)
from steelyard.ops.explain.log import MemberLog, Unexplained
from steelyard.ops.explain.scopes import contract_of
from steelyard.ops.explain.telling import Explanation

#: Samples that are shown: the last ones.
SAMPLES_MAX: Final = 60
_LINEAR: Final = ContractKind.LINEAR
#: Whatever may change what is remembered of a contract and of a position in it, or is said of a round.
_HEARD: Final = frozenset(
    (
        events.AdlSettled,
        events.ContractRulesSet,
        events.FundingPaid,
        events.FundingSet,
        events.FundingSwept,
        events.MarkSet,
        events.PositionSettled,
        events.PositionsTraded,
        events.PremiumSampled,
    )
)


class FundingExplainer:
    """Hears of a contract's samples, and of one round: the first that ends at an index and time or later."""

    def __init__(self, symbol: str, *, index: int = 0, time_ns: int = 0, account: int = 0) -> None:
        self.explanation = Explanation("funding", f"{symbol}@{index or time_ns}")
        self._symbol = symbol
        self._from_index = index
        self._from_ns = time_ns
        self._account = AccountId(account)
        self._instrument: InstrumentId | None = None
        #: What the interval that runs has had so far, added up by us, and each of it.
        self._premiums: Premiums | None = None
        self._samples: list[tuple[int, int, int]] = []
        self._wrong_samples = 0
        #: As the last event left them.
        self._sample_ns = 0
        self._funding_ns = 0
        #: When the sample was due that is being taken.
        self._due_ns = 0
        self._cumulative = 0
        self._funds_atoms = 0
        self._held: dict[Leg, tuple[int, int]] = {}
        self._is_swept = False
        self._collected_atoms = 0
        self._payers = 0
        self._has_ended = False

    @property
    def is_done(self) -> bool:
        """Whether everybody has paid."""
        return self._is_swept

    @property
    def has_begun(self) -> bool:
        """Whether the round was heard of."""
        return self._has_ended

    @property
    def is_known(self) -> bool:
        """Whether there is such a contract."""
        return self._instrument is not None

    def begin_entry(self, exchange: Exchange) -> None:
        """Look at the contract before the next entry."""
        if self._instrument is None:
            for number, instrument in exchange.state.markets.instruments.items():
                if instrument.symbol == self._symbol and instrument.contract is not None:
                    self._instrument = number
                    self._premiums = _copied(instrument.contract.premiums)
        if self._instrument is not None:
            self._look_for_silence(contract_of(exchange.state.markets.instruments[self._instrument]))
            self._remember(exchange.state)

    def hear(self, exchange: Exchange, event: events.AnyEvent) -> None:
        """Look at an event and at the state in which it happens."""
        number = self._instrument
        if number is None or self._is_swept or type(event) not in _HEARD:
            return
        instrument = exchange.state.markets.instruments[number]
        sample_ns = contract_of(instrument).sample_ns
        if sample_ns != self._sample_ns:
            # A sample sets its next time first, and then has its say.
            self._due_ns, self._sample_ns = self._sample_ns, sample_ns
        if not isinstance(event, events.FundingSet):
            self._look_for_silence(contract_of(instrument))
        match event:
            case events.PremiumSampled() if event.instrument == number and not self._has_ended:
                self._sample(exchange, instrument, event)
            case events.FundingSet() if event.instrument == number and not self._has_ended:
                self._set(exchange, instrument, event)
            case events.FundingPaid() if event.instrument == number and self._has_ended:
                self._pay(instrument, event)
            case events.FundingSwept() if event.instrument == number and self._has_ended:
                self._sweep(exchange, event)
            case events.ContractRulesSet() if event.instrument == number:
                self._premiums = _copied(contract_of(instrument).premiums)
                self._samples = []
            case _:
                pass
        self._remember(exchange.state)

    def _sample(self, exchange: Exchange, instrument: Instrument, event: events.PremiumSampled) -> None:
        """Take a sample, and see whether it is what the book gives."""
        contract = contract_of(instrument)
        terms = contract.rules.funding
        index_ticks = contract.index.price_ticks
        bid_ticks = _impact(contract, instrument.book.bids, selling=True)
        ask_ticks = _impact(contract, instrument.book.asks, selling=False)
        found_ppb = funding.premium_ppb(index_ticks, bid_ticks, ask_ticks)
        if terms.rule == FundingRule.DEAD_BAND:
            mark_ppb = funding.mark_premium_ppb(index_ticks, instrument.mark_ticks)
            self._wrong_samples += event.premium_ppb not in (found_ppb, mark_ppb)
        else:
            self._wrong_samples += event.premium_ppb != found_ppb
        assert self._premiums is not None, "the contract is known"
        funding.add_sample(self._premiums, terms, found_ppb, self._due_ns)
        self._samples.append((exchange.time_ns, event.premium_ppb, event.predicted_ppb))

    def _set(self, exchange: Exchange, instrument: Instrument, event: events.FundingSet) -> None:
        contract = contract_of(instrument)
        ends = contract.funding_ns != self._funding_ns
        if not ends:
            return  # an accrual between two rounds
        if exchange.applied_index < self._from_index or exchange.time_ns < self._from_ns:
            self._premiums, self._samples, self._wrong_samples = Premiums(), [], 0
            return
        self._has_ended = True
        terms, told = contract.rules.funding, self.explanation
        told.facts |= {
            "symbol": instrument.symbol,
            "index": exchange.applied_index,
            "log_time_ns": exchange.time_ns,
            "rule": terms.rule.name,
            "interval_ns": terms.interval_ns,
            "samples": len(self._samples),
            "mark_ticks": instrument.mark_ticks,
        }
        told.table(
            "samples of the interval",
            [
                {"time_ns": time_ns, "premium_ppb": premium_ppb, "predicted_ppb": predicted_ppb}
                for time_ns, premium_ppb, predicted_ppb in self._samples[-SAMPLES_MAX:]
            ],
        )
        rate_ppb = self._rate(terms)
        told.check("samples that the book does not give", 0, self._wrong_samples)
        told.check("rate, ppb", event.rate_ppb, rate_ppb)
        told.check("mark, ticks", event.mark_ticks, instrument.mark_ticks)
        delta = (
            0 if terms.rule == FundingRule.DEAD_BAND else _delta(contract, instrument.mark_ticks, rate_ppb)
        )
        told.check("owed by a long of one lot, nanoatoms", event.delta_nanoatoms, delta)
        told.check("owed since the listing, nanoatoms", event.cumulative_nanoatoms, self._cumulative + delta)
        told.facts |= {"rate_ppb": rate_ppb, "delta_nanoatoms": delta}

    def _rate(self, terms: FundingTerms) -> int:
        """Return the interval's rate, and say how it comes about."""
        facts, premiums = self.explanation.facts, self._premiums
        assert premiums is not None, "the contract is known"
        cap_ppb = terms.cap_ppb
        if terms.rule == FundingRule.AVERAGED:
            count = premiums.count
            weights = count * (count + 1) // 2 if terms.weighted else count
            mean_ppb = premiums.sum_ppb // weights if count else 0
            pull_ppb = max(-terms.clamp_ppb, min(terms.interest_ppb - mean_ppb, terms.clamp_ppb))
            raw_ppb = mean_ppb + pull_ppb if count else 0
            facts |= {
                "mean_premium_ppb": mean_ppb,
                "interest_ppb": terms.interest_ppb,
                "clamp_ppb": terms.clamp_ppb,
                "pull_ppb": pull_ppb,
            }
        elif terms.rule == FundingRule.SAMPLED:
            medians = [*premiums.medians_ppb]
            if premiums.minute_ppb:
                medians.append(median_down(premiums.minute_ppb))
            tail = len(medians) * terms.tails_ppm // PPM
            kept = sorted(medians)[tail : len(medians) - tail]
            mean_ppb = sum(kept) // len(kept) if kept else 0
            raw_ppb = mean_ppb + terms.interest_ppb if kept else 0
            facts |= {
                "minutes": len(medians),
                "left_out_at_each_end": tail,
                "mean_of_medians_ppb": mean_ppb,
                "interest_ppb": terms.interest_ppb,
            }
        else:
            last_ppb = self._samples[-1][2] if self._samples else 0
            facts |= {"dead_band_ppb": terms.dead_band_ppb, "rate_of_the_last_sample_ppb": last_ppb}
            raw_ppb = last_ppb
        facts |= {"before_the_cap_ppb": raw_ppb, "cap_ppb": cap_ppb}
        return max(-cap_ppb, min(raw_ppb, cap_ppb))

    def _pay(self, instrument: Instrument, event: events.FundingPaid) -> None:
        self._payers += 1
        self._collected_atoms += event.paid_atoms
        if event.account != self._account:
            return
        contract = contract_of(instrument)
        qty_lots, settled_nanoatoms = self._held.get(event.leg, (0, 0))
        owed_atoms = mul_div_up(qty_lots, contract.cumulative_nanoatoms - settled_nanoatoms, PPB)
        self.explanation.table(
            f"what account {self._account} paid",
            [
                {
                    "leg": event.leg.name,
                    "qty_lots": qty_lots,
                    "owed_per_lot_nanoatoms": contract.cumulative_nanoatoms - settled_nanoatoms,
                    "paid_atoms": owed_atoms,
                }
            ],
        )
        self.explanation.check(
            f"paid by account {self._account} ({event.leg.name}), atoms", event.paid_atoms, owed_atoms
        )

    def _sweep(self, exchange: Exchange, event: events.FundingSwept) -> None:
        told = self.explanation
        told.facts |= {
            "swept_at_index": exchange.applied_index,
            "payments": self._payers,
            "collected_atoms": self._collected_atoms,
            "to_rounding_atoms": event.rounding_atoms,
        }
        told.check("left for ROUNDING, atoms", event.rounding_atoms, self._funds_atoms)
        self._is_swept = True

    def _look_for_silence(self, contract: Contract) -> None:
        """Forget the samples of an interval that ended without a word, under a stale index."""
        if self._funding_ns and contract.funding_ns != self._funding_ns and not self._has_ended:
            self._premiums, self._samples, self._wrong_samples = Premiums(), [], 0
            self._funding_ns = contract.funding_ns

    def _remember(self, state: State) -> None:
        assert self._instrument is not None, "the contract is known"
        contract = contract_of(state.markets.instruments[self._instrument])
        self._sample_ns, self._funding_ns = contract.sample_ns, contract.funding_ns
        self._cumulative = contract.cumulative_nanoatoms + contract.pending_nanoatoms
        self._funds_atoms = contract.funding_atoms
        self._held = {
            leg: (position.qty_lots, position.settled_nanoatoms)
            for leg in Leg
            if (position := contract.positions.get((self._account, leg))) is not None
        }


def _copied(premiums: Premiums) -> Premiums:
    copy = Premiums()
    copy.count, copy.sum_ppb, copy.minute_ns = premiums.count, premiums.sum_ppb, premiums.minute_ns
    copy.minute_ppb, copy.medians_ppb = [*premiums.minute_ppb], [*premiums.medians_ppb]
    return copy


def _impact(contract: Contract, side: BookSide, *, selling: bool) -> int | None:
    levels = ((abs(level.key), level.open_lots) for level in side.best_first())
    return funding.impact_ticks(
        contract.kind, contract.scale, levels, contract.rules.funding.impact_atoms, selling=selling
    )


def _delta(contract: Contract, mark_ticks: int, rate_ppb: int) -> int:
    """Return what a long of one lot owes: mark * k * F, or S * F / mark towards zero."""
    if contract.kind == _LINEAR:
        return mark_ticks * contract.scale * rate_ppb
    owed = contract.scale * abs(rate_ppb) // mark_ticks
    return owed if rate_ppb >= 0 else -owed


def explain_funding(
    log: MemberLog, symbol: str, *, index: int = 0, time_ns: int = 0, account: int = 0
) -> Explanation:
    """Work the first funding round at or after an index or a log time out again.

    Raises:
        Unexplained: The log does not hold it.

    """
    interval = f"the round of {symbol} at {index or time_ns}"
    exchange = log.before(
        lambda state: state.applied_index < index if index else state.time_ns < time_ns, interval
    )
    explainer = FundingExplainer(symbol, index=index, time_ns=time_ns, account=account)
    log.retell(exchange, explainer)
    if not explainer.is_known:
        contracts = [
            each.symbol for each in exchange.state.markets.instruments.values() if each.contract is not None
        ]
        raise Unexplained(f"there is no contract {symbol}; there are: {', '.join(contracts) or 'none'}")
    if not explainer.has_begun:
        raise Unexplained(
            f"no funding round of {symbol} has ended there or later; the log of {log.node.name} ends at index"
            f" {exchange.applied_index}, log time {exchange.time_ns}"
        )
    return explainer.explanation
