"""An S3 that executes each request once: (contents, request) -> (response, contents afterwards).

S3's clock is stopped, and each ID that S3 generates is named after the step that requested it. So
S3 is a function: its response and next contents depend only on its contents and the request. A
response to a request for one bucket is cached for the contents of only that bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError

from localcloud.clock import clock
from tests.proofs.invariants import (
    INCOMING,
    VAULT,
    Held,
    Holdings,
    keep,
    look,
    put_back,
)
from tests.support.world import bucket

# Headers that differ between two responses with the same meaning.
MEANINGLESS = {"date", "x-amz-request-id", "x-amz-id-2", "x-amzn-requestid"}
# Operations whose responses contain an ID that S3 generates.
MAKING_IDS = {"copy_object", "create_multipart_upload", "delete_object"}


@dataclass(frozen=True)
class Request:
    """A request to S3; equal requests have the same `text`."""

    operation: str
    parameters: dict[str, Any]
    text: str

    @classmethod
    def of(cls, operation: str, parameters: dict[str, Any]) -> Request:
        text = repr((operation, sorted(parameters.items())))
        return cls(operation=operation, parameters=parameters, text=text)

    @property
    def buckets(self) -> tuple[str, ...]:
        """The buckets on which the response depends."""
        copies = "CopySource" in self.parameters
        return (INCOMING, VAULT) if copies else (self.parameters["Bucket"],)


@dataclass(frozen=True, eq=False)
class Contents:
    """The contents of one bucket: equal contents have an equal `number`; `kept` restores them."""

    number: int
    holdings: Holdings
    kept: Any


@dataclass(frozen=True)
class Store:
    """The contents of both buckets."""

    incoming: Contents
    vault: Contents

    def of(self, name: str) -> Contents:
        return self.incoming if name == INCOMING else self.vault

    @property
    def numbers(self) -> tuple[int, int]:
        return self.incoming.number, self.vault.number

    @property
    def holdings(self) -> Holdings:
        vault = self.vault.holdings
        return replace(vault, incoming=self.incoming.holdings.incoming)


@dataclass(frozen=True)
class Transition:
    """S3's response to a request (perhaps an error), its meaning, and the next store."""

    answer: Any
    meaning: str
    store: Store


class Ids:
    """Generates S3's IDs instead of moto: each is named after the step that requests it."""

    def __init__(self) -> None:
        self.order = self.label = 0

    def __next__(self) -> int:
        """The position of a new version or multipart upload: after all others."""
        return self.order << 32 | self.label

    def uuid4(self) -> str:
        return version_id(self.label)


def version_id(label: int) -> str:
    """The ID of a version that the step with this label creates or initiates."""
    return f"version-{label}"


@dataclass
class S3:
    """Caches every transition; `sent` counts the requests that were really sent to S3."""

    client: Any
    ids: Ids
    sent: int = 0
    _contents: dict[tuple[str, str], Contents] = field(default_factory=dict)
    _answers: dict[tuple[Any, ...], tuple[Any, str, Store]] = field(default_factory=dict)

    def ask(self, store: Store, request: Request, *, label: int) -> Transition:
        """Send the request, or return the cached response. `label` is unique to the step."""
        send = partial(getattr(self.client, request.operation), **request.parameters)
        question = (request.text, label if request.operation in MAKING_IDS else None)
        return self._transition(store, request.buckets, question, send, label=label)

    def arrive(self, store: Store, number: int, send: Callable[[], Any]) -> Transition:
        """Execute the servers' step with this number. Versions are listed in step order."""
        return self._transition(store, (INCOMING,), number, send, label=number, order=number)

    def now(self) -> Store:
        """The contents of both buckets now."""
        holdings = look()
        stored = [version for held in holdings.vault.values() for version in held]
        return Store(
            incoming=self._recall(INCOMING, holdings, holdings.incoming),
            vault=self._recall(VAULT, holdings, stored),
        )

    def _transition(
        self,
        store: Store,
        buckets: tuple[str, ...],
        question: Any,
        send: Callable[[], Any],
        *,
        label: int,
        order: int | None = None,
    ) -> Transition:
        key = (*(store.of(name).number for name in buckets), question)
        if key not in self._answers:
            restore(store)
            self.ids.label, self.ids.order = label, _next_order() if order is None else order
            self.sent += 1
            try:
                answer = send()
            except ClientError as error:
                answer = error
            self._answers[key] = answer, _meaning(answer), self.now()
        answer, meaning, after = self._answers[key]
        return Transition(
            answer=answer,
            meaning=meaning,
            store=Store(
                incoming=after.incoming if INCOMING in buckets else store.incoming,
                vault=after.vault if VAULT in buckets else store.vault,
            ),
        )

    def _recall(self, name: str, holdings: Holdings, versions: Iterable[Held]) -> Contents:
        unfinished = [
            (id_, upload.attributes.metadata, [(n, part.etag) for n, part in upload.parts.items()])
            for id_, upload in bucket(name).multiparts.items()
        ]
        # Metadata is part of an object's identity, but not of its representation.
        text = repr(([(version, version.metadata) for version in versions], unfinished))
        if (name, text) not in self._contents:
            number, kept = len(self._contents), keep(name)
            self._contents[name, text] = Contents(number, holdings, kept)
        return self._contents[name, text]


def _next_order() -> int:
    """After every copy in the vault, finished or not."""
    of = bucket(VAULT)
    versions = [version for held in dict.values(of.keys) for version in held]
    places = [entry.place for entry in (*versions, *of.multiparts.values())]
    return 1 + max((int(place, 16) >> 32 for place in places), default=0)


def _meaning(answer: Any) -> str:
    failed = isinstance(answer, ClientError)
    content = dict(answer.response if failed else answer)
    about = content.pop("ResponseMetadata")
    headers = about["HTTPHeaders"].items()
    about = {
        "status": about["HTTPStatusCode"],
        "headers": sorted((key, value) for key, value in headers if key not in MEANINGLESS),
    }
    return repr((failed, sorted(content.items(), key=str), about))


# S3's store, ids and clock


def restore(store: Store) -> None:
    """Restore what S3 held."""
    for name in (INCOMING, VAULT):
        put_back(name, store.of(name).kept)


@contextmanager
def function_of_its_state(now: datetime) -> Iterator[Ids]:
    """Within the block, S3's clock stands still, and the IDs that S3 generates are not random."""
    ids = Ids()
    with (
        patch("localcloud.s3.events._moments", ids),
        patch("localcloud.s3.versions.mock_random", ids),
        patch("moto.s3.models.UPLOAD_ID_BYTES", 0),
    ):
        clock.stand_at(now)
        try:
            yield ids
        finally:
            clock.reset()
