"""Functions in OpenCL C that every kernel may use: only operators, so that they are inlined.

A build may define FMA, SQRT and DIV; otherwise they are the language's own. What C leaves undefined
(conversions out of range, division by zero, shifts) is guarded here or where it is written.
"""

from engine.arithmetic import NAN_BITS

PRELUDE = f"""\
#pragma OPENCL FP_CONTRACT OFF
#ifndef FMA
#define FMA fma
#endif
#ifndef SQRT
#define SQRT sqrt
#endif
#ifndef DIV
#define DIV(a, b) ((a) / (b))
#endif
static inline float canonical(float a) {{ return a != a ? as_float({NAN_BITS:#x}) : a; }}
static inline int order_of(float a) {{
  const int bits = as_int(canonical(a));
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}}
static inline float float_of(int key) {{ return as_float(key < 0 ? key ^ 0x7fffffff : key); }}
static inline int float_to_int(float a) {{
  return a != a ? 0 : a >= 0x1p31f ? 2147483647 : a < -0x1p31f ? (int)0x80000000 : (int)a;
}}
static inline uint float_to_uint(float a) {{
  return !(a > 0.0f) ? 0u : a >= 0x1p32f ? 0xffffffffu : (uint)a;
}}
static inline int float_within(float a, int low, int high) {{
  return a != a ? 0 : a >= (float)high ? high : a <= (float)low ? low : (int)a;
}}
static inline int int_within(int a, int low, int high) {{
  return a < low ? low : a > high ? high : a;
}}
static inline int uint_up_to(uint a, uint high) {{ return (int)(a > high ? high : a); }}
static inline int int_div(int a, int b) {{
  const int d = (b == 0 || b == -1) ? 1 : b;
  return b == 0 ? 0 : b == -1 ? (int)(0u - (uint)a) : a / d;
}}
static inline float half_to_float(uint a) {{
  const uint m = a & 0x7fffu;
  const uint normal = (m << 13) + (m >= 0x7c00u ? 0x70000000u : 0x38000000u);
  const uint size = m < 0x400u ? as_uint((float)m * 0x1p-24f) : normal;
  return as_float(size | (a & 0x8000u) << 16);
}}
static inline uint float_to_half(float a) {{
  const uint bits = as_uint(canonical(a)), m = bits & 0x7fffffffu;
  const uint tiny = as_uint(as_float(m) * 0x1p24f + 0x1p23f) - 0x4b000000u;
  const uint rest = m - 0x38000000u, normal = (rest + 0xfffu + (rest >> 13 & 1u)) >> 13;
  const uint large = m > 0x7f800000u ? 0x7e00u : 0x7c00u;
  return (bits >> 16 & 0x8000u) | (m < 0x38800000u ? tiny : m < 0x47800000u ? normal : large);
}}
static inline float bfloat_to_float(uint a) {{ return as_float(a << 16); }}
static inline uint float_to_bfloat(float a) {{
  const uint bits = as_uint(canonical(a));
  return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}}
static inline uint uint_div(uint a, uint b) {{ return b == 0u ? 0u : a / (b == 0u ? 1u : b); }}
"""

SOFTWARE_PRELUDE = """\
static inline float software_round(uint sign, int exponent, ulong digits, int extra) {
  if (exponent <= 0) {
    const int shift = 1 - exponent;
    const ulong lost = shift > 62 ? digits : digits & ((1ul << shift) - 1ul);
    digits = (shift > 62 ? 0ul : digits >> shift) | (lost != 0ul);
    exponent = 1;
    if (digits == 0ul) return as_float(sign);
  }
  if (exponent >= 255) return as_float(sign | 0x7f800000u);
  const ulong tail = digits & ((1ul << extra) - 1ul), middle = 1ul << (extra - 1);
  ulong kept = digits >> extra;
  kept += tail > middle || (tail == middle && (kept & 1ul));
  return as_float(sign | (((uint)(exponent - 1) << 23) + (uint)kept));
}
static inline float software_div(float a, float b) {
  uint x = as_uint(a), y = as_uint(b);
  const uint sign = (x ^ y) & 0x80000000u;
  x &= 0x7fffffffu;
  y &= 0x7fffffffu;
  const int nan = x > 0x7f800000u || y > 0x7f800000u || (x == y && (x == 0u || x == 0x7f800000u));
  if (nan) return as_float(0x7fc00000u);
  if (x == 0x7f800000u || y == 0u) return as_float(sign | 0x7f800000u);
  if (x == 0u || y == 0x7f800000u) return as_float(sign);
  int p = x >> 23, q = y >> 23;
  ulong m = p ? (x & 0x7fffffu) | 0x800000u : x, n = q ? (y & 0x7fffffu) | 0x800000u : y;
  if (p == 0) p = 1;
  if (q == 0) q = 1;
  while (m < 0x800000ul) { m <<= 1; p--; }
  while (n < 0x800000ul) { n <<= 1; q--; }
  int exponent = p - q + 127;
  if (m < n) { m <<= 1; exponent--; }
  const ulong quotient = (m << 26) / n;
  return software_round(sign, exponent, quotient | (quotient * n != m << 26), 3);
}
static inline float software_sqrt(float a) {
  const uint x = as_uint(a);
  if (x == 0u || x == 0x80000000u || x == 0x7f800000u) return a;
  if (x > 0x7f800000u) return as_float(0x7fc00000u);
  int p = x >> 23;
  ulong m = p ? (x & 0x7fffffu) | 0x800000u : x;
  if (p == 0) p = 1;
  while (m < 0x800000ul) { m <<= 1; p--; }
  p -= 127;
  if (p & 1) { m <<= 1; p--; }
  const ulong square = m << 27;
  ulong root = 0ul;
  for (ulong bit = 1ul << 25; bit; bit >>= 1) {
    if ((root | bit) * (root | bit) <= square) root |= bit;
  }
  return software_round(0u, p / 2 + 127, (root << 1) | (root * root != square), 3);
}
"""
"""Division and square root from integers, correctly rounded, for devices whose own ones are not."""
