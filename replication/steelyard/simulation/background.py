"""The child that writes a snapshot: sees the state as of its birth, takes its time, may die or linger."""

import random
from collections.abc import Callable
from typing import Final

from steelyard.replication.errors import ReplicationError
from steelyard.simulation.clock import Agenda, MachineClock
from steelyard.simulation.disk import ChildFiles, Platter, SimFiles
from steelyard.simulation.process import Process

STEP_S: Final = 0.05
DEATH_SHARE: Final = 0.1
LINGER_SHARE: Final = 0.3
LINGER_S: Final = 0.002
"""The kernel ends a child with its parent, but not in the same instant."""


class SimBackground:
    """``Background`` of one process: what the work wants to do to files happens later, step by step."""

    def __init__(
        self, agenda: Agenda, rng: random.Random, files: SimFiles, process: Process, clock: MachineClock
    ) -> None:
        self._agenda = agenda
        self._rng = rng
        self._files = files
        self._process = process
        self._clock = clock
        self._outcome: bool | None = None
        self._born = 0

    def start(self, work: Callable[[], None]) -> bool:
        """Let the work run as of now; its steps reach the disk one after the other."""
        self._process.call()
        self._outcome = None
        self._born += 1
        child = self._files.child = ChildFiles()
        succeeds = True
        try:
            work()
        except (OSError, ReplicationError):
            succeeds = False
        finally:
            self._files.child = None
        rng = self._rng
        steps = len(child.steps)
        dies_at = rng.randrange(steps) if steps and rng.random() < DEATH_SHARE else steps
        self._step(child, 0, dies_at, self._born, succeeds=succeeds)
        return True

    def poll(self) -> bool | None:
        """Return whether the work succeeded, once; None while it runs."""
        outcome, self._outcome = self._outcome, None
        return outcome

    def stop(self) -> None:
        """End the work."""
        self._born += 1

    def _step(self, child: ChildFiles, number: int, dies_at: int, born: int, *, succeeds: bool) -> None:
        platter = self._files.platter

        def happen() -> None:
            if born != self._born:
                return
            if not self._process.alive and not self._lingers():
                return
            if number == dies_at:
                self._outcome = succeeds and number == len(child.steps)
                return
            _write(platter, *child.steps[number])
            self._step(child, number + 1, dies_at, born, succeeds=succeeds)

        span_s = STEP_S if self._process.alive else LINGER_S
        self._agenda.after(self._clock.spent_s + span_s * self._rng.random(), happen)

    def _lingers(self) -> bool:
        return self._rng.random() < LINGER_SHARE


def _write(platter: Platter, what: str, name: str, content: bytes) -> None:
    if what == "create":
        platter.create(name)
    elif name in platter.files:
        file = platter.files[name]
        if what == "append":
            file.content += content
        else:
            file.synced = file.content
