"""Who has power over the backups: the goals of ways, from the worst to the least."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from admin.check.people.bucket_denials import bucket_denials
from admin.check.people.identities import Principal
from admin.check.people.patterns import ANY_NAME
from admin.check.people.powers import PASSING, context_of
from admin.check.people.server_users import is_for_servers
from admin.check.reach.facts import Fact
from admin.check.reach.forms import Form, Proof
from admin.config.reading import FUNCTIONS
from admin.desired.permissions import Document
from admin.target import Target

OPENING = ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy")
DEPLOYING = ("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration")
OF_A_ROLE = {
    "promote": "can fill free slots",
    "sweep": "can read uploads and backups",
    "audit": "can read backups and send alerts",
}


class Rank(IntEnum):
    """How bad it is if an intruder becomes the principal; 0 is the worst."""

    ADMINISTRATOR = 0
    DEPLOYER = 1
    SERVER = 2
    NOBODY = 3


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A principal's power, with the facts and conditions on which it depends."""

    rank: Rank
    holder: Fact
    sentence: str
    proof: Proof = field(default_factory=Proof)


@dataclass(frozen=True)
class Targets:
    """Decides who is a target; `vault_policy` is the vault's bucket policy."""

    target: Target
    vault_policy: Document

    def goal_of(self, form: Form) -> Goal | None:
        """The worst power that a principal has."""
        goals = [*self._goals_of(form)]
        return min(goals, key=lambda goal: (goal.rank, len(goal.proof.facts)), default=None)

    @property
    def functions(self) -> Mapping[str, tuple[str, ...]]:
        """The ARNs of our functions, with their versions, by the ARNs of their roles."""
        account, region = self.target.account.id, self.target.account.region
        names = map(self.target.stage.function_name, FUNCTIONS)
        return {
            f"arn:aws:iam::{account}:role/{name}": tuple(
                f"arn:aws:lambda:{region}:{account}:function:{name}{version}"
                for version in ("", ":$LATEST", f":{ANY_NAME}")
            )
            for name in names
        }

    def is_server(self, principal: Principal) -> bool:
        """Whether it is the user of a server."""
        return (
            principal.kind == "user"
            and principal.account == self.target.account.id
            and is_for_servers(self.target, principal.name)
        )

    def is_role(self, principal: Principal) -> bool:
        """Whether it is the role of one of our functions."""
        return principal.arn in self.functions

    def _goals_of(self, form: Form) -> Iterator[Goal]:
        principal = form.principal
        if principal.account == self.target.vault_account.id:
            yield from self._over_the_vault(form)
        if principal.account == self.target.account.id:
            yield from self._over_functions(form)
        if principal.is_new:
            return
        if self.is_role(principal):
            [does] = (
                does
                for function, does in OF_A_ROLE.items()
                if principal.name == self.target.stage.function_name(function)
            )
            yield Goal(rank=Rank.DEPLOYER, holder=form.fact, sentence=does)
        if self.is_server(principal):
            yield Goal(rank=Rank.SERVER, holder=form.fact, sentence="can upload as a server")

    def _over_the_vault(self, form: Form) -> Iterator[Goal]:
        vault, principal = self.target.vault, form.principal
        for action in OPENING:
            if not form.could(action):
                continue
            denied_by = bucket_denials(self.vault_policy, principal)
            if proof := form.may(action, f"arn:aws:s3:::{vault}", denied_by=denied_by):
                yield Goal(
                    rank=Rank.ADMINISTRATOR,
                    holder=form.fact,
                    sentence=f"can change the bucket policy of {vault}",
                    proof=proof,
                )

    def _over_functions(self, form: Form) -> Iterator[Goal]:
        if not any(map(form.could, (*DEPLOYING, PASSING))):
            return
        for role, functions in self.functions.items():
            name = role.partition("/")[2]
            rights = {
                f"can change what the function {name} does": (DEPLOYING, functions),
                f"can pass {name} (role) to a function": ((PASSING,), (role,)),
            }
            for sentence, (actions, resources) in rights.items():
                for action in actions:
                    for resource in resources:
                        if proof := form.may(action, resource, context=context_of(action)):
                            yield Goal(
                                rank=Rank.DEPLOYER,
                                holder=form.fact,
                                sentence=sentence,
                                proof=proof,
                            )
