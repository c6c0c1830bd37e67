"""`backups check`: the state of the backups, and who can destroy them, as the account shows it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from textwrap import shorten

from admin.check.alerts.muted import check_mute_rules
from admin.check.alerts.readers import check_readers
from admin.check.alerts.trail import check_trail
from admin.check.backups import check_backups
from admin.check.deployed_function import DeployedFunction
from admin.check.foreign import (
    check_beside_our_settings,
    check_other_rules,
    check_other_statements,
)
from admin.check.function import check_function
from admin.check.people.identities import Identities
from admin.check.people.places import places_by_account
from admin.check.people.principals import check_principals
from admin.check.people.root import check_root
from admin.check.people.server_users import check_server_users
from admin.check.reach.findings import check_ways
from admin.check.recorded import check_recorded
from admin.check.report import Finding, Part, Report
from admin.check.role import check_borrowed_roles
from admin.config.reading import FUNCTIONS
from admin.desired.door import EVERYONE, whom_it_is_open_to
from admin.desired.requirement import Kind, Requirement
from admin.setup.files import changes, stage_files
from admin.setup.plan import Change, make_plan, requirements_of
from admin.setup.replaced import LONGEST
from admin.target import Target

# The names of these settings in VAULT_SETTINGS, where they differ.
_RECORDED_AS = {
    Kind.BUCKET_POLICY: "policy",
    Kind.OBJECT_LOCK: "lock",
    Kind.PUBLIC_ACCESS: "public-access",
}


def check(
    target: Target, *, now: datetime, tell: Callable[[str], None], all_backups: bool = False
) -> Report:
    """Check the backups, then everything that protects them. Changes nothing.

    For each rule and server, the locks of the most recently stored backups are checked, or of all
    with `all_backups`. The report lists what the caller is not allowed to read; any other error of
    AWS is raised. `tell` gets a line before each group of parts.
    """
    report = Report()
    for part in parts_of(target, now=now, tell=tell, all_backups=all_backups):
        report.collect(part)
    return report


def parts_of(
    target: Target, *, now: datetime, tell: Callable[[str], None], all_backups: bool
) -> Iterator[Part]:
    """The parts of the check, in order: outcomes come before settings."""
    tell("Looking at the stored backups and the waiting uploads ...")
    yield from check_backups(target, now=now, all_backups=all_backups)
    requirements = requirements_of(target)
    tell(f"Comparing {len(requirements)} settings ...")
    alarms = [requirement for requirement in requirements if _is_read_at_once(requirement)]
    others = (requirement for requirement in requirements if not _is_read_at_once(requirement))
    for _, group in groupby(others, key=lambda requirement: requirement.resource):
        yield from _settings(target, [*group])
    yield Part("the alarms", _check_setting(target, *alarms))
    yield Part("the files in .chalice/", _check_files(target))
    yield Part("whether a trail logs API calls", check_trail(target))
    yield Part("whether alarms are muted", check_mute_rules(target))
    yield Part("who receives the alerts", check_readers(target))
    for handler in FUNCTIONS:
        function = DeployedFunction(target=target, handler=handler)
        tell(f"Comparing the function {function.name} ...")
        yield Part(f"the function {function.name}", check_function(function))
    yield Part("which functions have roles of this app", check_borrowed_roles(target))
    tell("Reading the rights of all users and roles ...")
    yield from people_of(target)


def people_of(target: Target) -> Iterator[Part]:
    """The parts of the check that judge users and roles."""
    downloads = downloads_of(target)
    yield Part("the server users", check_server_users(target, downloads[0]))
    for account, places in places_by_account(target):
        [where] = (download for download in downloads if download.account is account)
        yield Part(f"who has rights on {places[0].name}", check_principals(target, where, places))
    yield Part("who can become whom", check_ways(target, downloads))
    for download in downloads:
        yield Part("whether the root user has an access key", check_root(download.account))


def downloads_of(target: Target) -> list[Identities]:
    """The principals of the functions' account, and of the vault's account if it differs."""
    accounts = [target.account, target.vault_account]
    return [Identities(account) for account in accounts[: 1 + target.vault_has_own_account]]


def _is_read_at_once(requirement: Requirement) -> bool:
    """True for alarms, which one request reads, except those that wait for a function."""
    return requirement.kind is Kind.ALARM and not requirement.needs_deployment


def _settings(target: Target, requirements: list[Requirement]) -> Iterator[Part]:
    """The settings of one resource; a bucket's settings are parts of the bucket."""
    first, *others = requirements
    if first.kind is Kind.BUCKET:
        yield Part(_in_words(first), _check_bucket(target, first, others))
        return
    for requirement in requirements:
        yield Part(_in_words(requirement), _check_setting(target, requirement))


