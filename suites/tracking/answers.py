"""What a tracking server may answer: a limit of bytes and of seconds for every answer.

MLflow's timeout holds for each read of a socket, so that a server which sends a byte now and then is never left, and
it keeps whatever a server sends. Its HTTP sessions get adapters from here instead.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import requests
from mlflow.utils import request_utils
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from . import deadline

SECONDS = 30.0  # of a request with its answer
LARGEST = 64 * 2**20  # bytes of an answer, unpacked
REDIRECTS = 5
CHUNK = 2**14  # bytes that are unpacked at a time

_now = threading.local()  # of this thread: ``watch``, on the request that goes on


class _Watch:
    """Ends the connection of a request that takes too long, wherever it waits."""

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._socket: Any = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def on(self, connected: Any) -> None:
        self._socket = connected

    def _expire(self) -> None:
        self.expired = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> _Watch:
        _now.watch = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _now.watch = None


class _Watched:
    """Of a connection: the request that uses it is watched."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self._seen()

    def request(self, *arguments: Any, **options: Any) -> None:
        self._seen()  # one that was kept open
        super().request(*arguments, **options)  # type: ignore[misc]

    def _seen(self) -> None:
        watch = getattr(_now, "watch", None)
        if watch is not None and self.sock is not None:
            watch.on(self.sock)


class _Plain(_Watched, HTTPConnection):
    pass


class _Secure(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


POOLS = {"http": _PlainPool, "https": _SecurePool}


class Adapter(request_utils.TCPKeepAliveHTTPAdapter):
    """Reads an answer whole, or raises :class:`requests.Timeout` or :class:`requests.ConnectionError`."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
        left = deadline.left()
        seconds = SECONDS if left is None else min(SECONDS, left)
        late = f"the server did not answer within {max(seconds, 0):.0f} s"
        if seconds <= 0:
            raise requests.Timeout("no time is left to ask the server", request=request)
        with _Watch(seconds) as watch:
            try:
                response = super().send(request, *arguments, **options)
                response._content = _body(response)
            except Exception as error:
                if watch.expired:
                    deadline.waited()
                    raise requests.Timeout(late, request=request) from error
                raise
        if watch.expired:  # a connection that ends is the end of an answer without a length
            deadline.waited()
            raise requests.Timeout(late, request=request)
        response._content_consumed = True
        return response


def _body(response: Any) -> bytes:
    """The whole answer. Raises requests.ConnectionError for a longer one than :data:`LARGEST`."""
    parts, size = [], 0
    try:
        for part in response.iter_content(CHUNK):
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise requests.ConnectionError(f"the server's answer has more than {LARGEST >> 20} MiB")
    except BaseException:
        response.close()  # what is left of it is not read
        raise
    return b"".join(parts)


def limit() -> None:
    """From now on the sessions of MLflow's clients in this process have these limits."""
    plain: Callable[..., requests.Session] = request_utils._get_request_session
    if getattr(plain, "limited", False):
        return

    def limited(max_retries: int, *arguments: Any, **options: Any) -> requests.Session:
        session = plain(max_retries, *arguments, **options)
        for scheme in ("https://", "http://"):
            known: Any = session.adapters[scheme]
            if not isinstance(known, Adapter):
                session.mount(scheme, Adapter(max_retries=known.max_retries))
        session.max_redirects = REDIRECTS
        return session

    limited.limited = True  # type: ignore[attr-defined]
    request_utils._get_request_session = limited
