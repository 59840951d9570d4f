// Products with weights of 4 or 8 bits. W [N,K] lies row by row, each row padded to whole groups of 32 weights that
// share a scale and a low: weight = low + scale·q. Of 8 bits, q is an int8 and a word holds four in a row; of 4 bits,
// byte i of a group's 16 has q+8 of weight i in its low and of weight 16+i in its high half.

struct QuantisedParams {
  uint M, N, K;
};

constant constexpr uint GROUP = 32, WORDS = BITS;  // words of a group
#if BITS == 8
constant constexpr uint CODES = 4;  // of a word
#else
constant constexpr uint CODES = 8;
#endif

// code returns q number i of a word.
inline float code(uint word, uint i) {
#if BITS == 8
  return float(int(word << (24 - 8 * i)) >> 24);
#else
  return float(int(word >> (i % 4 * 8 + i / 4 * 4) & 15u) - 8);
#endif
}

// place returns where in its group code i of word w stands.
inline uint place(uint w, uint i) {
#if BITS == 8
  return w * 4 + i;
#else
  return w * 4 + i % 4 + i / 4 * 16;
#endif
}

// y[M,N] = x[M,K]·Wᵀ for few rows: one SIMD group per output, a lane takes a word of weights at a time.
kernel void quantised_gemv(device const uint* W [[buffer(0)]],
                           device const float* scales [[buffer(1)]],
                           device const float* lows [[buffer(2)]],
                           device const T* x [[buffer(3)]],
                           device T* y [[buffer(4)]],
                           constant QuantisedParams& p [[buffer(5)]],
                           uint2 group [[threadgroup_position_in_grid]],
                           uint lane [[thread_index_in_simdgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]]) {
  const uint n = group.x * 4 + simd, m = group.y, groups = (p.K + GROUP - 1) / GROUP;
  if (n >= p.N) return;  // a whole SIMD group
  float sum = 0.0f;
  for (uint w = lane; w < groups * WORDS; w += 32) {
    const uint g = w / WORDS, word = W[n * groups * WORDS + w];
    float products = 0.0f, plain = 0.0f;
    for (uint i = 0; i < CODES; i++) {
      const uint k = g * GROUP + place(w % WORDS, i);
      const float v = k < p.K ? float(x[m * p.K + k]) : 0.0f;
      products = fma(code(word, i), v, products);
      plain += v;
    }
    sum = fma(scales[n * groups + g], products, fma(lows[n * groups + g], plain, sum));
  }
  sum = simd_sum(sum);
  if (lane == 0) y[m * p.N + n] = T(sum);
}

