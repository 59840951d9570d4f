// Random numbers by Threefry-2x32 with 20 rounds (Salmon et al., 2011): the value of element i depends on the key,
// the counter and i alone, so every device gives the same bits. Elements 2n and 2n+1 are the two words of block n.

struct RandomParams {
  uint size, key0, key1, counter;
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

kernel void random_bits(device uint* out [[buffer(0)]],
                        constant RandomParams& p [[buffer(1)]],
                        uint n [[thread_position_in_grid]]) {
  if (2 * n >= p.size) return;
  uint2 v = threefry(uint2(p.key0, p.key1), uint2(n, p.counter));
  out[2 * n] = v.x;
  if (2 * n + 1 < p.size) out[2 * n + 1] = v.y;
}

// Uniform in [low, low + span): the upper 24 bits, so that 1 is never reached before rounding to T.
struct UniformParams {
  uint size, key0, key1, counter;
  float low, span;
};
kernel void random_uniform(device T* out [[buffer(0)]],
                           constant UniformParams& p [[buffer(1)]],
                           uint n [[thread_position_in_grid]]) {
  if (2 * n >= p.size) return;
  uint2 v = threefry(uint2(p.key0, p.key1), uint2(n, p.counter));
  out[2 * n] = T(fma(float(v.x >> 8) * 5.9604644775390625e-8f, p.span, p.low));
  if (2 * n + 1 < p.size) out[2 * n + 1] = T(fma(float(v.y >> 8) * 5.9604644775390625e-8f, p.span, p.low));
}

// Normal by Box and Muller: the two words of a block give two values.
kernel void random_normal(device T* out [[buffer(0)]],
                          constant UniformParams& p [[buffer(1)]],
                          uint n [[thread_position_in_grid]]) {
  if (2 * n >= p.size) return;
  uint2 v = threefry(uint2(p.key0, p.key1), uint2(n, p.counter));
  float u = (float(v.x >> 8) + 1.0f) * 5.9604644775390625e-8f;  // in (0, 1]: log is finite
  float radius = precise::sqrt(-2.0f * precise::log(u)) * p.span;
  float angle = float(v.y >> 8) * 3.7450702829239185e-7f;       // 2π/2²⁴
  out[2 * n] = T(p.low + radius * precise::cos(angle));
  if (2 * n + 1 < p.size) out[2 * n + 1] = T(p.low + radius * precise::sin(angle));
}
