"""What the catalog refuses, each with a stable code."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engage.lib.errors import EngageError, InvalidInput, NotFound


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where: "filter.all[1].value" or "price"."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidFilter(InvalidInput):
    """A filter that cannot be read, or that does not fit the catalog's columns."""

    code: ClassVar[str] = "invalid_filter"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class UnknownCatalog(NotFound):
    code: ClassVar[str] = "unknown_catalog"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no catalog named {name[:60]!r}.")


class UnknownItem(NotFound):
    code: ClassVar[str] = "unknown_item"

    def __init__(self, item_id: str, *, catalog: str) -> None:
        super().__init__(f"Catalog {catalog!r} has no item {item_id[:80]!r}.")


class InvalidFile(InvalidInput):
    """A file that cannot be read as a catalog at all; the message names the line."""

    code: ClassVar[str] = "invalid_file"


class UploadRefused(EngageError):
    """A readable file that must not go live as it is."""

    code: ClassVar[str] = "upload_refused"


class TooManyRemoved(UploadRefused):
    """The file lacks so many live products that it may be cut off."""

    code: ClassVar[str] = "too_many_removed"


class UploadBusy(EngageError):
    """Another upload or change of this catalog is under way."""

    code: ClassVar[str] = "catalog_busy"
