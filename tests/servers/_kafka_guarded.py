"""A Kafka that lets in who has a name, by TLS and any way of SASL, and to what was granted."""

from __future__ import annotations

import json
import shutil
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from ._errors import NoServer
from ._kafka import KafkaServer
from ._ports import free_port
from ._tls import make_certificates, sign

__all__ = ["GuardedKafka"]

_SECURITY = "org.apache.kafka.common.security"
_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")


class GuardedKafka(KafkaServer):
    """Who comes without TLS may do everything, and so may ``operator``; who else comes with it has
    what it was granted, which is nothing at first.

    All have one password, by PLAIN and by SCRAM. By OAUTHBEARER they come with a ``token``.
    """

    users = ("operator", "publisher", "worker", "keeper")
    password = "p@ss/w:rd"
    guarded = 0
    """The port for those with a name."""

    def __init__(self, *, patience: float = 60.0) -> None:
        if shutil.which("openssl") is None:
            raise NoServer("there is no openssl on PATH to make certificates with")
        super().__init__(patience=patience)

    def configuration(self) -> dict[str, str]:
        settings = super().configuration()
        self.guarded = self.guarded or free_port()
        make_certificates(self.folder)
        pem = self._write_pem()
        users = " ".join(f'user_{name}="{self.password}"' for name in self.users)
        here = f"GUARDED://127.0.0.1:{self.guarded}"
        of = "listener.name.guarded"
        return {
            **settings,
            "listeners": f"{settings['listeners']},{here}",
            "advertised.listeners": f"{settings['advertised.listeners']},{here}",
            "listener.security.protocol.map": (
                f"{settings['listener.security.protocol.map']},GUARDED:SASL_SSL"
            ),
            f"{of}.sasl.enabled.mechanisms": ",".join(("PLAIN", *_SCRAM, "OAUTHBEARER")),
            f"{of}.plain.sasl.jaas.config": (
                f"{_SECURITY}.plain.PlainLoginModule required {users};"
            ),
            **{
                f"{of}.{each.lower()}.sasl.jaas.config": (
                    f"{_SECURITY}.scram.ScramLoginModule required;"
                )
                for each in _SCRAM
            },
            # It believes what a token says: nobody signs them.
            f"{of}.oauthbearer.sasl.jaas.config": (
                f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule required "
                'unsecuredLoginStringClaim_sub="broker";'
            ),
            f"{of}.ssl.keystore.type": "PEM",
            f"{of}.ssl.keystore.location": str(pem),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:operator",
        }

    def certify(self, days: int = 2) -> None:
        """Give it another certificate, as of its next start; with 0 days it has run out."""
        sign(self.folder, "server", days)
        self._write_pem()

    def _write_pem(self) -> Path:
        pem = self.folder / "server.pem"
        key = (self.folder / "server.key").read_text()
        pem.write_text(key + (self.folder / "server.crt").read_text())
        return pem

    def format_options(self) -> list[str]:
        options: list[str] = []
        for mechanism in _SCRAM:
            for name in self.users:
                said = f"{mechanism}=[name={name},password={self.password}]"
                options += ["--add-scram", said]
        return options

    @property
    def way(self) -> str:
        """What stands in a URL behind the user."""
        return f"127.0.0.1:{self.guarded}/?ssl_cafile={self.folder}/ca.crt"

    def url_of(self, user: str, mechanism: str = "PLAIN", *, password: str | None = None) -> str:
        """As whom a client comes, and how."""
        given = quote(self.password if password is None else password, safe="")
        return f"kafka+sasl_ssl://{user}:{given}@{self.way}&sasl_mechanism={mechanism}"

    def token(self, user: str, *, lasts: float = 3600.0) -> str:
        """What an authority gives a user, for so many seconds; less than 0: it is over."""
        now = int(time.time())
        claims = {"sub": user, "iat": now - 60, "exp": int(now + lasts)}
        return f"{_encoded({'alg': 'none'})}.{_encoded(claims)}."


def _encoded(part: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
