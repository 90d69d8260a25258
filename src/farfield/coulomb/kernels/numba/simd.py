"""Eight numbers in one vector register, or sixteen of single precision, where the compiler would not use it.

``x + y``, ``-``, ``*`` and ``/`` work on them, a plain number standing for as many of it. Tables have rows of four.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.extending import intrinsic, overload

LANES = 8
ROW = 4
"""Columns of a table."""

_in_registers: Callable[[Any], Any] = intrinsic
_model: Callable[[Any], Callable[[Any], Any]] = register_default
_means: Callable[..., Callable[[Any], Any]] = overload

_WORDS = {types.float64: (ir.DoubleType(), LANES), types.float32: (ir.FloatType(), 2 * LANES)}
_VECTOR = ir.VectorType(*_WORDS[types.float64])
_QUARTET = ir.VectorType(ir.DoubleType(), ROW)
_WHOLE, _LONG = ir.IntType(32), ir.IntType(64)
_FREE = ("contract", "reassoc", "nsz")


class _Lanes(types.Type):  # type: ignore[misc]
    def __init__(self, word: Any) -> None:
        self.word = word
        super().__init__(f"Lanes({word})")

    @property
    def vector(self) -> Any:
        """Type as the compiler knows it."""
        return ir.VectorType(*_WORDS[self.word])


_OF = {word: _Lanes(word) for word in _WORDS}
lanes = _OF[types.float64]


@_model(_Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, kind.vector)


def _data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Address of an entry of a contiguous array, as that of a vector."""
    data, vector = _data(context, builder, signature.args[0], args[0]), _OF[signature.args[0].dtype].vector
    return builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())


def _shuffled(builder: Any, one: Any, two: Any, places: list[int]) -> Any:
    """Entries of both vectors, one after the other."""
    return builder.shuffle_vector(one, two, ir.Constant(ir.VectorType(_WHOLE, len(places)), places))


def _splat(builder: Any, value: Any, count: int = LANES) -> Any:
    nothing = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(_WHOLE, 0))
    return _shuffled(builder, one, nothing, [0] * count)


@_in_registers
def load(typing: Any, array: Any, at: Any) -> Any:
    """Entries of a flat array from ``at`` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, args), align=array.dtype.bitwidth // 8)

    return _OF[array.dtype](array, types.uintp), build


@_in_registers
def store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Overwrite entries of a flat array from ``at`` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature, args), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.uintp, value), build


@_in_registers
def fill(typing: Any, value: Any) -> Any:
    """Fill all places with one number."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0], signature.return_type.vector.count)

    return _OF[value](value), build


@_in_registers
def same(typing: Any, array: Any, at: Any) -> Any:
    """Entry ``at`` of a flat array in all places."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(
            builder, builder.load(builder.gep(_data(context, builder, signature.args[0], args[0]), [args[1]]))
        )

    return lanes(array, types.uintp), build


def _arithmetic(instruction: str) -> Any:
    @_in_registers
    def between(typing: Any, one: Any, two: Any) -> Any:
        kind = one if isinstance(one, _Lanes) else two

        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            both = [a if t == kind else _splat(builder, a, kind.vector.count) for a, t in zip(args, signature.args)]
            return getattr(builder, instruction)(*both, flags=_FREE)

        return kind(*(kind if t == kind else kind.word for t in (one, two))), build

    return between


def _give_meaning(sign: Any, instruction: str) -> None:
    between = _arithmetic(instruction)

    @_means(sign, strict=False)  # annotations count as part of a signature there
    def _(one: Any, two: Any) -> Any:
        ours = isinstance(one, _Lanes) or isinstance(two, _Lanes)
        return (lambda one, two: between(one, two)) if ours else None


for _sign, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _give_meaning(_sign, _instruction)


@_in_registers
def root(typing: Any, values: Any) -> Any:
    """Square roots."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64"), args)

    return lanes(lanes), build


@_in_registers
def smaller(typing: Any, one: Any, two: Any) -> Any:
    """The smaller of every two."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[0], args[1])

    return lanes(lanes, lanes), build


@_in_registers
def where_below(typing: Any, tested: Any, limit: Any, value: Any, other: Any) -> Any:
    """``value`` where what is tested is below a number, else ``other``."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], _splat(builder, args[1])), args[2], args[3])

    return lanes(lanes, types.float64, lanes, lanes), build


