"""Messages to webhooks: Slack's and those that understand the same, and any that takes JSON.

Belongs here: the documents that are posted, and one try to post one. Does not belong here: when to try again
(`automation.alerting`).

A webhook's address is a secret: nothing that is returned or logged names more of it than the host. Redirects are not
followed, for they would carry the message to where nobody meant it to go.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from analytics_assets.outlets.messages import Failure, Message, Patience
from analytics_assets.project.alerts import SlackChannel, WebhookChannel

if TYPE_CHECKING:
    import requests

_AGENT = "analytics-assets"
_AGAIN = {408, 425, 429}
_MARKS = {"error": ":red_circle:", "warning": ":large_yellow_circle:", "info": ":information_source:"}
_GOOD = ":large_green_circle:"
_CALLS = ("@channel", "@here", "@everyone", "@all")


def slack_document(message: Message, *, samples: bool = True) -> dict[str, Any]:
    """Write a message as Slack's incoming webhooks take it; nothing in it can call people or pose as a link.

    >>> import datetime as dt
    >>> at = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
    >>> told = Message("1", at, "shop", "opened", "run", "error", "daily failed", ("<!channel> & @here",))
    >>> slack_document(told)["text"].splitlines()[1].replace(chr(0x200B), "")
    '&lt;!channel&gt; &amp; @here'
    """
    mark = _GOOD if message.change == "recovered" else _MARKS.get(message.severity, "")
    links = "\n".join(f"<{address}|{_escaped(words)}>" for words, address in message.links)
    plain = Message(**{**vars(message), "links": ()})
    body = "\n".join(map(_escaped, plain.text(samples=samples)))
    text = "\n".join(filter(None, (f"{mark} *{_escaped(message.title)}*", body, links)))
    return {"text": text}


def json_document(message: Message, *, samples: bool = True) -> dict[str, Any]:
    """Write a message as a document for programs."""
    return {
        "id": message.id,
        "at": message.at.isoformat(),
        "project": message.project,
        "change": message.change,
        "kind": message.kind,
        "severity": message.severity,
        "title": message.title,
        "text": "\n".join(message.text(samples=samples)),
        "samples": list(message.samples) if samples else [],
        "advice": list(message.advice),
        "links": [{"title": words, "url": address} for words, address in message.links],
        "answers": message.answers,
        **message.fields,
    }


def post(
    message: Message,
    name: str,
    channel: SlackChannel | WebhookChannel,
    environment: Mapping[str, str],
    patience: Patience,
) -> Failure | None:
    """Post a message once; say why it did not arrive, if it did not.

    Args:
        message: The message.
        name: The channel's name.
        channel: The channel.
        environment: Holds its secrets.
        patience: How long to wait.
    """
    url = environment.get(channel.url_env, "").strip()
    if not url:
        return Failure(f"channel {name}: the environment variable {channel.url_env} is not set", transient=True)
    parts = _parts(url)
    if parts is None:
        return Failure(f"channel {name}: {channel.url_env} holds no http or https address", transient=True)
    token = ""
    if isinstance(channel, WebhookChannel) and channel.token_env is not None:
        token = environment.get(channel.token_env, "").strip()
        if not token:
            return Failure(f"channel {name}: the environment variable {channel.token_env} is not set", transient=True)
    document = slack_document if isinstance(channel, SlackChannel) else json_document
    answer = _status(
        url, document(message, samples=channel.samples), f"{message.id}.{name}", _login(parts, token), patience
    )
    return _judged(answer, f"channel {name} at {parts.hostname}")


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and parts.hostname else None


def _login(parts: SplitResult, token: str) -> Any:  # noqa: ANN401 - requests' own kind of login
    """Give what a request logs in with; never what lies in a .netrc."""
    import requests.auth

    if token:

        def with_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        return with_token
    if parts.username is not None:
        return requests.auth.HTTPBasicAuth(unquote(parts.username), unquote(parts.password or ""))
    return lambda request: request


def _status(url: str, document: Mapping[str, Any], key: str, login: Any, patience: Patience) -> int | str:  # noqa: ANN401
    """Post a document and return the status of the answer, or what kept it from coming.

    The library's own errors name the whole address, so none of them leaves this function, not even as a cause.
    """
    import requests

    try:
        with (
            _unlogged(),
            requests.post(
                url,
                json=document,
                headers={"Idempotency-Key": key, "User-Agent": _AGENT},
                timeout=(patience.connect, patience.read),
                allow_redirects=False,
                stream=True,
                auth=login,
            ) as response,
        ):
            return response.status_code
    except requests.exceptions.SSLError:
        return "its certificate is not trusted, or it does not speak TLS"
    except requests.exceptions.ConnectTimeout:
        return f"no connection within {patience.connect:g} s"
    except requests.exceptions.Timeout:
        return f"no answer within {patience.read:g} s"
    except requests.exceptions.ConnectionError:
        return "the connection was refused or broken, or there is no such host"
    except (requests.exceptions.RequestException, ValueError, OSError) as error:
        return f"the request failed ({type(error).__name__})"


def _judged(answer: int | str, told: str) -> Failure | None:
    if isinstance(answer, str):
        return Failure(f"{told}: {answer}", transient=True)
    if 200 <= answer < 300:
        return None
    if 300 <= answer < 400:
        return Failure(f"{told}: it redirects (status {answer}), which is not followed", transient=False)
    return Failure(f"{told}: it answers with status {answer}", transient=answer >= 500 or answer in _AGAIN)


def _escaped(text: str) -> str:
    for mark, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(mark, written)
    for call in _CALLS:
        text = text.replace(call, f"@\u200b{call[1:]}")
    return text


# --- no address in a log ----------------------------------------------------------------------------------------------

_posting: contextvars.ContextVar[bool] = contextvars.ContextVar("posting", default=False)


class _NotWhilePosting(logging.Filter):
    """Drop what the library logs of a request of ours: its path is the secret."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - logging's signature
        return not _posting.get()


_FILTER = _NotWhilePosting()


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry"):
        logger = logging.getLogger(name)
        if _FILTER not in logger.filters:
            logger.addFilter(_FILTER)
    token = _posting.set(True)
    try:
        yield
    finally:
        _posting.reset(token)
