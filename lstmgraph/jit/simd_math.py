"""LLVM vector code on SIMD registers: what one instruction does, reductions of the lanes, exp and its kin.

No instruction carries a fast-math flag, so a result is a function of the operands alone. NaN goes through
every clamp here because each is a compare and a select (``llvm.maxnum`` and ``llvm.minnum`` drop NaN) such
that x86 has one instruction for the pair. No float is ever converted to an integer: exponents are read
from the low bits of ``x + 1.5 * 2**mantissa_bits``, which is defined for NaN and infinities too.

The argument reductions follow Cody and Waite (Software Manual for the Elementary Functions, 1980), log
follows fdlibm's e_log.c (Sun Microsystems, 1993). The coefficients are minimax fits (Remez's algorithm).
"""

# mypy: disable-error-code="no-untyped-call"

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from llvmlite import ir
from numba.core import cgutils

INDEX = ir.IntType(32)


@dataclass(frozen=True)
class Format:
    """What the algorithms need to know of a floating point format."""

    suffix: str
    scalar: Any
    bits: Any
    mantissa_bits: int
    bias: int
    root_half_bits: int
    log_2_of_e: float  # a little less, so that the ends of the range round towards 0
    # ln 2 in two parts; the first has so few bits that its product with an exponent is exact.
    log_two: tuple[float, float]
    before_half: float  # the number next to -0.5 towards 0
    exp_range: tuple[float, float]  # exp of the ends is below the least normal number and above the greatest
    sigmoid_range: tuple[float, float]  # beyond, exp is lost beside 1, and its inverse below the least normal
    tanh_limit: float  # exp(-tanh_limit) is lost beside 1
    exp_terms: tuple[float, ...]  # (exp(r) - 1 - r) / r**2 on [0, ln 2], relative to exp(r)
    expm1_terms: tuple[float, ...]  # the same on [-ln 2 / 2, ln 2 / 2], relative to expm1(r)
    log_terms: tuple[float, ...]  # (log((1 + s) / (1 - s)) / s - 2) / s**2 as a polynomial of s**2
    sin_terms: tuple[float, ...]  # (sin(r) / r - 1) / r**2 on [-1.58, 1.58] as a polynomial of r**2
    pi: tuple[float, ...]  # in parts; the first two have so few bits that their products with an integer are exact


FORMATS = {
    "float32": Format(
        suffix="f32",
        scalar=ir.FloatType(),
        bits=ir.IntType(32),
        mantissa_bits=23,
        bias=127,
        root_half_bits=0x3F3504F3,
        log_2_of_e=1.4426949,
        log_two=(0.693359375, -0.00021219444170128554),
        before_half=-0.5 + 2.0**-25,
        exp_range=(-88.0, 89.0),
        sigmoid_range=(-20.0, 87.33654),
        tanh_limit=20.0,
        exp_terms=(0.50000226, 0.16663209, 0.041854504, 0.0078689875, 0.0019122611),
        expm1_terms=(0.5, 0.16666539, 0.041666612, 0.008367113, 0.0013917033),
        log_terms=(0.66666776, 0.39977568, 0.2987145),
        sin_terms=(-0.1666666, 0.008333056, -0.00019808847, 2.6040238e-06),
        pi=(3.140625, 0.0009670257568359375, 6.278329465203569e-07),
    ),
    "float64": Format(
        suffix="f64",
        scalar=ir.DoubleType(),
        bits=ir.IntType(64),
        mantissa_bits=52,
        bias=1023,
        root_half_bits=0x3FE6A09E667F3BCD,
        log_2_of_e=1.4426950408889632,
        log_two=(0.693145751953125, 1.4286068203094172e-06),
        before_half=-0.5 + 2.0**-54,
        exp_range=(-709.0, 710.0),
        sigmoid_range=(-40.0, 708.3964185322641),
        tanh_limit=40.0,
        exp_terms=(
            0.49999999999997363,
            0.16666666666791283,
            0.04166666664369446,
            0.008333333557957824,
            0.0013888875706294008,
            0.00019841762376429065,
            2.4789597298358237e-05,
            2.7746340418734085e-06,
            2.570782537524509e-07,
            3.507662696277569e-08,
        ),
        expm1_terms=(
            0.5,
            0.16666666666666677,
            0.04166666666666667,
            0.008333333333321338,
            0.0013888888888886027,
            0.00019841269886953052,
            2.480158731791987e-05,
            2.755724329998339e-06,
            2.755728305395741e-07,
            2.510937817044705e-08,
            2.091084861601473e-09,
        ),
        log_terms=(
            0.6666666666666735,
            0.39999999999409347,
            0.2857142874368792,
            0.22222198428783532,
            0.18183572366965536,
            0.15313831814034823,
            0.1479826269422374,
        ),
        sin_terms=(
            -0.16666666666666666,
            0.008333333333333182,
            -0.00019841269841204748,
            2.755731921035436e-06,
            -2.5052106799678653e-08,
            1.605893596307766e-10,
            -7.642892462372438e-13,
            2.7201163359035814e-15,
        ),
        pi=(3.1415926534682512, 1.2154201012607932e-10, 4.044532497591901e-21),
    ),
}


