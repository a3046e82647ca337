"""Messages to real receivers on this machine: what arrives, what a failure says, and what it never says."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from analytics_assets.outlets.delivery import deliver
from analytics_assets.outlets.mail import as_mail
from analytics_assets.outlets.messages import Failure, Message, Patience, clean, clean_title
from analytics_assets.outlets.webhook import json_document, slack_document
from analytics_assets.project.alerts import EmailChannel, LogChannel, SlackChannel, WebhookChannel
from analytics_assets_tests.receivers import PASSWORD, PATH, TOKEN, USER, HttpReceiver, MailReceiver, free_port, trust

SHORT = Patience(connect=5, read=0.3, whole=20)
AT = dt.datetime(2025, 3, 2, 6, 12, tzinfo=dt.UTC)
MESSAGE = Message(
    id="4f1c",
    at=AT,
    project="shop",
    change="opened",
    kind="check",
    severity="error",
    title="fact_sales: keys fails",
    lines=("order_id, line names one row: broken by 2 rows",),
    samples=("order_id o<1>, line 1",),
    advice=("analytics-assets rejected order_lines",),
    links=(("Run", "http://127.0.0.1:3000/runs/9"),),
    fields={"problem": "check:fact_sales:keys", "asset": "fact_sales", "days": "2025-03-01"},
)
SLACK = SlackChannel(type="slack", url_env="HOOK")
HOOK = WebhookChannel(type="webhook", url_env="HOOK", token_env="TOKEN")
SECRETS = (PATH, PATH.rpartition("/")[2], TOKEN, USER, PASSWORD)


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    opened = HttpReceiver()
    yield opened
    opened.close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Give an authority whose certificates this process trusts."""
    made = trustme.CA()
    trust(made, tmp_path, monkeypatch)
    return made


@pytest.fixture
def mail_server() -> Iterator[Callable[..., MailReceiver]]:
    opened: list[MailReceiver] = []

    def start(**options: Any) -> MailReceiver:
        opened.append(MailReceiver(**options))
        return opened[-1]

    yield start
    for server in opened:
        server.close()


def hook(receiver: HttpReceiver) -> dict[str, str]:
    return {"HOOK": receiver.url, "TOKEN": TOKEN}


def failure(outcome: Failure | None) -> Failure:
    assert outcome is not None
    assert not any(secret in outcome.reason for secret in SECRETS), outcome
    return outcome


# what arrives


def test_slack_gets_a_text_with_the_title_the_samples_and_a_link(receiver: HttpReceiver) -> None:
    assert deliver(MESSAGE, "team", SLACK, hook(receiver)) is None
    (posted,) = receiver.got
    assert posted.path == PATH
    assert posted.headers["Idempotency-Key"] == "4f1c.team"
    assert posted.document == {
        "text": (
            ":red_circle: *fact_sales: keys fails*\n"
            "order_id, line names one row: broken by 2 rows\n"
            "Such as:\n- order_id o&lt;1&gt;, line 1\n"
            "What to do:\n- analytics-assets rejected order_lines\n"
            "<http://127.0.0.1:3000/runs/9|Run>"
        )
    }


def test_a_webhook_gets_a_document_and_the_token(receiver: HttpReceiver) -> None:
    assert deliver(MESSAGE, "pager", HOOK, hook(receiver)) is None
    (posted,) = receiver.got
    assert posted.headers["Authorization"] == f"Bearer {TOKEN}"
    assert posted.document == json_document(MESSAGE)
    assert posted.document["problem"] == "check:fact_sales:keys"
    assert posted.document["samples"] == ["order_id o<1>, line 1"]
    assert dt.datetime.fromisoformat(posted.document["at"]) == AT


def test_a_login_in_the_address_is_used(receiver: HttpReceiver) -> None:
    url = receiver.url.replace("://", f"://{USER}:{PASSWORD}@")
    assert deliver(MESSAGE, "team", SLACK, {"HOOK": url}) is None
    assert receiver.got[0].headers["Authorization"].startswith("Basic ")


