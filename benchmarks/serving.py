"""Serves the model of S3 to one program, and prints the program's results as JSON.

It is a small process of its own, because the system never reports a lower peak memory for a child
than for its parent.
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from benchmarks.clock import JumpingClock, SummingClock, WallClock, can_see_threads, is_busy
from benchmarks.model import CHECKSUM, READ_BANDWIDTH, Dated, Model, Request, Response, Series

HOST = "127.0.0.1"
LINE_LIMIT = 2**20
# The start of the path of a Lambda invocation, and Lambda's response.
INVOKE_PATH = "2015-03-31"
INVOKE_RESPONSE = Response(operation="invoke", status=HTTPStatus.ACCEPTED)
# Bytes of an object that are sent at a time.
PIECE = bytes(2**20)
# Lambda gives a function its share of a CPU in periods of this many seconds.
PERIOD = 0.02
# Wall-clock seconds after which a program counts as stuck. The slowest needs two minutes, and
# several on a busy machine.
TIMEOUT = 1200.0


@dataclass(kw_only=True)
class Measurement:
    """What a program did. `seconds` are the model's; memory is the peak, in MB."""

    seconds: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0
    megabytes: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)
    streams: int = 0
    """The maximum number of simultaneous copies, or of simultaneous reads of objects and ranges."""
    copied: int = 0
    copied_twice: int = 0
    """The number of parts that were copied more than once."""
    stored: dict[str, int] = field(default_factory=dict)
    """The size of each object (bucket/key) at the end."""
    unfinished: int = 0
    """The number of multipart uploads that are unfinished at the end."""
    status: int = 0
    output: str = ""


class Server:
    """Serves the model over HTTP/1.1, to the extent that S3 clients use it."""

    def __init__(self, model: Model, clock: WallClock | SummingClock | JumpingClock) -> None:
        self.model = model
        self.clock = clock
        self.measurement = Measurement()
        self._streams = 0

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Respond to one request at a time until the client closes the connection."""
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
                response = INVOKE_RESPONSE if bucket == INVOKE_PATH else self.model.respond(request)
                await self._take_time(response)
                await self._write(writer, method, response)
        writer.close()

    async def _take_time(self, response: Response) -> None:
        requests = self.measurement.requests
        requests[response.operation] = requests.get(response.operation, 0) + 1
        if response.copied is None:
            await self.clock.wait(response.seconds)
        else:
            self.measurement.copied += response.copied
            with self._stream():
                await self.clock.wait(response.seconds)
        self.measurement.seconds = self.clock.now

    async def _write(self, writer: asyncio.StreamWriter, method: str, response: Response) -> None:
        body = "" if method == "HEAD" else response.body
        headers = {
            "x-amz-request-id": "0",
            "x-model-now": f"{self.clock.now:.6f}",
            **response.headers,
        }
        if response.status != HTTPStatus.NO_CONTENT:
            length = str(len(body.encode()))
            headers = {"Content-Length": length, "Content-Type": "application/xml", **headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {response.status} Model\r\n{text}\r\n{body}".encode())
        await writer.drain()
        if method == "GET" and response.zeros:
            with self._stream():
                await self._send_zeros(writer, response.zeros)

    async def _send_zeros(self, writer: asyncio.StreamWriter, number: int) -> None:
        """Send an object's bytes, no faster than one connection transfers them."""
        began = self.clock.now
        for sent in range(0, number, len(PIECE)):
            piece = memoryview(PIECE)[: number - sent]
            due = began + (sent + len(piece)) / READ_BANDWIDTH
            if due > self.clock.now:
                await self.clock.wait(due - self.clock.now)
            writer.write(piece)
            await writer.drain()
        self.measurement.seconds = self.clock.now

    @contextmanager
    def _stream(self) -> Iterator[None]:
        self._streams += 1
        self.measurement.streams = max(self.measurement.streams, self._streams)
        try:
            yield
        finally:
            self._streams -= 1


