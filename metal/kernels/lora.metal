// The LoRA linear layer. Ranks up to RANK, a multiple of 8; tiles are 32×32 by four SIMD groups of 16×16.
//
// lora_forward: y[M,N] = x[M,K]·W + scale·(x·A)·B (+ bias), in one dispatch: each threadgroup accumulates h = x·A
// from the tiles of x that it stages anyway, and adds h·(scale·B) as a last step of the product. With dropout, h is
// of another input, z[M,K], staged beside x. The same kernel gives dx = dy·Wᵀ + scale·(dy·Bᵀ)·Aᵀ with the flags turned, and then its h is dh = dy·Bᵀ.

#include "tile.metal"

constant bool w_transposed [[function_constant(0)]];  // W is [N,K]
constant bool a_transposed [[function_constant(1)]];  // A is [R,K]
constant bool b_transposed [[function_constant(2)]];  // B is [N,R]
constant bool has_bias [[function_constant(3)]];
constant bool save_h [[function_constant(4)]];        // writes h[M,R]
constant bool has_z [[function_constant(5)]];         // h = z·A

struct LoraParams {
  uint M, N, K, R;
  float scale;
  // epilogue: parameters
};

// epilogue: function

constant constexpr uint BM = 32, BN = 32, BK = 16, FRAGMENTS = RANK / 8;

