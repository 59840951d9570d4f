// Products of a matrix with few vectors: memory-bound, so each weight is read once and by neighbouring threads.

constant bool has_bias [[function_constant(0)]];
constant uint activation [[function_constant(1)]];

struct GemvParams {
  uint M, N, K, w_row;
};

// y[M,N] = x[M,K]·Wᵀ with W [N,K]: one SIMD group per output, lanes along K, four outputs per threadgroup.
kernel void gemv(device const T* W [[buffer(0)]],
                 device const T* x [[buffer(1)]],
                 device const T* bias [[buffer(2)]],
                 device T* y [[buffer(3)]],
                 constant GemvParams& p [[buffer(4)]],
                 uint2 group [[threadgroup_position_in_grid]],
                 uint lane [[thread_index_in_simdgroup]],
                 uint simd [[simdgroup_index_in_threadgroup]]) {
  const uint n = group.x * 4 + simd, m = group.y;
  if (n >= p.N) return;  // a whole SIMD group; nothing below waits for it
  device const T* row = W + n * p.w_row;
  device const T* vector_row = x + m * p.K;
  float sum = 0.0f;
  for (uint k = lane; k < p.K; k += 32) sum = fma(float(row[k]), float(vector_row[k]), sum);
  sum = simd_sum(sum);
  if (lane != 0) return;
  if (has_bias) sum += float(bias[n]);
  y[m * p.N + n] = T(activate(activation, sum));
}

// y[M,N] = x[M,K]·W with W [K,N]: 32 columns per threadgroup, its four SIMD groups share K.
kernel void gemv_transposed(device const T* W [[buffer(0)]],
                            device const T* x [[buffer(1)]],
                            device const T* bias [[buffer(2)]],
                            device T* y [[buffer(3)]],
                            constant GemvParams& p [[buffer(4)]],
                            uint2 group [[threadgroup_position_in_grid]],
                            uint lane [[thread_index_in_simdgroup]],
                            uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float parts[4 * 32];
  const uint n = group.x * 32 + lane, m = group.y;
  float sum = 0.0f;
  if (n < p.N)
    for (uint k = simd; k < p.K; k += 4) sum = fma(float(W[k * p.w_row + n]), float(x[m * p.K + k]), sum);
  parts[simd * 32 + lane] = sum;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (simd != 0 || n >= p.N) return;
  sum = parts[lane] + parts[32 + lane] + parts[64 + lane] + parts[96 + lane];
  if (has_bias) sum += float(bias[n]);
  y[m * p.N + n] = T(activate(activation, sum));
}
