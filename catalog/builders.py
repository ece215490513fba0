"""Columns built from a stream of rows, in little more memory than the columns take."""

from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catalog import arrays, texts

# Beyond so many distinct texts a column is stored as its bytes instead of as codes.
MOST_WORDS = 20_000


class Builder(Protocol):
    def extend(self, values: Sequence[Any]) -> None: ...

    def finish(self) -> arrays.Column: ...


def builder(kind: str) -> Builder:
    """For an empty column of a kind: text, number, boolean, time, list.

    Of a text column one may ask for its form: "coded" or "packed".
    """
    kinds: dict[str, Callable[[], Builder]] = {
        "text": TextBuilder,
        "coded": partial(TextBuilder, inf),
        "packed": PackedBuilder,
        "list": ListBuilder,
        "number": NumberBuilder,
        "boolean": BooleanBuilder,
        "time": TimeBuilder,
    }
    return kinds[kind]()


class NumberBuilder:
    def __init__(self) -> None:
        self.cells = array("d")

    def extend(self, values: Sequence[Any]) -> None:
        self.cells.frombytes(arrays.number_cells(values).tobytes())

    def finish(self) -> arrays.Column:
        return arrays.NumberColumn(np.frombuffer(self.cells, dtype=np.float64))


class BooleanBuilder:
    def __init__(self) -> None:
        self.cells = array("b")

    def extend(self, values: Sequence[Any]) -> None:
        self.cells.frombytes(arrays.boolean_cells(values).tobytes())

    def finish(self) -> arrays.Column:
        return arrays.BooleanColumn(np.frombuffer(self.cells, dtype=np.int8))


class TimeBuilder:
    def __init__(self) -> None:
        self.cells = array("q")

    def extend(self, values: Sequence[Any]) -> None:
        self.cells.frombytes(arrays.time_cells(values).tobytes())

    def finish(self) -> arrays.Column:
        return arrays.TimeColumn(np.frombuffer(self.cells, dtype=np.int64))


class ListBuilder:
    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.cells = array("i")
        self.lengths = array("q")

    def extend(self, values: Sequence[Any]) -> None:
        for words in values:
            own = [self.codes.setdefault(w, len(self.codes)) for w in words or ()]
            self.cells.extend(own)
            self.lengths.append(len(own))

    def finish(self) -> arrays.Column:
        offsets = texts.offsets_of(np.frombuffer(self.lengths, dtype=np.int64))
        cells = np.frombuffer(self.cells, dtype=np.int32)
        return texts.ListColumn(cells, offsets, list(self.codes))


class PackedBuilder:
    def __init__(self) -> None:
        self.data = bytearray()
        self.lengths = array("q")

    def extend(self, values: Iterable[Any]) -> None:
        for value in values:
            own = texts.packed(value)
            self.data += own
            self.lengths.append(len(own))

    def finish(self) -> arrays.Column:
        offsets = texts.offsets_of(np.frombuffer(self.lengths, dtype=np.int64))
        return texts.PackedColumn(np.frombuffer(self.data, dtype=np.uint8), offsets)


class TextBuilder:
    """Codes as long as there are at most so many distinct texts, bytes from then on."""

    def __init__(self, most: float | None = None) -> None:
        self.most = MOST_WORDS if most is None else most
        self.codes: dict[str, int] = {}
        self.cells = array("i")
        self.packed: PackedBuilder | None = None

    def extend(self, values: Sequence[Any]) -> None:
        if self.packed is not None:
            self.packed.extend(values)
            return
        self.cells.extend(
            self.codes.setdefault(v, len(self.codes)) if v and isinstance(v, str) else -1
            for v in values
        )
        if len(self.codes) > self.most:
            self._pack()

    def _pack(self) -> None:
        words = [*self.codes, None]  # the last one answers for -1
        self.packed = PackedBuilder()
        self.packed.extend(words[code] for code in self.cells)
        self.codes, self.cells = {}, array("i")

    def finish(self) -> arrays.Column:
        if self.packed is not None:
            return self.packed.finish()
        cells: NDArray[np.int32] = np.frombuffer(self.cells, dtype=np.int32)
        return texts.CodedColumn(cells, list(self.codes))
