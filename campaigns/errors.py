"""What campaigns refuse, each with a stable code."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engage.lib.errors import EngageError, InvalidInput


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where: "all[1].value" or "subject, line 2"."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Refused(InvalidInput):
    """Several problems at once; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class InvalidRule(Refused):
    code: ClassVar[str] = "invalid_rule"


class InvalidTemplate(Refused):
    code: ClassVar[str] = "invalid_template"


class NotReady(Refused):
    """The campaign cannot be launched as it is."""

    code: ClassVar[str] = "campaign_not_ready"


class IllegalMove(EngageError):
    """The campaign or run is not in a state this can be done from."""

    code: ClassVar[str] = "illegal_move"


class KeyReused(EngageError):
    """The key of a wish came before with another wish."""

    code: ClassVar[str] = "key_reused"


class TemplateFailed(EngageError):
    """Rendering broke: a limit was reached or a filter got what it cannot use."""

    code: ClassVar[str] = "template_error"


class TemplateAborted(TemplateFailed):
    """The template itself says that this person shall not get the message."""

    code: ClassVar[str] = "template_abort"

    def __init__(self, word: str = "") -> None:
        super().__init__(word or "abort_message")
        self.word = word
