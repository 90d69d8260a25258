"""Eight numbers in one vector register, for short loops that the compiler would leave as they are."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic

LANES = 8

_in_registers: Callable[[Any], Any] = intrinsic
_model: Callable[[Any], Callable[[Any], Any]] = register_default

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_FREE = ("contract", "reassoc", "nsz")


class _Lanes(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("Lanes")


lanes = _Lanes()


@_model(_Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Address of an entry of a contiguous array, as that of a vector."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), _VECTOR.as_pointer())


def _splat(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), mask)


@_in_registers
def load(typing: Any, array: Any, at: Any) -> Any:
    """Entries ``at`` to ``at + 8`` of a flat array."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, args), align=8)

    return lanes(array, types.uintp), build


@_in_registers
def store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Overwrite entries ``at`` to ``at + 8`` of a flat array."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature, args), align=8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, lanes), build


@_in_registers
def fill(typing: Any, value: Any) -> Any:
    """The same number eight times."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0])

    return lanes(types.float64), build


@_in_registers
def times_plus(typing: Any, values: Any, factor: Any, rest: Any) -> Any:
    """Each value · factor + rest, the factor one number."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        product = builder.fmul(args[0], _splat(builder, args[1]), flags=_FREE)
        return builder.fadd(product, args[2], flags=_FREE)

    return lanes(lanes, types.float64, lanes), build


@_in_registers
def dot(typing: Any, values: Any, others: Any) -> Any:
    """Sum of the eight products."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total = builder.fmul(args[0], args[1], flags=_FREE)
        width = LANES
        while width > 1:
            width //= 2
            kind = ir.VectorType(ir.IntType(32), width)
            low, high = ir.Constant(kind, list(range(width))), ir.Constant(kind, list(range(width, 2 * width)))
            halves = (builder.shuffle_vector(total, total, half) for half in (low, high))
            total = builder.fadd(*halves, flags=_FREE)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float64(lanes, lanes), build
