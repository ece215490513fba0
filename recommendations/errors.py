"""What goes wrong in this room."""

from collections.abc import Sequence

from catalog.errors import Problem
from engage.lib.errors import EngageError, InvalidInput


class DamagedArtifact(EngageError):
    """Files that are not, bit for bit, what was written. They are never served."""

    code = "damaged_artifact"


class NotWritten(EngageError):
    """The disk did not take an artifact. What was served before still is."""

    code = "artifact_not_written"


class BuildRunning(EngageError):
    code = "build_running"


class NothingToRollBack(EngageError):
    code = "nothing_to_roll_back"


class InvalidRanking(InvalidInput):
    """A wish for the ranking that cannot be read."""

    code = "invalid_ranking"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class NoSuchRanker(EngageError):
    """A ranker that is not, or not any more, what a button takes it for."""

    code = "no_such_ranker"
