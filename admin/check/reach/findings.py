"""Finds everyone who can become a principal with power over the backups, and cuts their ways."""

from collections.abc import Iterable, Iterator, Sequence

from admin.account import Account
from admin.check.people.identities import Identities, Principal
from admin.check.people.principals import fix_by_denial, is_listed
from admin.check.people.server_users import additions_to
from admin.check.reach.denials import WAY_DENIAL, Right, denial_of
from admin.check.reach.graph import Graph, Source
from admin.check.reach.search import Found, cut, search
from admin.check.reach.sentences import sentence_of
from admin.check.reach.targets import Rank
from admin.check.reach.trust import (
    ANYONE,
    ASSUME,
    is_public,
    trusting,
    without,
)
from admin.check.report import Administrator, Finding, Worst
from admin.desired.permissions import (
    Document,
    document,
    statements,
)
from admin.target import Target

COULD = {
    Rank.ADMINISTRATOR: "remove the vault's protection, and then every backup",
    Rank.DEPLOYER: "run their own code with the rights of a function",
    Rank.SERVER: "upload as a server",
}
# A trust policy must have a statement.
NOBODY = document({"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": ASSUME})
ONE_OTHER = 2


def check_ways(
    target: Target, downloads: Sequence[Identities]
) -> Iterator[Finding | Administrator]:
    """Find everyone who can become a target, with the shortest way; and the known administrators.

    Those that the stage's configuration lists are not findings. Principals who are targets without
    any step are found elsewhere.
    """
    graph = Graph.of(target, downloads)
    for source in graph.sources:
        found = search(graph, source)
        if is_known(target, source):
            own = graph.goals.get(source.arn)
            goals = [goal for goal in (own, found and found.goal) if goal]
            if any(goal.rank is Rank.ADMINISTRATOR for goal in goals):
                yield Administrator(str(source.principal or source.label))
        elif found and not is_reported_elsewhere(found, graph):
            yield _finding(found, graph, target)


def is_known(target: Target, source: Source) -> bool:
    """Whether the stage's configuration lists the source, and its ARN identifies it."""
    can_be_known = source.outsider is None or source.outsider.can_be_known
    return can_be_known and is_listed(target, source.arn)


def is_reported_elsewhere(found: Found, graph: Graph) -> bool:
    """Whether the way is covered by another finding.

    This holds for a way that is only the trust of a function's role, which is checked elsewhere,
    and for one that begins with a trust in everyone and needs no other rights, because one finding
    per principal would be too many.
    """
    first, *others = found.gains
    role = graph.world.principals.get(first.fact.arn)
    if role is None or first.rights != ((ASSUME, role.arn),):
        return False
    if graph.targets.is_role(role) and not others:
        return True
    on_its_own = all(gain.who != found.source.fact for gain in others)
    return found.source.outsider is None and is_public(role) and on_its_own


def _finding(found: Found, graph: Graph, target: Target) -> Finding:
    source, cuts = found.source, cut(graph, found.source)
    rights = [right for cut_rights in cuts for right in cut_rights]
    is_server = source.principal is not None and graph.targets.is_server(source.principal)
    is_anyone = source.outsider is not None and source.outsider.arn == ANYONE
    return (Worst if is_server or is_anyone else Finding)(
        what=sentence_of(found) + _others(len(cuts)),
        why=_why(found, target, is_server=is_server),
        remedy=_remedy(source, rights, graph, target),
    )


def _others(ways: int) -> str:
    return f" (and {ways - 1} other way{'s' * (ways != ONE_OTHER)})" if ways > 1 else ""


def _why(found: Found, target: Target, *, is_server: bool) -> str:
    source, could = found.source, COULD[found.goal.rank]
    if is_server:
        return f"This is the user of a server: an intruder there could {could}."
    if source.outsider and not source.outsider.can_be_known:
        return (
            f"Nobody knows who that is, and they could {could}. A trust policy has to say whose "
            "principals or tokens it accepts; the list of administrators cannot."
        )
    return (
        f"They could {could}. If this is intended, add {source.arn} to the list "
        f'"administrators" of stage {target.stage.name} in .chalice/config.json.'
    )


def _remedy(source: Source, rights: Sequence[Right], graph: Graph, target: Target) -> str:
    """The command line that cuts all ways."""
    principal = source.principal
    if principal is None:
        roles = {resource for _, resource in rights}
        return _without_trust(
            ((role, statement) for role, statement in source.roles if role.arn in roles),
            source.arn,
            "",
            graph,
            target,
        )
    if graph.targets.is_server(principal) or graph.targets.is_role(principal):
        return _remedy_of_ours(principal, rights, graph, target)
    account = _account(principal, graph)
    return fix_by_denial(principal, WAY_DENIAL, denial_of(rights), account=account, target=target)


def _remedy_of_ours(
    principal: Principal, rights: Sequence[Right], graph: Graph, target: Target
) -> str:
    """A server's user or a function's role has its own IAM policy, and nothing else."""
    trusts = {resource for action, resource in rights if action == ASSUME}
    roles = [role for role in graph.world.roles if role.arn in trusts]
    commands = [
        _without_trust(
            ((role, statement) for role in roles for statement in trusting(role, principal)),
            principal.arn,
            principal.id,
            graph,
            target,
        )
    ]
    if graph.targets.is_server(principal):
        commands += additions_to(target, principal).values()
    return " && ".join(command for command in commands if command) or (
        f"remove all IAM policies of {principal} but its own, {principal.name}"
    )


def _without_trust(
    trusted: Iterable[tuple[Principal, Document]],
    arn: str,
    principal_id: str,
    graph: Graph,
    target: Target,
) -> str:
    """The command lines that remove a principal from these statements of trust policies.

    Other principals in the statement stay: one of them could be the only administrator.
    """
    removed: dict[str, list[Document]] = {}
    for role, statement in trusted:
        removed.setdefault(role.arn, []).append(statement)
    commands = []
    for role_arn, gone in removed.items():
        role = graph.world.principals[role_arn]
        kept = [
            left
            for statement in statements(role.trust)
            if (left := without(statement, arn, principal_id) if statement in gone else statement)
        ]
        commands.append(
            target.fix_account(
                _account(role, graph),
                "iam",
                "update-assume-role-policy",
                role_name=role.name,
                policy_document={**role.trust, "Statement": kept} if kept else NOBODY,
            )
        )
    return " && ".join(commands)


def _account(principal: Principal, graph: Graph) -> Account:
    return graph.world.accounts[principal.account].account