[[max_total_threads_per_threadgroup(THREADS)]]
kernel void lora_forward(device const T* x [[buffer(0)]],
                         device const T* W [[buffer(1)]],
                         device const T* A [[buffer(2)]],
                         device const T* B [[buffer(3)]],
                         device const T* bias [[buffer(4)]],
                         device const T* z [[buffer(5)]],
                         device T* y [[buffer(6)]],
                         device T* h [[buffer(7)]],
                         // epilogue: buffers
                         constant LoraParams& p [[buffer(8)]],
                         uint2 group [[threadgroup_position_in_grid]],
                         uint thread_index [[thread_index_in_threadgroup]],
                         uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float4 x_tile[BM * (BK + PAD) / 4];
  threadgroup float4 z_tile[BM * (BK + PAD) / 4];
  threadgroup float4 w_tile[(RANK > BK ? RANK * (BN + PAD) : BN * (BK + PAD)) / 4];  // then scale·B, then the result
  threadgroup float4 a_tile[(RANK > BK ? RANK * (BK + PAD) : BK * (RANK + PAD)) / 4];
  threadgroup float4 h_tile[BM * (RANK + PAD) / 4];

  const uint row0 = group.y * BM, column0 = group.x * BN;
  const uint row = simd / 2 * 16, column = simd % 2 * 16;  // this SIMD group's corner
  simdgroup_float8x8 sum[2][2], h_sum[FRAGMENTS];
  for (uint i = 0; i < 2; i++)
    for (uint j = 0; j < 2; j++) sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  for (uint f = 0; f < FRAGMENTS; f++) h_sum[f] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

  for (uint k0 = 0; k0 < p.K; k0 += BK) {
    const uint k_left = p.K - k0, rows_left = p.M - row0, columns_left = p.N - column0;
    stage(x_tile, x + row0 * p.K + k0, p.K, BM, BK, rows_left, k_left, 1.0f, thread_index);
    if (has_z) stage(z_tile, z + row0 * p.K + k0, p.K, BM, BK, rows_left, k_left, 1.0f, thread_index);
    if (w_transposed) stage(w_tile, W + column0 * p.K + k0, p.K, BN, BK, columns_left, k_left, 1.0f, thread_index);
    else stage(w_tile, W + k0 * p.N + column0, p.N, BK, BN, k_left, columns_left, 1.0f, thread_index);
    if (a_transposed) stage(a_tile, A + k0, p.K, RANK, BK, p.R, k_left, 1.0f, thread_index);
    else stage(a_tile, A + k0 * p.R, p.R, BK, RANK, k_left, p.R, 1.0f, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < BK; k += 8) {
      simdgroup_float8x8 left[2], right[2], rows, a_part;
      for (uint i = 0; i < 2; i++) left[i] = fragment(x_tile, row + 8 * i, k, false, BK);
      for (uint j = 0; j < 2; j++) right[j] = fragment(w_tile, k, column + 8 * j, w_transposed, w_transposed ? BK : BN);
      for (uint i = 0; i < 2; i++)
        for (uint j = 0; j < 2; j++) simdgroup_multiply_accumulate(sum[i][j], left[i], right[j], sum[i][j]);
      rows = fragment(has_z ? z_tile : x_tile, 8 * simd, k, false, BK);  // of h
      for (uint f = 0; f < FRAGMENTS; f++) {
        a_part = fragment(a_tile, k, 8 * f, a_transposed, a_transposed ? BK : RANK);
        simdgroup_multiply_accumulate(h_sum[f], rows, a_part, h_sum[f]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  threadgroup float* h_elements = (threadgroup float*)h_tile;
  for (uint f = 0; f < FRAGMENTS; f++) simdgroup_store(h_sum[f], h_elements + 8 * simd * (RANK + PAD) + 8 * f, RANK + PAD);
  if (b_transposed) stage(w_tile, B + column0 * p.R, p.R, BN, RANK, p.N - column0, p.R, p.scale, thread_index);
  else stage(w_tile, B + column0, p.N, RANK, BN, p.R, p.N - column0, p.scale, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (save_h && group.x == 0)
    for (uint i = thread_index; i < BM * RANK; i += THREADS) {
      uint r = i / RANK, c = i % RANK;
      if (row0 + r < p.M && c < p.R) h[(row0 + r) * p.R + c] = T(h_elements[r * (RANK + PAD) + c]);
    }
  for (uint f = 0; f < FRAGMENTS; f++) {
    simdgroup_float8x8 left[2], right[2];
    for (uint i = 0; i < 2; i++) left[i] = fragment(h_tile, row + 8 * i, 8 * f, false, RANK);
    for (uint j = 0; j < 2; j++) right[j] = fragment(w_tile, 8 * f, column + 8 * j, b_transposed, b_transposed ? RANK : BN);
    for (uint i = 0; i < 2; i++)
      for (uint j = 0; j < 2; j++) simdgroup_multiply_accumulate(sum[i][j], left[i], right[j], sum[i][j]);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);  // w_tile's part of B has been read: reuse it for the result

  // The result goes out in two halves of 16 rows, through 16×(BN+PAD) floats of w_tile.
  threadgroup float* out_tile = (threadgroup float*)w_tile;
  for (uint half_tile = 0; half_tile < 2; half_tile++) {
    if (row == half_tile * 16)
      for (uint i = 0; i < 2; i++)
        for (uint j = 0; j < 2; j++) simdgroup_store(sum[i][j], out_tile + 8 * i * (BN + PAD) + column + 8 * j, BN + PAD);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = thread_index; i < 16 * BN; i += THREADS) {
      uint r = half_tile * 16 + i / BN, c = i % BN;
      if (row0 + r >= p.M || column0 + c >= p.N) continue;
      float v = out_tile[i / BN * (BN + PAD) + c];
      if (has_bias) v += float(bias[column0 + c]);
      // epilogue: store
      y[(row0 + r) * p.N + column0 + c] = T(v);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}

// lora_weight_gradients: dA = scale·xᵀ·dh and dB = scale·hᵀ·dy, which do not depend on each other, side by side in
// one grid: z = 0 is dA, z = 1 is dB. Both are out[r,c] = scale·Σₘ left[m,r]·right[m,c]; a threadgroup makes 32
// columns of all ranks.
struct LoraGradientParams {
  uint M, N, K, R;
  float scale;
};

[[max_total_threads_per_threadgroup(THREADS)]]
kernel void lora_weight_gradients(device const T* x [[buffer(0)]],
                                  device const T* dy [[buffer(1)]],
                                  device const T* h [[buffer(2)]],
                                  device const T* dh [[buffer(3)]],
                                  device T* dA [[buffer(4)]],
                                  device T* dB [[buffer(5)]],
                                  constant LoraGradientParams& p [[buffer(6)]],
                                  uint3 group [[threadgroup_position_in_grid]],
                                  uint thread_index [[thread_index_in_threadgroup]],
                                  uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float4 left_tile[BK * (RANK + PAD) / 4];
  threadgroup float4 right_tile[BK * (BN + PAD) / 4];
  threadgroup float out_tile[RANK * (BN + PAD)];
  const bool is_b = group.z == 1;
  device const T* left = is_b ? h : dh;
  device const T* right = is_b ? dy : x;
  const uint columns = is_b ? p.N : p.K, column0 = group.x * BN;
  if (column0 >= columns) return;  // the whole threadgroup

  simdgroup_float8x8 sum[FRAGMENTS];
  for (uint f = 0; f < FRAGMENTS; f++) sum[f] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  for (uint m0 = 0; m0 < p.M; m0 += BK) {
    stage(left_tile, left + m0 * p.R, p.R, BK, RANK, p.M - m0, p.R, 1.0f, thread_index);
    stage(right_tile, right + m0 * columns + column0, columns, BK, BN, p.M - m0, columns - column0, 1.0f, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint m = 0; m < BK; m += 8) {
      const simdgroup_float8x8 part = fragment(right_tile, m, 8 * simd, false, BN);
      for (uint f = 0; f < FRAGMENTS; f++)
        simdgroup_multiply_accumulate(sum[f], fragment(left_tile, 8 * f, m, true, RANK), part, sum[f]);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  for (uint f = 0; f < FRAGMENTS; f++) simdgroup_store(sum[f], out_tile + 8 * f * (BN + PAD) + 8 * simd, BN + PAD);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < RANK * BN; i += THREADS) {
    // Threads walk along the output's rows, whichever way it lies.
    bool rows_are_ranks = is_b ? !b_transposed : a_transposed;
    uint r = rows_are_ranks ? i / BN : i % RANK, c = rows_are_ranks ? i % BN : i / RANK;
    if (r >= p.R || column0 + c >= columns) continue;
    float v = p.scale * out_tile[r * (BN + PAD) + c];
    device T* out = is_b ? dB : dA;
    out[rows_are_ranks ? r * columns + column0 + c : (column0 + c) * p.R + r] = T(v);
  }
}
