"""Who there is in the slow exchange, what is decided about them, and money in and out."""

from steelyard.core import limits, versions
from steelyard.core.commands import (
    ActivateVersion,
    CreateApiKey,
    Deposit,
    FoundGroup,
    FoundGroupAt,
    HoldFunds,
    OpenAccount,
    OpenSubAccount,
    PayReferral,
    ReleaseHold,
    RevokeApiKey,
    SetAccountRules,
    SetAccountTier,
    SetFeeTier,
    SetFrozen,
    SetLegalHold,
    SetOrderLimit,
    SetReferrer,
    SetSelfTrade,
    Transfer,
    Withdraw,
)
from steelyard.core.entry import Request
from steelyard.core.events import (
    AccountFrozen,
    AccountOpened,
    AccountRulesSet,
    AccountTierSet,
    ApiKeyCreated,
    ApiKeyRevoked,
    Deposited,
    FeeTierSet,
    FundsHeld,
    GroupFounded,
    HoldReleased,
    LegalHoldSet,
    OrderLimitSet,
    ReferralPaid,
    ReferrerSet,
    SelfTradeSet,
    SubAccountOpened,
    Transferred,
    VersionActivated,
    Withdrawn,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    FIRST_CUSTOMER,
    OMNIBUS,
    OPERATOR,
    OPERATOR_KEY,
    REFERRAL,
    KeyId,
    Permission,
)
from steelyard.simulation.twin_changing import Changing
from steelyard.simulation.twin_parts import (
    ALL_PERMISSIONS,
    MILLION,
    TOO_BIG,
    Account,
    Key,
    printable,
    refuse_if,
)


