"""Columns of texts and of lists of texts: as codes, or as the bytes of all rows in one run."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from catalog.arrays import ArrayColumn, Change, Mask, compared, is_in

FEW: Final = 20  # texts that are sought one by one
SPARE: Final = 1_000  # words that may lie unused


class CodedColumn(ArrayColumn):
    """Text with few distinct values: int32 codes into `vocabulary`, -1 where missing."""

    kind = "text"
    empty = -1

    def __init__(self, values: NDArray[Any], vocabulary: Sequence[str]) -> None:
        super().__init__(values)
        self.vocabulary = vocabulary
        self.code_of: Mapping[str, int] = {word: code for code, word in enumerate(vocabulary)}

    @property
    def missing(self) -> Mask:
        return compared(self.values, "<", 0)

    def value(self, row: int) -> str | None:
        code = int(self.values[row])
        return None if code < 0 else self.vocabulary[code]

    def changed(self, change: Change, values: Sequence[Any]) -> "CodedColumn":
        known = [self.code_of.get(v) if v else -1 for v in values]
        if None not in known:
            cells = np.array(known, dtype=np.int32)
            if self.stays(change, cells):
                return self
            moved = self.moved(change)
            moved[change.rows] = cells
            return self._with(moved)
        codes = dict(self.code_of)
        moved = self.moved(change)
        moved[change.rows] = [codes.setdefault(v, len(codes)) if v else -1 for v in values]
        return CodedColumn(*without_unused(moved, list(codes)))

    @classmethod
    def of_ids(cls, ids: Sequence[str], index: Mapping[str, int]) -> "CodedColumn":
        """The column of ids: each row its own word, known already by both."""
        column = cls.__new__(cls)
        ArrayColumn.__init__(column, np.arange(len(ids), dtype=np.int32))
        column.vocabulary, column.code_of = ids, index
        return column

    def _with(self, values: NDArray[Any]) -> "CodedColumn":
        """Other cells, the same words."""
        twin = CodedColumn.__new__(CodedColumn)
        ArrayColumn.__init__(twin, values)
        twin.vocabulary, twin.code_of = self.vocabulary, self.code_of
        return twin

    def matches(self, op: str, wanted: Any) -> Mask:
        if op == "=":
            code = self.code_of.get(wanted)
            return np.zeros(len(self), bool) if code is None else compared(self.values, "=", code)
        if op == "in":
            codes = [self.code_of[word] for word in wanted if word in self.code_of]
            return is_in(self.values, codes)
        if op == "contains":
            words = (wanted in word for word in self.vocabulary)
            hit = np.fromiter(words, dtype=bool, count=len(self.vocabulary))
            # The last cell answers for code -1.
            found: Mask = np.append(hit, False)[self.values]
            return found
        raise ValueError(f"a text column has no {op!r}")


class ListColumn:
    """Lists of texts. Row r has the codes `values[offsets[r]:offsets[r + 1]]`; none is missing."""

    kind = "list"

    def __init__(
        self, values: NDArray[Any], offsets: NDArray[np.int64], vocabulary: Sequence[str]
    ) -> None:
        self.values = values
        self.offsets = offsets
        self.vocabulary = vocabulary
        self.code_of = {word: code for code, word in enumerate(vocabulary)}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def missing(self) -> Mask:
        return np.equal(self.offsets[1:], self.offsets[:-1])

    def value(self, row: int) -> list[str] | None:
        codes = self.values[self.offsets[row] : self.offsets[row + 1]]
        return [self.vocabulary[code] for code in codes] or None

    def changed(self, change: Change, values: Sequence[Any]) -> "ListColumn":
        codes = dict(self.code_of)
        own = [
            np.array([codes.setdefault(w, len(codes)) for w in words or ()], dtype=np.int32)
            for words in values
        ]
        pieces, lengths = spliced(self.values, self.offsets, change, own)
        cells = np.concatenate([np.zeros(0, np.int32), *pieces])
        cells, vocabulary = without_unused(cells, list(codes))
        return ListColumn(cells, offsets_of(lengths), vocabulary)

    def matches(self, op: str, wanted: Any) -> Mask:
        if op != "contains":
            raise ValueError(f"a list column has no {op!r}")
        mask = np.zeros(len(self), dtype=bool)
        code = self.code_of.get(wanted)
        if code is not None:
            places = np.flatnonzero(self.values == code)
            mask[np.searchsorted(self.offsets, places, side="right") - 1] = True
        return mask


class PackedColumn:
    """Text with many distinct values: one run of bytes, each row's UTF-8 with a NUL before it.

    `values` are the bytes (uint8); row r has `values[offsets[r] + 1:offsets[r + 1]]`. As no text
    has a NUL, a search in all of them at once never finds anything across two rows. An empty text
    is a missing one.
    """

    kind = "text"

    def __init__(self, values: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        self.values = values
        self.offsets = offsets
        self.data = memoryview(values.data)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def missing(self) -> Mask:
        return np.equal(np.diff(self.offsets), 1)

    def value(self, row: int) -> str | None:
        return str(self.data[self.offsets[row] + 1 : self.offsets[row + 1]], "utf-8") or None

    def changed(self, change: Change, values: Sequence[Any]) -> "PackedColumn":
        if change.source is None and all(
            (value or None) == self.value(row)
            for row, value in zip(change.rows.tolist(), values, strict=True)
        ):
            return self  # names and addresses hardly ever change: spare copying megabytes
        own = [np.frombuffer(packed(value), dtype=np.uint8) for value in values]
        pieces, lengths = spliced(self.values, self.offsets, change, own)
        return PackedColumn(np.concatenate([np.zeros(0, np.uint8), *pieces]), offsets_of(lengths))

    def matches(self, op: str, wanted: Any) -> Mask:
        mask = np.zeros(len(self), dtype=bool)
        needles = wanted if op == "in" else [wanted]
        if op == "in" and len(needles) > FEW:
            mask[self._rows_among(needles)] = True
            return mask
        for needle in needles:
            mask[self._rows_with(needle, whole=op != "contains")] = True
        return mask

    def _rows_among(self, words: Sequence[str]) -> list[int]:
        """One look at each row, where one search for each word would read all bytes as often."""
        sought = {b"\0" + word.encode("utf-8", "replace") for word in words} - {b"\0"}
        lengths = np.diff(self.offsets)
        rows = np.flatnonzero(np.isin(lengths, [len(one) for one in sought]))
        edges = zip(self.offsets[rows].tolist(), self.offsets[rows + 1].tolist(), strict=True)
        hit = (self.data[start:end].tobytes() in sought for start, end in edges)
        return list(compress(rows.tolist(), hit))

    def _rows_with(self, needle: str, *, whole: bool) -> NDArray[np.int64]:
        sought = needle.encode("utf-8", "replace")
        if not sought or b"\0" in sought:
            return np.zeros(0, np.int64)
        if whole:
            sought = b"\0" + sought
        places = np.frombuffer(occurrences(self.values, sought), dtype=np.int64)
        rows = np.searchsorted(self.offsets, places, side="right") - 1
        if whole:  # it begins there; keep where it also ends there
            rows = rows[self.offsets[rows + 1] - self.offsets[rows] == len(sought)]
        return rows


def occurrences(values: NDArray[Any], sought: bytes, *, block: int = 1 << 22) -> "array[int]":
    """Where the bytes begin, once in each row, or twice where a row lies in two blocks.

    Block by block: a whole copy would double the column's memory.
    """
    found = array("q")
    overlap = len(sought) - 1
    for start in range(0, len(values), block):
        chunk = values[start : start + block + overlap].tobytes()
        at = chunk.find(sought)
        while at >= 0:
            found.append(start + at)
            after = chunk.find(b"\0", at + 1)  # the next row; one hit says enough of this one
            at = chunk.find(sought, after) if after >= 0 else -1
    return found


def without_unused(
    cells: NDArray[np.int32], vocabulary: list[str]
) -> tuple[NDArray[np.int32], list[str]]:
    """Codes and their words, without words that no row has any more once they are the most.

    A column that is patched for months would keep every value it ever had.
    """
    if len(vocabulary) <= 2 * len(cells) + SPARE:
        return cells, vocabulary
    used = np.unique(cells[cells >= 0])
    code = np.full(len(vocabulary) + 1, -1, np.int32)  # the last one answers for -1
    code[used] = np.arange(used.size)
    return code[cells], [vocabulary[old] for old in used.tolist()]


def packed(value: object) -> bytes:
    return b"\0" + value.encode() if isinstance(value, str) else b"\0"


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def spliced(
    values: NDArray[Any],
    offsets: NDArray[np.int64],
    change: Change,
    own: Sequence[NDArray[Any]],
) -> tuple[list[NDArray[Any]], NDArray[np.int64]]:
    """Runs of old rows as slices of `values`, with `own` between them; and each row's length."""
    rows = len(offsets) - 1 if change.source is None else len(change.source)
    source = np.arange(rows) if change.source is None else change.source.copy()
    source[change.rows] = -1
    lengths = np.zeros(rows, np.int64)
    old = source >= 0
    lengths[old] = np.diff(offsets)[source[old]]
    lengths[change.rows] = [len(piece) for piece in own]
    # A run ends where the next row was not the next row before; own pieces are runs of one.
    broken = (np.diff(source) != 1) | ~old[1:] | ~old[:-1]
    ends = np.flatnonzero(broken) + 1
    pieces: list[NDArray[Any]] = []
    ours = iter(own)
    start = 0
    for end in [*ends.tolist(), rows] if rows else []:
        if old[start]:
            first, last = source[start], source[end - 1]
            pieces.append(values[offsets[first] : offsets[last + 1]])
        else:
            pieces.append(next(ours))
        start = end
    return pieces, lengths