@dataclass(frozen=True)
class Writer:
    """Writes vector instructions at the end of a basic block; a Python float stands for a vector of it."""

    builder: Any
    format: Format
    width: int

    def having(self, width: int) -> Self:
        """Return the same writer for vectors of another width."""
        return type(self)(self.builder, self.format, width)

    @property
    def vector(self) -> Any:
        """The type of a vector."""
        return ir.VectorType(self.format.scalar, self.width)

    @property
    def bit_vector(self) -> Any:
        """The type of a vector's bits: integers as wide as its elements."""
        return ir.VectorType(self.format.bits, self.width)

    def value(self, value: Any) -> Any:
        """Return a vector of the Python float `value`, or `value` itself where it is a vector already."""
        if isinstance(value, float):
            return ir.Constant(self.vector, [value] * self.width)
        return value

    def integers(self, value: int) -> Any:
        """Return a vector of the integer `value`, as bits."""
        return ir.Constant(self.bit_vector, [value] * self.width)

    def shuffle(self, first: Any, second: Any, lanes: Sequence[int]) -> Any:
        """Return the given lanes of two vectors, numbered as if they were one."""
        mask = ir.Constant(ir.VectorType(INDEX, len(lanes)), list(lanes))
        return self.builder.shuffle_vector(first, second, mask)

    def broadcast(self, value: Any) -> Any:
        """Return a vector with a scalar in every lane; a vector stays what it is."""
        if isinstance(value.type, ir.VectorType):
            return value
        nothing = ir.Constant(ir.VectorType(value.type, 1), ir.Undefined)
        one = self.builder.insert_element(nothing, value, ir.Constant(INDEX, 0))
        return self.shuffle(one, one, [0] * self.width)

    def call(self, name: str, *values: Any) -> Any:
        """Call the LLVM intrinsic `name`, which maps vectors to a vector."""
        kind = ir.FunctionType(self.vector, [self.vector] * len(values))
        full_name = f"llvm.{name}.v{self.width}{self.format.suffix}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, full_name)
        return self.builder.call(function, [self.value(value) for value in values])

    def add(self, left: Any, right: Any) -> Any:
        """Return left + right."""
        return self.builder.fadd(self.value(left), self.value(right))

    def subtract(self, left: Any, right: Any) -> Any:
        """Return left - right."""
        return self.builder.fsub(self.value(left), self.value(right))

    def multiply(self, left: Any, right: Any) -> Any:
        """Return left * right."""
        return self.builder.fmul(self.value(left), self.value(right))

    def divide(self, left: Any, right: Any) -> Any:
        """Return left / right."""
        return self.builder.fdiv(self.value(left), self.value(right))

    def fma(self, left: Any, right: Any, addend: Any) -> Any:
        """Return left * right + addend, rounded once where the CPU can; elsewhere fma is a slow call."""
        return self.call("fmuladd", left, right, addend)

    def compare(self, relation: str, left: Any, right: Any) -> Any:
        """Return a vector of bits: whether the relation holds; with NaN only ``!=`` does."""
        compare = self.builder.fcmp_unordered if relation == "!=" else self.builder.fcmp_ordered
        return compare(relation, self.value(left), self.value(right))

    def choose(self, condition: Any, chosen: Any, otherwise: Any) -> Any:
        """Return the lanes of `chosen` where the bit of `condition` is set, the others of `otherwise`."""
        return self.builder.select(condition, self.value(chosen), self.value(otherwise))

    def at_least(self, bound: float, value: Any) -> Any:
        """Return the greater of `bound` and `value`; NaN stays NaN."""
        return self.choose(self.compare(">", bound, value), bound, value)

    def at_most(self, bound: float, value: Any) -> Any:
        """Return the lesser of `bound` and `value`; NaN stays NaN."""
        return self.choose(self.compare("<", bound, value), bound, value)

    def to_bits(self, value: Any) -> Any:
        """Return the bits of a vector."""
        return self.builder.bitcast(value, self.bit_vector)

    def from_bits(self, bits: Any) -> Any:
        """Return the vector of these bits."""
        return self.builder.bitcast(bits, self.vector)

    def polynomial(self, value: Any, terms: Sequence[float]) -> Any:
        """Return terms[0] + terms[1] * value + ... by Horner's rule."""
        result = self.value(terms[-1])
        for term in reversed(terms[:-1]):
            result = self.fma(result, value, term)
        return result

    def power_of_two(self, value: Any, offset: float) -> tuple[Any, Any]:
        """Return n = the integer nearest to value * log2(e) + offset, and 2**n (n in -bias .. bias + 1).

        n = -bias gives 0 and n = bias + 1 gives infinity.
        """
        shape = self.format
        # Beside a number this large the unit is 1: the addition rounds, and the low bits are n + bias.
        large = 1.5 * 2.0**shape.mantissa_bits + shape.bias
        rounded = self.add(self.fma(value, shape.log_2_of_e, offset), large)
        power = self.builder.shl(self.to_bits(rounded), self.integers(shape.mantissa_bits))
        return self.subtract(rounded, large), self.from_bits(power)