class Accounts(Changing):
    """Keys, accounts, families, tiers and money."""

    # ---- the group and its keys

    def found_group(self, request: Request, command: FoundGroup) -> int:
        """Found the group, once."""
        bad_name = not command.group or not printable(command.group, limits.GROUP_NAME_MAX)
        refuse_if(bad_name or len(command.operator_public_key) != 32, Reject.MALFORMED)
        self.in_time_only(request)
        refuse_if(self.group != "", Reject.ALREADY_FOUNDED)
        version = command.version if isinstance(command, FoundGroupAt) else 1
        refuse_if(not 0 < version < TOO_BIG, Reject.MALFORMED)
        if version > versions.KNOWN_MAX:
            raise versions.UnknownVersion(str(version))
        self.group, self.version = command.group, version
        everything = int(Permission.READ | Permission.OPERATE)
        self.keys[OPERATOR_KEY] = Key(account=OPERATOR, permissions=everything, expires_ns=0)
        self.say(GroupFounded(group=command.group, operator_key=OPERATOR_KEY))
        return OPERATOR_KEY

    def activate(self, request: Request, command: ActivateVersion) -> None:
        """Go on in the next version."""
        refuse_if(not 0 < command.version < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(command.version != self.version + 1, Reject.STATE_MOVE)
        if command.version > versions.KNOWN_MAX:
            raise versions.UnknownVersion(str(command.version))
        self.version = command.version
        if command.version == versions.SPOT_COMPLETE:
            # What snapshots of the first version did not hold is not known.
            for order in self.orders:
                order.post_only = False
        self.say(VersionActivated(version=command.version))

    def create_key(self, request: Request, command: CreateApiKey) -> int:
        """Give a key to an account."""
        refuse_if(len(command.public_key) != 32, Reject.MALFORMED)
        refuse_if(not 0 < command.permissions <= self.permissions_known, Reject.MALFORMED)
        refuse_if(not 0 <= command.expires_ns < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        refuse_if(command.account not in [*self.accounts, OPERATOR], Reject.UNKNOWN_ACCOUNT)
        refuse_if(len(self.keys) >= limits.KEYS_MAX, Reject.TOO_MANY_KEYS)
        number = KeyId(len(self.keys) + 1)
        self.keys[number] = Key(command.account, command.permissions, command.expires_ns)
        self.say(ApiKeyCreated(key=number, account=command.account, permissions=command.permissions))
        return number

    def past(self, key: Key) -> bool:
        """Tell whether a key's time has come."""
        return key.expires_ns != 0 and self.time_ns >= key.expires_ns

    def revoke_key(self, request: Request, command: RevokeApiKey) -> None:
        """End a key."""
        refuse_if(command.key not in self.keys, Reject.MALFORMED)
        self.operator_only(request)
        living = [
            number
            for number, key in self.keys.items()
            if key.permissions & Permission.OPERATE and not key.revoked and not self.past(key)
        ]
        # Once it is gone, nobody could ever operate the group again.
        ended = self.keys[command.key]
        last = bool(ended.permissions & Permission.OPERATE) and not [n for n in living if n != command.key]
        refuse_if(last, Reject.NOT_PERMITTED)
        ended.revoked = True
        self.say(ApiKeyRevoked(key=command.key))

    # ---- accounts

    def open_account(self, request: Request, command: OpenAccount) -> None:
        """Open a customer's account."""
        refuse_if(not FIRST_CUSTOMER <= command.account < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        self.check_new_account(command.account)
        self.accounts[command.account] = Account()
        self.say(AccountOpened(account=command.account))

    def check_new_account(self, account: int) -> None:
        """Refuse an account that is there, or one too many."""
        refuse_if(account in self.accounts, Reject.ACCOUNT_EXISTS)
        refuse_if(len([OPERATOR, *self.accounts]) >= limits.ACCOUNTS_MAX, Reject.TOO_MANY_ACCOUNTS)

    def open_sub_account(self, request: Request, c: OpenSubAccount) -> None:
        """Open an account that belongs to a master."""
        refuse_if(not FIRST_CUSTOMER <= c.account < TOO_BIG, Reject.MALFORMED)
        refuse_if(not 0 <= c.permissions <= ALL_PERMISSIONS, Reject.MALFORMED)
        self.owner_or_operator(request, c.master, Permission.TRANSFER)
        refuse_if(self.accounts[c.master].master != 0, Reject.NOT_PERMITTED)
        self.check_new_account(c.account)
        count = len([row for row in self.accounts.values() if row.master == c.master])
        refuse_if(count >= limits.SUB_ACCOUNTS_MAX, Reject.TOO_MANY_SUB_ACCOUNTS)
        self.accounts[c.account] = Account(master=c.master, permissions=c.permissions)
        self.say(SubAccountOpened(master=c.master, account=c.account, permissions=c.permissions))

    def owner_or_operator(self, request: Request, account: int, permission: Permission) -> None:
        """Refuse anyone but an operator and the account's own key which may do that."""
        self.in_time_only(request)
        allowed = self.operates(request) or self.asks_for(request, account, permission)
        refuse_if(not allowed, Reject.NOT_PERMITTED)
        self.known(account)

    def set_account_rules(self, request: Request, c: SetAccountRules) -> None:
        """Set what an operator decides about an account."""
        refuse_if(not 0 <= c.permissions <= ALL_PERMISSIONS, Reject.MALFORMED)
        refuse_if(not 0 <= c.trade_group < TOO_BIG or not 0 <= c.orders_max < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        self.known(c.account)
        account = self.accounts[c.account]
        account.trade_group, account.permissions = c.trade_group, c.permissions
        account.orders_max = c.orders_max
        self.say(
            AccountRulesSet(
                account=c.account,
                trade_group=c.trade_group,
                permissions=c.permissions,
                orders_max=c.orders_max,
            )
        )

    def set_order_limit(self, request: Request, c: SetOrderLimit) -> None:
        """Bound an account's single orders in an instrument."""
        refuse_if(not 0 <= c.size_max_lots < TOO_BIG, Reject.MALFORMED)
        refuse_if(not 0 <= c.notional_max_atoms < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        self.known(c.account)
        self.market_of(c.instrument)
        self.accounts[c.account].order_limits[c.instrument] = (c.size_max_lots, c.notional_max_atoms)
        self.say(
            OrderLimitSet(
                account=c.account,
                instrument=c.instrument,
                size_max_lots=c.size_max_lots,
                notional_max_atoms=c.notional_max_atoms,
            )
        )

    def set_self_trade(self, request: Request, c: SetSelfTrade) -> None:
        """Choose an account's default for self-trade prevention."""
        self.owner_or_operator(request, c.account, Permission.TRADE)
        self.accounts[c.account].self_trade = c.mode
        self.say(SelfTradeSet(account=c.account, mode=c.mode))

    def set_frozen(self, request: Request, c: SetFrozen) -> None:
        """Freeze an account, or lift that."""
        self.operator_only(request)
        self.known(c.account)
        self.accounts[c.account].frozen = c.frozen
        self.say(AccountFrozen(account=c.account, frozen=c.frozen))

    def set_legal_hold(self, request: Request, c: SetLegalHold) -> None:
        """Put an account under legal hold, or lift that."""
        self.operator_only(request)
        self.known(c.account)
        self.accounts[c.account].legal_hold = c.on
        self.say(LegalHoldSet(account=c.account, on=c.on))

    # ---- tiers and referrers

    def set_fee_tier(self, request: Request, c: SetFeeTier) -> None:
        """Set the rates of a tier."""
        refuse_if(c.tier < 1, Reject.MALFORMED)
        self.operator_only(request)
        if c.instrument:
            self.market_of(c.instrument)
        refuse_if(c.tier > limits.TIERS_MAX, Reject.TOO_MANY_TIERS)
        would = self.tiers | {(c.tier, c.instrument): (c.maker_ppm, c.taker_ppm)}
        refuse_if(not 0 <= c.taker_ppm <= limits.FEE_PPM_MAX, Reject.FEE_OUT_OF_RANGE)
        refuse_if(c.maker_ppm > limits.FEE_PPM_MAX, Reject.FEE_OUT_OF_RANGE)
        for instrument in [c.instrument] if c.instrument else [0, *self.markets]:
            refuse_if(not self.rebates_are_paid_for(would, instrument), Reject.FEE_OUT_OF_RANGE)
        self.tiers = would
        self.say(
            FeeTierSet(tier=c.tier, instrument=c.instrument, maker_ppm=c.maker_ppm, taker_ppm=c.taker_ppm)
        )

    def rebates_are_paid_for(self, tiers: dict[tuple[int, int], tuple[int, int]], instrument: int) -> bool:
        """Tell whether no rebate is above the lowest taker rate that anyone can have in an instrument."""
        rates = []
        if instrument:
            spec = self.markets[instrument].spec
            rates.append((spec.maker_ppm, spec.taker_ppm))
        for tier in {tier for tier, _ in tiers}:
            own = tiers.get((tier, instrument)) or tiers.get((tier, 0))
            if own is not None:
                rates.append(own)
        return max(-maker for maker, _ in rates) <= min(taker for _, taker in rates)

    def set_account_tier(self, request: Request, c: SetAccountTier) -> None:
        """Give an account a tier."""
        refuse_if(c.tier < 0, Reject.MALFORMED)
        self.operator_only(request)
        self.known(c.account)
        refuse_if(c.tier != 0 and c.tier not in [tier for tier, _ in self.tiers], Reject.UNKNOWN_TIER)
        self.accounts[c.account].tier = c.tier
        self.say(AccountTierSet(account=c.account, tier=c.tier))

    def set_referrer(self, request: Request, c: SetReferrer) -> None:
        """Let an account earn a share of what is kept of another's fees."""
        refuse_if(c.referrer == c.account or not 0 <= c.share_ppm <= MILLION, Reject.MALFORMED)
        refuse_if(c.referrer == 0 and c.share_ppm != 0, Reject.MALFORMED)
        self.operator_only(request)
        self.known(c.account)
        if c.referrer:
            self.known(c.referrer)
        account = self.accounts[c.account]
        account.referrer, account.share_ppm = c.referrer, c.share_ppm
        self.say(ReferrerSet(account=c.account, referrer=c.referrer, share_ppm=c.share_ppm))

    def pay_referral(self, request: Request, c: PayReferral) -> None:
        """Pay out what an account has earned as a referrer."""
        self.owner_or_operator(request, c.account, Permission.TRANSFER)
        refuse_if(c.asset not in self.assets, Reject.UNKNOWN_ASSET)
        owed = self.accounts[c.account].owed.pop(c.asset, 0)
        refuse_if(owed == 0, Reject.INSUFFICIENT_FUNDS)
        self.move(REFERRAL, c.account, c.asset, owed)
        self.say(
            ReferralPaid(
                account=c.account,
                asset=c.asset,
                amount_atoms=owed,
                free_atoms=self.free_atoms(c.account, c.asset),
            )
        )

    # ---- money

    def check_amount(self, asset: int, amount_atoms: int) -> None:
        """Refuse unknown assets and amounts that cannot be."""
        refuse_if(asset not in self.assets, Reject.UNKNOWN_ASSET)
        refuse_if(not 0 < amount_atoms < TOO_BIG, Reject.AMOUNT_OUT_OF_RANGE)

    def deposit(self, request: Request, c: Deposit) -> None:
        """Credit an account against the outside world."""
        self.operator_only(request)
        self.known(c.account)
        self.check_amount(c.asset, c.amount_atoms)
        outside = -self.owned.get((OMNIBUS, c.asset), 0)
        refuse_if(outside + c.amount_atoms > 2**61, Reject.BALANCE_LIMIT)
        self.move(OMNIBUS, c.account, c.asset, c.amount_atoms)
        free = self.free_atoms(c.account, c.asset)
        self.say(Deposited(account=c.account, asset=c.asset, amount_atoms=c.amount_atoms, free_atoms=free))

    def withdraw(self, request: Request, c: Withdraw) -> None:
        """Pay free funds out to the outside world."""
        self.operator_only(request)
        self.known(c.account)
        self.thawed_only(c.account)
        self.check_amount(c.asset, c.amount_atoms)
        refuse_if(self.free_atoms(c.account, c.asset) < c.amount_atoms, Reject.INSUFFICIENT_FUNDS)
        self.move(c.account, OMNIBUS, c.asset, c.amount_atoms)
        free = self.free_atoms(c.account, c.asset)
        self.say(Withdrawn(account=c.account, asset=c.asset, amount_atoms=c.amount_atoms, free_atoms=free))

    def transfer(self, request: Request, c: Transfer) -> None:
        """Move free funds within a family."""
        refuse_if(c.giver == c.taker, Reject.MALFORMED)
        self.in_time_only(request)
        giver = self.accounts.get(c.giver, Account())
        asking = c.giver, giver.master
        refuse_if(
            not any(a and self.asks_for(request, a, Permission.TRANSFER) for a in asking),
            Reject.NOT_PERMITTED,
        )
        self.known(c.giver, c.taker)
        self.thawed_only(c.giver, c.taker)
        family = {self.accounts[a].master or a for a in (c.giver, c.taker)}
        refuse_if(len(family) != 1, Reject.NOT_FAMILY)
        self.check_amount(c.asset, c.amount_atoms)
        refuse_if(self.free_atoms(c.giver, c.asset) < c.amount_atoms, Reject.INSUFFICIENT_FUNDS)
        self.move(c.giver, c.taker, c.asset, c.amount_atoms)
        self.say(
            Transferred(
                giver=c.giver,
                taker=c.taker,
                asset=c.asset,
                amount_atoms=c.amount_atoms,
                giver_free_atoms=self.free_atoms(c.giver, c.asset),
                taker_free_atoms=self.free_atoms(c.taker, c.asset),
            )
        )

    def hold_funds(self, request: Request, c: HoldFunds) -> None:
        """Set a part of an account's free funds aside."""
        refuse_if(not 0 < c.hold < TOO_BIG, Reject.MALFORMED)
        self.operator_only(request)
        self.known(c.account)
        refuse_if(c.asset not in self.assets, Reject.UNKNOWN_ASSET)
        holds = self.accounts[c.account].holds
        refuse_if(c.hold in holds, Reject.HOLD_EXISTS)
        refuse_if(len(holds) >= limits.HOLDS_PER_ACCOUNT_MAX, Reject.TOO_MANY_HOLDS)
        self.check_amount(c.asset, c.amount_atoms)
        refuse_if(self.free_atoms(c.account, c.asset) < c.amount_atoms, Reject.INSUFFICIENT_FUNDS)
        holds[c.hold] = c
        self.say(
            FundsHeld(
                account=c.account, hold=c.hold, asset=c.asset, amount_atoms=c.amount_atoms, legal=c.legal
            )
        )

    def release_hold(self, request: Request, c: ReleaseHold) -> None:
        """Give held funds back."""
        self.operator_only(request)
        self.known(c.account)
        holds = self.accounts[c.account].holds
        refuse_if(c.hold not in holds, Reject.UNKNOWN_HOLD)
        refuse_if(holds[c.hold].legal and not c.legal, Reject.LEGAL_HOLD)
        held = holds.pop(c.hold)
        self.say(
            HoldReleased(account=c.account, hold=c.hold, asset=held.asset, amount_atoms=held.amount_atoms)
        )
