"""A Redis that speaks TLS only and knows one user only."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

from ._connection import Connection
from ._errors import NoServer, ServerError
from ._redis import RedisServer

__all__ = ["TlsServer", "make_certificates", "sign"]

SETTINGS = """
[req]
distinguished_name = nothing
[nothing]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class TlsServer(RedisServer):
    """TLS with certificates of an authority of its own, and an ACL.

    ``user`` has ``rules`` (the syntax of ACL SETUSER); ``admin`` may do everything, and is who
    ``command`` is. Without a name nobody gets in. The password holds what must be escaped in a URL.
    """

    user = "app"
    password = "p@ss/w:rd?#%&é"

    def __init__(self, *, rules: str = "~* &* +@all", patience: float = 20.0) -> None:
        if shutil.which("openssl") is None:
            raise NoServer("there is no openssl on PATH to make certificates with")
        super().__init__(patience=patience)
        self._rules = rules
        try:
            make_certificates(self.folder)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """With the user, the password and the authority's file, and no certificate of a client."""
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        query = urlencode({"ssl_ca_certs": str(self.ca_file)})
        return f"rediss://{who}@127.0.0.1:{self.port}/0?{query}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def client_certificate(self) -> Path:
        """Of a client. The server checks one that it is given, and asks for none."""
        return self.folder / "client.crt"

    @property
    def client_key(self) -> Path:
        return self.folder / "client.key"

    def ports(self) -> list[str]:
        return [
            "port 0",
            f"tls-port {self.port}",
            f"tls-cert-file {self.folder}/server.crt",
            f"tls-key-file {self.folder}/server.key",
            f"tls-ca-cert-file {self.ca_file}",
            "tls-auth-clients optional",
            "user default off",
            f"user admin on >{self.password} ~* &* +@all",
            f"user {self.user} on >{self.password} {self._rules}",
        ]

    def connect(self, timeout: float = 5.0, *, who: str | None = "admin") -> Connection:
        """As the admin, or as ``who``; as nobody with None."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout)
        try:
            connection = Connection(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        except BaseException:
            plain.close()
            raise
        if who is not None:
            connection.command("AUTH", who, self.password)
        return connection


def make_certificates(folder: Path) -> None:
    # Its own settings: what a system's openssl.cnf adds differs, and strict clients look at it.
    (folder / "openssl.cnf").write_text(SETTINGS)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for role in ("ca", "server", "client"):
        made = [*key, "-keyout", f"{role}.key", "-config", "openssl.cnf", "-subj", f"/CN={role}"]
        if role == "ca":
            lasts = ["-x509", "-days", "2", "-extensions", "authority", "-out", "ca.crt"]
            _openssl(folder, "req", *made, *lasts)
        else:
            _openssl(folder, "req", "-new", *made, "-out", f"{role}.csr")
            sign(folder, role)


def sign(folder: Path, role: str, days: int = 2) -> None:
    """Make ``<role>.crt`` anew; it lasts so many days, and with 0 it has run out already."""
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days)]
    named = ["-extfile", "openssl.cnf", "-extensions", role]
    _openssl(folder, "x509", "-req", "-in", f"{role}.csr", *signed, *named, "-out", f"{role}.crt")


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != 0:
        raise ServerError(f"openssl {' '.join(arguments)} failed: {done.stderr.strip()}")
