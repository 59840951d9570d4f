// Products of a matrix with few vectors: memory-bound, so each weight is read once, four at a time, and used for all vectors.

#include "tile.metal"

constant bool has_bias [[function_constant(0)]];
constant uint activation [[function_constant(1)]];
constant uint vectors [[function_constant(2)]];  // rows of x and y, at most VECTORS

constant constexpr uint VECTORS = 4;

struct GemvParams {
  uint N, K, w_row;
};

// y[M,N] = x[M,K]·Wᵀ with W [N,K]: a SIMD group makes ROWS neighbouring outputs, lanes along K.
constant constexpr uint ROWS = 4;

[[max_total_threads_per_threadgroup(THREADS)]]
kernel void gemv(device const T* W [[buffer(0)]],
                 device const T* x [[buffer(1)]],
                 device const T* bias [[buffer(2)]],
                 device T* y [[buffer(3)]],
                 constant GemvParams& p [[buffer(4)]],
                 uint group [[threadgroup_position_in_grid]],
                 uint lane [[thread_index_in_simdgroup]],
                 uint simd [[simdgroup_index_in_threadgroup]]) {
  const uint n0 = (group * (THREADS / 32) + simd) * ROWS;
  if (n0 >= p.N) return;  // a whole SIMD group; nothing below waits for it
  float sum[ROWS][VECTORS];
  for (uint r = 0; r < ROWS; r++)
    for (uint m = 0; m < VECTORS; m++) sum[r][m] = 0.0f;
  const uint fours = p.K / 4 * 4;
  for (uint k = 4 * lane; k < fours; k += 128) {
    float4 v[VECTORS];
    for (uint m = 0; m < vectors; m++) v[m] = load4(x + m * p.K + k);
    for (uint r = 0; r < ROWS; r++) {
      const float4 w = load4(W + min(n0 + r, p.N - 1) * p.w_row + k);  // rows past the end repeat the last
      for (uint m = 0; m < vectors; m++) sum[r][m] += dot(w, v[m]);
    }
  }
  const uint k = fours + lane;  // up to three elements are left
  if (k < p.K)
    for (uint r = 0; r < ROWS; r++)
      for (uint m = 0; m < vectors; m++) sum[r][m] = fma(float(W[min(n0 + r, p.N - 1) * p.w_row + k]), float(x[m * p.K + k]), sum[r][m]);
  for (uint m = 0; m < vectors; m++)
    for (uint r = 0; r < ROWS; r++) {
      float total = simd_sum(sum[r][m]);
      if (lane != 0 || n0 + r >= p.N) continue;
      if (has_bias) total += float(bias[n0 + r]);
      y[m * p.N + n0 + r] = T(activate(activation, total));
    }
}

// y[M,N] = x[M,K]·W with W [K,N]: 32 columns per threadgroup, its SIMD groups share K.
[[max_total_threads_per_threadgroup(256)]]
kernel void gemv_transposed(device const T* W [[buffer(0)]],
                            device const T* x [[buffer(1)]],
                            device const T* bias [[buffer(2)]],
                            device T* y [[buffer(3)]],
                            constant GemvParams& p [[buffer(4)]],
                            uint group [[threadgroup_position_in_grid]],
                            uint lane [[thread_index_in_simdgroup]],
                            uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float parts[VECTORS * 8 * 32];
  const uint n = group * 32 + lane;
  float sum[VECTORS];
  for (uint m = 0; m < VECTORS; m++) sum[m] = 0.0f;
  if (n < p.N)
    for (uint k = simd; k < p.K; k += 8) {
      const float w = float(W[k * p.w_row + n]);
      for (uint m = 0; m < vectors; m++) sum[m] = fma(w, float(x[m * p.K + k]), sum[m]);
    }
  for (uint m = 0; m < vectors; m++) parts[(m * 8 + simd) * 32 + lane] = sum[m];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd >= vectors || n >= p.N) return;  // SIMD group m finishes vector m
  float total = 0.0f;
  for (uint part = 0; part < 8; part++) total += parts[(simd * 8 + part) * 32 + lane];
  if (has_bias) total += float(bias[n]);
  y[simd * p.N + n] = T(activate(activation, total));
}
