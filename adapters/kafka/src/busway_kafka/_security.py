"""As whom the adapter comes to Kafka, and how the way there is kept secret."""

from __future__ import annotations

import ssl
from typing import Any, Final, Literal

import msgspec
from aiokafka.abc import AbstractTokenProvider
from aiokafka.helpers import create_ssl_context

from busway import OptionError
from busway.transport.options import Secret

__all__ = ["MECHANISMS", "PROTOCOLS", "Protocol", "Security"]

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]

PROTOCOLS: Final[dict[str, Protocol]] = {
    "kafka": "PLAINTEXT",
    "kafka+ssl": "SSL",
    "kafka+sasl": "SASL_PLAINTEXT",
    "kafka+sasl_ssl": "SASL_SSL",
}
"""What each scheme of a URL means."""
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI")


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """No way to show it shows a password."""

    protocol: Protocol = "PLAINTEXT"
    mechanism: str = "PLAIN"
    user: str | None = None
    password: Secret | None = None
    token_provider: AbstractTokenProvider | None = None
    """Of OAUTHBEARER: an object of the program's own, so it can be given in code only."""
    kerberos_service: str = "kafka"
    kerberos_domain: str | None = None
    context: ssl.SSLContext | None = None
    """Made in code; it counts before the files."""
    ca_file: str | None = None
    """PEM; None: the authorities that this machine trusts."""
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = None

    def __post_init__(self) -> None:
        if not self.sasl:
            if self.user is not None or self.password is not None:
                raise OptionError(
                    "a user and a password are for kafka+sasl_ssl:// or kafka+sasl://"
                )
            if self.token_provider is not None:
                raise OptionError("token_provider= is for kafka+sasl_ssl:// or kafka+sasl://")
        elif self.mechanism == "OAUTHBEARER":
            if self.token_provider is None:
                raise OptionError(
                    "sasl_mechanism=OAUTHBEARER takes tokens that only a program can get: "
                    "KafkaTransport(url, token_provider=…), an aiokafka.abc.AbstractTokenProvider"
                )
            if not isinstance(self.token_provider, AbstractTokenProvider):
                raise OptionError("token_provider= is no aiokafka.abc.AbstractTokenProvider")
        elif self.mechanism != "GSSAPI" and (self.user is None or self.password is None):
            raise OptionError(f"{self.mechanism} takes a user and a password: user:password@host")
        if (self.key is not None or self.key_password is not None) and self.certificate is None:
            raise OptionError("ssl_keyfile= and ssl_password= take ssl_certfile= too")

    @property
    def tls(self) -> bool:
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        return self.protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def client_options(self) -> dict[str, Any]:
        """What an ``AIOKafkaClient`` takes. Raises OptionError for files that cannot be used."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls:
            options["ssl_context"] = self.context or self._made()
        if self.sasl:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": None if self.password is None else self.password.reveal(),
                "sasl_oauth_token_provider": self.token_provider,
                "sasl_kerberos_service_name": self.kerberos_service,
                "sasl_kerberos_domain_name": self.kerberos_domain,
            }
        return options

    def _made(self) -> ssl.SSLContext:
        secret = self.key_password
        try:
            made: ssl.SSLContext = create_ssl_context(
                cafile=self.ca_file,
                certfile=self.certificate,
                keyfile=self.key,
                # Without one, OpenSSL would ask on the terminal for what the key needs, and wait.
                password="" if secret is None else secret.reveal(),
            )
        except (OSError, ValueError) as error:
            raise OptionError(
                f"ssl_cafile=, ssl_certfile=, ssl_keyfile= or ssl_password= cannot be used: {error}"
            ) from None
        return made

    def __repr__(self) -> str:
        return f"<Security {self.protocol}{f' {self.mechanism}' if self.sasl else ''}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("protocol", self.protocol), ("mechanism", self.mechanism)]
