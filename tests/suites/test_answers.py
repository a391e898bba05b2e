"""Servers that answer without end, byte by byte, or not at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from holdfast.suites.tracking import answers, deadline, delivery, parents, sender
from holdfast.suites.tracking.store import client_class

IDENTITY = sender.RunIdentity(
    run_uid="u", suite="s", invocation_uid="i", method="m", seed=0, params={}, tags={}, dataset={}
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def whole(client: socket.socket) -> None:
    client.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")


def endless(client: socket.socket) -> None:
    client.sendall(HEAD + b"\r\n")
    while True:
        client.sendall(b" " * 2**16)


def dripping_body(client: socket.socket) -> None:
    client.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        client.sendall(b" ")
        time.sleep(0.02)


def dripping_head(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        client.sendall(b"x")
        time.sleep(0.02)


def without_length(client: socket.socket) -> None:
    client.sendall(HEAD + b"\r\n")
    while True:
        client.sendall(b" ")
        time.sleep(0.02)


Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """The address of a server that answers every request like this."""
    client_class()
    monkeypatch.setattr(answers, "SECONDS", 0.4)
    listeners = []

    def one(client: socket.socket, answer: Callable[[socket.socket], None]) -> None:
        with client, suppress(OSError):
            client.recv(2**16)
            answer(client)

    def accept(listener: socket.socket, answer: Callable[[socket.socket], None]) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0], answer), daemon=True).start()

    def start(answer: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=accept, args=(listener, answer), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


def ask(address: str) -> requests.Response:
    from mlflow.utils import request_utils

    session = request_utils._get_request_session(0, 0, 0, (), False, True)
    return session.get(address, timeout=10)


def test_a_whole_answer_is_as_it_was(serve: Serve) -> None:
    assert ask(serve(whole)).json() == {}


@pytest.mark.parametrize("answer", [dripping_body, dripping_head, without_length])
def test_an_answer_that_drips_is_given_up(answer: Callable[[socket.socket], None], serve: Serve) -> None:
    begun = time.monotonic()
    with pytest.raises(requests.Timeout, match="did not answer within"):
        ask(serve(answer))
    assert time.monotonic() - begun < 5


def test_an_answer_without_end_is_not_kept(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SECONDS", 30.0)
    monkeypatch.setattr(answers, "LARGEST", 2**20)
    with pytest.raises(requests.ConnectionError, match="more than 1 MiB"):
        ask(serve(endless))


def test_no_request_outlasts_the_end_of_all(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SECONDS", 30.0)
    begun = time.monotonic()
    with deadline.within(0.3), deadline.within(60.0):
        for _ in range(2):
            with pytest.raises(requests.Timeout):
                ask(serve(dripping_body))
    assert time.monotonic() - begun < 5


def test_two_answers_that_do_not_come_are_the_end_of_all(serve: Serve) -> None:
    """A server that answers every other request would hold ``suites sync`` for as long as its end allows."""
    bad, good = serve(dripping_body), serve(whole)
    with deadline.within(600.0):
        for _ in range(deadline.LATE):
            assert ask(good).json() == {}
            with pytest.raises(requests.Timeout, match="did not answer within"):
                ask(bad)
        assert deadline.over()
        with pytest.raises(requests.Timeout, match="no time is left"):
            ask(good)
    with deadline.within(600.0):
        assert ask(good).json() == {}


def test_what_stands_above_runs_is_given_up_too(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SECONDS", 30.0)
    monkeypatch.setattr(parents, "SECONDS", 0.3)
    begun = time.monotonic()
    problem = parents.send(tmp_path, IDENTITY, serve(dripping_body), parents.Summary())
    assert problem is not None
    assert "did not answer within" in problem
    assert time.monotonic() - begun < 5
    assert deadline.left() is None


def test_the_client_of_a_store_has_these_limits(serve: Serve) -> None:
    begun = time.monotonic()
    with pytest.raises(Exception, match="did not answer within"):
        client_class()(tracking_uri=serve(dripping_body)).search_experiments()
    assert time.monotonic() - begun < 5


def test_a_dead_store_costs_one_wait_and_keeps_no_thread(tmp_path: Path, free_port: Callable[[], int]) -> None:
    uri, waits = f"http://127.0.0.1:{free_port()}", []
    before = threading.active_count()
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "journal.jsonl").write_text("")
        one = delivery.Delivery(folder, IDENTITY, uri)
        one.start()
        begun = time.monotonic()
        assert one.finish("FINISHED", timeout=2.0).problem
        waits.append(time.monotonic() - begun)
    assert sum(waits[1:]) < 3 * (delivery.DEAD + 0.3)
    for _ in range(100):
        if threading.active_count() <= before:
            break
        time.sleep(0.05)
    assert threading.active_count() <= before
