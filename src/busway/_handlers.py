"""What a handler takes, found out once, and how it is called for a delivery."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Any, Union, get_args, get_origin

import anyio.to_thread
import msgspec

from ._declared import declaration_of
from ._pydantic import holds_models
from ._routing import matcher
from .errors import HandlerError
from .message import Message
from .middleware import handler_name

__all__ = ["Signature", "as_async", "check_reachable", "is_async", "signature_of"]


class Signature(msgspec.Struct, frozen=True):
    """A handler's parameters."""

    name: str
    annotation: Any
    """The first parameter's, ``Any`` without one, None where there is no parameter."""
    takes_message: bool
    is_list: bool = False
    """The first parameter is a list of what is annotated, for a batch."""
    returns: Any = Any
    """What it says it returns, ``Any`` where it does not say."""

    @property
    def wanted(self) -> tuple[type, ...]:
        """The declared event classes it names."""
        members = _members(self.annotation)
        return tuple(m for m in members if isinstance(m, type) and declaration_of(m) is not None)


def signature_of(function: object) -> Signature:
    """Read a handler's signature. Raises HandlerError when it can never be called by a bus."""
    if not callable(function):
        raise HandlerError(f"{function!r} is no handler: it takes a function of the event")
    if isinstance(function, type):
        raise HandlerError(
            f"{function.__qualname__} is a class, and calling it would make an object of each "
            "event: give an object of it, or one of its methods"
        )
    name = handler_name(function)
    if _generates(function):
        raise HandlerError(
            f"{name} is a generator: calling it runs nothing of it. Use no `yield` in a handler"
        )
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise HandlerError(f"{name}: its parameters cannot be read: {error}") from error
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    needed = [p for p in parameters if p.default is p.empty and p.kind not in _VARIADIC]
    if len(needed) > 2 or any(p.kind is p.KEYWORD_ONLY for p in needed):
        raise HandlerError(
            f"{name}{inspect.signature(function)}: a handler takes the event and, if it likes, the "
            "Message; give every further parameter a default"
        )
    hints = _hints(function, name)
    nothing = None if not any(p.kind is p.VAR_POSITIONAL for p in parameters) else Any
    annotation = hints.get(positional[0].name, Any) if positional else nothing
    if holds_models(annotation):
        annotation = _with_discriminator(function, positional[0].name, annotation)
    if _origin(annotation) is Message:
        raise HandlerError(
            f"{name}: the Message is a handler's second parameter. Write {name}(event, message)"
        )
    takes_message = len(positional) > 1 and (
        positional[1].default is inspect.Parameter.empty
        or any(_origin(each) is Message for each in _members(hints.get(positional[1].name)))
    )
    is_list = get_origin(annotation) in (list, Sequence) or annotation is list
    if is_list:
        annotation = (get_args(annotation) or (Any,))[0]
    returns = hints.get("return", Any)
    return Signature(
        name, annotation, takes_message, is_list, None if returns is types.NoneType else returns
    )


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _generates(function: Callable[..., Any]) -> bool:
    target = _called(function)
    return inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)


def _called(function: Callable[..., Any]) -> Any:
    """What stands in the source: the function in a partial, the method of a callable object."""
    target: Any = function
    while isinstance(target, partial):
        target = target.func
    return target if inspect.isroutine(target) else type(target).__call__


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target = _called(function)
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError):
        # A name that only a type checker can see, or one of an enclosing function.
        return _evaluated(target, name)
    except Exception as error:
        raise HandlerError(f"{name}: its annotations cannot be read: {error}") from error


def _with_discriminator(function: Callable[..., Any], name: str, bare: Any) -> Any:
    """``Annotated[Cat | Dog, Field(discriminator=...)]`` as it was written: pydantic tells the
    members of a union apart by it."""
    try:
        written = typing.get_type_hints(_called(function), include_extras=True)[name]
    except (NameError, TypeError):
        return bare
    members = get_origin(written) is Annotated and len(_members(written)) > 1
    return written if members else bare


def _evaluated(target: Any, handler: str) -> dict[str, Any]:
    raw = dict(getattr(target, "__annotations__", {}))
    names = dict(getattr(target, "__globals__", {}))
    closure = inspect.getclosurevars(target) if inspect.isfunction(target) else None
    if closure is not None:
        names.update(closure.nonlocals)
    hints: dict[str, Any] = {}
    for name, annotation in raw.items():
        try:
            hints[name] = eval(annotation, names) if isinstance(annotation, str) else annotation
        except NameError:
            hints[name] = _local_name(annotation)
        except Exception as error:
            raise HandlerError(
                f"{handler}: the annotation {annotation!r} of {name} cannot be read: {error}"
            ) from error
    return hints


def _local_name(annotation: str) -> Any:
    """A class of an enclosing function, found by its name in the frames that are still running."""
    frame = inspect.currentframe()
    while frame is not None:
        ours = frame.f_globals.get("__package__") == __package__
        try:
            if not ours:  # a name of ours is not what the application means
                return eval(annotation, frame.f_globals, frame.f_locals)
        except NameError:
            pass
        frame = frame.f_back
    return Any


def _origin(annotation: Any) -> Any:
    return get_origin(annotation) or annotation


def _members(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def check_reachable(signature: Signature, patterns: Sequence[str]) -> None:
    """Raises HandlerError when none of the classes a handler takes can come by its patterns."""
    members = _members(signature.annotation)
    topics = [d.topic for m in members if isinstance(m, type) and (d := declaration_of(m))]
    if not topics or len(topics) != len(members):
        return
    if not any(map(matcher(patterns), topics)):
        raise HandlerError(
            f"{signature.name} takes {', '.join(topics)}, and none of its patterns "
            f"({', '.join(patterns)}) can ever match that: change the annotation or the pattern"
        )


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await."""
    inner: Any = function
    while isinstance(inner, partial):
        inner = inner.func
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(_called(inner))


def as_async(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """An async handler as it is; a plain one in a worker thread.

    A thread cannot be cancelled: after a time-out its lane stays closed until the thread ends.
    """
    if is_async(function):
        return function

    async def in_thread(*args: Any) -> Any:
        # In a tuple, because trio takes a coroutine as the result of a thread for a mistake.
        (result,) = await anyio.to_thread.run_sync(lambda: (function(*args),))
        return await result if inspect.isawaitable(result) else result

    return in_thread
