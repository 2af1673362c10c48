"""FastStream's access log, with the topic and the group of each event."""

from __future__ import annotations

from typing import Any

from ._compat import DefaultLoggerStorage, get_broker_logger

__all__ = ["BusLoggerStorage"]

_IDENTITY = 10
"""Characters of an event's id that a line shows."""


class BusLoggerStorage(DefaultLoggerStorage):
    """Makes the logger when the broker was given none."""

    __slots__ = ("_group", "_topic")

    def __init__(self) -> None:
        super().__init__()
        self._topic = self._group = 4

    def register_subscriber(self, params: dict[str, Any]) -> None:
        self._topic = max(self._topic, len(params.get("topic", "")))
        self._group = max(self._group, len(params.get("group", "")))

    def get_logger(self, *, context: Any) -> Any:
        logger = self._get_logger_ref()
        if logger is None:
            logger = get_broker_logger(
                name="busway",
                default_context={"topic": "", "group": ""},
                message_id_ln=_IDENTITY,
                fmt=(
                    "%(asctime)s %(levelname)-8s - "
                    f"%(topic)-{self._topic}s | %(group)-{self._group}s | "
                    f"%(message_id)-{_IDENTITY}s - %(message)s"
                ),
                context=context,
                log_level=self.logger_log_level,
            )
            self._logger_ref.add(logger)
        return logger