def _check_bucket(
    target: Target, bucket: Requirement, settings: list[Requirement]
) -> Iterator[Finding | Part]:
    """Check that the bucket exists; if it does, its settings are parts."""
    missing = [*_check_setting(target, bucket)]
    if missing:
        yield from missing
        return
    found: set[str] = set()
    for setting in settings:
        findings = _check_setting(target, setting)
        yield Part(
            _in_words(setting),
            _noting(_RECORDED_AS.get(setting.kind, setting.kind), found, findings),
        )
    name = bucket.resource
    others = check_beside_our_settings(target, name)
    yield Part(f"other settings of {name}", _noting("replication", found, others))
    if name == target.vault:
        recorded = check_recorded(target, found=found)
        yield Part(f"whether settings of {name} have changed", recorded)


def _noting(name: str, found: set[str], findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings; the name of their setting in VAULT_SETTINGS is added to `found`."""
    for finding in findings:
        found.add(name)
        yield finding


def _check_setting(
    target: Target, requirement: Requirement, *alarms: Requirement
) -> Iterator[Finding]:
    """Check something that `setup` writes, and what others have added to it; or further alarms."""
    plan = make_plan(target.account, (requirement, *alarms), lock_named=False)
    shorter = ["--allow-shorter"] if plan.weakens else []
    for change in plan.changes:
        yield Finding(
            what=_what_is_wrong(change),
            why=change.requirement.why,
            remedy=target.fix_setup(*shorter),
        )
    others = [entry for _, entry in plan.foreign]
    match requirement.kind:
        case Kind.LIFECYCLE:
            yield from check_other_rules(target, requirement, others)
        case Kind.BUCKET_POLICY:
            yield from check_other_statements(target, requirement, others)


def _in_words(requirement: Requirement) -> str:
    """What is checked, in words: "backups2 (keep every version)"."""
    subject, colon, task = requirement.summary.partition(": ")
    return f"{subject} ({task})" if colon else subject


def _what_is_wrong(change: Change) -> str:
    """The finding's sentence: "SUBJECT should VERB, but ...", or "THING is missing"."""
    subject, _, task = change.requirement.summary.partition(": ")
    if subject != change.requirement.resource:  # the name of a bucket stays lowercase
        subject = subject[0].upper() + subject[1:]
    if task:
        return f"{subject} should {task}, but {_difference(change)}"
    if change.actual is None:
        return f"{subject} is missing"
    if change.requirement.desired is None:
        return f"{subject} is still there"
    return f"{subject} is not as it should be: {_difference(change)}"


def _difference(change: Change) -> str:
    """What the account has instead, in a few words."""
    desired, actual = change.requirement.desired, change.actual
    match actual:
        case None:
            return "does not"
        case {"mode": mode, "days": days, **others} if not others:
            in_mode = f" ({mode.lower()})" if mode != desired["mode"] else ""
            return f"locks them for {days} day{'s' * (days != 1)}{in_mode}"
        case str():
            return f"has {actual}"
        case list():
            user_id = whom_it_is_open_to(actual)
            who = "everyone" if user_id == EVERYONE else user_id
            opened = f"it is open to {who}, who can change every setting: " if who else ""
            different = [
                *(entry for entry in desired if entry not in actual),
                *(entry for entry in actual if entry not in desired),
            ]
            names = {entry.get("Sid") or entry.get("ID") or entry["Id"] for entry in different}
            return f"{opened}{', '.join(sorted(names))} is missing or different"
        case _:
            names = {name for name in {*desired, *actual} if desired.get(name) != actual.get(name)}
            values = {name: shorten(str(actual.get(name)), LONGEST) for name in names}
            return ", ".join(f"{name} is {values[name]}" for name in sorted(names))


def _check_files(target: Target) -> Iterator[Finding]:
    for path in changes(stage_files(target.policy, target.stage, variables=target.variables)):
        yield Finding(
            what=f".chalice/{path.name} is out of date",
            why="backups setup would now write other permissions, owners, locks, alarms or "
            "accepted names into it. Until it does, chalice deploy uses the old ones.",
            remedy=target.fix_setup(),
        )
