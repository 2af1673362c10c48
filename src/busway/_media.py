"""What a content type says about how an event's data is encoded."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

__all__ = ["JSON_DATA", "MSGPACK_DATA", "DataFormat", "data_format"]

JSON_DATA: Final = "application/json"
MSGPACK_DATA: Final = "application/msgpack"

DataFormat = Literal["json", "msgpack"]

_NAMED: dict[str, DataFormat] = {
    JSON_DATA: "json",
    "text/json": "json",
    MSGPACK_DATA: "msgpack",
    "application/x-msgpack": "msgpack",
    "application/vnd.msgpack": "msgpack",
}


@lru_cache(maxsize=256)
def data_format(content_type: str) -> DataFormat | None:
    """How data of a content type is read; None when it is neither JSON nor MessagePack."""
    bare = content_type.partition(";")[0].strip().lower()
    if bare.endswith("+json"):
        return "json"
    if bare.endswith("+msgpack"):
        return "msgpack"
    return _NAMED.get(bare)