def stocked_model(arguments: argparse.Namespace) -> Model:
    """Return a new model that holds what the command line specifies."""
    model = Model()
    for upload in arguments.upload:
        path, _, size = upload.partition("=")
        bucket, _, key = path.partition("/")
        model.add(bucket, key, int(size), checksum=arguments.checksum)
    for series in arguments.series:
        path, _, size = series.partition("=")
        bucket, _, key = path.partition("/")
        number, _, seconds = size.partition("x")
        apart = timedelta(seconds=float(seconds))
        model.series[bucket, key] = Series(number=int(number), apart=apart)
    for dated in arguments.dated:
        path, _, size = dated.partition("=")
        bucket, _, pattern = path.partition("/")
        number, _, seconds = size.partition("x")
        apart = timedelta(seconds=float(seconds))
        model.dated.append(Dated(bucket=bucket, pattern=pattern, number=int(number), apart=apart))
    return model


async def serve(arguments: argparse.Namespace) -> Measurement:
    """Run the command to completion against a new model that holds the uploads, and measure it."""
    model = stocked_model(arguments)
    process_ids: list[int] = []
    clock: WallClock | SummingClock | JumpingClock = WallClock()
    if arguments.clock == "jumping":
        clock = JumpingClock((lambda: is_busy(process_ids[0])) if can_see_threads() else None)
    elif arguments.clock == "summing":
        clock = SummingClock()
    server = Server(model, clock)
    context = None
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate)
    listener = await asyncio.start_server(
        server.connection, HOST, 0, backlog=1024, limit=LINE_LIMIT, ssl=context
    )
    address = f"{HOST}:{listener.sockets[0].getsockname()[1]}"
    endpoint = f"{'https' if context else 'http'}://{address}"
    start = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *[word.replace("{address}", address) for word in arguments.command],
        env={**os.environ, "AWS_ENDPOINT_URL": endpoint},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    process_ids.append(process.pid)
    tasks: list[asyncio.Task[Any]] = []
    if isinstance(clock, JumpingClock):
        tasks.append(asyncio.create_task(clock.run()))
    if arguments.cpu_share:
        tasks.append(asyncio.create_task(_throttle(process.pid, arguments.cpu_share)))
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        output = f"still running after {TIMEOUT:.0f} wall-clock seconds".encode()
        await process.wait()
    for task in tasks:
        task.cancel()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    measurement = server.measurement
    measurement.wall = time.monotonic() - start
    measurement.cpu = usage.ru_utime + usage.ru_stime
    # Linux counts in KiB, macOS in bytes.
    measurement.megabytes = usage.ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    measurement.copied_twice = sum(times > 1 for times in model.ranges_copied.values())
    measurement.stored = {"/".join(path): version.size for path, version in model.objects.items()}
    measurement.unfinished = len(model.multiparts)
    measurement.status = process.returncode or 0
    measurement.output = output.decode(errors="replace")[-2000:]
    return measurement


async def _throttle(process_id: int, share: float) -> None:
    """Give a process at most this share of one CPU, as Lambda's memory setting does."""
    # Linux's clock for the CPU time of another process (man 3 clock_getcpuclockid).
    clock = ~process_id << 3 | 2
    allowance, last, is_stopped = PERIOD * share, time.monotonic(), False
    used = time.clock_gettime(clock)
    with suppress(ProcessLookupError, OSError):
        while True:
            await asyncio.sleep(PERIOD / 10)
            now, before, used = time.monotonic(), used, time.clock_gettime(clock)
            # Unused time is lost, except for one period's share.
            allowance = min(allowance + (now - last) * share - (used - before), PERIOD * share)
            last = now
            if (allowance < 0) != is_stopped:
                is_stopped = not is_stopped
                os.kill(process_id, signal.SIGSTOP if is_stopped else signal.SIGCONT)


def main() -> None:
    """Serve as the command line specifies, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upload", action="append", default=[], metavar="BUCKET/KEY=BYTES")
    parser.add_argument("--checksum", default=CHECKSUM, help="of the uploads")
    parser.add_argument(
        "--series", action="append", default=[], metavar="BUCKET/KEY=NUMBERxSECONDS"
    )
    parser.add_argument(
        "--dated", action="append", default=[], metavar="BUCKET/PATTERN=NUMBERxSECONDS"
    )
    parser.add_argument("--clock", choices=("wall", "jumping", "summing"), default="jumping")
    parser.add_argument("--cpu-share", type=float)
    parser.add_argument("--certificate", help="serve TLS with this certificate and its key")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    arguments.command.remove("--")
    print(json.dumps(asdict(asyncio.run(serve(arguments)))))


if __name__ == "__main__":
    main()
