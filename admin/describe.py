"""The policy as a person would say it, and the slots that are next."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from admin.desired.storage_classes import RETRIEVAL
from chalicelib.policy.policy import Policy, Slot
from chalicelib.settings import Settings

_ADVERBS = {
    "minute": "once a minute",
    "hour": "once an hour",
    "day": "once a day",
    "week": "once a week",
    "month": "once a month",
    "year": "once a year",
}


def describe(policy: Policy, settings: Settings, *, moment: datetime) -> dict[str, Any]:
    """The policy as data; of each upload, the slot at `moment` (aware) and those that follow.

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
                "stored": _ADVERBS[rule.store_as.unit],
                "timezone": rule.timezone.key,
                "min_bytes": rule.min_bytes,
                "max_bytes": rule.max_bytes,
                "storage_class": rule.storage_class,
                "slots": [_slot(slot) for slot in _slots(policy, key, moment)],
            }
            for key, (rule, server) in policy.uploads.items()
        ],
    }


def say(told: dict[str, Any], *, asked: bool) -> str:
    """`describe`'s data as text. `asked`: only the slots of the moment somebody asked about."""
    if asked:
        width = max(len(upload["upload"]) for upload in told["uploads"])
        return "\n".join(
            [f"Uploaded at {told['at']}:"]
            + [
                f"  {upload['upload']:{width}}  ->  {_say_slot(upload['slots'][0])}"
                for upload in told["uploads"]
            ]
        )
    lines = [
        f"Uploads to {told['incoming']} are promoted into {told['vault']}, each into its own slot,",
        f"until {told['accept_within_hours']} hours after they were made. No slot is filled twice.",
        " ".join(_keeping(told)),
    ]
    for upload in told["uploads"]:
        lines += [
            "",
            f"{upload['upload']}: stored {upload['stored']} as {upload['store_as']}",
            f"  {_say_sizes(upload)}; {upload['storage_class']}; times in {upload['timezone']}",
            *(
                f"  {when:5} {_say_slot(slot)}"
                for when, slot in zip(_WHEN, upload["slots"], strict=False)
            ),
        ]
    return "\n".join(lines)


def _keeping(told: dict[str, Any]) -> Iterator[str]:
    if days := told["keep_days"]:
        yield f"What is stored expires after {days} days."
    else:
        yield "Nothing ever expires."
    if archive := told["archive"]:
        to = archive["to"]
        yield f"After {archive['after_days']} days it is in {to}: {RETRIEVAL[to]}."


_WHEN = ("now", "next", "then")


def _slots(policy: Policy, key: str, moment: datetime) -> list[Slot]:
    slots = [policy.slot_of(key, moment)]
    while len(slots) < len(_WHEN):
        slots.append(policy.slot_of(key, slots[-1].end))
    return slots


def _slot(slot: Slot) -> dict[str, str]:
    start, end = (edge.astimezone(slot.rule.timezone) for edge in (slot.start, slot.end))
    return {"name": slot.name, "start": start.isoformat(), "end": end.isoformat()}


def _say_slot(slot: dict[str, str]) -> str:
    start, end = (datetime.fromisoformat(slot[edge]) for edge in ("start", "end"))
    return f"{slot['name']}  ({start:%a %d %b %Y %H:%M} to {end:%a %d %b %Y %H:%M})"


def _say_sizes(upload: dict[str, Any]) -> str:
    least, most = upload["min_bytes"], upload["max_bytes"]
    if most is None:
        return f"{least:,} byte{'s' * (least > 1)} or more (no max_bytes)"
    return f"{least:,} to {most:,} bytes"