def test_a_login_in_netrc_is_not_used(receiver: HttpReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert deliver(MESSAGE, "team", SLACK, hook(receiver)) is None
    assert "Authorization" not in receiver.got[0].headers


@pytest.mark.parametrize("kind", ["slack", "webhook", "email", "log"])
def test_samples_can_be_left_out(
    kind: str, receiver: HttpReceiver, mail_server: Callable[..., MailReceiver], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mails = mail_server()
    channel = {
        "slack": SLACK, "webhook": HOOK, "log": LogChannel(type="log"), "email": mail_channel(mails, security="none")
    }[kind].model_copy(update={"samples": False})  # fmt: skip
    assert deliver(MESSAGE, "team", channel, hook(receiver)) is None
    said = caplog.text + "".join(str(posted.document) for posted in receiver.got) + "".join(map(str, mails.got))
    assert "fact_sales: keys fails" in said
    assert "o<1>" not in said
    assert "o&lt;1" not in said


def test_over_tls_a_trusted_server_is_told(authority: trustme.CA) -> None:
    receiver = HttpReceiver(certificate=authority.issue_cert("127.0.0.1"))
    assert deliver(MESSAGE, "team", SLACK, hook(receiver)) is None
    receiver.close()
    assert len(receiver.got) == 1


# webhooks that fail


@pytest.mark.parametrize(
    ("behaves", "told", "transient"),
    [
        (500, "answers with status 500", True),
        (503, "answers with status 503", True),
        (429, "answers with status 429", True),
        (408, "answers with status 408", True),
        (400, "answers with status 400", False),
        (401, "answers with status 401", False),
        (404, "answers with status 404", False),
        ("redirect", "it redirects (status 302), which is not followed", False),
        ("hang", "no answer within 0.3 s", True),
        ("reset", "the connection was refused or broken", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channel", [SLACK, HOOK])
def test_a_webhook_that_fails(
    receiver: HttpReceiver, channel: SlackChannel, behaves: int | str, told: str, transient: bool
) -> None:
    receiver.behaves = behaves
    outcome = failure(deliver(MESSAGE, "team", channel, hook(receiver), SHORT))
    assert outcome.reason.startswith("channel team at 127.0.0.1: ")
    assert told in outcome.reason
    assert outcome.transient == transient
    assert [posted.path for posted in receiver.got] == [PATH]


def test_a_webhook_that_answers_a_byte_at_a_time_is_given_up(receiver: HttpReceiver) -> None:
    receiver.behaves = "trickle"
    outcome = failure(deliver(MESSAGE, "team", SLACK, hook(receiver), Patience(5, 5, whole=0.5)))
    assert outcome == Failure("channel team: no end of the answer within 0.5 s", transient=True)


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}{PATH}"
    outcome = failure(deliver(MESSAGE, "team", SLACK, {"HOOK": url}, SHORT))
    assert outcome.transient
    assert "refused" in outcome.reason


def test_a_certificate_of_nobody_is_not_trusted() -> None:
    receiver = HttpReceiver(certificate=trustme.CA().issue_cert("127.0.0.1"))
    outcome = failure(deliver(MESSAGE, "team", SLACK, hook(receiver), SHORT))
    receiver.close()
    assert "its certificate is not trusted" in outcome.reason
    assert not receiver.got


@pytest.mark.parametrize("value", ["", "  ", None])
def test_a_variable_that_is_not_set_is_a_failure_and_no_crash(value: str | None) -> None:
    environment = {} if value is None else {"HOOK": value}
    outcome = failure(deliver(MESSAGE, "team", SLACK, environment))
    assert outcome == Failure("channel team: the environment variable HOOK is not set", transient=True)


def test_a_token_that_is_not_set_is_a_failure(receiver: HttpReceiver) -> None:
    outcome = failure(deliver(MESSAGE, "pager", HOOK, {"HOOK": receiver.url}))
    assert "TOKEN is not set" in outcome.reason
    assert not receiver.got


@pytest.mark.parametrize(
    "value",
    [
        "planted-token",
        "ftp://h/planted-token",
        "http:///planted-token",
        "http://h:planted-token/",
        "http://[planted-token/",
    ],
)
def test_a_variable_that_holds_no_address_is_not_repeated(value: str) -> None:
    outcome = failure(deliver(MESSAGE, "team", SLACK, {"HOOK": value}, SHORT))
    assert "HOOK holds no http or https address" in outcome.reason


@pytest.mark.parametrize("token", ["planted-token\nX: y", "planted-token\u2028é"])
def test_a_token_that_no_header_can_hold_is_a_failure_without_it(receiver: HttpReceiver, token: str) -> None:
    failure(deliver(MESSAGE, "pager", HOOK, {"HOOK": receiver.url, "TOKEN": token}, SHORT))
    assert not receiver.got


# mail


def mail_channel(server: MailReceiver, **keys: Any) -> EmailChannel:
    told = {"type": "email", "host": "127.0.0.1", "port": server.port, "from": "data@x.test", "to": ["ana@x.test"]}
    return EmailChannel.model_validate({**told, **keys})


LOGIN = {"user_env": "MAIL_USER", "password_env": "MAIL_PASSWORD"}
ENVIRONMENT = {"MAIL_USER": USER, "MAIL_PASSWORD": PASSWORD}


def test_mail_arrives_over_starttls_with_a_login(
    mail_server: Callable[..., MailReceiver], authority: trustme.CA
) -> None:
    server = mail_server(starttls=authority.issue_cert("127.0.0.1"), login=True)
    channel = mail_channel(server, to=["ana@x.test", "bo@x.test"], **LOGIN)
    assert deliver(MESSAGE, "mail", channel, ENVIRONMENT) is None
    (mail,) = server.got
    assert server.logins == [True]
    assert mail["Subject"] == "[shop] fact_sales: keys fails"
    assert mail["To"] == "ana@x.test, bo@x.test"
    assert mail["Message-ID"] == "<4f1c@analytics-assets>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "http://127.0.0.1:3000/runs/9" in mail.get_content()


def test_mail_arrives_over_tls(mail_server: Callable[..., MailReceiver], authority: trustme.CA) -> None:
    server = mail_server(tls=authority.issue_cert("127.0.0.1"))
    assert deliver(MESSAGE, "mail", mail_channel(server, security="tls"), {}) is None
    assert len(server.got) == 1


def test_a_mail_server_without_starttls_gets_nothing(mail_server: Callable[..., MailReceiver]) -> None:
    server = mail_server()
    outcome = failure(deliver(MESSAGE, "mail", mail_channel(server, **LOGIN), ENVIRONMENT, SHORT))
    assert "does not offer the encryption" in outcome.reason
    assert not outcome.transient
    assert not server.got


def test_a_mail_server_that_nobody_vouches_for_gets_nothing(mail_server: Callable[..., MailReceiver]) -> None:
    server = mail_server(starttls=trustme.CA().issue_cert("127.0.0.1"), login=True)
    outcome = failure(deliver(MESSAGE, "mail", mail_channel(server, **LOGIN), ENVIRONMENT, SHORT))
    assert "its certificate is not trusted" in outcome.reason
    assert not server.logins


def test_a_certificate_of_another_host_is_not_trusted(
    mail_server: Callable[..., MailReceiver], authority: trustme.CA
) -> None:
    server = mail_server(starttls=authority.issue_cert("elsewhere.test"))
    assert "not trusted" in failure(deliver(MESSAGE, "mail", mail_channel(server), {}, SHORT)).reason


def test_a_refused_login_says_its_code_alone(mail_server: Callable[..., MailReceiver], authority: trustme.CA) -> None:
    server = mail_server(starttls=authority.issue_cert("127.0.0.1"), login=True)
    environment = {"MAIL_USER": USER, "MAIL_PASSWORD": f"{PASSWORD}x"}
    outcome = failure(deliver(MESSAGE, "mail", mail_channel(server, **LOGIN), environment, SHORT))
    assert outcome == Failure("channel mail at 127.0.0.1: it refuses the login (code 535)", transient=False)


def test_a_login_that_is_not_set_is_a_failure(mail_server: Callable[..., MailReceiver]) -> None:
    outcome = failure(deliver(MESSAGE, "mail", mail_channel(mail_server(), **LOGIN), {"MAIL_USER": USER}))
    assert outcome == Failure("channel mail: the environment variable MAIL_PASSWORD is not set", transient=True)


@pytest.mark.parametrize(("code", "transient"), [("550", False), ("451", True)])
def test_a_mail_server_that_refuses_every_receiver(
    mail_server: Callable[..., MailReceiver], code: str, transient: bool
) -> None:
    server = mail_server(refuses={"ana@x.test": f"{code} {USER} is unknown here"})
    outcome = failure(deliver(MESSAGE, "mail", mail_channel(server, security="none"), {}, SHORT))
    assert outcome == Failure(f"channel mail at 127.0.0.1: it refuses every receiver (code {code})", transient)


def test_a_mail_that_one_of_two_gets_is_a_failure_that_is_not_repeated(
    mail_server: Callable[..., MailReceiver],
) -> None:
    server = mail_server(refuses={"bo@x.test": "450 later"})
    channel = mail_channel(server, security="none", to=["ana@x.test", "bo@x.test"])
    outcome = failure(deliver(MESSAGE, "mail", channel, {}, SHORT))
    assert outcome == Failure("channel mail at 127.0.0.1: it refuses 1 of 2 receivers", transient=False)
    assert len(server.got) == 1


def test_a_mail_server_that_is_none(receiver: HttpReceiver) -> None:
    channel = EmailChannel.model_validate(
        {"type": "email", "host": "127.0.0.1", "port": free_port(), "from": "a@b", "to": ["c@d"], "security": "none"}
    )
    assert "refused" in failure(deliver(MESSAGE, "mail", channel, {}, SHORT)).reason


def test_a_mail_server_that_hangs() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = {"type": "email", "host": "127.0.0.1", "port": silent.getsockname()[1], "from": "a@b", "to": ["c@d"]}
        outcome = failure(deliver(MESSAGE, "mail", EmailChannel.model_validate(told), {}, Patience(0.3, 0.3, 20)))
    assert outcome.transient
    assert "no answer within 0.3 s" in outcome.reason


def test_a_recovery_answers_the_mail_that_opened_the_problem() -> None:
    channel = EmailChannel.model_validate({"type": "email", "host": "h", "from": "a@b", "to": ["c@d"]})
    mail = as_mail(Message(**{**vars(MESSAGE), "id": "77", "answers": "4f1c"}), channel)
    assert mail["In-Reply-To"] == mail["References"] == "<4f1c@analytics-assets>"
    assert as_mail(MESSAGE, channel).as_bytes() == as_mail(MESSAGE, channel).as_bytes()


# nothing that a receiver takes for a command, and no secret anywhere


@pytest.mark.parametrize("text", ["a\r\nBcc: x@y.z", "a\x1b[31mb", "a\u2028b\u202eb", "x" * 5000])
def test_text_is_one_clean_line(text: str) -> None:
    for cleaned in (clean(text), clean_title(text)):
        assert len(cleaned) <= 600
        assert cleaned.isprintable()
    channel = EmailChannel.model_validate({"type": "email", "host": "h", "from": "a@b", "to": ["c@d"]})
    mail = as_mail(Message(**{**vars(MESSAGE), "title": clean_title(text)}), channel)
    assert mail["Bcc"] is None
    assert mail.as_bytes()


def test_a_row_cannot_call_everybody_in_slack() -> None:
    told = Message(**{**vars(MESSAGE), "samples": ("<!channel> <@U1> @here @all <http://x|y>",)})
    text = slack_document(told)["text"]
    assert "<!" not in text
    assert "<@" not in text
    assert "@here" not in text
    assert "<http://x" not in text


@pytest.mark.parametrize("behaves", [200, 500, "hang", "reset", "redirect"])
def test_no_log_holds_a_secret(receiver: HttpReceiver, behaves: int | str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.behaves = behaves
    deliver(MESSAGE, "pager", HOOK, hook(receiver), SHORT)
    assert not any(secret in caplog.text for secret in SECRETS), caplog.text
    assert logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.DEBUG)


def test_a_message_that_holds_the_channel_s_own_secret_loses_it(
    receiver: HttpReceiver,
) -> None:
    spoilt = Message(**{**vars(MESSAGE), "lines": (f"no answer from {receiver.url} with {TOKEN}",)})
    assert deliver(spoilt, "pager", HOOK, hook(receiver)) is None
    assert "no answer from *** with ***" in receiver.got[0].document["text"]


def test_the_log_is_always_a_channel(caplog: pytest.LogCaptureFixture) -> None:
    assert deliver(MESSAGE, "log", LogChannel(type="log"), {}) is None
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("analytics_assets.alerts", "ERROR")
    assert "[shop] fact_sales: keys fails" in record.message


def test_what_nobody_foresaw_is_a_failure_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(TOKEN)

    monkeypatch.setattr("analytics_assets.outlets.delivery.post", broken)
    outcome = failure(deliver(MESSAGE, "team", SLACK, {}))
    assert outcome == Failure("channel team: unforeseen RuntimeError", transient=True)
