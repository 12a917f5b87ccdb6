"""What was compared when something was refused for how many there are, or for what an operator lists."""

from typing import Final

from steelyard.core import Reject
from steelyard.core.commands import (
    ActivateVersion,
    Batch,
    HoldFunds,
    ListAsset,
    ListContract,
    ListIndex,
    ListInstrument,
    OpenSession,
    OpenSubAccount,
    ScheduleState,
    SetContractRules,
    SetFeeTier,
    SetInstrumentState,
    StartAuction,
)
from steelyard.core.contracts.scales import contract_scale
from steelyard.core.instruments import has_tick_of, margin_is_allowed, settle_asset, spot_scales
from steelyard.core.ledger import rebates_are_covered, tier_rates
from steelyard.core.limits import (
    ACCOUNTS_MAX,
    ASSETS_MAX,
    BATCH_MAX,
    FEE_PPM_MAX,
    FUNDING_NANOATOMS_MAX,
    HOLDS_PER_ACCOUNT_MAX,
    INDICES_MAX,
    INSTRUMENTS_MAX,
    INTEGER_MAX,
    KEYS_MAX,
    NOTIONAL_ATOMS_MAX,
    SESSIONS_PER_ACCOUNT_MAX,
    SUB_ACCOUNTS_MAX,
    TIERS_MAX,
)
from steelyard.core.units import ContractKind
from steelyard.ops.explain.refusals import Refusal, no, show
from steelyard.ops.explain.telling import Explanation


def counts(told: Explanation, refusal: Refusal) -> None:
    """Explain that there are as many of something as there may be."""
    command, state = refusal.command, refusal.state
    match refusal.reason, command:
        case Reject.TOO_MANY_ACCOUNTS, _:
            count, most = len(state.accounts), ACCOUNTS_MAX
        case Reject.TOO_MANY_KEYS, _:
            count, most = len(state.keys), KEYS_MAX
        case Reject.TOO_MANY_SESSIONS, OpenSession():
            sessions = state.accounts[command.account].sessions.values()
            count = sum(not each.is_expired(state.time_ns) for each in sessions)
            most = SESSIONS_PER_ACCOUNT_MAX
        case Reject.TOO_MANY_SUB_ACCOUNTS, OpenSubAccount():
            rules = state.accounts[command.master].rules
            count, most = 0 if rules is None else len(rules.sub_accounts), SUB_ACCOUNTS_MAX
        case Reject.TOO_MANY_HOLDS, HoldFunds():
            rules = state.accounts[command.account].rules
            count, most = 0 if rules is None else len(rules.holds), HOLDS_PER_ACCOUNT_MAX
        case Reject.TOO_MANY_LISTINGS, ListAsset():
            count, most = len(state.markets.assets), ASSETS_MAX
        case Reject.TOO_MANY_LISTINGS, ListIndex():
            count, most = len(state.markets.indices), INDICES_MAX
        case Reject.TOO_MANY_LISTINGS, _:
            count, most = len(state.markets.instruments), INSTRUMENTS_MAX
        case Reject.TOO_MANY_TIERS, SetFeeTier():
            no(
                told,
                "it is above the last tier",
                command.tier > TIERS_MAX,
                tier=command.tier,
                last_tier=TIERS_MAX,
            )
            return
        case Reject.TOO_MANY_LEGS, Batch():
            legs = len(command.legs)
            no(told, "there are more legs than a batch has", legs > BATCH_MAX, legs=legs, legs_max=BATCH_MAX)
            return
        case _:
            return
    no(told, "there are as many as there may be", count >= most, count=count, bound=most)


def state_move(told: Explanation, refusal: Refusal) -> None:
    """Say from where to where there is no move."""
    command, state = refusal.command, refusal.state
    if isinstance(command, ActivateVersion):
        no(
            told,
            "versions come one after the other",
            command.version != state.version + 1,
            version=state.version,
            wanted_version=command.version,
        )
    elif isinstance(command, SetInstrumentState | ScheduleState | StartAuction):
        instrument = state.markets.instruments[command.instrument]
        wanted = "AUCTION" if isinstance(command, StartAuction) else command.state.name
        show(told, state_of_the_instrument=instrument.state.name, wanted_state=wanted)


def scale(told: Explanation, refusal: Refusal) -> None:
    """Explain that scales are no whole atoms, or that a contract has another tick than its index."""
    command, markets = refusal.command, refusal.state.markets
    if not isinstance(command, ListInstrument):
        return
    show(told, tick=f"{command.tick_mantissa} / 10^{command.tick_decimals}")
    show(told, lot=f"{command.lot_mantissa} / 10^{command.lot_decimals}")
    if isinstance(command, ListContract):
        index = markets.indices[command.index].listing
        decimals = markets.assets[settle_asset(command)].decimals
        no(
            told,
            "the tick is not the index's, or the scale no whole number",
            not has_tick_of(command, index) or contract_scale(command, decimals) is None,
            tick_of_the_index=f"{index.tick_mantissa} / 10^{index.tick_decimals}",
            decimals=decimals,
        )
        return
    base, quote = markets.assets[command.base].decimals, markets.assets[command.quote].decimals
    no(
        told,
        "a lot, or a tick of a lot, is no whole number of atoms",
        spot_scales(command, base, quote) is None,
        decimals_of_the_base=base,
        decimals_of_the_quote=quote,
    )


