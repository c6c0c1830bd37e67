"""Serves the model of S3 to one program, and says as JSON what that program did.

A process of its own, and a small one: what the system says of a child's peak memory is never less
than what its parent used.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
import ssl
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from benchmarks.clock import JumpingClock, SummingClock, WallClock, can_see_threads, is_busy
from benchmarks.model import Answer, Model, Request, Series

HOST = "127.0.0.1"
LINE_LIMIT = 2**20
# How the path of a Lambda function's invocation begins, and how Lambda answers.
INVOKE = "2015-03-31"
INVOKED = Answer(operation="invoke", status=HTTPStatus.ACCEPTED)
# Lambda gives a function its share of a CPU in periods of this many seconds.
PERIOD = 0.02
# Seconds by the wall's clock after which a program is taken for stuck; the slowest needs two
# minutes, and on a machine that is busy several.
TIMEOUT = 1200.0


@dataclass(kw_only=True)
class Seen:
    """What a program did: model seconds, wall and CPU seconds, peak memory in MB."""

    seconds: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0
    megabytes: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)
    streams: int = 0
    """The most copies that were under way at once."""
    copied: int = 0
    copied_twice: int = 0
    """How many parts were copied more than once."""
    stored: dict[str, int] = field(default_factory=dict)
    """Each object there is at the end (bucket/key), with its size."""
    unfinished: int = 0
    status: int = 0
    output: str = ""


class Server:
    """HTTP/1.1 for the model: just as much of it as S3's clients speak."""

    def __init__(self, model: Model, clock: WallClock | SummingClock | JumpingClock) -> None:
        self.model = model
        self.clock = clock
        self.seen = Seen()
        self._copying = 0

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other until the client hangs up."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while (head := await reader.readuntil(b"\r\n\r\n")) != b"":
                first, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ")
                headers = {}
                for line in filter(None, lines):
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                if headers.get("expect"):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                parts = urlsplit(target)
                bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                request = Request(
                    method=method, bucket=bucket, key=key, query=query, headers=headers, body=body
                )
                answer = INVOKED if bucket == INVOKE else self.model.answer(request)
                await self._take_time(answer)
                await self._write(writer, method, answer)
        writer.close()

    async def _take_time(self, answer: Answer) -> None:
        requests = self.seen.requests
        requests[answer.operation] = requests.get(answer.operation, 0) + 1
        if answer.copied is None:
            await self.clock.wait(answer.seconds)
        else:
            self.seen.copied += answer.copied
            self._copying += 1
            self.seen.streams = max(self.seen.streams, self._copying)
            await self.clock.wait(answer.seconds)
            self._copying -= 1
        self.seen.seconds = self.clock.now

    async def _write(self, writer: asyncio.StreamWriter, method: str, answer: Answer) -> None:
        body = "" if method == "HEAD" else answer.body
        headers = {
            "x-amz-request-id": "0",
            "x-model-now": f"{self.clock.now:.6f}",
            **answer.headers,
        }
        if answer.status != HTTPStatus.NO_CONTENT:
            length = str(len(body.encode()))
            headers = {"Content-Length": length, "Content-Type": "application/xml", **headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {answer.status} Model\r\n{text}\r\n{body}".encode())
        await writer.drain()


async def serve(arguments: argparse.Namespace) -> Seen:
    """Run the command against a new model that holds the uploads, and watch it to its end."""
    model = Model()
    for upload in arguments.upload:
        path, _, size = upload.partition("=")
        bucket, _, key = path.partition("/")
        model.add(bucket, key, int(size))
    for series in arguments.series:
        path, _, size = series.partition("=")
        bucket, _, key = path.partition("/")
        number, _, seconds = size.partition("x")
        apart = timedelta(seconds=float(seconds))
        model.series[bucket, key] = Series(number=int(number), apart=apart)
    client: list[int] = []
    clock: WallClock | SummingClock | JumpingClock = WallClock()
    if arguments.clock == "jumping":
        clock = JumpingClock((lambda: is_busy(client[0])) if can_see_threads() else None)
    elif arguments.clock == "summing":
        clock = SummingClock()
    server = Server(model, clock)
    security = None
    if arguments.certificate:
        security = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        security.load_cert_chain(arguments.certificate)
    listener = await asyncio.start_server(
        server.connection, HOST, 0, backlog=1024, limit=LINE_LIMIT, ssl=security
    )
    address = f"{HOST}:{listener.sockets[0].getsockname()[1]}"
    endpoint = f"{'https' if security else 'http'}://{address}"
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *[word.replace("{address}", address) for word in arguments.command],
        env={**os.environ, "AWS_ENDPOINT_URL": endpoint},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    client.append(process.pid)
    tasks: list[asyncio.Task[Any]] = []
    if isinstance(clock, JumpingClock):
        tasks.append(asyncio.create_task(clock.run()))
    if arguments.cpu_share:
        tasks.append(asyncio.create_task(_share(process.pid, arguments.cpu_share)))
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        output = f"not done after {TIMEOUT:.0f} s by the wall's clock".encode()
        await process.wait()
    for task in tasks:
        task.cancel()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = server.seen
    seen.wall = time.monotonic() - began
    seen.cpu = used.ru_utime + used.ru_stime
    # Linux counts in KiB, macOS in bytes.
    seen.megabytes = used.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    seen.copied_twice = sum(times > 1 for times in model.ranges_copied.values())
    seen.stored = {"/".join(name): thing.size for name, thing in model.objects.items()}
    seen.unfinished = len(model.unfinished)
    seen.status = process.returncode or 0
    seen.output = output.decode(errors="replace")[-2000:]
    return seen


async def _share(process_id: int, share: float) -> None:
    """Give a process this share of one CPU and no more, as Lambda's memory setting does."""
    # Linux's clock of another process's CPU time (man 2 clock_getcpuclockid).
    clock = ~process_id << 3 | 2
    granted, last, stopped = PERIOD * share, time.monotonic(), False
    used = time.clock_gettime(clock)
    with suppress(ProcessLookupError, OSError):
        while True:
            await asyncio.sleep(PERIOD / 10)
            now, before, used = time.monotonic(), used, time.clock_gettime(clock)
            # What is not used is lost, but for one period's worth.
            granted = min(granted + (now - last) * share - (used - before), PERIOD * share)
            last = now
            if (granted < 0) != stopped:
                stopped = not stopped
                os.kill(process_id, signal.SIGSTOP if stopped else signal.SIGCONT)


def main() -> None:
    """Read what to do from the command line; one line of JSON on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upload", action="append", default=[], metavar="BUCKET/KEY=BYTES")
    parser.add_argument(
        "--series", action="append", default=[], metavar="BUCKET/KEY=NUMBERxSECONDS"
    )
    parser.add_argument("--clock", choices=("wall", "jumping", "summing"), default="jumping")
    parser.add_argument("--cpu-share", type=float)
    parser.add_argument("--certificate", help="speak TLS with this certificate and its key")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    arguments.command.remove("--")
    print(json.dumps(asdict(asyncio.run(serve(arguments)))))


if __name__ == "__main__":
    main()
