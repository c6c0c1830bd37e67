"""Explains the policy in plain English and lists the next slots."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from admin.periods import PERIODS
from admin.storage_classes import SMALL_STAY, STORAGE_CLASSES
from chalicelib.ages import age_in_words
from chalicelib.policy.policy import Policy, Slot
from chalicelib.settings import Settings


def describe(policy: Policy, settings: Settings, *, moment: datetime) -> dict[str, Any]:
    """The policy as data, with each upload's slot at `moment` (aware) and the next ones.

    Times are ISO 8601, in the rule's time zone; sizes are in bytes.
    """
    return {
        "incoming": settings.incoming_bucket,
        "vault": settings.vault_bucket,
        "timezone": policy.timezone.key,
        "accept_within_hours": int(policy.accept_within.total_seconds() // 3600),
        "keep_days": policy.keep_days,
        "archive": asdict(policy.archive) if policy.archive else None,
        "at": moment.isoformat(),
        "uploads": [
            {
                "upload": key,
                "server": server,
                "store_as": rule.store_as.text,
                "stored": PERIODS[rule.store_as.unit].often,
                "timezone": rule.timezone.key,
                "min_bytes": rule.min_bytes,
                "max_bytes": rule.max_bytes,
                "storage_class": rule.storage_class,
                "due_minutes": rule.due_minutes,
                "expect": _expectation(rule.expect),
                "small": rule.small,
                "slots": [_slot(slot) for slot in _slots(policy, key, moment)],
            }
            for key, (rule, server) in policy.server_keys.items()
        ],
    }


def as_text(description: dict[str, Any], *, only_at: bool) -> str:
    """The data of `describe` as text. `only_at`: only the slots at the given time."""
    if only_at:
        width = max(len(upload["upload"]) for upload in description["uploads"])
        return "\n".join(
            [f"Uploaded at {description['at']}:"]
            + [
                f"  {upload['upload']:{width}}  ->  {_slot_text(upload['slots'][0])}"
                for upload in description["uploads"]
            ]
        )
    incoming, vault = description["incoming"], description["vault"]
    lines = [
        f"Uploads to {incoming} are promoted to {vault}, each into its own slot, within",
        f"{description['accept_within_hours']} hours of the upload. No slot is filled twice.",
        " ".join(_keeping(description)),
    ]
    for upload in description["uploads"]:
        lines += [
            "",
            f"{upload['upload']}: stored {upload['stored']} as {upload['store_as']}",
            f"  {_size_text(upload)}; {upload['storage_class']}; times in {upload['timezone']}",
            f"  {_expectation_text(upload)}",
            *(
                f"  {when:5} {_slot_text(slot)}"
                for when, slot in zip(_WHEN, upload["slots"], strict=False)
            ),
        ]
    return "\n".join(lines)


def _keeping(description: dict[str, Any]) -> Iterator[str]:
    if days := description["keep_days"]:
        yield f"Backups expire after {days} days."
    else:
        yield "Backups never expire."
    if archive := description["archive"]:
        to, reading = archive["to"], STORAGE_CLASSES[archive["to"]].reading
        yield f"After {archive['after_days']} days they move to {to} ({reading}). {SMALL_STAY}"


_WHEN = ("now", "next", "then")


def _slots(policy: Policy, key: str, moment: datetime) -> list[Slot]:
    slots = [policy.slot_of(key, moment)]
    while len(slots) < len(_WHEN):
        slots.append(policy.slot_of(key, slots[-1].end))
    return slots


def _slot(slot: Slot) -> dict[str, str]:
    start, end = (edge.astimezone(slot.rule.timezone) for edge in (slot.start, slot.end))
    edges = {"start": start.isoformat(), "end": end.isoformat()}
    return {"name": slot.name, **edges, "due": slot.due.astimezone(start.tzinfo).isoformat()}


def _slot_text(slot: dict[str, str]) -> str:
    start, end = (datetime.fromisoformat(slot[edge]) for edge in ("start", "end"))
    return f"{slot['name']}  ({start:%a %d %b %Y %H:%M} to {end:%a %d %b %Y %H:%M})"


def _size_text(upload: dict[str, Any]) -> str:
    least, most = upload["min_bytes"], upload["max_bytes"]
    if most is None:
        return f"{least:,} byte{'s' * (least > 1)} or more (no max_bytes)"
    return f"{least:,} to {most:,} bytes"


def _expectation(expect: bool | timedelta) -> bool | str:  # noqa: FBT001 - the policy's value
    """The value as written in `policy.toml`."""
    return expect if isinstance(expect, bool) else f"{expect // timedelta(hours=1)}h"


def _expectation_text(upload: dict[str, Any]) -> str:
    """When a backup counts as missing, and when as small."""
    match upload["expect"], upload["due_minutes"]:
        case False, _:
            sentence = "never counts as missing"
        case str(age), _:
            sentence = f"missing if the newest backup is older than {age.removesuffix('h')} hours"
        case _, None:
            end, due = (datetime.fromisoformat(upload["slots"][0][edge]) for edge in ("end", "due"))
            sentence = f"missing if not stored within {age_in_words(due - end)} after its slot ends"
        case _, minutes:
            sentence = f"missing if not stored within {minutes:,} minutes after its slot begins"
    return f"{sentence}; small if below half of the usual size" if upload["small"] else sentence
