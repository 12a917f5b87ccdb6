"""Protobuf to operators' commands about contracts; None for what makes no sense in any state."""

from typing import Final

from steelyard.core import commands
from steelyard.core.commands import FundingTerms, LiquidationTerms, MarginTerms, MarginTier
from steelyard.core.limits import SOURCES_MAX, TIERS_MAX
from steelyard.core.units import (
    AccountId,
    AssetId,
    ContractKind,
    FundingRule,
    IndexId,
    InstrumentId,
    MarkRule,
)
from steelyard.v1 import admin_pb2, common_pb2

_KINDS: Final[dict[int, ContractKind]] = {kind.value: kind for kind in ContractKind}
_MARKS: Final[dict[int, MarkRule]] = {rule.value: rule for rule in MarkRule}
_FUNDINGS: Final[dict[int, FundingRule]] = {rule.value: rule for rule in FundingRule}
#: What counts where the listing of an index does not say.
_STALE_NS: Final = 10 * 10**9
_OUTLIER_PPM: Final = 50_000
#: What a market order may trade beyond the best price where the listing does not say.
PROTECTION_PPM: Final = 50_000


def list_index(wire: admin_pb2.ListIndex) -> commands.ListIndex:
    """Return the command."""
    return commands.ListIndex(
        index=IndexId(wire.index),
        symbol=wire.symbol,
        tick_mantissa=wire.tick_mantissa,
        tick_decimals=wire.tick_decimals,
        stale_ns=wire.stale_ns or _STALE_NS,
        outlier_ppm=wire.outlier_ppm or _OUTLIER_PPM,
    )


def list_contract(wire: admin_pb2.ListContract) -> commands.ListContract | None:
    """Return the command, or None unless kind and rules are said."""
    kind, rules, listing = _KINDS.get(wire.contract), contract_rules(wire.rules), wire.listing
    if kind is None or rules is None:
        return None
    return commands.ListContract(
        instrument=InstrumentId(listing.instrument),
        symbol=listing.symbol,
        base=AssetId(listing.base_asset),
        quote=AssetId(listing.quote_asset),
        tick_mantissa=listing.tick_mantissa,
        tick_decimals=listing.tick_decimals,
        lot_mantissa=listing.lot_mantissa,
        lot_decimals=listing.lot_decimals,
        price_max_ticks=listing.price_max_ticks,
        size_max_lots=listing.size_max_lots,
        notional_min_atoms=listing.notional_min_atoms,
        maker_ppm=listing.maker_ppm,
        taker_ppm=listing.taker_ppm,
        market_protection_ppm=listing.market_protection_ppm or PROTECTION_PPM,
        contract=kind,
        index=IndexId(wire.index),
        rules=rules,
    )


def set_contract_rules(wire: admin_pb2.SetContractRules) -> commands.SetContractRules | None:
    """Return the command, or None unless the rules are said."""
    rules = contract_rules(wire.rules)
    if rules is None:
        return None
    return commands.SetContractRules(instrument=InstrumentId(wire.instrument), rules=rules)


def set_index_sources(wire: admin_pb2.SetIndexSources) -> commands.SetIndexSources | None:
    """Return the command, or None if there are too many sources."""
    if len(wire.quotes) > SOURCES_MAX:
        return None
    return commands.SetIndexSources(
        index=IndexId(wire.index),
        quotes=[
            commands.IndexQuote(
                source=quote.source, price_ticks=quote.price_ticks, weight=quote.weight, time_ns=quote.time_ns
            )
            for quote in wire.quotes
        ],
    )


def set_kill_switch(wire: admin_pb2.SetKillSwitch) -> commands.SetKillSwitch:
    """Return the command."""
    return commands.SetKillSwitch(
        on=wire.on, account=AccountId(wire.account), instrument=InstrumentId(wire.instrument)
    )


def fund_insurance(wire: admin_pb2.FundInsurance) -> commands.FundInsurance:
    """Return the command."""
    return commands.FundInsurance(asset=AssetId(wire.asset), amount_atoms=wire.amount_atoms)


def contract_rules(wire: common_pb2.ContractRules) -> commands.ContractRules | None:
    """Return a contract's rules, or None unless their enumerations are said and there are tiers, but few.

    Funding and liquidation terms that are left out as a whole are the exchange's defaults; of those that are
    not, every number counts as it is.
    """
    mark_rule = _MARKS.get(wire.mark_rule)
    funding = FundingTerms() if not wire.HasField("funding") else _funding_terms(wire.funding)
    if mark_rule is None or funding is None or not 0 < len(wire.margin.tiers) <= TIERS_MAX:
        return None
    return commands.ContractRules(
        margin=MarginTerms(
            tiers=[
                MarginTier(
                    floor_atoms=tier.floor_atoms,
                    maintenance_ppm=tier.maintenance_ppm,
                    initial_ppm=tier.initial_ppm,
                )
                for tier in wire.margin.tiers
            ],
            slope_ppb=wire.margin.slope_ppb,
            open_interest_low_atoms=wire.margin.open_interest_low_atoms,
            open_interest_high_atoms=wire.margin.open_interest_high_atoms,
            at_entry=wire.margin.at_entry,
        ),
        position_max_lots=wire.position_max_lots,
        open_interest_max_lots=wire.open_interest_max_lots,
        mark_rule=mark_rule,
        mark_band_ppm=wire.mark_band_ppm,
        funding=funding,
        liquidation=LiquidationTerms()
        if not wire.HasField("liquidation")
        else _liquidation_terms(wire.liquidation),
    )


def _funding_terms(wire: common_pb2.FundingTerms) -> FundingTerms | None:
    rule = _FUNDINGS.get(wire.rule)
    if rule is None:
        return None
    return FundingTerms(
        rule=rule,
        interval_ns=wire.interval_ns,
        interest_ppb=wire.interest_ppb,
        clamp_ppb=wire.clamp_ppb,
        dead_band_ppb=wire.dead_band_ppb,
        tails_ppm=wire.tails_ppm,
        cap_ppb=wire.cap_ppb,
        impact_atoms=wire.impact_atoms,
        weighted=wire.weighted,
    )


def _liquidation_terms(wire: common_pb2.LiquidationTerms) -> LiquidationTerms:
    return LiquidationTerms(
        penalty_ppm=wire.penalty_ppm,
        buffer_ppm=wire.buffer_ppm,
        step_ppm=wire.step_ppm,
        adl_share_ppm=wire.adl_share_ppm,
        fund_drawdown_ppm=wire.fund_drawdown_ppm,
        fund_step_ppm=wire.fund_step_ppm,
        warning_ppm=wire.warning_ppm,
        danger_ppm=wire.danger_ppm,
        critical_ppm=wire.critical_ppm,
        hysteresis_ppm=wire.hysteresis_ppm,
    )
