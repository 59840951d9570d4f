// Scalar and vector types of the Metal Shading Language and its math functions, for clang on the host or for
// NVPTX. Vectors are clang's ext_vector_type, so swizzles and component-wise operators are the compiler's own.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __CUDA__
#define MSL_FN __attribute__((device)) inline __attribute__((always_inline))
#else
#define MSL_FN inline __attribute__((always_inline))
#endif

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef _Float16 half;

// bfloat keeps the upper 16 bits of a float and rounds to nearest even. A class rather than __bf16, because
// neither libgcc nor older GPUs convert that type.
struct bfloat {
  ushort bits;
  bfloat() = default;
  template <class S> MSL_FN explicit bfloat(S value) : bits(rounded((float)value)) {}
  MSL_FN operator float() const { return __builtin_bit_cast(float, (uint)bits << 16); }
  static MSL_FN ushort rounded(float f) {
    uint u = __builtin_bit_cast(uint, f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (ushort)((u >> 16) | 0x40u);
    return (ushort)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
};

#define MSL_VECTORS(t)                                        \
  typedef t t##2 __attribute__((ext_vector_type(2)));         \
  typedef t t##3 __attribute__((ext_vector_type(3)));         \
  typedef t t##4 __attribute__((ext_vector_type(4)));
MSL_VECTORS(char) MSL_VECTORS(uchar) MSL_VECTORS(short) MSL_VECTORS(ushort) MSL_VECTORS(int) MSL_VECTORS(uint)
MSL_VECTORS(long) MSL_VECTORS(ulong) MSL_VECTORS(half) MSL_VECTORS(float)
typedef int2 bool2;
typedef int3 bool3;
typedef int4 bool4;

#include "msl_math.h"

namespace metal {

template <class T> struct vector_of { typedef T element; static constexpr int size = 1; };
template <class T, int N> struct vector_of<T __attribute__((ext_vector_type(N)))> {
  typedef T element;
  static constexpr int size = N;
};
template <class T, int N> using vec = T __attribute__((ext_vector_type(N)));

// Packed vectors are aligned as their elements are.
template <class T> struct packed4 {
  T element[4];
  MSL_FN T operator[](int i) const { return element[i]; }
};
template <class T> struct vector_of<packed4<T>> {
  typedef T element;
  static constexpr int size = 4;
};

// make_vector<T, N>(a, b, …) is what the front end turns `float4(a, b, …)` into.
template <class V, class E, class A> MSL_FN void put_components(V& out, int& at, const A& a) {
  if constexpr (vector_of<A>::size == 1) {
    out[at++] = (E)a;
  } else {
    for (int i = 0; i < vector_of<A>::size; i++) out[at++] = (E)a[i];
  }
}
template <class E, int N, class... A> MSL_FN vec<E, N> make_vector(A... a) {
  vec<E, N> out{};
  if constexpr (sizeof...(A) == 1 && (vector_of<A>::size + ...) == 1) {
    for (int i = 0; i < N; i++) ((out[i] = (E)a), ...);
  } else {
    static_assert((vector_of<A>::size + ...) == N, "wrong number of components for a vector constructor");
    int at = 0;
    (put_components<vec<E, N>, E>(out, at, a), ...);
  }
  return out;
}

template <class D, class S> MSL_FN D as_type(const S& s) {
  static_assert(sizeof(D) == sizeof(S), "as_type needs types of one size");
  D d;
  __builtin_memcpy(&d, &s, sizeof(D));
  return d;
}

// One overload per type, as in MSL, so that max(int, float) is ambiguous here too.
#define MSL_EACH_COMPONENT(T, call) T r; for (int i = 0; i < vector_of<T>::size; i++) r[i] = call; return r;
#define MSL_UNARY_FLOAT(name)                                                                         \
  MSL_FN float name(float x) { return msl_math::name(x); }                                            \
  MSL_FN half name(half x) { return (half)msl_math::name((float)x); }                                 \
  MSL_FN float2 name(float2 x) { MSL_EACH_COMPONENT(float2, msl_math::name(x[i])) }                   \
  MSL_FN float3 name(float3 x) { MSL_EACH_COMPONENT(float3, msl_math::name(x[i])) }                   \
  MSL_FN float4 name(float4 x) { MSL_EACH_COMPONENT(float4, msl_math::name(x[i])) }                   \
  MSL_FN half4 name(half4 x) { MSL_EACH_COMPONENT(half4, (half)msl_math::name((float)x[i])) }
#define MSL_BINARY_FLOAT(name)                                                                        \
  MSL_FN float name(float x, float y) { return msl_math::name(x, y); }                                \
  MSL_FN half name(half x, half y) { return (half)msl_math::name((float)x, (float)y); }               \
  MSL_FN float2 name(float2 x, float2 y) { MSL_EACH_COMPONENT(float2, msl_math::name(x[i], y[i])) }   \
  MSL_FN float3 name(float3 x, float3 y) { MSL_EACH_COMPONENT(float3, msl_math::name(x[i], y[i])) }   \
  MSL_FN float4 name(float4 x, float4 y) { MSL_EACH_COMPONENT(float4, msl_math::name(x[i], y[i])) }
#define MSL_ALL_FLOAT_FUNCTIONS                                                                        \
  MSL_UNARY_FLOAT(exp) MSL_UNARY_FLOAT(exp2) MSL_UNARY_FLOAT(exp10) MSL_UNARY_FLOAT(log)               \
  MSL_UNARY_FLOAT(log2) MSL_UNARY_FLOAT(log10) MSL_UNARY_FLOAT(sin) MSL_UNARY_FLOAT(cos)               \
  MSL_UNARY_FLOAT(tan) MSL_UNARY_FLOAT(asin) MSL_UNARY_FLOAT(acos) MSL_UNARY_FLOAT(atan)               \
  MSL_UNARY_FLOAT(sinh) MSL_UNARY_FLOAT(cosh) MSL_UNARY_FLOAT(tanh) MSL_UNARY_FLOAT(asinh)             \
  MSL_UNARY_FLOAT(acosh) MSL_UNARY_FLOAT(atanh) MSL_UNARY_FLOAT(sqrt) MSL_UNARY_FLOAT(rsqrt)           \
  MSL_UNARY_FLOAT(floor) MSL_UNARY_FLOAT(ceil) MSL_UNARY_FLOAT(round) MSL_UNARY_FLOAT(rint)            \
  MSL_UNARY_FLOAT(trunc) MSL_UNARY_FLOAT(fract) MSL_UNARY_FLOAT(saturate) MSL_UNARY_FLOAT(fabs)        \
  MSL_UNARY_FLOAT(sign) MSL_BINARY_FLOAT(pow) MSL_BINARY_FLOAT(powr) MSL_BINARY_FLOAT(atan2)           \
  MSL_BINARY_FLOAT(fmod) MSL_BINARY_FLOAT(copysign) MSL_BINARY_FLOAT(fdim) MSL_BINARY_FLOAT(step)      \
  MSL_BINARY_FLOAT(fmax) MSL_BINARY_FLOAT(fmin) MSL_BINARY_FLOAT(divide) MSL_BINARY_FLOAT(nextafter)   \
  MSL_FN float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }                      \
  MSL_FN half fma(half a, half b, half c) { return (half)((double)a * (double)b + (double)c); }        \
  MSL_FN float4 fma(float4 a, float4 b, float4 c) { MSL_EACH_COMPONENT(float4, __builtin_fmaf(a[i], b[i], c[i])) } \
  MSL_FN float2 fma(float2 a, float2 b, float2 c) { MSL_EACH_COMPONENT(float2, __builtin_fmaf(a[i], b[i], c[i])) }

MSL_ALL_FLOAT_FUNCTIONS
namespace fast { MSL_ALL_FLOAT_FUNCTIONS }
namespace precise { MSL_ALL_FLOAT_FUNCTIONS }

#define MSL_MINMAX(T)                                                    \
  MSL_FN T max(T a, T b) { return a < b ? b : a; }                       \
  MSL_FN T min(T a, T b) { return b < a ? b : a; }                       \
  MSL_FN T clamp(T x, T low, T high) { return min(max(x, low), high); }
MSL_MINMAX(char) MSL_MINMAX(uchar) MSL_MINMAX(short) MSL_MINMAX(ushort) MSL_MINMAX(int) MSL_MINMAX(uint) MSL_MINMAX(long) MSL_MINMAX(ulong)
#define MSL_FLOAT_MINMAX(T)                                              \
  MSL_FN T max(T a, T b) { return fmax(a, b); }                          \
  MSL_FN T min(T a, T b) { return fmin(a, b); }                          \
  MSL_FN T clamp(T x, T low, T high) { return fmin(fmax(x, low), high); } \
  MSL_FN T mix(T a, T b, T t) { return a + (b - a) * t; }
MSL_FLOAT_MINMAX(float) MSL_FLOAT_MINMAX(half) MSL_FLOAT_MINMAX(float2) MSL_FLOAT_MINMAX(float3) MSL_FLOAT_MINMAX(float4)
MSL_FN float abs(float x) { return __builtin_fabsf(x); }
MSL_FN half abs(half x) { return (half)__builtin_fabsf((float)x); }
MSL_FN float4 abs(float4 x) { MSL_EACH_COMPONENT(float4, __builtin_fabsf(x[i])) }
#define MSL_INTEGER_ABS(T) MSL_FN T abs(T x) { return x < 0 ? (T)-x : x; }
MSL_INTEGER_ABS(char) MSL_INTEGER_ABS(short) MSL_INTEGER_ABS(int) MSL_INTEGER_ABS(long)

#define MSL_PREDICATE(name)                                              \
  MSL_FN bool name(float x) { return __builtin_##name(x); }              \
  MSL_FN bool name(half x) { return __builtin_##name((float)x); }
MSL_PREDICATE(isnan) MSL_PREDICATE(isinf) MSL_PREDICATE(isfinite) MSL_PREDICATE(signbit)

#define MSL_SELECT(T) MSL_FN T select(T a, T b, bool c) { return c ? b : a; }
MSL_SELECT(char) MSL_SELECT(uchar) MSL_SELECT(short) MSL_SELECT(ushort) MSL_SELECT(int) MSL_SELECT(uint) MSL_SELECT(long) MSL_SELECT(ulong)
MSL_SELECT(half) MSL_SELECT(float)
MSL_FN float dot(float2 a, float2 b) { return a.x * b.x + a.y * b.y; }
MSL_FN float dot(float3 a, float3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
MSL_FN float dot(float4 a, float4 b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

#define MSL_INTEGER(T, U, bits)                                                                            \
  MSL_FN T popcount(T x) { return (T)__builtin_popcountll((unsigned long long)(U)x); }                     \
  MSL_FN T clz(T x) { return x == 0 ? (T)bits : (T)(__builtin_clzll((unsigned long long)(U)x) - (64 - bits)); } \
  MSL_FN T ctz(T x) { return x == 0 ? (T)bits : (T)__builtin_ctzll((unsigned long long)(U)x); }            \
  MSL_FN T rotate(T x, T by) { unsigned s = (unsigned)by % bits; return s ? (T)(((U)x << s) | ((U)x >> (bits - s))) : x; }
MSL_INTEGER(uchar, uchar, 8) MSL_INTEGER(ushort, ushort, 16) MSL_INTEGER(uint, uint, 32) MSL_INTEGER(int, uint, 32) MSL_INTEGER(ulong, ulong, 64) MSL_INTEGER(long, ulong, 64)
MSL_FN uint mulhi(uint a, uint b) { return (uint)(((ulong)a * b) >> 32); }
MSL_FN int mulhi(int a, int b) { return (int)(((long)a * b) >> 32); }

}  // namespace metal
using metal::as_type;
typedef metal::packed4<float> packed_float4;
typedef metal::packed4<half> packed_half4;
typedef metal::packed4<bfloat> packed_bfloat4;
