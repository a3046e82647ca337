"""Messages by e-mail.

Belongs here: the mail that is written, and one try to hand it to a server. Does not belong here: when to try again
(`automation.alerting`).

A server that does not offer the security that was asked for gets neither the login nor the mail. What is said of a
failure holds the server's code, never its words: they may repeat the login.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from analytics_assets.outlets.messages import Failure, Message, Patience
from analytics_assets.project.alerts import EmailChannel

_DOMAIN = "analytics-assets"


def as_mail(message: Message, channel: EmailChannel) -> EmailMessage:
    """Write a message as a mail, the same at every try; a recovery answers the mail that opened the problem."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.to)
    mail["Subject"] = f"[{message.project}] {message.title}"
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{message.id}@{_DOMAIN}>"
    if message.answers:
        mail["In-Reply-To"] = mail["References"] = f"<{message.answers}@{_DOMAIN}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join([message.title, "", *message.text(samples=channel.samples)]) + "\n")
    return mail


def send(
    message: Message, name: str, channel: EmailChannel, environment: Mapping[str, str], patience: Patience
) -> Failure | None:
    """Hand a message to the mail server once; say why it did not take it, if it did not.

    Args:
        message: The message.
        name: The channel's name.
        channel: The channel.
        environment: Holds its login.
        patience: How long to wait.
    """
    for variable in channel.variables.values():
        if not environment.get(variable):
            return Failure(f"channel {name}: the environment variable {variable} is not set", transient=True)
    login = tuple(environment[variable] for variable in channel.variables.values())
    told = f"channel {name} at {channel.host}"
    mail = as_mail(message, channel)
    try:
        server = _connected(channel, patience)
        try:
            return _handed(server, mail, channel, login, told)
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return _judged(error, told, patience)


def _connected(channel: EmailChannel, patience: Patience) -> smtplib.SMTP:
    host, port = channel.address
    name = socket.gethostname()  # the full name may take a slow question to a name server
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if channel.security == "tls":
        server = smtplib.SMTP_SSL(host, port, name, timeout=patience.connect, context=context)
    else:
        server = smtplib.SMTP(host, port, name, timeout=patience.connect)
    if server.sock is not None:
        server.sock.settimeout(patience.read)
    try:
        if channel.security == "starttls":
            server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server


def _handed(
    server: smtplib.SMTP, mail: EmailMessage, channel: EmailChannel, login: tuple[str, ...], told: str
) -> Failure | None:
    if login:
        user, password = login
        server.login(user, password)
    refused = server.send_message(mail, channel.sender, channel.to)
    if refused:
        # the others have it: to send it again would send it twice
        return Failure(f"{told}: it refuses {len(refused)} of {len(channel.to)} receivers", transient=False)
    return None


def _judged(error: Exception, told: str, patience: Patience) -> Failure:
    """Say what went wrong, by the kind of the error and the server's code alone."""
    passes = True
    match error:
        case smtplib.SMTPNotSupportedError():
            reason, passes = "it does not offer the encryption or the login that the channel asks for", False
        case smtplib.SMTPAuthenticationError(smtp_code=code):
            reason, passes = f"it refuses the login (code {code})", _passes(code)
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            codes = [code for code, _ in refused.values()]
            reason, passes = f"it refuses every receiver (code {codes[0]})", all(map(_passes, codes))
        case smtplib.SMTPResponseException(smtp_code=code):
            reason, passes = f"it refuses the mail (code {code})", _passes(code)
        case ssl.SSLError():
            reason = "its certificate is not trusted, or it does not speak TLS"
        case _ if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            reason = f"no connection within {patience.connect:g} s, or no answer within {patience.read:g} s"
        case smtplib.SMTPServerDisconnected() | OSError():
            reason = "the connection was refused or broken, or there is no such host"
        case _:
            reason, passes = f"the mail cannot be sent ({type(error).__name__})", False
    return Failure(f"{told}: {reason}", passes)


def _passes(code: int) -> bool:
    """Tell whether a server's refusal is for now: its codes of 400 to 499; what is no code may be a hiccup, too."""
    return code < 500
