"""Runs of the real code, executed request by request without threads.

A run depends only on the responses to its requests: its clock is fixed, and it waits for nothing.
So everything that it can do forms a tree. A node is a run up to some point, with the request that
it sends next; each response leads to a child. To create a child, the run is executed again from its
start: its earlier requests get the same responses, and the first new request stops it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from tests.proofs.remembered_s3 import Request, Transition

Program = Callable[[Any, Callable[[Any], None]], Any]
"""Called with a client, and with a function to call for each run that it starts."""


class Stopped(BaseException):
    """A run has reached a request that has no response yet."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run up to some point: it sends `request` next, or has ended with `outcome`.

    `started` are the runs that it has started so far. `number` is unique.
    """

    number: int
    program: Program
    requests: tuple[Request, ...]
    answers: tuple[Any, ...]
    request: Request | None
    started: tuple[Any, ...]
    outcome: Any
    children: dict[str, Run] = field(default_factory=dict)


@dataclass
class Runs:
    """Grows the trees of runs. `executed` counts the executions of the real code."""

    client: Any
    executed: int = 0
    _first: dict[Program, Run] = field(default_factory=dict)

    def begin(self, program: Program) -> Run:
        """The run before its first request."""
        if program not in self._first:
            self._first[program] = self._execute(program, (), ())
        return self._first[program]

    def step(self, run: Run, transition: Transition) -> Run:
        """The run after the response to its request."""
        assert run.request is not None
        if transition.meaning not in run.children:
            run.children[transition.meaning] = self._execute(
                run.program, (*run.requests, run.request), (*run.answers, transition.answer)
            )
        return run.children[transition.meaning]

    def _execute(
        self, program: Program, requests: tuple[Request, ...], answers: tuple[Any, ...]
    ) -> Run:
        self.executed += 1
        client, started, outcome = _Replay(self.client, requests, answers), [], None
        try:
            outcome = program(client, started.append)
        except Stopped:
            assert client.next is not None
        return Run(
            number=self.executed,
            program=program,
            requests=requests,
            answers=answers,
            request=client.next,
            started=tuple(started),
            outcome=outcome,
        )


class _Replay:
    """Replaces a client: returns the known responses, and stops the run at its `next` request."""

    def __init__(
        self, client: Any, requests: tuple[Request, ...], answers: tuple[Any, ...]
    ) -> None:
        self._client = client
        self._known = iter(zip(requests, answers, strict=True))
        self.next: Request | None = None

    def __getattr__(self, operation: str) -> Any:
        return partial(self._ask, operation)

    def get_paginator(self, operation: str) -> Any:
        paginator = self._client.get_paginator(operation)
        paginator._method = partial(self._ask, operation)
        return paginator

    def _ask(self, operation: str, **parameters: Any) -> Any:
        request = Request.of(operation, parameters)
        before, answer = next(self._known, (None, None))
        if before is None:
            self.next = self.next or request
            raise Stopped
        assert before.text == request.text, "a run depends on something other than the answers"
        if isinstance(answer, ClientError):
            raise ClientError(answer.response, answer.operation_name)
        return answer