def relation(symbol: str) -> Callable[[Writer, Any, Any], Any]:
    """Return what writes 1 where the relation holds, else 0."""
    return lambda w, left, right: w.choose(w.compare(symbol, left, right), 1.0, 0.0)


def select(w: Writer, condition: Any, chosen: Any, otherwise: Any) -> Any:
    """Return the lanes of `chosen` where `condition` is not 0, the others of `otherwise`."""
    return w.choose(w.compare("!=", condition, 0.0), chosen, otherwise)


def maximum(w: Writer, left: Any, right: Any) -> Any:
    """Return the greater; NaN where either is NaN."""
    return _extreme(w, ">", left, right)


def minimum(w: Writer, left: Any, right: Any) -> Any:
    """Return the lesser; NaN where either is NaN."""
    return _extreme(w, "<", left, right)


def _extreme(w: Writer, symbol: str, left: Any, right: Any) -> Any:
    either = w.choose(w.compare(symbol, left, right), left, right)  # the right one where one is NaN
    return w.choose(w.compare("!=", left, left), left, either)


def _fold(combine: Callable[[Writer, Any, Any], Any], w: Writer, value: Any) -> Any:
    """Combine the first half of the lanes with the second, until one is left."""
    width = w.width
    while width > 1:
        width //= 2
        low, high = (w.shuffle(value, value, range(start, start + width)) for start in (0, width))
        value = combine(w.having(width), low, high)
    return w.builder.extract_element(value, ir.Constant(INDEX, 0))


total = partial(_fold, Writer.add)
largest = partial(_fold, maximum)


def _running_total(step: int, w: Writer, value: Any) -> Any:
    """Sum the lanes up to each (step 1) or from each on (step -1), in steps of 1, 2, 4, ... lanes."""
    distance = 1
    while distance < w.width:
        sources = [lane - step * distance for lane in range(w.width)]
        zero = w.width  # the first lane of the second operand
        lanes = [source if 0 <= source < w.width else zero for source in sources]
        value = w.add(value, w.shuffle(value, w.value(0.0), lanes))
        distance *= 2
    return value


running_total = partial(_running_total, 1)
running_total_reverse = partial(_running_total, -1)


def exp_parts(w: Writer, value: Any, offset: float, terms: Sequence[float]) -> tuple[Any, Any]:
    """Return f and a power of two (or 0, or infinity) such that exp(value) = (1 + f) * power.

    `terms` are those for the remainders that `offset` leaves.
    """
    exponent, power = w.power_of_two(value, offset)
    high, low = w.format.log_two
    rest = w.fma(exponent, -low, w.fma(exponent, -high, value))
    # In this order, a remainder near the least number does not underflow.
    return w.fma(w.multiply(rest, w.polynomial(rest, terms)), rest, rest), power


def exp(w: Writer, value: Any) -> Any:
    """Return exp(value); results below the least normal number are 0."""
    lowest, highest = w.format.exp_range
    value = w.at_least(lowest, w.at_most(highest, value))
    # Rounding down leaves the exponents that the format has, no more: one multiplication is enough. At 0 the
    # remainder must be 0 and not ln 2, so the offset is not quite a half.
    fraction, power = exp_parts(w, value, w.format.before_half, w.format.exp_terms)
    return w.multiply(w.add(fraction, 1.0), power)