// The same for many rows: tiles of 32×32, weights dequantised on their way into threadgroup memory.
kernel void quantised_gemm(device const uint* W [[buffer(0)]],
                           device const float* scales [[buffer(1)]],
                           device const float* lows [[buffer(2)]],
                           device const T* x [[buffer(3)]],
                           device T* y [[buffer(4)]],
                           constant QuantisedParams& p [[buffer(5)]],
                           uint2 group [[threadgroup_position_in_grid]],
                           uint thread_index [[thread_index_in_threadgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]]) {
  const uint BM = 32, BN = 32, BK = 32, PAD = 4;
  threadgroup float x_tile[32 * 36];
  threadgroup float w_tile[32 * 36];  // [n][k]
  const uint groups = (p.K + GROUP - 1) / GROUP;
  const uint row0 = group.y * BM, column0 = group.x * BN, row = simd / 2 * 16, column = simd % 2 * 16;
  simdgroup_float8x8 sum[2][2];
  for (uint i = 0; i < 2; i++)
    for (uint j = 0; j < 2; j++) sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  for (uint k0 = 0; k0 < p.K; k0 += BK) {
    for (uint i = thread_index; i < BM * BK; i += 128) {
      uint r = i / BK, k = i % BK;
      x_tile[r * (BK + PAD) + k] = row0 + r < p.M && k0 + k < p.K ? float(x[(row0 + r) * p.K + k0 + k]) : 0.0f;
    }
    for (uint i = thread_index; i < BN * WORDS; i += 128) {
      const uint r = i / WORDS, w = i % WORDS, n = column0 + r, g = n * groups + k0 / GROUP;
      const bool inside = n < p.N;
      const uint word = inside ? W[g * WORDS + w] : 0;
      const float scale = inside ? scales[g] : 0.0f, low = inside ? lows[g] : 0.0f;
      for (uint c = 0; c < CODES; c++) w_tile[r * (BK + PAD) + place(w, c)] = fma(scale, code(word, c), low);
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

// y[M,K] = x[M,N]·W, the product that gradients take: a threadgroup makes 32 columns, which are one group of every row of W.
kernel void quantised_gemm_transposed(device const uint* W [[buffer(0)]],
                                      device const float* scales [[buffer(1)]],
                                      device const float* lows [[buffer(2)]],
                                      device const T* x [[buffer(3)]],
                                      device T* y [[buffer(4)]],
                                      constant QuantisedParams& p [[buffer(5)]],
                                      uint2 group [[threadgroup_position_in_grid]],
                                      uint thread_index [[thread_index_in_threadgroup]],
                                      uint simd [[simdgroup_index_in_threadgroup]]) {
  const uint BM = 32, BN = 32, PAD = 4, groups = (p.K + GROUP - 1) / GROUP;
  threadgroup float x_tile[32 * 36];  // [m][n]
  threadgroup float w_tile[32 * 36];  // [n][k]
  const uint row0 = group.y * BM, column0 = group.x * GROUP, row = simd / 2 * 16, column = simd % 2 * 16;
  simdgroup_float8x8 sum[2][2];
  for (uint i = 0; i < 2; i++)
    for (uint j = 0; j < 2; j++) sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  for (uint n0 = 0; n0 < p.N; n0 += BN) {
    for (uint i = thread_index; i < BM * BN; i += 128) {
      const uint r = i / BN, n = i % BN;
      x_tile[r * (BN + PAD) + n] = row0 + r < p.M && n0 + n < p.N ? float(x[(row0 + r) * p.N + n0 + n]) : 0.0f;
    }
    for (uint i = thread_index; i < BN * WORDS; i += 128) {
      const uint r = i / WORDS, w = i % WORDS, g = (n0 + r) * groups + group.x;
      const bool inside = n0 + r < p.N;
      const uint word = inside ? W[g * WORDS + w] : 0;
      const float scale = inside ? scales[g] : 0.0f, low = inside ? lows[g] : 0.0f;
      for (uint c = 0; c < CODES; c++) w_tile[r * (GROUP + PAD) + place(w, c)] = fma(scale, code(word, c), low);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint n = 0; n < BN; n += 8) {
      simdgroup_float8x8 left[2], right[2];
      for (uint i = 0; i < 2; i++) simdgroup_load(left[i], x_tile + (row + 8 * i) * (BN + PAD) + n, BN + PAD);
      for (uint j = 0; j < 2; j++) simdgroup_load(right[j], w_tile + n * (GROUP + PAD) + column + 8 * j, GROUP + PAD);
      for (uint i = 0; i < 2; i++)
        for (uint j = 0; j < 2; j++) simdgroup_multiply_accumulate(sum[i][j], left[i], right[j], sum[i][j]);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  for (uint i = 0; i < 2; i++)
    for (uint j = 0; j < 2; j++) simdgroup_store(sum[i][j], x_tile + (row + 8 * i) * (GROUP + PAD) + column + 8 * j, GROUP + PAD);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < BM * GROUP; i += 128) {
    const uint r = i / GROUP, c = i % GROUP;
    if (row0 + r < p.M && column0 + c < p.K) y[(row0 + r) * p.K + column0 + c] = T(x_tile[r * (GROUP + PAD) + c]);
  }
}

// dequantise writes all of W[N,K] out as T, a word of weights a thread.
kernel void dequantise(device const uint* W [[buffer(0)]],
                       device const float* scales [[buffer(1)]],
                       device const float* lows [[buffer(2)]],
                       device T* out [[buffer(3)]],
                       constant QuantisedParams& p [[buffer(4)]],
                       uint i [[thread_position_in_grid]]) {
  const uint groups = (p.K + GROUP - 1) / GROUP;
  if (i >= p.N * groups * WORDS) return;
  const uint g = i / WORDS, n = g / groups, word = W[i];
  for (uint c = 0; c < CODES; c++) {
    const uint k = g % groups * GROUP + place(i % WORDS, c);
    if (k < p.K) out[n * p.K + k] = T(fma(scales[g], code(word, c), lows[g]));
  }
}
