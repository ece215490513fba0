"""What goes wrong in this room."""

from engage.lib.errors import EngageError


class DamagedArtifact(EngageError):
    """Files that are not, bit for bit, what was written. They are never served."""

    code = "damaged_artifact"


class BuildRunning(EngageError):
    code = "build_running"


class NothingToRollBack(EngageError):
    code = "nothing_to_roll_back"
