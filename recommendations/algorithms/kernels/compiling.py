"""How the loops are compiled, and what numba has no word for."""

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first call and keep the machine code on disk, where there is a place for it.

    What is kept is made anew when the file of the function changes, not when one changes that it
    calls from another file: who changes `best` or this file changes those that import it, too.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither NUMBA_CACHE_DIR nor the code's folder can be written
        return numba.njit(nogil=True, error_model="numpy")(function)


def ask_for(typing, array, place):  # type: ignore[no-untyped-def]
    """Ask for ``array[place]``, which is read soon. Changes nothing; no place does any harm."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        kind = signature.args[0]
        start = context.make_array(kind)(context, builder, values[0]).data
        at = context.cast(builder, values[1], signature.args[1], types.intp)
        address = builder.bitcast(builder.gep(start, [at]), cgutils.voidptr_t)
        number = ir.IntType(32)
        ask = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, ask, "llvm.prefetch")  # type: ignore[no-untyped-call]
        reading, keep, data = number(0), number(3), number(1)
        builder.call(function, [address, reading, keep, data])
        return context.get_dummy_value()

    return types.void(array, place), generate


prefetch: Any = intrinsic(ask_for)