@_in_registers
def first_of(typing: Any, values: Any, count: Any, other: Any) -> Any:
    """The first ``count`` of the values, ``other`` (a number) in the other lanes."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = ir.Constant(ir.VectorType(_LONG, LANES), list(range(LANES)))
        chosen = builder.icmp_signed("<", number, _splat(builder, args[1]))
        return builder.select(chosen, args[0], _splat(builder, args[2]))

    return lanes(lanes, types.int64, types.float64), build


@_in_registers
def total(typing: Any, values: Any) -> Any:
    """Sum of the eight."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _summed(builder, args[0])

    return types.float64(lanes), build


@_in_registers
def dot(typing: Any, values: Any, others: Any) -> Any:
    """Sum of the products."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _summed(builder, builder.fmul(args[0], args[1], flags=_FREE))

    return values.word(values, values), build


def _summed(builder: Any, values: Any) -> Any:
    width = values.type.count
    while width > 1:
        width //= 2
        halves = (_shuffled(builder, values, values, list(half)) for half in (range(width), range(width, 2 * width)))
        values = builder.fadd(*halves, flags=_FREE)
    return builder.extract_element(values, ir.Constant(_WHOLE, 0))


@_in_registers
def smallest(typing: Any, values: Any) -> Any:
    """The smallest of the eight."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = builder.extract_element(args[0], ir.Constant(_WHOLE, 0))
        for k in range(1, LANES):
            other = builder.extract_element(args[0], ir.Constant(_WHOLE, k))
            found = builder.select(builder.fcmp_ordered("<", other, found), other, found)
        return found

    return types.float64(lanes), build


@_in_registers
def entries(typing: Any, array: Any, index: Any, at: Any) -> Any:
    """The entries of a flat array that ``index[at : at + 8]`` names."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.Constant(_VECTOR, ir.Undefined)
        for k, place in enumerate(_named(context, builder, signature, args, 1)):
            vector = builder.insert_element(vector, builder.load(place), ir.Constant(_WHOLE, k))
        return vector

    return lanes(array, index, types.uintp), build


@_in_registers
def columns(typing: Any, table: Any, index: Any, at: Any) -> Any:
    """The four columns of the rows of a flat table that ``index[at : at + 8]`` names."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = _named(context, builder, signature, args, ROW)
        rows = [builder.load(builder.bitcast(place, _QUARTET.as_pointer()), align=8) for place in places]
        pairs = [_shuffled(builder, rows[k], rows[k + ROW], list(range(LANES))) for k in range(ROW)]
        return context.make_tuple(builder, signature.return_type, _transposed(builder, pairs))

    return types.UniTuple(lanes, ROW)(table, index, types.uintp), build


@_in_registers
def add_columns(typing: Any, table: Any, index: Any, at: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Add four columns to the rows of a flat table that ``index[at : at + 8]`` names, one row after the other."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pairs = _transposed(builder, list(args[3:]))
        rows = [
            _shuffled(builder, pair, pair, list(half)) for half in (range(ROW), range(ROW, LANES)) for pair in pairs
        ]
        for place, row in zip(_named(context, builder, signature, args, ROW), rows):
            here = builder.bitcast(place, _QUARTET.as_pointer())
            builder.store(builder.fadd(builder.load(here, align=8), row, flags=_FREE), here, align=8)
        return context.get_dummy_value()

    return types.void(table, index, types.uintp, lanes, lanes, lanes, lanes), build


def _named(context: Any, builder: Any, signature: Any, args: Any, width: int) -> list[Any]:
    """Addresses of rows of a table."""
    table, index = (_data(context, builder, signature.args[k], args[k]) for k in (0, 1))
    places = []
    for k in range(LANES):
        row = builder.load(builder.gep(index, [builder.add(args[2], ir.Constant(args[2].type, k))]))
        row = builder.mul(builder.zext(row, _LONG), ir.Constant(_LONG, width))
        places.append(builder.gep(table, [row]))
    return places


def _transposed(builder: Any, four: list[Any]) -> list[Any]:
    """Transpose both blocks of 4 × 4 of four vectors of 2 × 4."""
    low, high = [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15]
    even, odd = [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]
    halves = [[_shuffled(builder, four[k], four[k + 1], one) for one in (low, high)] for k in (0, 2)]
    (a, b), (c, d) = halves
    return [_shuffled(builder, *both) for both in ((a, c, even), (b, d, even), (a, c, odd), (b, d, odd))]
