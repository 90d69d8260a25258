"""Eight numbers in one vector register, or sixteen of single precision, where the compiler would not use it."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic

LANES = 8

_in_registers: Callable[[Any], Any] = intrinsic
_model: Callable[[Any], Callable[[Any], Any]] = register_default

_WORDS = {types.float64: (ir.DoubleType(), LANES), types.float32: (ir.FloatType(), 2 * LANES)}
_FREE = ("contract", "reassoc", "nsz")


class _Lanes(types.Type):  # type: ignore[misc]
    def __init__(self, word: Any) -> None:
        self.word = word
        super().__init__(f"Lanes({word})")

    @property
    def vector(self) -> Any:
        """As the compiler knows it."""
        return ir.VectorType(*_WORDS[self.word])


_OF = {word: _Lanes(word) for word in _WORDS}


@_model(_Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.vector)


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Address of an entry of a contiguous array, as that of a vector."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    vector = _OF[signature.args[0].dtype].vector
    return builder.bitcast(builder.gep(array.data, [args[1]]), vector.as_pointer())


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


@_in_registers
def load(typing: Any, array: Any, at: Any) -> Any:
    """Entries of a flat array from ``at`` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, args), align=4)

    return _OF[array.dtype](array, types.uintp), build


@_in_registers
def store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Overwrite entries of a flat array from ``at`` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature, args), align=4)
        return context.get_dummy_value()

    return types.void(array, types.uintp, value), build


@_in_registers
def fill(typing: Any, value: Any) -> Any:
    """The same number in all places."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0], signature.return_type.vector)

    return _OF[value](value), build


@_in_registers
def times_plus(typing: Any, values: Any, factor: Any, rest: Any) -> Any:
    """Each value · factor + rest, the factor one number."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        product = builder.fmul(args[0], _splat(builder, args[1], signature.return_type.vector), flags=_FREE)
        return builder.fadd(product, args[2], flags=_FREE)

    return values(values, values.word, values), build


@_in_registers
def plus(typing: Any, rest: Any, values: Any, others: Any) -> Any:
    """Rest + value · other in each place."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(args[0], builder.fmul(args[1], args[2], flags=_FREE), flags=_FREE)

    return rest(rest, rest, rest), build


@_in_registers
def less(typing: Any, rest: Any, values: Any, others: Any) -> Any:
    """Rest - value · other in each place."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fsub(args[0], builder.fmul(args[1], args[2], flags=_FREE), flags=_FREE)

    return rest(rest, rest, rest), build


@_in_registers
def dot(typing: Any, values: Any, others: Any) -> Any:
    """Sum of the products."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total = builder.fmul(args[0], args[1], flags=_FREE)
        width = signature.args[0].vector.count
        while width > 1:
            width //= 2
            kind = ir.VectorType(ir.IntType(32), width)
            low, high = ir.Constant(kind, list(range(width))), ir.Constant(kind, list(range(width, 2 * width)))
            halves = (builder.shuffle_vector(total, total, half) for half in (low, high))
            total = builder.fadd(*halves, flags=_FREE)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return values.word(values, values), build
