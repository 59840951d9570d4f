// Rotary position embedding of x [outer, sequence, heads, size] (heads may be 1, with the heads in `outer`): pair j
// is turned by (first + t)·base^(−2j/rotated). Pairs are (j, j + rotated/2), or neighbours (2j, 2j+1) if interleaved.
// Elements past `rotated` are copied. `direction` is −1 for the gradient.

constant bool interleaved [[function_constant(0)]];
constant bool has_offset [[function_constant(1)]];       // offset[0] is added to `first`
constant bool has_frequencies [[function_constant(2)]];  // frequencies[j] stands for base^(−2j/rotated)

struct RopeParams {
  uint outer, sequence, heads, size, rotated;
  int first;
  float log2_base, factor, direction;
};

[[max_total_threads_per_threadgroup(256)]]
kernel void rope(device const T* x [[buffer(0)]],
                 device const long* offset [[buffer(1)]],
                 device const float* frequencies [[buffer(2)]],
                 device T* y [[buffer(3)]],
                 constant RopeParams& p [[buffer(4)]],
                 uint i [[thread_position_in_grid]]) {
  const uint pairs = p.rotated / 2, per_row = pairs + (p.size - p.rotated);
  if (i >= p.outer * p.sequence * p.heads * per_row) return;
  const uint row = i / per_row, j = i % per_row, t = row / p.heads % p.sequence;
  if (j >= pairs) {
    uint at = row * p.size + p.rotated + (j - pairs);
    y[at] = x[at];
    return;
  }
  int position = p.first + int(t) + (has_offset ? int(offset[0]) : 0);
  float frequency = has_frequencies ? frequencies[j] : precise::exp2(-p.log2_base * 2.0f * float(j) / float(p.rotated));
  float angle = p.factor * float(position) * frequency;
  float c = precise::cos(angle), s = precise::sin(angle) * p.direction;
  const uint a = row * p.size + (interleaved ? 2 * j : j), b = interleaved ? a + 1 : a + pairs;
  float u = float(x[a]), v = float(x[b]);
  y[a] = T(u * c - v * s);
  y[b] = T(u * s + v * c);
}
