// Random numbers by Threefry-2x32 with 20 rounds (Salmon et al., 2011): the value of element i depends on the key,
// the counter and i alone, so every device gives the same bits. Block n of a draw is threefry(key, counter + n), the
// counter being 64 bits; its two words are elements 2n and 2n+1, or one 64-bit number, the first word on top.

struct RandomParams {
  uint size, key0, key1, counter_low, counter_high;
};

inline uint2 threefry(uint2 key, uint2 counter) {
  const uint rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  uint keys[3] = {key.x, key.y, 0x1BD11BDAu ^ key.x ^ key.y};
  uint a = counter.x + keys[0], b = counter.y + keys[1];
  for (uint group = 0; group < 5; group++) {
    for (uint r = 0; r < 4; r++) {
      a += b;
      b = rotate(b, rotations[group % 2 * 4 + r]) ^ a;
    }
    a += keys[(group + 1) % 3];
    b += keys[(group + 2) % 3] + group + 1;
  }
  return uint2(a, b);
}

// Block n of the draw.
inline uint2 drawn(constant RandomParams& p, uint n) {
  uint low = p.counter_low + n;
  return threefry(uint2(p.key0, p.key1), uint2(low, p.counter_high + (low < n ? 1u : 0u)));
}

[[max_total_threads_per_threadgroup(256)]]
kernel void random_bits(device uint* out [[buffer(0)]],
                        constant RandomParams& p [[buffer(1)]],
                        uint n [[thread_position_in_grid]]) {
  if (2 * n >= p.size) return;
  uint2 v = drawn(p, n);
  out[2 * n] = v.x;
  if (2 * n + 1 < p.size) out[2 * n + 1] = v.y;
}

// Uniform in [0, 1): the upper 24 bits.
[[max_total_threads_per_threadgroup(256)]]
kernel void random_uniform(device T* out [[buffer(0)]],
                           constant RandomParams& p [[buffer(1)]],
                           uint n [[thread_position_in_grid]]) {
  if (2 * n >= p.size) return;
  uint2 v = drawn(p, n);
  out[2 * n] = T(float(v.x >> 8) * 5.9604644775390625e-8f);
  if (2 * n + 1 < p.size) out[2 * n + 1] = T(float(v.y >> 8) * 5.9604644775390625e-8f);
}

// √2·erf⁻¹(x) of x = (2k + 1)/2²⁴ − 1, by Giles' two polynomials in w = −log(1 − x²). That is formed from integers,
// since 1 − x² loses its bits in float where x is near ±1.
inline float normal(uint bits) {
  uint k = bits >> 8;
  float below = float(2 * k + 1) * 5.9604644775390625e-8f, above = float(33554431u - 2 * k) * 5.9604644775390625e-8f;
  float x = k < 8388608u ? below - 1.0f : 1.0f - above;  // exact: the smaller distance to ±1 decides
  float w = -precise::log(below * above);
  float r;
  if (w < 5.0f) {
    w -= 2.5f;
    r = 2.81022636e-08f;
    r = fma(r, w, 3.43273939e-07f);
    r = fma(r, w, -3.5233877e-06f);
    r = fma(r, w, -4.39150654e-06f);
    r = fma(r, w, 0.00021858087f);
    r = fma(r, w, -0.00125372503f);
    r = fma(r, w, -0.00417768164f);
    r = fma(r, w, 0.246640727f);
    r = fma(r, w, 1.50140941f);
  } else {
    w = precise::sqrt(w) - 3.0f;
    r = -0.000200214257f;
    r = fma(r, w, 0.000100950558f);
    r = fma(r, w, 0.00134934322f);
    r = fma(r, w, -0.00367342844f);
    r = fma(r, w, 0.00573950773f);
    r = fma(r, w, -0.0076224613f);
    r = fma(r, w, 0.00943887047f);
    r = fma(r, w, 1.00167406f);
    r = fma(r, w, 2.83297682f);
  }
  return r * x * 1.41421356f;
}

// Standard normal, by the inverse of the distribution function.
[[max_total_threads_per_threadgroup(256)]]
kernel void random_normal(device T* out [[buffer(0)]],
                          constant RandomParams& p [[buffer(1)]],
                          uint n [[thread_position_in_grid]]) {
  if (2 * n >= p.size) return;
  uint2 v = drawn(p, n);
  out[2 * n] = T(normal(v.x));
  if (2 * n + 1 < p.size) out[2 * n + 1] = T(normal(v.y));
}

// Integers in [low, low + span): the upper half of a block, as a 64-bit number, times span.
struct RandintParams {
  RandomParams draw;
  uint span_low, span_high;
  int low_low, low_high;  // two's complement halves of low
};
[[max_total_threads_per_threadgroup(256)]]
kernel void random_integers(device T* out [[buffer(0)]],
                            constant RandintParams& p [[buffer(1)]],
                            uint i [[thread_position_in_grid]]) {
  if (i >= p.draw.size) return;
  uint2 v = drawn(p.draw, i);
  // Upper 64 bits of (v.x·2³² + v.y)·span, by 32-bit halves.
  ulong a = ulong(v.y) * p.span_low, b = ulong(v.x) * p.span_low, c = ulong(v.y) * p.span_high, d = ulong(v.x) * p.span_high;
  ulong middle = (a >> 32) + (b & 0xffffffffu) + (c & 0xffffffffu);
  ulong upper = d + (b >> 32) + (c >> 32) + (middle >> 32);
  ulong low = ulong(uint(p.low_high)) << 32 | uint(p.low_low);
  out[i] = T(long(low + upper));
}
