"""Where callers wait for results: Celery's Redis backend, which finds its way back and believes
nobody.

Celery (5.7) tells a caller that waits by what Redis publishes. When Redis goes away meanwhile,
`.get()` raises, and leaves the consumer without a connection; asked again, it waits at none, for
ever, also for a task that is done. Here the consumer makes its subscriptions again, and looks at
the states that it missed.

Celery takes a result for that of the task that it names itself, and makes the exception that it
names of any class that is loaded. Here a result is that of the task under whose key it lies, or in
whose channel it was said; it is signed where `SPACER_REQUIRE_SIGNED_RESULTS` asks for it; and an
exception is of a class in `CLASSES`.
"""

from __future__ import annotations

import builtins
import logging
import sys
import zlib
from contextlib import nullcontext
from typing import Any

from billiard import exceptions as billiard_exceptions
from celery import exceptions as celery_exceptions
from celery import states
from celery.backends import redis as celery_redis
from celery.backends.redis import RedisBackend, SentinelBackend
from celery.utils.serialization import create_exception_cls
from kombu import exceptions as kombu_exceptions
from kombu.exceptions import KombuError
from kombu.utils.encoding import bytes_to_str

from spacer_tasks import exceptions
from spacer_tasks.broker.outages import redis_is_away
from spacer_tasks.broker.signing import fault_of_result, sign_result
from spacer_tasks.exceptions import ResultRefusedError, SpacerError

logger = logging.getLogger(__name__)

# not in Celery's type stubs
_CELERYS: Any = celery_redis.ResultConsumer  # type: ignore[attr-defined]
#: what would not fail the program that waits, but have it do something else: end a generator, or
#: retry or ignore the task that it is itself
_ORDERS = (
    StopIteration,
    StopAsyncIteration,
    celery_exceptions.TaskPredicate,
    billiard_exceptions.Terminated,
)


def _classes(module: Any, base: type[Exception]) -> dict[tuple[str, str], type[Exception]]:
    return {
        (module.__name__, name): each
        for name, each in vars(module).items()
        if isinstance(each, type)
        and each.__module__ == module.__name__
        and issubclass(each, base)
        and not issubclass(each, _ORDERS)
    }


#: what an exception that was stored can come back as. What ends a process is no `Exception`
CLASSES: dict[tuple[str, str], type[Exception]] = {
    **_classes(builtins, Exception),
    **_classes(exceptions, SpacerError),
    **_classes(celery_exceptions, Exception),
    **_classes(billiard_exceptions, Exception),
    **_classes(kombu_exceptions, Exception),
}


class Decoded(dict[str, Any]):
    """A state as somebody wrote it; nobody has looked yet whose it is."""


class ResultConsumer(_CELERYS):  # type: ignore[misc]  # as above
    """Celery's, which subscribes again after its connection was lost."""

    #: whether there was a connection before
    _began = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._decode_result = self.backend.decoded

    def start(self, initial_task_id: str, **options: Any) -> None:
        """Connect for the first time."""
        self._began = True
        super().start(initial_task_id, **options)

    def drain_events(self, timeout: float | None = None) -> None:
        """Wait for results. Raises as Celery's while Redis is away."""
        self._come_back()
        super().drain_events(timeout)

    def consume_from(self, task_id: str) -> None:
        """Wait for the result of one more task. Raises as Celery's while Redis is away."""
        self._come_back()
        super().consume_from(task_id)

    def cancel_for(self, task_id: str) -> None:
        """Wait for the result of a task no more. Where Redis is away nobody waits there, and who
        drops a result is not told.
        """
        try:
            super().cancel_for(task_id)
        except Exception as error:
            # when the interpreter ends, nobody waits either, and nothing can be imported
            if sys.is_finalizing():
                return
            if not redis_is_away(error):
                raise
            logger.debug("%s: not unsubscribed: %s", task_id, error)
            # what else is waited for is subscribed again by who waits
            self._pubsub = None

    def on_state_change(self, meta: dict[str, Any], message: Any) -> None:
        """Hand on a state to who waits for it."""
        if isinstance(meta, Decoded):
            if message is None:
                # of many keys at once: which of them is not said
                task_id = str(meta.get("task_id"))
                meta = self.backend.get_task_meta(task_id, cache=False)
            else:
                task_id = self.backend.id_of_key(message["channel"])
                if fault := fault_of_result(task_id, meta):
                    logger.warning("%s: what was published is passed over: %s", task_id, fault)
                    # anybody may have said it; what is kept is what counts
                    meta = self.backend.get_task_meta(task_id, cache=False)
                else:
                    meta = self.backend.meta_from_decoded(meta)
        super().on_state_change(meta, message)

    def _reconnect_pubsub(self) -> None:
        super()._reconnect_pubsub()
        # Celery looks before it subscribes: what is said in between, nobody hears
        keys = list(self.subscribed_to)
        for state in filter(None, self.backend.client.mget(keys)) if keys else ():
            self.on_state_change(self._decode_result(state), None)

    def _connected(self) -> bool:
        return self._pubsub is not None

    def _come_back(self) -> None:
        if not self._began or self._connected():
            return
        # since Celery 5.7, for callers of several threads
        with getattr(self, "_locked", nullcontext)():
            if self._connected():
                return
            for waited_for in self._pending_results:
                self.subscribed_to.update(map(self._get_key_for_task, tuple(waited_for)))
            if self.subscribed_to:
                self._ensure(self._reconnect_pubsub, ())


