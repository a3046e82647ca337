"""Real receivers of alerts on this machine: an HTTP server and a mail server, which behave as they are told."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "planted-user", "planted-password"
TOKEN = "planted-token"
PATH = "/services/T000/planted-path"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Posted:
    """Hold what a webhook was sent."""

    path: str
    headers: dict[str, str]
    document: dict[str, Any]


@dataclass
class HttpReceiver:
    """Take what is posted, and answer as `behaves` says: a status, `hang`, `trickle`, `redirect` or `reset`."""

    behaves: int | str = 200
    certificate: trustme.LeafCert | None = None
    got: list[Posted] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.let_go = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.got.append(Posted(self.path, dict(self.headers), json.loads(body)))
                receiver.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.certificate.configure_cert(context)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        if self.behaves == "hang":
            self.let_go.wait(30)
            handler.close_connection = True
        elif self.behaves == "trickle":
            while not self.let_go.wait(0.05):
                try:
                    handler.wfile.write(b"H")
                except OSError:
                    break
            handler.close_connection = True
        elif self.behaves == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True
        elif self.behaves == "redirect":
            handler.send_response(302)
            handler.send_header("Location", f"{self.address}/elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            handler.send_response(int(self.behaves))
            handler.send_header("Content-Length", "0")
            handler.end_headers()

    @property
    def address(self) -> str:
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        """An address with a secret in it."""
        return self.address + PATH

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


@dataclass
class MailReceiver:
    """Take mail by SMTP, as a mail server that is told what to offer and what to refuse."""

    starttls: trustme.LeafCert | None = None
    tls: trustme.LeafCert | None = None
    login: bool = False
    refuses: dict[str, str] = field(default_factory=dict)
    got: list[EmailMessage] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        options: dict[str, Any] = {}
        if self.starttls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.starttls.configure_cert(context)
            options |= {"tls_context": context, "require_starttls": True}
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.configure_cert(context)
            options |= {"ssl_context": context}
        if self.login:
            options |= {"authenticator": self.judge, "auth_required": True, "auth_require_tls": self.tls is None}
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port(), **options)
        self.controller.start()

    def judge(self, server: object, session: object, envelope: object, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins.append(right)
        return AuthResult(success=right, handled=False)

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802 - aiosmtpd's name
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802 - aiosmtpd's name
        mail = message_from_bytes(envelope.content, policy=policy.SMTP)
        assert isinstance(mail, EmailMessage)
        self.got.append(mail)
        return "250 OK"

    @property
    def port(self) -> int:
        return int(self.controller.port)

    def close(self) -> None:
        self.controller.stop()


def trust(authority: trustme.CA, folder: Path, monkeypatch: Any) -> None:
    """Let this process trust what an authority signed."""
    path = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
