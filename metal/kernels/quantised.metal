// Products with weights of 4 or 8 bits. W [N,K] is packed row by row without gaps, low bits first, 32/BITS to a word;
// group g of a row, GROUP consecutive weights (the last may be shorter), stands for scales[n,g]·q + offsets[n,g].

struct QuantisedParams {
  uint M, N, K;
};

constant constexpr uint PER_WORD = 32 / BITS, MASK = (1u << BITS) - 1;

inline float dequantised(device const uint* W, device const float* scales, device const float* offsets, uint K, uint n, uint k) {
  uint at = n * K + k, word = W[at / PER_WORD];
  uint group = n * ((K + GROUP - 1) / GROUP) + k / GROUP;
  return fma(scales[group], float(word >> (at % PER_WORD * BITS) & MASK), offsets[group]);
}

// y[M,N] = x[M,K]·Wᵀ for few rows: one SIMD group per output, a lane takes a word of weights at a time.
kernel void quantised_gemv(device const uint* W [[buffer(0)]],
                           device const float* scales [[buffer(1)]],
                           device const float* offsets [[buffer(2)]],
                           device const T* x [[buffer(3)]],
                           device T* y [[buffer(4)]],
                           constant QuantisedParams& p [[buffer(5)]],
                           uint2 group [[threadgroup_position_in_grid]],
                           uint lane [[thread_index_in_simdgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]]) {
  const uint n = group.x * 4 + simd, m = group.y;
  if (n >= p.N) return;  // a whole SIMD group
  float sum = 0.0f;
  bool aligned = p.K % PER_WORD == 0;  // rows start at words
  for (uint k = lane; k < p.K && !aligned; k += 32) sum = fma(dequantised(W, scales, offsets, p.K, n, k), float(x[m * p.K + k]), sum);
  for (uint w = lane; w < p.K / PER_WORD && aligned; w += 32) {
    uint word = W[n * (p.K / PER_WORD) + w], k = w * PER_WORD;
    uint g = n * ((p.K + GROUP - 1) / GROUP) + k / GROUP;
    float products = 0.0f, plain = 0.0f;
    for (uint i = 0; i < PER_WORD; i++) {
      float v = float(x[m * p.K + k + i]);
      products = fma(float(word >> (i * BITS) & MASK), v, products);
      plain += v;
    }
    sum = fma(scales[g], products, fma(offsets[g], plain, sum));
  }
  sum = simd_sum(sum);
  if (lane == 0) y[m * p.N + n] = T(sum);
}

// The same for many rows: tiles of 32×32, weights dequantised on their way into threadgroup memory.
kernel void quantised_gemm(device const uint* W [[buffer(0)]],
                           device const float* scales [[buffer(1)]],
                           device const float* offsets [[buffer(2)]],
                           device const T* x [[buffer(3)]],
                           device T* y [[buffer(4)]],
                           constant QuantisedParams& p [[buffer(5)]],
                           uint2 group [[threadgroup_position_in_grid]],
                           uint thread_index [[thread_index_in_threadgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]]) {
  const uint BM = 32, BN = 32, BK = 32, PAD = 4;
  threadgroup float x_tile[32 * 36];
  threadgroup float w_tile[32 * 36];  // [n][k]
  const uint row0 = group.y * BM, column0 = group.x * BN, row = simd / 2 * 16, column = simd % 2 * 16;
  simdgroup_float8x8 sum[2][2];
  for (uint i = 0; i < 2; i++)
    for (uint j = 0; j < 2; j++) sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  for (uint k0 = 0; k0 < p.K; k0 += BK) {
    for (uint i = thread_index; i < BM * BK; i += 128) {
      uint r = i / BK, k = i % BK;
      x_tile[r * (BK + PAD) + k] = row0 + r < p.M && k0 + k < p.K ? float(x[(row0 + r) * p.K + k0 + k]) : 0.0f;
      w_tile[r * (BK + PAD) + k] = column0 + r < p.N && k0 + k < p.K ? dequantised(W, scales, offsets, p.K, column0 + r, k0 + k) : 0.0f;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < BK; k += 8) {
      simdgroup_float8x8 left[2], right[2];
      for (uint i = 0; i < 2; i++) simdgroup_load(left[i], x_tile + (row + 8 * i) * (BK + PAD) + k, BK + PAD);
      for (uint j = 0; j < 2; j++) simdgroup_load(right[j], w_tile + (column + 8 * j) * (BK + PAD) + k, BK + PAD, ulong2(0, 0), true);
      for (uint i = 0; i < 2; i++)
        for (uint j = 0; j < 2; j++) simdgroup_multiply_accumulate(sum[i][j], left[i], right[j], sum[i][j]);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  for (uint i = 0; i < 2; i++)
    for (uint j = 0; j < 2; j++) simdgroup_store(sum[i][j], x_tile + (row + 8 * i) * (BN + PAD) + column + 8 * j, BN + PAD);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < BM * BN; i += 128) {
    uint r = i / BN, c = i % BN;
    if (row0 + r < p.M && column0 + c < p.N) y[(row0 + r) * p.N + column0 + c] = T(x_tile[r * (BN + PAD) + c]);
  }
}

// dequantise writes all of W[N,K] out as T.
kernel void dequantise(device const uint* W [[buffer(0)]],
                       device const float* scales [[buffer(1)]],
                       device const float* offsets [[buffer(2)]],
                       device T* out [[buffer(3)]],
                       constant QuantisedParams& p [[buffer(4)]],
                       uint i [[thread_position_in_grid]]) {
  if (i < p.N * p.K) out[i] = T(dequantised(W, scales, offsets, p.K, i / p.K, i % p.K));
}
