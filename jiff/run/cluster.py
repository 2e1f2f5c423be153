"""The tasks of a stage on a running ``dask.distributed`` cluster (extra ``cluster``)."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiff import __version__
from jiff.base.errors import AssetError, InputError, UsageError

if TYPE_CHECKING:
    from jiff.base.progress import Progress

CONNECT_SECONDS = 30.0


def _facts() -> dict[str, str]:
    """Return what a worker says about itself."""
    return {"version": __version__, "host": socket.gethostname(), "process": str(os.getpid())}


def _checked_workers(client: Any, address: str, progress: Progress) -> None:
    try:
        workers = client.run(_facts)
    except (ImportError, AttributeError, TypeError, RuntimeError) as error:
        raise UsageError(
            f"{address}: its workers cannot run jiff ({error}); install jiff {__version__} where they start."
        ) from error
    except OSError as error:
        raise InputError(
            f"{address}: a worker ended while it was asked what it runs ({error}); run the same command again."
        ) from error
    for worker, facts in workers.items():
        if facts["version"] != __version__:
            raise UsageError(
                f"{worker}: runs jiff {facts['version']} where this is {__version__}; install the same version there."
            )
    if workers:
        hosts = len({facts["host"] for facts in workers.values()})
        progress.info(
            f"{address}: {len(workers)} worker{'s' if len(workers) > 1 else ''} on {hosts} host{'s' if hosts > 1 else ''}"
        )
    else:
        progress.warn(f"{address}: has no workers yet; waiting for them.")


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        import distributed
    except ImportError as error:
        raise AssetError(
            "--scheduler needs the package distributed, which is not installed; run pip install 'jiff[cluster]'."
        ) from error
    place = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        # Without types of its own.
        library: Any = distributed
        client = library.Client(**place, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{address}: no dask scheduler answers there ({cause}); start one with `dask scheduler`, or leave --scheduler out."
        ) from error
    try:
        yield client
    finally:
        client.close()


def _reason(future: Any) -> str:
    """Return one sentence for a task that did not even come back with a failure of its own."""
    if future.status != "error":
        return "was lost with its scheduler; run the same command again."
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return "every worker that took it died (out of memory?); give the workers more memory and run again."
    return f"its worker could not run it ({type(error).__name__}: {error}); see the worker's log."


def run_tasks(
    call: Callable[..., tuple[Any, str | None, str | None]],
    function: Callable[[Any], Any],
    todo: Sequence[tuple[str, Any]],
    *,
    address: str,
    progress: Progress,
    note: Callable[[str, tuple[Any, str | None, str | None]], None],
) -> None:
    """Run ``call(function, item)`` for each (name, item) on a cluster and ``note`` each outcome.

    A task whose worker dies is given to another one by the scheduler (``distributed.scheduler.allowed-failures``
    times, 3 by default); tasks write atomically and from seeds of their own, so the result is the same.

    Raises:
        AssetError: ``distributed`` is not installed.
        InputError: no scheduler answers.
        UsageError: workers without jiff, or with another version of it.
    """
    with _connected(address) as client:
        import distributed

        library: Any = distributed
        _checked_workers(client, address, progress)
        run = uuid.uuid4().hex[:8]
        futures = {
            client.submit(call, function, item, key=f"jiff-{run}-{number}", pure=False): name
            for number, (name, item) in enumerate(todo)
        }
        try:
            for future in library.as_completed(futures, loop=client.loop):
                if future.status == "finished":
                    note(futures[future], future.result())
                else:
                    note(futures[future], (None, _reason(future), None))
        except BaseException:
            # Ctrl-C: what no worker has begun is dropped.
            client.cancel(list(futures))
            raise
