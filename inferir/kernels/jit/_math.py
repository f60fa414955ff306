"""Elementary functions without libm: the same bits on every target that has a fused multiply-add, and loops over them
can be vectorised.

Bounds are the largest error seen by tests/kernels/test_math.py against mpmath, in units in the last place of a double.
Arguments and results are float64; a float32 kernel rounds the result once.
"""

from __future__ import annotations

import numpy as np

from inferir.kernels.jit._compile import scalar
from inferir.kernels.jit._simd import multiply_add

_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # fdlibm e_exp.c

#: 1.5 * 2**52, and its bits.
_ONE_APART, _ONE_APART_BITS = 6755399441055744.0, 0x4338000000000000

#: 2**(r / 32) for |r| <= 1 / 2 is about 1 + C1 r + C2 r**2 + C3 r**3 (Arm's optimized routines, exp2f_data.c).
_EXP32_C1 = float.fromhex("0x1.62e42ff0c52d6p-1") / 32
_EXP32_C2 = float.fromhex("0x1.ebfce50fac4f3p-3") / 32**2
_EXP32_C3 = float.fromhex("0x1.c6af84b912394p-5") / 32**3


@scalar
def _whole(x):
    """A float that is a whole number below 2**51, as an integer: where doubles are 1 apart, their bits count up.

    Few CPUs before AVX-512 convert vectors of doubles to 64-bit integers; all of them add.
    """
    return np.float64(x + _ONE_APART).view(np.int64) - _ONE_APART_BITS


@scalar
def _power_of_two(k):
    """2**k for -1022 <= k <= 1023."""
    return np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@scalar
def _expm1_reduced(r):
    """exp(r) - 1 for |r| <= ln(2) / 2: its Taylor series to r**13, whose next term is below 2**-57."""
    p = 1.0 / 6227020800.0
    p = multiply_add(p, r, 1.0 / 479001600.0)
    p = multiply_add(p, r, 1.0 / 39916800.0)
    p = multiply_add(p, r, 1.0 / 3628800.0)
    p = multiply_add(p, r, 1.0 / 362880.0)
    p = multiply_add(p, r, 1.0 / 40320.0)
    p = multiply_add(p, r, 1.0 / 5040.0)
    p = multiply_add(p, r, 1.0 / 720.0)
    p = multiply_add(p, r, 1.0 / 120.0)
    p = multiply_add(p, r, 1.0 / 24.0)
    p = multiply_add(p, r, 1.0 / 6.0)
    p = multiply_add(p, r, 0.5)
    return multiply_add(r * r, p, r)


@scalar
def _reduce(x):
    """k and r with x = k ln 2 + r, after Cody and Waite. NaN gives k = 0 and r = NaN."""
    near = np.floor(x * _LOG2E + 0.5)
    near = near if near == near else 0.0
    return _whole(near), (x - near * _LN2_HIGH) - near * _LN2_LOW


@scalar
def exp(x):
    """e**x; 0 below -745.13, inf above 709.78. 1 ulp."""
    x = np.float64(x)
    x = -746.0 if x < -746.0 else x
    x = 710.0 if x > 710.0 else x
    k, r = _reduce(x)
    half = k >> 1
    return (1.0 + _expm1_reduced(r)) * _power_of_two(half) * _power_of_two(k - half)


@scalar
def exp32(x):
    """e**x of a float32, in double: rounded to float32 it is what expf gives in glibc since 2.27 and in musl.

    Both use Arm's optimized routines (expf.c): 2**(k / 32) times a cubic in what is left, whose small error decides one
    rounding in 1,700. Whoever must answer as a library that calls expf, in every bit, needs the same cubic.
    """
    x = np.float64(x)
    x = -110.0 if x < -110.0 else x
    x = 90.0 if x > 90.0 else x
    scaled = x * (32.0 * _LOG2E)
    near = np.floor(scaled + 0.5)
    k, r = _whole(near if near == near else 0.0), scaled - near
    cubic = (_EXP32_C3 * r + _EXP32_C2) * (r * r) + (_EXP32_C1 * r + 1.0)
    return exp(0.021660849392498290 * (k & 31)) * cubic * _power_of_two(k >> 5)


@scalar
def expm1(x):
    """e**x - 1 without loss near 0; -1 below -37.43, inf above 709.78. 2 ulp."""
    x = np.float64(x)
    x = -40.0 if x < -40.0 else x
    x = 710.0 if x > 710.0 else x
    k, r = _reduce(x)
    half = k >> 1
    scale, rest = _power_of_two(half), _power_of_two(k - half)
    return (scale * _expm1_reduced(r) + (scale - 1.0 / rest)) * rest


