"""How much happens at once in one process. These numbers depend on each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Each number with what it rests on."""

    # Calls of one process to the instance. All other numbers share these connections.
    calls_in_flight: int = 4
    # Updates that the worker sends at once: one fewer than `calls_in_flight`, so that one
    # connection stays free for requests of people.
    workers: int = 3
    # Pages that an import reads at once: one fewer than `calls_in_flight`, for the same reason.
    streams: int = 3
    # Requests that wait for the instance, twice `calls_in_flight`: the others wait without a
    # thread. Together with the next two they leave most of the server's 40 threads free.
    waiting_clicks: int = 8
    # Requests that wait for the language model. They use none of `calls_in_flight`.
    drafts: int = 4
    # Scripts that wait for the end of an import. They use none of `calls_in_flight`: the import
    # itself does, in its `streams`.
    waiting_pulls: int = 4


LIMITS = Limits()
