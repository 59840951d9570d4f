// The float functions behind MSL's math library. The host uses its C library; NVPTX has hardware approximations
// only (no libdevice is needed), so what it lacks is composed from them.
#pragma once
namespace msl_math {
#ifdef __CUDA__
MSL_FN float exp2(float x) { float r; asm("ex2.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
MSL_FN float log2(float x) { float r; asm("lg2.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
MSL_FN float sqrt(float x) { float r; asm("sqrt.rn.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
MSL_FN float sin_reduced(float x) { float r; asm("sin.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
MSL_FN float cos_reduced(float x) { float r; asm("cos.approx.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
MSL_FN float rint(float x) { return __builtin_nearbyintf(x); }
MSL_FN float fabs(float x) { return __builtin_fabsf(x); }
// x − 2πn, 2π as the sum of two floats: the hardware's sine is accurate near zero only.
MSL_FN float reduced(float x) {
  float n = rint(x * 0.15915494309f);
  return __builtin_fmaf(n, 1.7484556e-7f, __builtin_fmaf(n, -6.2831854820f, x));
}
MSL_FN float sin(float x) { return sin_reduced(reduced(x)); }
MSL_FN float cos(float x) { return cos_reduced(reduced(x)); }
// 2^(x·log2 e) with the product's rounding error carried along: plain x*1.4427f loses up to 7 bits.
MSL_FN float exp(float x) {
  if (x < -104.0f) return 0.0f;  // −∞ too: its rounding error would be ∞ − ∞
  if (x > 89.0f) return __builtin_huge_valf();
  float p = x * 1.44269504f, n = rint(p), half = rint(0.5f * n);
  float r = __builtin_fmaf(x, 1.44269504f, -n);
  r = __builtin_fmaf(x, 1.92596299e-8f, r);
  return exp2(r) * exp2(half) * exp2(n - half);  // 2ⁿ alone overflows before exp does
}
MSL_FN float log(float x) { return log2(x) * 0.69314718056f; }
MSL_FN float exp10(float x) { return exp(x * 2.302585093f); }
MSL_FN float log10(float x) { return log2(x) * 0.30102999566f; }
MSL_FN float tan(float x) { return sin(x) / cos(x); }
MSL_FN float tanh(float x) {
  float a = fabs(x);
  if (a < 0.1f) { float s = x * x; return x * (1.0f + s * (-0.33333334f + s * (0.13333334f - s * 0.053968254f))); }
  float e = exp(-2.0f * a);
  return __builtin_copysignf((1.0f - e) / (1.0f + e), x);
}
MSL_FN float sinh(float x) { return 0.5f * (exp(x) - exp(-x)); }
MSL_FN float cosh(float x) { return 0.5f * (exp(x) + exp(-x)); }
// atan by argument reduction to |x| ≤ tan(π/8) and the odd Taylor series (Cephes' coefficients).
MSL_FN float atan(float x) {
  float a = fabs(x), base = 0.0f;
  if (a > 2.4142135624f) { base = 1.5707963268f; a = -1.0f / a; }
  else if (a > 0.4142135624f) { base = 0.7853981634f; a = (a - 1.0f) / (a + 1.0f); }
  float s = a * a;
  float p = (((8.05374449538e-2f * s - 1.38776856032e-1f) * s + 1.99777106478e-1f) * s - 3.33329491539e-1f) * s * a + a;
  return __builtin_copysignf(base + p, x);
}
MSL_FN float asin(float x) { return atan(x / sqrt((1.0f - x) * (1.0f + x))); }
MSL_FN float acos(float x) { return 1.5707963268f - asin(x); }
MSL_FN float asinh(float x) { float a = fabs(x); return __builtin_copysignf(log(a + sqrt(a * a + 1.0f)), x); }
MSL_FN float acosh(float x) { return log(x + sqrt(x * x - 1.0f)); }
MSL_FN float atanh(float x) { return 0.5f * log((1.0f + x) / (1.0f - x)); }
MSL_FN float pow(float x, float y) {
  float a = fabs(x);
  float r = a == 0.0f ? (y == 0.0f ? 1.0f : y > 0.0f ? 0.0f : __builtin_huge_valf()) : exp2(y * log2(a));
  bool integral = rint(y) == y, odd = integral && (((long)y) & 1);
  if (x < 0.0f) return integral ? (odd ? -r : r) : __builtin_nanf("");
  return r;
}
MSL_FN float atan2(float y, float x) {
  if (x == 0.0f) return y == 0.0f ? 0.0f : __builtin_copysignf(1.5707963268f, y);
  float r = atan(y / x);
  return x > 0.0f ? r : r + __builtin_copysignf(3.1415926536f, y);
}
MSL_FN float fmod(float x, float y) { return x - __builtin_truncf(x / y) * y; }
MSL_FN float round(float x) { return __builtin_copysignf(__builtin_floorf(fabs(x) + 0.5f), x); }
MSL_FN float nextafter(float x, float y) {
  if (x == y) return y;
  int u = __builtin_bit_cast(int, x);
  if (x == 0.0f) return __builtin_copysignf(1.401298464e-45f, y);
  u += ((x < y) == (x > 0.0f)) ? 1 : -1;
  return __builtin_bit_cast(float, u);
}
#else
#define MSL_LIBM(name) MSL_FN float name(float x) { return __builtin_##name##f(x); }
MSL_LIBM(exp) MSL_LIBM(exp2) MSL_LIBM(log) MSL_LIBM(log2) MSL_LIBM(log10) MSL_LIBM(sin) MSL_LIBM(cos) MSL_LIBM(tan)
MSL_LIBM(asin) MSL_LIBM(acos) MSL_LIBM(atan) MSL_LIBM(sinh) MSL_LIBM(cosh) MSL_LIBM(tanh) MSL_LIBM(asinh)
MSL_LIBM(acosh) MSL_LIBM(atanh) MSL_LIBM(sqrt) MSL_LIBM(round) MSL_LIBM(rint) MSL_LIBM(fabs)
MSL_FN float exp10(float x) { return __builtin_expf(x * 2.302585093f); }
#define MSL_LIBM2(name) MSL_FN float name(float x, float y) { return __builtin_##name##f(x, y); }
MSL_LIBM2(pow) MSL_LIBM2(atan2) MSL_LIBM2(fmod) MSL_LIBM2(nextafter)
#endif
MSL_FN float rsqrt(float x) { return 1.0f / sqrt(x); }
MSL_FN float floor(float x) { return __builtin_floorf(x); }
MSL_FN float ceil(float x) { return __builtin_ceilf(x); }
MSL_FN float trunc(float x) { return __builtin_truncf(x); }
MSL_FN float fmax(float x, float y) { return __builtin_fmaxf(x, y); }
MSL_FN float fmin(float x, float y) { return __builtin_fminf(x, y); }
MSL_FN float fract(float x) { return fmin(x - floor(x), 0x1.fffffep-1f); }
MSL_FN float saturate(float x) { return fmin(fmax(x, 0.0f), 1.0f); }
MSL_FN float sign(float x) { return x != x ? 0.0f : (float)((x > 0.0f) - (x < 0.0f)); }
MSL_FN float powr(float x, float y) { return pow(x, y); }
MSL_FN float copysign(float x, float y) { return __builtin_copysignf(x, y); }
MSL_FN float fdim(float x, float y) { return x > y ? x - y : 0.0f; }
MSL_FN float step(float edge, float x) { return x < edge ? 0.0f : 1.0f; }
MSL_FN float divide(float x, float y) { return x / y; }
}  // namespace msl_math
