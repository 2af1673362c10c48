"""Whether all processes look for topics where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ._blame import blame
from ._channels import channels_of
from .errors import OptionError, TransportError
from .transport import Charts, Transport

__all__ = ["agree_on_channels"]


async def agree_on_channels(
    transport: Transport, mine: Mapping[str, str], patterns: Iterable[str]
) -> None:
    """Record the channels of this process; compare those that others have recorded.

    Raises OptionError when a pattern lies elsewhere for others, or when others have put topics that
    this process subscribes to where it would not look, TransportError.
    """
    if not isinstance(transport, Charts):
        return
    try:
        recorded = await transport.chart(mine)
    except (OptionError, TransportError):
        raise
    except BaseException as error:
        blame(transport, "chart", error)
    theirs = {pattern: channel for pattern, channel in recorded.items() if pattern not in mine}
    for pattern in patterns:
        here = channels_of([pattern], mine)
        for other, channel in theirs.items():
            there = channels_of([pattern], {**mine, other: channel})
            if here is not None and there != here:
                raise OptionError(
                    f"{pattern!r} is looked for in {', '.join(sorted(here))} here, but other "
                    f"processes keep {other!r} in {channel!r}. Give this bus the same: "
                    f"channels={{{other!r}: {channel!r}}}, or import the class that declares it"
                )
