"""What operators decide about contracts in the slow exchange, and what traders choose for positions."""

from steelyard.core import limits
from steelyard.core.commands import (
    AdjustBucket,
    FundInsurance,
    ListContract,
    ListIndex,
    MoveMargin,
    SetContractModes,
    SetContractRules,
    SetKillSwitch,
    SetLeverage,
)
from steelyard.core.entry import Request
from steelyard.core.events import (
    BucketAdjusted,
    ContractListed,
    ContractModesSet,
    ContractRulesSet,
    IndexListed,
    InsuranceFunded,
    KillSwitchSet,
    LeverageSet,
    MarginMoved,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import INSURANCE, OMNIBUS, ContractKind, Permission, RiskLevel
from steelyard.simulation.twin_accounts import Accounts
from steelyard.simulation.twin_contracts import (
    Contract,
    Index,
    Position,
    Scope,
    check_bounds,
    check_rules,
    check_schedule,
)
from steelyard.simulation.twin_parts import MILLION, TOO_BIG, Market, no_rules, refuse_if, symbolic


class Positions(Accounts):
    """Listings, rules, switches, the fund; leverage, modes, buckets and margin wallets."""

    # ---- operators

    def list_index(self, request: Request, c: ListIndex) -> None:
        """List an index price."""
        refuse_if(not 0 < c.index < TOO_BIG or not symbolic(c.symbol), Reject.MALFORMED)
        tick_fits = 1 <= c.tick_mantissa < TOO_BIG and 0 <= c.tick_decimals <= limits.DECIMALS_MAX
        refuse_if(not tick_fits, Reject.MALFORMED)
        refuse_if(not 1 <= c.stale_ns <= limits.PAUSE_NS_MAX, Reject.MALFORMED)
        refuse_if(not 1 <= c.outlier_ppm <= MILLION, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(c.index in self.indices, Reject.INDEX_EXISTS)
        refuse_if(c.symbol in [i.spec.symbol for i in self.indices.values()], Reject.INDEX_EXISTS)
        refuse_if(len(self.indices) >= limits.INDICES_MAX, Reject.TOO_MANY_LISTINGS)
        self.indices[c.index] = Index(c)
        self.say(
            IndexListed(
                index=c.index, symbol=c.symbol, tick_mantissa=c.tick_mantissa, tick_decimals=c.tick_decimals
            )
        )

    def list_contract(self, request: Request, c: ListContract) -> None:
        """List a perpetual contract."""
        self.check_listing_shape(c)
        refuse_if(max(c.tick_mantissa, c.lot_mantissa) >= TOO_BIG, Reject.MALFORMED)
        check_rules(c.rules)
        self.operator_only(request)
        self.check_new_listing(c)
        refuse_if(c.index not in self.indices, Reject.UNKNOWN_INDEX)
        of_index = self.indices[c.index].spec
        same = c.tick_mantissa * 10**of_index.tick_decimals == of_index.tick_mantissa * 10**c.tick_decimals
        refuse_if(not same, Reject.SCALE_NOT_INTEGER)
        linear = c.contract == ContractKind.LINEAR
        settle = c.quote if linear else c.base
        atoms = 10 ** self.assets[settle].decimals
        if linear:
            over = c.tick_mantissa * c.lot_mantissa * atoms
            under = 10 ** (c.tick_decimals + c.lot_decimals)
        else:
            over = c.lot_mantissa * atoms * 10**c.tick_decimals
            under = c.tick_mantissa * 10**c.lot_decimals
        refuse_if(over % under != 0, Reject.SCALE_NOT_INTEGER)
        scale = over // under
        check_bounds(c, scale, c.rules)
        self.check_listing_fees(c)
        check_schedule(c.rules)
        refuse_if(len(self.markets) >= limits.INSTRUMENTS_MAX, Reject.TOO_MANY_LISTINGS)
        self.markets[c.instrument] = Market(c, 0, scale if linear else 0, no_rules(c.instrument))
        self.contracts[c.instrument] = Contract(c, scale, settle, c.rules)
        self.say(
            ContractListed(
                instrument=c.instrument,
                symbol=c.symbol,
                contract=c.contract,
                index=c.index,
                base=c.base,
                quote=c.quote,
                settle=settle,
                scale=scale,
                rules=c.rules,
            )
        )

    def set_contract_rules(self, request: Request, c: SetContractRules) -> None:
        """Set everything of a contract that may change, and judge by it."""
        check_rules(c.rules)
        self.operator_only(request)
        contract = self.traded_contract(c.instrument)
        check_bounds(contract.spec, contract.scale, c.rules)
        check_schedule(c.rules)
        renewed = contract.rules.funding != c.rules.funding
        contract.rules = c.rules
        if renewed:
            contract.samples, contract.predicted = [], 0
            if contract.funding_ns:
                self.begin_times(contract)
        self.say(ContractRulesSet(instrument=c.instrument, rules=c.rules))
        self.judge_holders([c.instrument])

    def traded_contract(self, instrument: int) -> Contract:
        """Find a contract, or refuse."""
        self.market_of(instrument)
        refuse_if(instrument not in self.contracts, Reject.NOT_THIS_KIND)
        return self.contracts[instrument]

    def set_kill_switch(self, request: Request, c: SetKillSwitch) -> None:
        """Switch new orders off, or on again."""
        refuse_if(c.account != 0 and c.instrument != 0, Reject.MALFORMED)
        self.operator_only(request)
        if c.account:
            self.known(c.account)
        if c.instrument:
            self.market_of(c.instrument)
        self.switched_off.discard((c.account, c.instrument))
        if c.on:
            self.switched_off.add((c.account, c.instrument))
        self.say(KillSwitchSet(on=c.on, account=c.account, instrument=c.instrument))

    def fund_insurance(self, request: Request, c: FundInsurance) -> None:
        """Pay into the insurance fund from outside, or out."""
        refuse_if(c.amount_atoms == 0, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(c.asset not in self.assets, Reject.UNKNOWN_ASSET)
        refuse_if(not abs(c.amount_atoms) < TOO_BIG, Reject.AMOUNT_OUT_OF_RANGE)
        outside = -self.owned.get((OMNIBUS, c.asset), 0)
        refuse_if(c.amount_atoms > 0 and outside + c.amount_atoms > 2**61, Reject.BALANCE_LIMIT)
        have = self.owned.get((INSURANCE, c.asset), 0)
        refuse_if(have + c.amount_atoms < 0, Reject.INSUFFICIENT_FUNDS)
        self.owned[OMNIBUS, c.asset] = -outside - c.amount_atoms
        self.insure(c.asset, None, c.amount_atoms)
        self.say(
            InsuranceFunded(asset=c.asset, amount_atoms=c.amount_atoms, insurance_atoms=have + c.amount_atoms)
        )

    # ---- traders

    def check_holder(self, request: Request, c: SetLeverage | AdjustBucket | SetContractModes) -> Contract:
        """Check who asks, and about what."""
        self.owner_or_operator(request, c.account, Permission.TRADE)
        return self.traded_contract(c.instrument)

    def set_leverage(self, request: Request, c: SetLeverage) -> None:
        """Choose the leverage of a position."""
        refuse_if(c.leverage < 0, Reject.MALFORMED)
        contract = self.check_holder(request, c)
        refuse_if(not self.fits_modes(c.account, c.instrument, c.leg), Reject.UNKNOWN_POSITION)
        p = self.position(c.account, c.instrument, c.leg)
        refuse_if(c.leverage > self.leverage_max(p), Reject.LEVERAGE_OUT_OF_RANGE)
        known = self.known_positions(c.account, contract.settle)
        full = len(known) >= limits.POSITIONS_PER_MARGIN_MAX
        refuse_if(full and (c.instrument, c.leg) not in known, Reject.TOO_MANY_POSITIONS)
        scope = self.scope_of(p)
        refuse_if(self.level_of(scope) == RiskLevel.LIQUIDATING, Reject.RISK_LEVEL)
        drawn = 0
        if self.is_isolated(p):
            if p.lots:
                drawn = max(0, self.initial(p, abs(p.lots), c.leverage) - p.bucket)
            lacking = drawn > 0 and self.withdrawable(c.account, contract.settle) < drawn
            refuse_if(lacking, Reject.INSUFFICIENT_MARGIN)
        else:
            self.check_cross_leverage(scope, p, c.leverage)
        p.leverage = c.leverage
        p.bucket += drawn
        self.pay(self.wallet_scope(c.account, contract.settle), drawn)
        self.judged.pop(scope, None)
        self.say(
            LeverageSet(
                account=c.account,
                instrument=c.instrument,
                leg=c.leg,
                leverage=c.leverage,
                bucket_atoms=drawn,
            )
        )

    def leverage_max(self, p: Position) -> int:
        """Return the highest leverage that a position may have."""
        contract, lots = self.contract_of(p), self.worst(p)
        has_mark = self.mark_of(p.instrument) != 0
        size = self.size_at_mark(p.instrument, lots) if has_mark else 0
        return MILLION // contract.initial_ppm(size, lots)

    def check_cross_leverage(self, scope: Scope, p: Position, leverage: int) -> None:
        """Refuse a leverage that leaves a wallet with less than it has now, and less than nothing."""
        if self.mark_of(p.instrument) == 0:
            return
        before, was = self.available(scope), p.leverage
        p.leverage = leverage
        after = self.available(scope)
        p.leverage = was
        refuse_if(after < 0 and after < before, Reject.INSUFFICIENT_MARGIN)

    def set_contract_modes(self, request: Request, c: SetContractModes) -> None:
        """Choose margin mode and legs while there is nothing."""
        contract = self.check_holder(request, c)
        legs = [p for (a, i, _), p in self.positions.items() if (a, i) == (c.account, c.instrument)]
        queued = [row.scope[:3] for row in self.queue]
        living = [o for o in self.own(c.account) if o.instrument == c.instrument]
        empty = not living and not any(p.lots or p.bucket for p in legs)
        here = (c.account, contract.settle, c.instrument)
        refuse_if(not empty or here in queued, Reject.POSITION_NOT_EMPTY)
        before = self.modes_of(c.account, c.instrument)
        kept = {p.leg: p.leverage for p in legs}
        if before[1] != c.hedge:
            for p in legs:
                p.leverage = 0
        self.modes[c.account, c.instrument] = (c.margin, c.hedge)
        many = len(self.known_positions(c.account, contract.settle)) > limits.POSITIONS_PER_MARGIN_MAX
        if many:
            self.modes[c.account, c.instrument] = before
            for p in legs:
                p.leverage = kept[p.leg]
        refuse_if(many, Reject.TOO_MANY_POSITIONS)
        self.say(ContractModesSet(account=c.account, instrument=c.instrument, margin=c.margin, hedge=c.hedge))

    def move_margin(self, request: Request, c: MoveMargin) -> None:
        """Move money between free funds and the margin wallet."""
        amount = c.amount_atoms
        refuse_if(amount == 0, Reject.MALFORMED)
        self.owner_or_operator(request, c.account, Permission.TRANSFER)
        self.thawed_only(c.account)
        refuse_if(c.asset not in self.assets, Reject.UNKNOWN_ASSET)
        refuse_if(not abs(amount) < TOO_BIG, Reject.AMOUNT_OUT_OF_RANGE)
        scope = self.wallet_scope(c.account, c.asset)
        if amount > 0:
            refuse_if(self.free_atoms(c.account, c.asset) < amount, Reject.INSUFFICIENT_FUNDS)
        else:
            refuse_if(c.asset in self.gates, Reject.WITHDRAWAL_GATE)
            refuse_if(self.level_of(scope) >= RiskLevel.DANGER, Reject.RISK_LEVEL)
            refuse_if(self.withdrawable(c.account, c.asset) < -amount, Reject.INSUFFICIENT_MARGIN)
        self.owned[c.account, c.asset] = self.owned.get((c.account, c.asset), 0) - amount
        self.pay(scope, -amount)
        self.say(
            MarginMoved(
                account=c.account,
                asset=c.asset,
                amount_atoms=amount,
                free_atoms=self.free_atoms(c.account, c.asset),
                wallet_atoms=self.wallet(c.account, c.asset),
            )
        )

    def adjust_bucket(self, request: Request, c: AdjustBucket) -> None:
        """Move money between the margin wallet and an isolated position."""
        amount = c.amount_atoms
        refuse_if(amount == 0, Reject.MALFORMED)
        contract = self.check_holder(request, c)
        p = self.position(c.account, c.instrument, c.leg)
        fits = self.fits_modes(c.account, c.instrument, c.leg) and self.is_isolated(p)
        refuse_if(not fits or p.lots == 0, Reject.UNKNOWN_POSITION)
        liquidating = self.level_of(self.scope_of(p)) == RiskLevel.LIQUIDATING
        refuse_if(liquidating, Reject.RISK_LEVEL)
        refuse_if(not abs(amount) < TOO_BIG, Reject.AMOUNT_OUT_OF_RANGE)
        if amount > 0:
            covered = self.withdrawable(c.account, contract.settle) >= amount
        else:
            bucket = p.bucket + amount
            least = min(bucket, bucket + self.pnl(p) - self.unsettled(p))
            needed = self.initial(p, abs(p.lots), p.leverage) + self.open_loss(self.scope_of(p))
            covered = least >= needed
        refuse_if(not covered, Reject.INSUFFICIENT_MARGIN)
        p.bucket += amount
        self.pay(self.wallet_scope(c.account, contract.settle), amount)
        self.say(
            BucketAdjusted(
                account=c.account,
                instrument=c.instrument,
                leg=c.leg,
                amount_atoms=amount,
                bucket_atoms=p.bucket,
            )
        )