def sigmoid(w: Writer, value: Any) -> Any:
    """Return 1 / (1 + exp(-value)); results below the least normal number are 0."""
    lowest, highest = w.format.sigmoid_range
    negative = w.at_least(lowest, w.at_most(highest, w.builder.fneg(value)))
    fraction, power = exp_parts(w, negative, 0.0, w.format.expm1_terms)
    whole = w.add(power, 1.0)
    lost = w.subtract(1.0, w.subtract(whole, power))  # other than 0 where power is too great for the sum
    result = w.divide(1.0, w.add(whole, w.fma(fraction, power, lost)))
    return w.choose(w.compare("<", value, -highest), 0.0, result)


def tanh(w: Writer, value: Any) -> Any:
    """Return tanh(value) = -e / (e + 2) of e = expm1(-2 * |value|), with the sign of `value`."""
    double = w.at_least(-w.format.tanh_limit, w.multiply(w.call("fabs", value), -2.0))
    fraction, power = exp_parts(w, double, 0.0, w.format.expm1_terms)
    below = w.subtract(power, 1.0)
    numerator = w.fma(fraction, power, below)
    denominator = w.add(numerator, 2.0)
    ratio = w.divide(numerator, denominator)
    # What rounding took off both, to first order: fraction * power is exact; a line is near 1 / denominator.
    lost = w.fma(fraction, power, w.subtract(below, numerator))
    lost_below = w.add(lost, w.subtract(numerator, w.subtract(denominator, 2.0)))
    error = w.subtract(w.multiply(ratio, lost_below), lost)
    return w.call("copysign", w.fma(error, w.fma(denominator, 0.5, -1.457), ratio), value)


def log(w: Writer, value: Any) -> Any:
    """Return log(value), that of subnormal numbers too."""
    shape, builder = w.format, w.builder
    shift = shape.mantissa_bits
    least_normal = 2.0 ** (1 - shape.bias)
    subnormal = w.compare("<", value, least_normal)
    scaled = w.choose(subnormal, w.multiply(value, 2.0**shift), value)
    # The exponent counts from sqrt(1/2), so that a value near 1 has exponent 0 and loses nothing.
    bits = w.to_bits(scaled)
    counted = builder.add(bits, w.integers((shape.bias << shift) - shape.root_half_bits))
    biased = builder.lshr(counted, w.integers(shift))
    large = 2.0**shift
    as_float = w.from_bits(builder.or_(biased, w.integers((shape.bias + shift) << shift)))
    offset = w.choose(subnormal, -(large + shape.bias + shift), -(large + shape.bias))
    exponent = w.add(as_float, offset)
    ones = builder.sub(w.integers(shape.bias), biased)
    mantissa = w.from_bits(builder.add(bits, builder.shl(ones, w.integers(shift))))
    f = w.subtract(mantissa, 1.0)
    s = w.divide(f, w.add(f, 2.0))
    square = w.multiply(s, s)
    half = w.multiply(w.multiply(f, 0.5), f)
    high, low = shape.log_two
    inner = w.add(half, w.multiply(square, w.polynomial(square, shape.log_terms)))
    inner = w.fma(s, inner, w.multiply(exponent, low))
    result = w.fma(exponent, high, w.subtract(f, w.subtract(half, inner)))
    result = w.choose(w.compare("<", value, float("inf")), result, value)
    special = w.choose(w.compare("==", value, 0.0), float("-inf"), float("nan"))
    return w.choose(w.compare("<=", value, 0.0), special, result)


def sin(w: Writer, value: Any) -> Any:
    """Return sin(value), where value is a number of half turns that the format counts exactly; else in -1 to 1."""
    large = 1.5 * 2.0**w.format.mantissa_bits
    rounded = w.add(w.multiply(value, 1 / math.pi), large)
    half_turns = w.subtract(rounded, large)
    rest = value
    for part in w.format.pi:
        rest = w.fma(half_turns, -part, rest)
    rest = w.at_least(-1.58, w.at_most(1.58, rest))  # rounding leaves a little more than a quarter turn
    square = w.multiply(rest, rest)
    result = w.multiply(rest, w.fma(square, w.polynomial(square, w.format.sin_terms), 1.0))
    odd = w.builder.shl(w.to_bits(rounded), w.integers(w.format.bits.width - 1))  # the last bit of half_turns
    return w.from_bits(w.builder.xor(w.to_bits(result), odd))
