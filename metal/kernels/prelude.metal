// Functions that several kernels share. Every kernel source is this file after a header that includes <metal_stdlib>
// and names the element type T.

// Kinds of activation, as function constants carry them.
constant constexpr uint kIdentity = 0, kRelu = 1, kGelu = 2, kGeluTanh = 3, kSilu = 4, kSigmoid = 5, kTanh = 6;

// erf by two minimax polynomials, below 1 ulp of float; MSL has none.
inline float erf(float x) {
  float a = fabs(x), s = x * x;
  if (a > 0.927734375f) {
    float r = fma(-1.72853470e-5f, a, 3.83197126e-4f);
    float u = fma(-3.88396438e-3f, a, 2.42546219e-2f);
    r = fma(r, s, u);
    r = fma(r, a, -1.06777877e-1f);
    r = fma(r, a, -6.34846687e-1f);
    r = fma(r, a, -1.28717512e-1f);
    r = fma(r, a, -a);
    return copysign(1.0f - exp(r), x);
  }
  float r = -5.96761703e-4f;
  r = fma(r, s, 4.99119423e-3f);
  r = fma(r, s, -2.67681349e-2f);
  r = fma(r, s, 1.12819925e-1f);
  r = fma(r, s, -3.76125336e-1f);
  r = fma(r, s, 1.28379166e-1f);
  return fma(r, x, x);
}

// log(1+x) and exp(x)−1 without cancellation near zero (Kahan).
inline float log1p(float x) {
  float u = 1.0f + x;
  return u == 1.0f ? x : isinf(u) && u > 0.0f ? u : log(u) * (x / (u - 1.0f));
}
inline float expm1(float x) {
  if (fabs(x) < 1e-5f) return x + 0.5f * x * x;
  float u = exp(x);
  return u == 0.0f ? -1.0f : isinf(u) ? u : fabs(x) > 0.5f ? u - 1.0f : (u - 1.0f) * (x / log(u));
}

// 1/(1+exp(−x)) that does not overflow on either side.
inline float sigmoid(float x) {
  float e = exp(-fabs(x));
  return x >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e);
}

// tanh(√(2/π)·(x + 0.044715·x³)) as GELU's approximation has it; tanh itself overflows in some implementations.
inline float gelu_tanh(float x) {
  float u = 0.7978845608f * (x + 0.044715f * x * x * x);
  return x * sigmoid(2.0f * u);
}

// 1 − Φ(a) of the normal distribution for a ≥ 0: exp(−a²/2)·R(a), where (a + 4)·R(a) is a polynomial in
// (a − 4)/(a + 4), fitted up to 14.5; relative error 3e-7. The square's rounding is made up for.
inline float normal_tail(float a) {
  a = min(a, 15.0f);  // from where on it is 0 in float
  float t = (a - 4.0f) / (a + 4.0f), s = a * a;
  float r = fma(-1.31979599e-4f, t, 1.79339666e-4f);
  r = fma(r, t, 1.56992208e-3f);
  r = fma(r, t, -3.51254432e-3f);
  r = fma(r, t, -7.52526848e-3f);
  r = fma(r, t, 6.04038278e-2f);
  r = fma(r, t, -1.86523438e-1f);
  r = fma(r, t, 3.87136906e-1f);
  r = fma(r, t, -6.07896566e-1f);
  r = fma(r, t, 7.55285144e-1f);
  float e = exp(-0.5f * s);
  return fma(-0.5f * fma(a, a, -s), e, e) * r / (a + 4.0f);
}
// x·Φ(x), which 1 + erf would round away for negative x.
inline float gelu(float x) {
  float tail = normal_tail(fabs(x));
  return x * (x < 0.0f ? tail : 1.0f - tail);
}

inline float activate(uint kind, float x) {
  switch (kind) {
    case kRelu: return max(x, 0.0f);
    case kGelu: return gelu(x);
    case kGeluTanh: return gelu_tanh(x);
    case kSilu: return x * sigmoid(x);
    case kSigmoid: return sigmoid(x);
    case kTanh: return precise::tanh(x);
  }
  return x;
}

// Conversions from float saturate, and NaN is 0.
inline int to_int(float x) { return isnan(x) ? 0 : x >= 2147483648.0f ? INT_MAX : x <= -2147483648.0f ? INT_MIN : int(x); }
inline uint to_uint(float x) { return !(x > 0.0f) ? 0u : x >= 4294967296.0f ? UINT_MAX : uint(x); }
inline uchar to_uchar(float x) { return !(x > 0.0f) ? uchar(0) : x >= 255.0f ? uchar(255) : uchar(x); }
inline long to_long(float x) { return isnan(x) ? 0L : x >= 9223372036854775808.0f ? LONG_MAX : x <= -9223372036854775808.0f ? LONG_MIN : long(x); }

// a to the power of b, in the lower bits also of shorter integers. A negative power is 0 unless a is 1 or −1.
inline long power(long a, long b) {
  if (b < 0) return a == 1 ? 1L : a == -1 ? ((b & 1) != 0 ? -1L : 1L) : 0L;
  ulong result = 1, square = ulong(a);
  for (; b > 0; b >>= 1) {
    if ((b & 1) != 0) result *= square;
    square *= square;
  }
  return long(result);
}

// Where a running maximum starts. Finite, so that the difference of two maxima is never ∞ − ∞, which compilers that
// assume finite numbers may turn into anything; exp(−∞ − kLowest) is 0 as exp(−∞) is.
constant constexpr float kLowest = -3.402823466e38f;

// Place of a thread in its threadgroup, which is always whole SIMD groups here.
struct Place {
  uint index, threads, lane, simd, simds;
};

// Reductions over the threadgroup, at most 1024 threads; every thread gets the result. scratch holds 32 floats.
inline float group_sum(float v, threadgroup float* scratch, Place p) {
  v = simd_sum(v);
  if (p.simds == 1) return v;
  threadgroup_barrier(mem_flags::mem_threadgroup);  // the last use of scratch is over
  if (p.lane == 0) scratch[p.simd] = v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_sum(p.lane < p.simds ? scratch[p.lane] : 0.0f);
}
// At least kLowest.
inline float group_max(float v, threadgroup float* scratch, Place p) {
  v = simd_max(v);
  if (p.simds == 1) return v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (p.lane == 0) scratch[p.simd] = v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_max(p.lane < p.simds ? scratch[p.lane] : kLowest);
}
