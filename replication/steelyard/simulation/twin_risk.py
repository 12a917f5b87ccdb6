"""How the slow exchange judges every scope: levels, new liquidations, the fund's peak, withdrawal gates."""

from steelyard.core import limits
from steelyard.core.events import DebtRepaid, LiquidationStarted, RiskLevelChanged, WithdrawalGateSet
from steelyard.core.units import BAD_DEBT, INSURANCE, AssetId, LiquidationId, RiskLevel
from steelyard.simulation.twin_contracts import BILLION, Liquidation, Scope
from steelyard.simulation.twin_parts import MILLION
from steelyard.simulation.twin_pledges import Pledges


class Risk(Pledges):
    """The ladder, and who watches it."""

    # ---- the ladder

    def ratio(self, scope: Scope) -> int:
        """Return a scope's maintenance margin per equity, in ppm."""
        equity, need = self.equity(scope), self.scope_maintenance(scope)
        if equity < 0 or (equity == 0 and need > 0):
            return BILLION
        return min(BILLION, need * MILLION // equity) if equity else 0

    def thresholds(self, scope: Scope) -> tuple[dict[RiskLevel, int], int]:
        """Return where a scope's levels begin, and how far below them it must be to leave them."""
        terms = [self.contract_of(p).rules.liquidation for p in self.with_lots(scope)]
        begins = {
            RiskLevel.WARNING: min(t.warning_ppm for t in terms),
            RiskLevel.DANGER: min(t.danger_ppm for t in terms),
            RiskLevel.CRITICAL: min(t.critical_ppm for t in terms),
        }
        return begins, max(t.hysteresis_ppm for t in terms)

    def level_by_ratio(self, scope: Scope, before: RiskLevel) -> RiskLevel:
        """Return the level that a scope's ratio gives it, coming from a level."""
        if not self.with_lots(scope):
            return RiskLevel.SAFE
        begins, hysteresis = self.thresholds(scope)
        ratio = self.ratio(scope)
        reached = max((level for level in begins if ratio >= begins[level]), default=RiskLevel.SAFE)
        if reached > before:
            return reached
        if before == RiskLevel.SAFE or ratio + hysteresis > begins[before]:
            return before
        return reached

    def is_lost(self, scope: Scope) -> bool:
        """Tell whether a scope must be liquidated."""
        equity = self.equity(scope)
        return equity < 0 or equity < self.scope_maintenance(scope)

    def set_level(self, scope: Scope, level: RiskLevel) -> None:
        """Give a scope another level, and say so."""
        account, asset, instrument, leg = scope
        before = self.level_of(scope)
        if before == level:
            return
        self.levels[scope] = level
        self.say(
            RiskLevelChanged(
                account=account,
                asset=asset,
                instrument=instrument,
                leg=leg,
                before=before,
                after=level,
                ratio_ppm=self.ratio(scope),
            )
        )

    def judge(self, scopes: list[Scope]) -> None:
        """Say which levels have changed, then which scopes are to be liquidated."""
        lost = []
        for scope in sorted(scopes):
            self.judged[scope] = self.figures(scope)
            for row in self.queue:
                row.parked = row.parked and row.scope != scope
            if self.level_of(scope) == RiskLevel.LIQUIDATING or self.is_paused(scope):
                continue
            if self.is_lost(scope):
                lost.append(scope)
            else:
                self.set_level(scope, self.level_by_ratio(scope, self.level_of(scope)))
        for scope in sorted(lost, key=lambda s: (-self.ratio(s), -self.size_of(s), s)):
            self.start_liquidation(scope)

    def start_liquidation(self, scope: Scope) -> None:
        """Put a scope into the queue of the engine."""
        account, asset, instrument, leg = scope
        self.set_level(scope, RiskLevel.LIQUIDATING)
        self.liquidations_made += 1
        row = Liquidation(self.liquidations_made, scope, seen=self.equity(scope))
        self.queue.append(row)
        self.say(
            LiquidationStarted(
                liquidation=LiquidationId(row.liquidation),
                account=account,
                asset=asset,
                instrument=instrument,
                leg=leg,
                equity_atoms=row.seen,
                maintenance_atoms=self.scope_maintenance(scope),
            )
        )

    # ---- who is judged

    def figures(self, scope: Scope) -> object:
        """Return everything about a scope that its level follows from, but for rules."""
        positions = [
            (
                p.instrument,
                p.leg,
                p.lots,
                p.cash,
                self.unsettled(p),
                self.mark_of(p.instrument),
                p.leverage,
            )
            for p in self.with_lots(scope)
        ]
        return self.backing(scope), positions

    def judge_changed(self) -> None:
        """Judge all scopes that have changed since they were last judged; then mind debts and gates."""
        nothing: object = (0, [])
        self.judge([s for s in self.scopes() if self.figures(s) != self.judged.get(s, nothing)])
        self.repay_debts()
        self.mind_gates()

    def judge_holders(self, instruments: list[int]) -> None:
        """Judge all scopes with lots in contracts."""
        self.judge(list({self.scope_of(p) for i in instruments for p in self.holders(i)}))

    # ---- the fund and the gate

    def insure(self, asset: int, giver_scope: Scope | None, atoms: int) -> None:
        """Let INSURANCE take money from a scope, or from elsewhere, and mind its peak."""
        have = self.owned.get((INSURANCE, asset), 0)
        beyond_debt = have + atoms + self.owned.get((BAD_DEBT, asset), 0)
        if beyond_debt > self.peak(asset):
            self.peaks[asset] = (beyond_debt, self.time_ns)
        self.owned[INSURANCE, asset] = have + atoms
        if giver_scope is not None:
            self.pay(giver_scope, atoms)

    def budget(self, asset: int, drawdown_ppm: int) -> int:
        """Return what INSURANCE may spend at all; it keeps what it has when it has lost too much."""
        have, peak = self.owned.get((INSURANCE, asset), 0), self.peak(asset)
        return have if (peak - have) * MILLION < drawdown_ppm * peak else 0

    def peak(self, asset: int) -> int:
        """Return the fund's peak; one that is too old is what it has now."""
        peak, since_ns = self.peaks.get(asset, (0, 0))
        if peak and self.time_ns - since_ns >= limits.PEAK_NS:
            peak, since_ns = self.owned.get((INSURANCE, asset), 0), self.time_ns
            self.peaks[asset] = (peak, since_ns)
        return peak

    def repay_debts(self) -> None:
        """Let INSURANCE pay what it can of debts that nobody could bear."""
        for asset in sorted(self.assets):
            atoms = min(-self.owned.get((BAD_DEBT, asset), 0), self.owned.get((INSURANCE, asset), 0))
            if atoms > 0:
                self.insure(asset, None, -atoms)
                self.owned[BAD_DEBT, asset] += atoms
                self.say(DebtRepaid(asset=AssetId(asset), atoms=atoms))

    def mind_gates(self) -> None:
        """Close margin wallets where a loss is open, and let others open after a while."""
        for asset in sorted({asset for _, asset in self.margins} | set(self.gates)):
            red = [row for row in self.queue if row.scope[1] == asset and row.seen < 0]
            open_loss = bool(red) or self.owned.get((BAD_DEBT, asset), 0) != 0
            if (open_loss or asset in self.debts_taken) and asset not in self.gates:
                self.gates[asset] = 0
                self.say(WithdrawalGateSet(asset=AssetId(asset), on=True))
            if open_loss:
                self.gates[asset] = 0
            elif asset in self.gates and (self.gates[asset] == 0 or asset in self.debts_taken):
                self.gates[asset] = self.time_ns + limits.GATE_NS
        self.debts_taken.clear()

    def open_gate(self, asset: int) -> None:
        """Let margin be withdrawn again."""
        del self.gates[asset]
        self.say(WithdrawalGateSet(asset=AssetId(asset), on=False))
