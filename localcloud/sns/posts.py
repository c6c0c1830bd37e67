"""Posts messages to subscribers by HTTP on this machine, one after another."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests

TIMEOUT_SECONDS = 5.0
_THIS_MACHINE = ("127.0.0.1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Post:
    """A request to a subscriber."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class Posts:
    """Sends posts in a thread, so that no publisher waits. `tell` gets a line for each failure.

    SNS would retry a failed post for a while; here it is sent once.
    """

    def __init__(self, *, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._changed = threading.Condition()
        self._waiting: deque[Post] = deque()
        self._closing = False

    def send(self, post: Post) -> None:
        """Queue the post and return at once."""
        with self._changed:
            self._waiting.append(post)
            self._changed.notify_all()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send posts until the block ends; those that wait then are discarded."""
        thread = threading.Thread(target=self._send_until_closing, name="posts")
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            thread.join()

    def _send_until_closing(self) -> None:
        # The session keeps a connection, and uses no proxy of this shell.
        with requests.Session() as session:
            session.trust_env = False
            while post := self._take():
                problem = _send(session, post)
                if problem:
                    self._tell(f"SNS: message not delivered to {post.url}: {problem}")

    def _take(self) -> Post | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return None if self._closing else self._waiting.popleft()


def _send(session: requests.Session, post: Post) -> str | None:
    """Why the subscriber did not accept the post; None if it did."""
    if urlsplit(post.url).hostname not in _THIS_MACHINE:
        return "the local cloud only reaches 127.0.0.1"
    try:
        answer = session.post(
            post.url, data=post.body, headers=dict(post.headers), timeout=TIMEOUT_SECONDS
        )
    except requests.RequestException as error:
        return type(error).__name__
    return None if answer.ok else f"HTTP {answer.status_code} {answer.reason}"
