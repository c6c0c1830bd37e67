"""What a search for ways has found: facts, and for each fact the step that leads to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

# Any managed policy, including one with every right.
ANY_POLICY = "*"


class Kind(StrEnum):
    """What can be done to a user, role, group or managed policy."""

    OUTSIDE = "be somebody outside the account"
    ACT = "act as it"
    CREATE = "create it"
    INLINE = "put inline policies on it"
    NO_INLINE = "delete its inline policies"
    ATTACH = "attach a managed policy to it"
    DETACH = "detach a managed policy from it"
    JOIN = "add users to it"
    LEAVE = "remove users from it"
    WRITE = "write a managed policy"
    RESTORE = "restore another version of a managed policy"
    LIMIT = "set its permissions boundary"
    NO_LIMIT = "remove its permissions boundary"
    RENAME = "give it another name"


@dataclass(frozen=True, slots=True)
class Fact:
    """A possibility: something can be done to the user, role, group or policy with this ARN.

    `policy` is the ARN of the managed policy involved, if any. `under` is the permissions boundary
    that the user or role must have at that time.
    """

    kind: Kind
    arn: str
    policy: str = ""
    under: str = ""


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A step that makes a fact true.

    `who` acts. The step requires the facts in `needs` and the `rights`: actions, each with its
    resource. `conditions` are the condition keys that are not evaluated.
    """

    fact: Fact
    who: Fact
    sentence: str
    rights: tuple[tuple[str, str], ...]
    needs: tuple[Fact, ...] = ()
    conditions: tuple[str, ...] = ()


@dataclass
class Known:
    """The facts by the ARN that they concern, each with the first gain that was found for it."""

    gains: dict[Fact, Gain | None] = field(default_factory=dict)
    _by_arn: dict[str, list[Fact]] = field(default_factory=dict)
    _by_kind: dict[Kind, list[Fact]] = field(default_factory=dict)

    def __contains__(self, fact: Fact) -> bool:
        return fact in self.gains

    def add(self, fact: Fact, gain: Gain | None) -> None:
        """Add a fact; without a gain, the search starts from it."""
        self.gains[fact] = gain
        self._by_arn.setdefault(fact.arn, []).append(fact)
        self._by_kind.setdefault(fact.kind, []).append(fact)

    @property
    def changes_nothing(self) -> bool:
        """Whether no user, role, group or policy can be changed."""
        return self._by_kind.keys() <= {Kind.ACT, Kind.OUTSIDE}

    def about(self, arn: str, kind: Kind) -> list[Fact]:
        """The facts of a kind about a user, role, group or policy."""
        return [fact for fact in self._by_arn.get(arn, ()) if fact.kind is kind]

    def of_kind(self, kind: Kind) -> list[Fact]:
        """All facts of a kind."""
        return self._by_kind.get(kind, [])

    def steps_to(self, facts: Iterable[Fact]) -> list[Gain]:
        """The gains that lead to these facts, each after the gains that it needs."""
        steps: dict[Fact, Gain] = {}
        for fact in facts:
            self._add_steps(fact, steps)
        return list(steps.values())

    def _add_steps(self, fact: Fact, steps: dict[Fact, Gain]) -> None:
        gain = self.gains[fact]
        if gain is None or fact in steps:
            return
        for needed in self._needs(gain):
            self._add_steps(needed, steps)
        steps[fact] = gain

    def _needs(self, gain: Gain) -> Iterator[Fact]:
        yield gain.who
        yield from gain.needs