@scalar
def log(x):
    """Natural logarithm; -inf at 0, NaN below. 1 ulp. After fdlibm's e_log.c (Sun Microsystems, 1993)."""
    x = np.float64(x)
    tiny = x < 2.2250738585072014e-308
    bits = np.float64(x * 18014398509481984.0 if tiny else x).view(np.int64)  # 2**54
    k = (bits >> 52) - 1023 - (54 if tiny else 0)
    mantissa = np.int64((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
    upper = mantissa > 1.4142135623730951
    k += 1 if upper else 0
    f = (mantissa * 0.5 if upper else mantissa) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = p * z + 1.531383769920937332e-01
    p = p * z + 1.818357216161805012e-01
    p = p * z + 2.222219843214978396e-01
    p = p * z + 2.857142874366239149e-01
    p = p * z + 3.999999999940941908e-01
    p = p * z + 6.666666666666735130e-01
    half_square = 0.5 * f * f
    value = k * _LN2_HIGH - ((half_square - (s * (half_square + p * z) + k * _LN2_LOW)) - f)
    value = -np.inf if x == 0.0 else value
    value = np.nan if x < 0.0 or x != x else value
    return np.inf if x == np.inf else value


@scalar
def log1p(x):
    """log(1 + x) without loss near 0: the rounding of 1 + x is put back. 1.5 ulp."""
    x = np.float64(x)
    u = 1.0 + x
    return log(u) if u == np.inf or u <= 0.0 else log(u) - ((u - 1.0) - x) / u


@scalar
def tanh(x):
    """Hyperbolic tangent, as expm1(2|x|) / (expm1(2|x|) + 2) with the sign of x. 3 ulp."""
    x = np.float64(x)
    e = expm1(2.0 * min(abs(x), 20.0) if x == x else x)
    y = e / (e + 2.0)
    return -y if x < 0.0 else y


@scalar
def sigmoid(x):
    """1 / (1 + e**-x), from the side on which nothing overflows, as SciPy's expit. 2.5 ulp."""
    x = np.float64(x)
    e = exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e) if x == x else x


@scalar
def softplus(x):
    """log(1 + e**x), without overflow. 2 ulp."""
    x = np.float64(x)
    return max(x, 0.0) + log1p(exp(-abs(x))) if x == x else x


@scalar
def integer_power(base, exponent):
    """base**exponent by squaring, exponent >= 0. Exact where the powers on the way are, else exponent / 2 ulp."""
    result = 1.0
    while exponent > 0:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


@scalar
def power(x, y):
    """x**y for x >= 0. By squaring for y = 0, 1, ..., 64, so that small integers stay exact, as with C's pow.

    Else exp(y log x), whose relative error is 1e-15 + 3e-16 |y log x|: 2e-13 where that is 700.
    """
    if 0.0 <= y <= 64.0 and y == np.floor(y):
        return integer_power(np.float64(x), np.int64(y))
    return exp(y * log(x))


@scalar
def normal_cdf(x):
    """Standard normal distribution function. 6 ulp, also far below 0, where 1e-300 has as many right digits as 0.1.

    Near 0 the Taylor series. Below, exp(-x**2 / 2) / (|x| + 5) times a polynomial in (|x| - 5) / (|x| + 5), a map of
    the half line that M. Shepherd and J. Laframboise used (Math. Comp. 36, 1981), interpolated anew at the Chebyshev
    nodes of 0.66 <= |x| <= 39 in 60 digits: relative error 5e-18. The square is taken in two parts, as its rounding
    alone would be 1e-13 of the result.
    """
    x = np.float64(x)
    a = abs(x)
    if a < 0.85:
        z = x * x
        p = 8.133418984498677e-15
        p = p * z - 2.121761474217046e-13
        p = p * z + 5.1124347902563106e-12
        p = p * z - 1.1301171641619213e-10
        p = p * z + 2.2735298243728065e-09
        p = p * z - 4.122667414862689e-08
        p = p * z + 6.659693516316651e-07
        p = p * z - 9.444656259503615e-06
        p = p * z + 0.00011543468761615529
        p = p * z - 0.0011873282154804543
        p = p * z + 0.009973557010035817
        p = p * z - 0.06649038006690544
        p = p * z + 0.3989422804014327
        return 0.5 + x * p
    a = 39.0 if a > 39.0 else a
    t = (a - 5.0) / (a + 5.0)
    p = 7.246206761077185e-09
    p = p * t - 3.7840296801668755e-09
    p = p * t - 6.549966303347434e-08
    p = p * t + 3.4781829475950296e-08
    p = p * t + 4.329092499021239e-07
    p = p * t - 3.309163028525803e-07
    p = p * t - 2.769217707033615e-06
    p = p * t + 3.97823599191705e-06
    p = p * t + 1.668122209689425e-05
    p = p * t - 4.976202379747794e-05
    p = p * t - 5.9375735807803366e-05
    p = p * t + 0.0005448989172839529
    p = p * t - 0.0007978693964456797
    p = p * t - 0.0029933767538947794
    p = p * t + 0.02079506679962631
    p = p * t - 0.0691186387073434
    p = p * t + 0.16502036617040042
    p = p * t - 0.31353315667127496
    p = p * t + 0.4953056159699761
    p = p * t - 0.665382502890057
    p = p * t + 0.769193049750063
    high = np.int64(np.float64(a).view(np.int64) & -0x8000000).view(np.float64)  # 26 bits: its square is exact
    low = 0.5 * (a - high) * (a + high)
    tail = exp(-0.5 * high * high) * (1.0 - low * (1.0 - low * (0.5 - low / 6.0))) * (p / (a + 5.0))
    return tail if x < 0.0 else 1.0 - tail


@scalar
def normal_quantile(p):
    """x with normal_cdf(x) = p: -inf at 0, inf at 1, NaN outside. 7 ulp.

    M. J. Wichura 1988, Algorithm AS 241 (PPND16), Applied Statistics 37, 477-484: relative error about 1e-16.
    """
    p = np.float64(p)
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        a = 2.5090809287301226727e3
        a = a * r + 3.3430575583588128105e4
        a = a * r + 6.7265770927008700853e4
        a = a * r + 4.5921953931549871457e4
        a = a * r + 1.3731693765509461125e4
        a = a * r + 1.9715909503065514427e3
        a = a * r + 1.3314166789178437745e2
        a = a * r + 3.3871328727963666080e0
        b = 5.2264952788528545610e3
        b = b * r + 2.8729085735721942674e4
        b = b * r + 3.9307895800092710610e4
        b = b * r + 2.1213794301586595867e4
        b = b * r + 5.3941960214247511077e3
        b = b * r + 6.8718700749205790830e2
        b = b * r + 4.2313330701600911252e1
        b = b * r + 1.0
        return q * a / b
    tail = p if q < 0.0 else 1.0 - p
    if not tail > 0.0:
        return (-np.inf if q < 0.0 else np.inf) if tail == 0.0 else np.nan
    r = np.sqrt(-log(tail))
    if r <= 5.0:
        r -= 1.6
        a = 7.74545014278341407640e-4
        a = a * r + 2.27238449892691845833e-2
        a = a * r + 2.41780725177450611770e-1
        a = a * r + 1.27045825245236838258e0
        a = a * r + 3.64784832476320460504e0
        a = a * r + 5.76949722146069140550e0
        a = a * r + 4.63033784615654529590e0
        a = a * r + 1.42343711074968357734e0
        b = 1.05075007164441684324e-9
        b = b * r + 5.47593808499534494600e-4
        b = b * r + 1.51986665636164571966e-2
        b = b * r + 1.48103976427480074590e-1
        b = b * r + 6.89767334985100004550e-1
        b = b * r + 1.67638483018380384940e0
        b = b * r + 2.05319162663775882187e0
        b = b * r + 1.0
    else:
        r -= 5.0
        a = 2.01033439929228813265e-7
        a = a * r + 2.71155556874348757815e-5
        a = a * r + 1.24266094738807843860e-3
        a = a * r + 2.65321895265761230930e-2
        a = a * r + 2.96560571828504891230e-1
        a = a * r + 1.78482653991729133580e0
        a = a * r + 5.46378491116411436990e0
        a = a * r + 6.65790464350110377720e0
        b = 2.04426310338993978564e-15
        b = b * r + 1.42151175831644588870e-7
        b = b * r + 1.84631831751005468180e-5
        b = b * r + 7.86869131145613259100e-4
        b = b * r + 1.48753612908506148525e-2
        b = b * r + 1.36929880922735805310e-1
        b = b * r + 5.99832206555887937690e-1
        b = b * r + 1.0
    return -a / b if q < 0.0 else a / b
