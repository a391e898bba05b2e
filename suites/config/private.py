"""What must not be written or shown: passwords in URLs, tokens of the environment, the path of the user's home.

A URL is stored without its user part (:func:`stored`) and gets it back where it is used (:func:`complete`): from the
option that this process or its driver was given, from ``MLFLOW_TRACKING_URI`` or ``HOLDFAST_STORAGE``, or, for a
database, from ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD`` (for a server MLflow reads these two
itself).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
)
URLS = ("MLFLOW_TRACKING_URI", "HOLDFAST_STORAGE")  # variables that may hold a URL with a password
LOGINS = "HOLDFAST_LOGINS"  # URLs given as options, one a line: worker processes inherit it, files never hold it
SHORTEST = 4  # characters of a secret that is looked for in a text: a shorter one is part of too many words

_USER = re.compile(r"([A-Za-z][\w+.-]*://)[^\s/?#'\"<>]*@")
_QUERY = re.compile(r"([?&](?:password|passwd|pwd|sslpassword|token|access_token|api_key|secret)=)[^&\s'\"<>]*", re.I)


def public(text: str) -> str:
    """The text with every URL in it without its user part, and with ``***`` for a password or token in its query."""
    return _QUERY.sub(r"\1***", _USER.sub(r"\1", text))


def _logins() -> Iterator[str]:
    """URLs with a user part that this process knows."""
    yield from os.environ.get(LOGINS, "").splitlines()
    yield from (os.environ[name] for name in URLS if os.environ.get(name))


def _secrets() -> Iterator[str]:
    for name in SECRETS:
        yield os.environ.get(name, "")
    for url in _logins():
        for password in re.findall(r"://[^\s/?#'\"<>]*?:([^\s/?#'\"<>]*)@", url):
            yield from (password, unquote(password))
        yield from (match[0].partition("=")[2] for match in _QUERY.finditer(url))


def redact(text: str) -> str:
    """A text for people (message, log, warning): :func:`public`, and ``***`` for every secret of the environment."""
    text = public(text)
    for secret in {s for s in _secrets() if len(s) >= SHORTEST}:
        text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return text


def _home() -> str:
    home = os.path.expanduser("~").rstrip("/")
    return home if home.startswith("/") else ""


def homeless(text: str) -> str:
    """The text with ``~`` for the user's home at the beginning of a path."""
    home = _home()
    return re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w.-])", "~", text) if home else text


def written(document: Any) -> Any:
    """A JSON document as it may lie on the disk: URLs without passwords, ``~`` for home.

    :func:`expanded` brings the paths back.
    """
    if isinstance(document, str):
        return homeless(public(document))
    if isinstance(document, dict):
        return {key: written(value) for key, value in document.items()}
    return [written(value) for value in document] if isinstance(document, list | tuple) else document


class LogFormatter(logging.Formatter):
    """A line of a log without secrets and without the path of the user's home."""

    def format(self, record: logging.LogRecord) -> str:
        return homeless(redact(super().format(record)))


def expanded(document: Any) -> Any:
    """A document with the home that :func:`written` took out of its paths and of its ``sqlite`` and ``file`` URLs."""
    if isinstance(document, str):
        match = re.fullmatch(r"(sqlite:///|file://)?~(/.*)?", document)
        return f"{match[1] or ''}{_home()}{match[2] or ''}" if match else document
    if isinstance(document, dict):
        return {key: expanded(value) for key, value in document.items()}
    return [expanded(value) for value in document] if isinstance(document, list | tuple) else document


def stored(url: str) -> str:
    """The URL as it is written to files: one spelling for one address."""
    text = str(written(url))
    return text.rstrip("/") if text.startswith("http") else text


def remember(url: str) -> str:
    """Keep the URL with its user part for this process and the workers that it starts; the form to store.

    Raises ValueError for a URL that cannot be taken apart: a password with ``/`` or ``@`` in it must be quoted.
    """
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError("the address cannot be read: write / in a user name or password as %2F, @ as %40") from error
    known = os.environ.get(LOGINS, "").splitlines()
    if public(url) != url and url not in known:
        os.environ[LOGINS] = "\n".join([*known, url])
    return stored(url)


def complete(url: str, mlflow: bool = True) -> str:
    """A stored URL with the user part that the environment knows for it, and with the whole path of home.

    ``mlflow``: it is a tracking store, whose login may be in MLflow's own variables.
    """
    for known in _logins():
        if public(known) != known and stored(known) == stored(url):
            return known
    url = str(expanded(url))
    name, word = (os.environ.get(f"MLFLOW_TRACKING_{part}", "") for part in ("USERNAME", "PASSWORD"))
    database = re.fullmatch(r"((?:postgresql|mysql|mssql)[\w+]*://)([^/@]+(?:[/?].*)?)", url)
    if mlflow and name and word and database:
        return f"{database[1]}{quote(name, safe='')}:{quote(word, safe='')}@{database[2]}"
    return url
