"""Who pays which fees, and who earns a share of them."""

from steelyard.core.accounts import ApiKey
from steelyard.core.commands import SetAccountTier, SetFeeTier, SetReferrer
from steelyard.core.entry import Accepted, AnyReply, Request
from steelyard.core.events import AccountTierSet, AnyEvent, FeeTierSet, ReferrerSet
from steelyard.core.handlers.checks import customer, is_too_late, may_operate, operated
from steelyard.core.ledger import TierRates, rebates_are_covered, tier_rates
from steelyard.core.limits import FEE_PPM_MAX, TIERS_MAX
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import PPM, InstrumentId


def set_fee_tier(
    state: State, command: SetFeeTier, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Set what a tier pays in one instrument, or in general; fills pay it from here on."""
    if command.tier < 1:
        return Reject.MALFORMED
    if is_too_late(state, request):
        return Reject.TOO_LATE
    if not may_operate(key):
        return Reject.NOT_PERMITTED
    if command.instrument != 0 and command.instrument not in state.markets.instruments:
        return Reject.UNKNOWN_INSTRUMENT
    if command.tier > TIERS_MAX:
        return Reject.TOO_MANY_TIERS
    if not (0 <= command.taker_ppm <= FEE_PPM_MAX and command.maker_ppm <= FEE_PPM_MAX):
        return Reject.FEE_OUT_OF_RANGE
    place = (command.tier, command.instrument)
    rates = (command.maker_ppm, command.taker_ppm)
    if not _covered(state, state.tiers | {place: rates}, command.instrument):
        return Reject.FEE_OUT_OF_RANGE

    # Nothing below can fail.
    state.tiers[place] = rates
    out.append(
        FeeTierSet(
            tier=command.tier,
            instrument=command.instrument,
            maker_ppm=command.maker_ppm,
            taker_ppm=command.taker_ppm,
        )
    )
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_account_tier(
    state: State, command: SetAccountTier, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Give an account a tier; its living orders pay the new rates, up to their caps."""
    if command.tier < 0:
        return Reject.MALFORMED
    account = operated(state, request, key, command.account)
    if isinstance(account, Reject):
        return account
    if command.tier != 0 and all(command.tier != tier for tier, _ in state.tiers):
        return Reject.UNKNOWN_TIER

    # Nothing below can fail.
    account.ruled().tier = command.tier
    account.forget_empty_rules()
    out.append(AccountTierSet(account=command.account, tier=command.tier))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def set_referrer(
    state: State, command: SetReferrer, request: Request, key: ApiKey, out: list[AnyEvent]
) -> AnyReply | Reject:
    """Say who earns a share of an account's fees; what was earned before stays owed."""
    if command.referrer == command.account or not 0 <= command.share_ppm <= PPM:
        return Reject.MALFORMED
    if command.referrer == 0 and command.share_ppm != 0:
        return Reject.MALFORMED
    account = operated(state, request, key, command.account)
    if isinstance(account, Reject):
        return account
    if command.referrer != 0 and customer(state, command.referrer) is None:
        return Reject.UNKNOWN_ACCOUNT

    # Nothing below can fail.
    rules = account.ruled()
    rules.referrer = command.referrer
    rules.share_ppm = command.share_ppm
    account.forget_empty_rules()
    out.append(ReferrerSet(account=command.account, referrer=command.referrer, share_ppm=command.share_ppm))
    return Accepted(request=request.request, fingerprint=request.fingerprint)


def _covered(state: State, tiers: TierRates, changed: InstrumentId) -> bool:
    """Return whether no rebate is above the lowest taker rate wherever rates have changed."""
    paying = sorted(dict.fromkeys(tier for tier, _ in tiers))
    if changed == 0:
        general = [rates for (_, instrument), rates in tiers.items() if instrument == 0]
        instruments = list(state.markets.instruments.values())
        if not rebates_are_covered(general):
            return False
    else:
        instruments = [state.markets.instruments[changed]]
    for instrument in instruments:
        listed = (instrument.maker_ppm, instrument.taker_ppm)
        rates = [tier_rates(tiers, tier, instrument.instrument, listed) for tier in paying]
        if not rebates_are_covered([listed, *rates]):
            return False
    return True
