"""The contracts of money: the token, what submitters deposit, and what work is paid."""

from collections.abc import Sequence

from node.chain.contract import Contract
from node.chain.events import ChargeOwed
from node.chain.handle import Transaction
from node.chain.types import (
    EmissionPlan,
    EmissionSchedule,
    EmissionShare,
    EpochEmission,
    Job,
    JobTerms,
    from_abi,
)
from node.ids import JobId


class Token(Contract):
    """ComputeToken: AIN, with votes."""

    def balance_of(self, account: str) -> int:
        return int(self._handle.value("balanceOf", account))

    def total_supply(self) -> int:
        return int(self._handle.value("totalSupply"))

    def allowance(self, owner: str, spender: str) -> int:
        return int(self._handle.value("allowance", owner, spender))

    def votes(self, account: str) -> int:
        """The voting power that is delegated to `account` now."""
        return int(self._handle.value("getVotes", account))

    def delegates(self, account: str) -> str:
        return str(self._handle.value("delegates", account))

    def schedule(self) -> EmissionSchedule:
        """What may be minted for work, and when: fixed at deployment."""
        plan = EmissionPlan(
            epoch_s=int(self._handle.value("epochS")),
            first_budget_wei=int(self._handle.value("firstBudgetWei")),
            halving_epochs=int(self._handle.value("halvingEpochs")),
        )
        return EmissionSchedule(int(self._handle.value("emissionStart")), plan)

    def scheduled_wei(self) -> int:
        """What may have been minted until now."""
        return int(self._handle.value("scheduledWei"))

    def emitted_wei(self) -> int:
        """What was minted for work so far."""
        return int(self._handle.value("emittedWei"))

    def approve(self, spender: str, amount: int) -> Transaction:
        return self._handle.write("approve", spender, amount)

    def transfer(self, to: str, amount: int) -> Transaction:
        return self._handle.write("transfer", to, amount)

    def delegate(self, to: str) -> Transaction:
        return self._handle.write("delegate", to)


class Escrow(Contract):
    """JobEscrow: what submitters deposit."""

    def quote(self, terms: JobTerms) -> int:
        return int(self._handle.value("quote", terms))

    def job(self, job_id: JobId) -> Job:
        """All about a job; Reverted("UnknownJob") if there is none."""
        return from_abi(Job, self._handle.value("jobs", job_id))

    def held_of(self, job_id: JobId) -> int:
        return int(self._handle.value("heldOf", job_id))

    def accepts_work(self, job_id: JobId, started: bool) -> bool:
        return bool(self._handle.value("acceptsWork", job_id, started))

    def settleable_at(self, job_id: JobId) -> int:
        return int(self._handle.value("settleableAt", job_id))

    def job_count(self) -> int:
        return int(self._handle.value("jobCount"))

    def job_id_at(self, index: int) -> JobId:
        return JobId(self._handle.value("jobIdAt", index))

    def fund(self, terms: JobTerms) -> Transaction:
        """Needs an allowance of quote(terms); the receipt's JobFunded event names the job."""
        return self._handle.write("fund", terms)

    def cancel(self, job_id: JobId) -> Transaction:
        return self._handle.write("cancel", job_id)

    def settle(self, job_id: JobId) -> Transaction:
        return self._handle.write("settle", job_id)

    def pay_charge(self, owed: ChargeOwed) -> Transaction:
        """Has paid what the job's token did not move at the verdict; anyone may."""
        arguments = (owed.job_id, owed.accounts, owed.amounts, owed.left)
        return self._handle.write("payCharge", *arguments)


class Rewards(Contract):
    """RewardDistributor: what was earned and is not claimed yet, by token and account."""

    def credit_of(self, token: str, account: str) -> int:
        """What an account would be paid now."""
        return int(self._handle.value("creditOf", token, account))

    def account_of(self, token: str, account: str) -> tuple[int, int]:
        """What an account has earned, and been paid, in all time."""
        earned_wei, claimed_wei = self._handle.read("accountOf", token, account)
        return int(earned_wei), int(claimed_wei)

    def claim(self, token: str, account: str) -> Transaction:
        return self._handle.write("claim", token, account)

    def claim_to_bond(self, account: str) -> Transaction:
        """Of the network's token; only the account and its bond's owner may."""
        return self._handle.write("claimToBond", account)


class Emission(Contract):
    """EmissionController: new tokens for what accounts did in epochs that are over."""

    def epoch_of(self, epoch: int) -> EpochEmission:
        return from_abi(EpochEmission, self._handle.value("epochOf", epoch))

    def flops_of(self, epoch: int, account: str) -> int:
        """An account's part of an epoch's FLOPs; 0 once it was claimed."""
        return int(self._handle.value("flopsOf", epoch, account))

    def share_of(self, account: str, epoch: int) -> EmissionShare:
        """What an account can claim; Reverted("EpochNotOver") until the epoch is over."""
        return from_abi(EmissionShare, self._handle.read("emissionOf", account, epoch))

    def collect(self, account: str, epochs: Sequence[int]) -> Transaction:
        """Mints, and credits it."""
        return self._handle.write("collect", account, tuple(epochs))

    def claim(self, account: str, epochs: Sequence[int]) -> Transaction:
        """Mints, and pays the account all that it has earned."""
        return self._handle.write("claim", account, tuple(epochs))
