// Reductions of x [outer, length, inner] over `length`, in float.

constant uint operation [[function_constant(0)]];
constant constexpr uint kSum = 0, kMean = 1, kMax = 2, kMin = 3, kProduct = 4;

struct ReduceParams {
  uint outer, length, inner;
};

inline float initial() { return operation == kMax ? -INFINITY : operation == kMin ? INFINITY : operation == kProduct ? 1.0f : 0.0f; }
// max and min let a NaN through, as NumPy and PyTorch do; the library's would drop it.
inline float combine(float a, float b) {
  if (operation == kMax) return isnan(a) || a > b ? a : b;
  if (operation == kMin) return isnan(a) || a < b ? a : b;
  return operation == kProduct ? a * b : a + b;
}

// inner = 1: one threadgroup per row.
kernel void reduce_rows(device const T* x [[buffer(0)]],
                        device T* y [[buffer(1)]],
                        constant ReduceParams& p [[buffer(2)]],
                        uint row [[threadgroup_position_in_grid]],
                        uint thread_index [[thread_index_in_threadgroup]],
                        uint threads [[threads_per_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]],
                        uint simd [[simdgroup_index_in_threadgroup]],
                        uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup float scratch[32];
  float v = initial();
  for (uint i = thread_index; i < p.length; i += threads) v = combine(v, float(x[row * p.length + i]));
  for (ushort s = 16; s > 0; s /= 2) v = combine(v, simd_shuffle_xor(v, s));
  if (lane == 0) scratch[simd] = v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index != 0) return;
  for (uint s = 1; s < simds; s++) v = combine(v, scratch[s]);
  y[row] = T(operation == kMean ? v / float(p.length) : v);
}

// One thread per output: neighbours read neighbours.
kernel void reduce_columns(device const T* x [[buffer(0)]],
                           device T* y [[buffer(1)]],
                           constant ReduceParams& p [[buffer(2)]],
                           uint at [[thread_position_in_grid]]) {
  if (at >= p.outer * p.inner) return;
  uint i = at % p.inner, o = at / p.inner;
  float v = initial();
  for (uint j = 0; j < p.length; j++) v = combine(v, float(x[(o * p.length + j) * p.inner + i]));
  y[at] = T(operation == kMean ? v / float(p.length) : v);
}

// Index of the largest (kMax) or smallest (kMin) element, the first of equals; a NaN wins. One thread per output,
// or one SIMD group where inner = 1.
inline bool better(float a, uint i, float b, uint j) {  // is (a, i) to be preferred to (b, j)?
  if (isnan(a) != isnan(b)) return isnan(a);
  if (a == b || isnan(a)) return i < j;
  return operation == kMax ? a > b : a < b;
}
kernel void arg_reduce(device const T* x [[buffer(0)]],
                       device int* y [[buffer(1)]],
                       constant ReduceParams& p [[buffer(2)]],
                       uint at [[threadgroup_position_in_grid]],
                       uint lane [[thread_index_in_simdgroup]]) {
  uint i = at % p.inner, o = at / p.inner, best_at = UINT_MAX;
  float best = operation == kMax ? -INFINITY : INFINITY;
  for (uint j = lane; j < p.length; j += 32) {
    float v = float(x[(o * p.length + j) * p.inner + i]);
    if (better(v, j, best, best_at)) best = v, best_at = j;
  }
  for (ushort s = 16; s > 0; s /= 2) {
    float v = simd_shuffle_xor(best, s);
    uint j = simd_shuffle_xor(best_at, s);
    if (better(v, j, best, best_at)) best = v, best_at = j;
  }
  if (lane == 0) y[at] = int(best_at);
}

// Running sums along `length`: one SIMD group per line, 32 elements at a time.
kernel void cumulative_sum(device const T* x [[buffer(0)]],
                           device T* y [[buffer(1)]],
                           constant ReduceParams& p [[buffer(2)]],
                           uint at [[threadgroup_position_in_grid]],
                           uint lane [[thread_index_in_simdgroup]]) {
  uint i = at % p.inner, o = at / p.inner;
  float before = 0.0f;
  for (uint j0 = 0; j0 < p.length; j0 += 32) {
    uint j = j0 + lane;
    uint where = (o * p.length + j) * p.inner + i;
    float v = j < p.length ? float(x[where]) : 0.0f;
    float up_to = simd_prefix_inclusive_sum(v);
    if (j < p.length) y[where] = T(before + up_to);
    before += simd_shuffle(up_to, 31);
  }
}
