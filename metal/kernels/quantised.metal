// Products with weights of 4 or 8 bits. W [N,K] lies row by row, each row padded to whole groups of 32 weights that
// share a scale and a low: weight = low + scale·q. Of 8 bits, q is an int8 and a word holds four in a row; of 4 bits,
// byte i of a group's 16 has q+8 of weight i in its low and of weight 16+i in its high half.

#include "tile.metal"

struct QuantisedParams {
  uint M, N, K;
};

constant constexpr uint GROUP = 32, WORDS = BITS;  // words of a group
constant constexpr uint TILE = 32;  // as long as a group
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

// unpack writes a group of each of TILE rows of W, from row0 on, into a tile of rows of GROUP.
inline void unpack(threadgroup float4* tile, device const uint* W, device const float* scales, device const float* lows, uint row0, uint rows,
                   uint group, uint groups, uint thread_index) {
  threadgroup float* elements = (threadgroup float*)tile;
  for (uint i = thread_index; i < TILE * WORDS; i += THREADS) {
    const uint r = i / WORDS, w = i % WORDS, g = (row0 + r) * groups + group;
    const bool inside = row0 + r < rows;
    const uint word = inside ? W[g * WORDS + w] : 0;
    const float scale = inside ? scales[g] : 0.0f, low = inside ? lows[g] : 0.0f;
    for (uint c = 0; c < CODES; c++) elements[r * (GROUP + PAD) + place(w, c)] = fma(scale, code(word, c), low);
  }
}

// A SIMD group's part of a tile of TILE×TILE results is 16×16: four fragments.
inline void clear(thread simdgroup_float8x8* sum) {
  for (uint i = 0; i < 4; i++) sum[i] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
}

// multiply adds to the part at (row, column) the product of x's tile and w's, which holds W or, if `transposed`, Wᵀ.
inline void multiply(thread simdgroup_float8x8* sum, threadgroup const float4* x, threadgroup const float4* w, uint row, uint column, bool transposed) {
  for (uint k = 0; k < TILE; k += 8) {
    simdgroup_float8x8 left[2], right[2];
    for (uint i = 0; i < 2; i++) left[i] = fragment(x, row + 8 * i, k, false, TILE);
    for (uint j = 0; j < 2; j++) right[j] = fragment(w, k, column + 8 * j, transposed, GROUP);
    for (uint i = 0; i < 4; i++) simdgroup_multiply_accumulate(sum[i], left[i / 2], right[i % 2], sum[i]);
  }
}

// write brings the results of a threadgroup through a tile into y [M,columns].
inline void write(device T* y, thread const simdgroup_float8x8* sum, threadgroup float4* tile, uint row, uint column, uint row0, uint column0,
                  uint M, uint columns, uint thread_index) {
  threadgroup float* elements = (threadgroup float*)tile;
  for (uint i = 0; i < 4; i++) simdgroup_store(sum[i], elements + (row + i / 2 * 8) * (TILE + PAD) + column + i % 2 * 8, TILE + PAD);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < TILE * TILE; i += THREADS) {
    const uint r = row0 + i / TILE, c = column0 + i % TILE;
    if (r < M && c < columns) y[r * columns + c] = T(elements[i / TILE * (TILE + PAD) + i % TILE]);
  }
}

// y[M,N] = x[M,K]·Wᵀ for few rows: one SIMD group per output, a lane takes a word of weights at a time.
[[max_total_threads_per_threadgroup(THREADS)]]
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
[[max_total_threads_per_threadgroup(THREADS)]]
kernel void quantised_gemm(device const uint* W [[buffer(0)]],
                           device const float* scales [[buffer(1)]],
                           device const float* lows [[buffer(2)]],
                           device const T* x [[buffer(3)]],
                           device T* y [[buffer(4)]],
                           constant QuantisedParams& p [[buffer(5)]],
                           uint2 group [[threadgroup_position_in_grid]],
                           uint thread_index [[thread_index_in_threadgroup]],
                           uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float4 x_tile[TILE * (GROUP + PAD) / 4];
  threadgroup float4 w_tile[TILE * (GROUP + PAD) / 4];  // [n][k]
  const uint groups = (p.K + GROUP - 1) / GROUP;
  const uint row0 = group.y * TILE, column0 = group.x * TILE, row = simd / 2 * 16, column = simd % 2 * 16;
  simdgroup_float8x8 sum[4];
  clear(sum);
  for (uint k0 = 0; k0 < p.K; k0 += GROUP) {
    stage(x_tile, x + row0 * p.K + k0, p.K, TILE, GROUP, p.M - row0, p.K - k0, 1.0f, thread_index);
    unpack(w_tile, W, scales, lows, column0, p.N, k0 / GROUP, groups, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    multiply(sum, x_tile, w_tile, row, column, true);
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  write(y, sum, x_tile, row, column, row0, column0, p.M, p.N, thread_index);
}

// y[M,K] = x[M,N]·W, the product that gradients take: a threadgroup makes 32 columns, which are one group of every row of W.
[[max_total_threads_per_threadgroup(THREADS)]]
kernel void quantised_gemm_transposed(device const uint* W [[buffer(0)]],
                                      device const float* scales [[buffer(1)]],
                                      device const float* lows [[buffer(2)]],
                                      device const T* x [[buffer(3)]],
                                      device T* y [[buffer(4)]],
                                      constant QuantisedParams& p [[buffer(5)]],
                                      uint2 group [[threadgroup_position_in_grid]],
                                      uint thread_index [[thread_index_in_threadgroup]],
                                      uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float4 x_tile[TILE * (TILE + PAD) / 4];   // [m][n]
  threadgroup float4 w_tile[TILE * (GROUP + PAD) / 4];  // [n][k]
  const uint groups = (p.K + GROUP - 1) / GROUP;
  const uint row0 = group.y * TILE, column0 = group.x * GROUP, row = simd / 2 * 16, column = simd % 2 * 16;
  simdgroup_float8x8 sum[4];
  clear(sum);
  for (uint n0 = 0; n0 < p.N; n0 += TILE) {
    stage(x_tile, x + row0 * p.N + n0, p.N, TILE, TILE, p.M - row0, p.N - n0, 1.0f, thread_index);
    unpack(w_tile, W, scales, lows, n0, p.N, group.x, groups, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    multiply(sum, x_tile, w_tile, row, column, false);
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  write(y, sum, x_tile, row, column, row0, column0, p.M, p.K, thread_index);
}

// dequantise writes all of W[N,K] out as T, a word of weights a thread.
[[max_total_threads_per_threadgroup(256)]]
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