class Doubting:
    """What both backends below do otherwise than Celery's."""

    # of the backends
    decode: Any
    get: Any
    get_key_for_task: Any
    key_t: Any
    meta_from_decoded: Any
    _strip_prefix: Any

    # of Celery's type in its stubs
    ResultConsumer: Any = ResultConsumer

    def encode(self, data: Any) -> Any:
        """As it is kept; the state of a task is signed, where there are keys."""
        if isinstance(data, dict) and "task_id" in data and "status" in data:
            data = sign_result(data)
        return super().encode(data)  # type: ignore[misc]  # Celery's

    def decoded(self, payload: Any) -> Decoded:
        """A state as it was written, by whomever; empty if it is none."""
        try:
            return Decoded(self.decode(payload))
        except (ValueError, TypeError, KombuError, zlib.error) as error:
            logger.warning("a state in Redis cannot be read: %s", error)
            return Decoded()

    def id_of_key(self, key: bytes | str) -> str:
        """The task's id, of its key or channel."""
        return str(bytes_to_str(self._strip_prefix(self.key_t(key))))

    def decode_result(self, payload: Any) -> dict[str, Any]:
        """A state that lies under no task's key, such as in a list of several."""
        meta = self.decoded(payload)
        return self._of(str(meta.get("task_id")), meta)

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        kept = self.get(self.get_key_for_task(task_id))
        if not kept:
            return {"status": states.PENDING, "result": None}
        return self._of(task_id, self.decoded(kept))

    def _mget_to_results(self, values: Any, keys: Any, *args: Any, **options: Any) -> Any:
        found = super()._mget_to_results(values, keys, *args, **options)  # type: ignore[misc]
        return {
            task_id: meta if meta.get("task_id") == task_id else self._get_task_meta_for(task_id)
            for task_id, meta in found.items()
        }

    def _of(self, task_id: str, meta: Decoded) -> dict[str, Any]:
        if fault := fault_of_result(task_id, meta):
            logger.warning("%s: its state in Redis is not taken: %s", task_id, fault)
            text = f"what Redis has of the task {task_id} is not taken: {fault}"
            return {
                "status": states.FAILURE,
                "result": ResultRefusedError(text),
                "traceback": None,
                "children": [],
                "task_id": task_id,
            }
        return dict(self.meta_from_decoded(meta))

    def exception_to_python(self, exc: Any) -> Any:
        """The exception that was stored, of its class where that is in `CLASSES`."""
        if not isinstance(exc, dict):
            # None, and what is an exception already
            return exc if exc is None or isinstance(exc, BaseException) else SpacerError(str(exc))
        module, name = exc.get("exc_module"), str(exc.get("exc_type"))
        text = exc.get("exc_message", "")
        args = tuple(text) if isinstance(text, list | tuple) else (text,)
        cls = CLASSES.get((str(module), name))
        if cls is None:
            # as Celery does where a class is not to be had
            name = name.rpartition(".")[2]
            cls = create_exception_cls(name if name.isidentifier() else "Exception", __name__)
        try:
            return cls(*args)
        except (TypeError, ValueError, LookupError, ArithmeticError):
            # a class that asks for more
            return SpacerError(f"{name}: {text}")


class Redis(Doubting, RedisBackend):
    """For `redis://` and `rediss://`."""


class Sentinel(Doubting, SentinelBackend):
    """For `sentinel://`."""