def bounds(told: Explanation, refusal: Refusal) -> None:
    """Explain that the largest order, or all longs, would not fit the ledger."""
    command, markets = refusal.command, refusal.state.markets
    if isinstance(command, SetContractRules):
        listing, rules = markets.instruments[command.instrument].listing, command.rules
    elif isinstance(command, ListContract):
        listing, rules = command, command.rules
    elif isinstance(command, ListInstrument):
        base, quote = markets.assets[command.base].decimals, markets.assets[command.quote].decimals
        scales = spot_scales(command, base, quote)
        assert scales is not None, "it was refused before"
        notional_atoms = command.price_max_ticks * command.size_max_lots * scales.tick_lot_atoms
        size_atoms = command.size_max_lots * scales.lot_atoms
        no(
            told,
            "the largest order is more than the ledger holds",
            max(notional_atoms, size_atoms) > NOTIONAL_ATOMS_MAX,
            largest_notional_atoms=notional_atoms,
            largest_size_atoms=size_atoms,
            bound_atoms=NOTIONAL_ATOMS_MAX,
        )
        return
    else:
        return
    assert isinstance(listing, ListContract), command
    factor = contract_scale(listing, markets.assets[settle_asset(listing)].decimals)
    assert factor is not None, "it was refused before"
    price_ticks = listing.price_max_ticks if listing.contract == ContractKind.LINEAR else 1
    longs_atoms = price_ticks * rules.open_interest_max_lots * factor
    funding_nanoatoms = price_ticks * factor * rules.funding.cap_ppb
    no(
        told,
        "a price, all longs, or the funding of a lot, are more than the ledger holds,"
        " or an order may be larger than all longs",
        listing.price_max_ticks > INTEGER_MAX
        or longs_atoms > NOTIONAL_ATOMS_MAX
        or funding_nanoatoms > FUNDING_NANOATOMS_MAX
        or listing.size_max_lots > rules.open_interest_max_lots,
        price_max_ticks=listing.price_max_ticks,
        largest_longs_atoms=longs_atoms,
        bound_atoms=NOTIONAL_ATOMS_MAX,
        largest_funding_of_a_lot_nanoatoms=funding_nanoatoms,
        bound_nanoatoms=FUNDING_NANOATOMS_MAX,
        size_max_lots=listing.size_max_lots,
        open_interest_max_lots=rules.open_interest_max_lots,
    )


def fees(told: Explanation, refusal: Refusal) -> None:
    """Explain that a fee is too high, or a rebate above the lowest fee of takers."""
    command, state = refusal.command, refusal.state
    if not isinstance(command, ListInstrument | SetFeeTier):
        return
    maker_ppm, taker_ppm = command.maker_ppm, command.taker_ppm
    lowest_ppm, highest_ppm = taker_ppm, -maker_ppm
    if isinstance(command, SetFeeTier):
        tiers = state.tiers | {(command.tier, command.instrument): (maker_ppm, taker_ppm)}
        paid = [
            [(each.maker_ppm, each.taker_ppm)]
            + [
                tier_rates(tiers, tier, each.instrument, (each.maker_ppm, each.taker_ppm))
                for tier in dict.fromkeys(tier for tier, _ in tiers)
            ]
            for each in state.markets.instruments.values()
            if command.instrument in (0, each.instrument)
        ]
        if command.instrument == 0:
            paid.append([rates for (_, instrument), rates in tiers.items() if instrument == 0])
        worst = next((rates for rates in paid if not rebates_are_covered(rates)), [(maker_ppm, taker_ppm)])
        lowest_ppm = min(taker for _, taker in worst)
        highest_ppm = -min(maker for maker, _ in worst)
    no(
        told,
        "a rate is out of range, or a rebate is above the lowest fee of takers",
        not (0 <= taker_ppm <= FEE_PPM_MAX and maker_ppm <= FEE_PPM_MAX) or highest_ppm > lowest_ppm,
        maker_ppm=maker_ppm,
        taker_ppm=taker_ppm,
        highest_fee_ppm=FEE_PPM_MAX,
        highest_rebate_ppm=highest_ppm,
        lowest_fee_of_takers_ppm=lowest_ppm,
    )


def schedule(told: Explanation, refusal: Refusal) -> None:
    """Show the tiers that make no schedule, and the penalty that has to be below their first rate."""
    command = refusal.command
    if not isinstance(command, ListContract | SetContractRules):
        return
    rules = command.rules
    terms = rules.margin
    told.table(
        "margin tiers",
        [
            {
                "floor_atoms": tier.floor_atoms,
                "maintenance_ppm": tier.maintenance_ppm,
                "initial_ppm": tier.initial_ppm,
            }
            for tier in terms.tiers
        ],
    )
    no(
        told,
        "the tiers make no schedule, or the penalty is not below the first maintenance rate",
        not margin_is_allowed(rules),
        tiers=len(terms.tiers),
        slope_ppb=terms.slope_ppb,
        open_interest_low_atoms=terms.open_interest_low_atoms,
        open_interest_high_atoms=terms.open_interest_high_atoms,
        first_maintenance_ppm=terms.tiers[0].maintenance_ppm,
        penalty_ppm=rules.liquidation.penalty_ppm,
    )


LISTING: Final = {
    Reject.TOO_MANY_ACCOUNTS: counts,
    Reject.TOO_MANY_SESSIONS: counts,
    Reject.TOO_MANY_KEYS: counts,
    Reject.TOO_MANY_LISTINGS: counts,
    Reject.TOO_MANY_SUB_ACCOUNTS: counts,
    Reject.TOO_MANY_HOLDS: counts,
    Reject.TOO_MANY_TIERS: counts,
    Reject.TOO_MANY_LEGS: counts,
    Reject.STATE_MOVE: state_move,
    Reject.SCALE_NOT_INTEGER: scale,
    Reject.BOUNDS_TOO_WIDE: bounds,
    Reject.FEE_OUT_OF_RANGE: fees,
    Reject.MARGIN_OUT_OF_RANGE: schedule,
}
