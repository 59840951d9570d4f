// The LoRA linear layer. Ranks up to RANK, a multiple of 8; tiles are 32×32 by four SIMD groups of 16×16.
//
// lora_forward: y[M,N] = x[M,K]·W + scale·(x·A)·B (+ bias), in one dispatch: each threadgroup accumulates h = x·A
// from the tiles of x that it stages anyway, and adds h·(scale·B) as a last step of the product. With dropout, h is
// of another input, z[M,K], staged beside x. The same kernel gives dx = dy·Wᵀ + scale·(dy·Bᵀ)·Aᵀ with the flags turned, and then its h is dh = dy·Bᵀ.

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

constant constexpr uint BM = 32, BN = 32, BK = 16, PAD = 4, FRAGMENTS = RANK / 8;

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
  threadgroup float x_tile[BM * (BK + PAD)];
  threadgroup float z_tile[BM * (BK + PAD)];
  threadgroup float w_tile[RANK > BK ? RANK * (BN + PAD) : BK * (BN + PAD)];  // later scale·B
  threadgroup float a_tile[BK * RANK];
  threadgroup float h_tile[BM * RANK];

  const uint row0 = group.y * BM, column0 = group.x * BN;
  const uint row = simd / 2 * 16, column = simd % 2 * 16;  // this SIMD group's corner
  simdgroup_float8x8 sum[2][2], h_sum[FRAGMENTS];
  for (uint i = 0; i < 2; i++)
    for (uint j = 0; j < 2; j++) sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  for (uint f = 0; f < FRAGMENTS; f++) h_sum[f] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

  for (uint k0 = 0; k0 < p.K; k0 += BK) {
    for (uint i = thread_index; i < BM * BK; i += 128) {
      uint r = i / BK, c = i % BK;
      bool inside = row0 + r < p.M && k0 + c < p.K;
      uint at = (row0 + r) * p.K + k0 + c;
      x_tile[r * (BK + PAD) + c] = inside ? float(x[at]) : 0.0f;
      if (has_z) z_tile[r * (BK + PAD) + c] = inside ? float(z[at]) : 0.0f;
    }
    for (uint i = thread_index; i < BK * BN; i += 128) {
      uint r = w_transposed ? i % BK : i / BN, c = w_transposed ? i / BK : i % BN;
      bool inside = k0 + r < p.K && column0 + c < p.N;
      uint at = w_transposed ? (column0 + c) * p.K + k0 + r : (k0 + r) * p.N + column0 + c;
      w_tile[r * (BN + PAD) + c] = inside ? float(W[at]) : 0.0f;
    }
    for (uint i = thread_index; i < BK * RANK; i += 128) {
      uint r = a_transposed ? i % BK : i / RANK, c = a_transposed ? i / BK : i % RANK;
      bool inside = k0 + r < p.K && c < p.R;
      uint at = a_transposed ? c * p.K + k0 + r : (k0 + r) * p.R + c;
      a_tile[r * RANK + c] = inside ? float(A[at]) : 0.0f;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < BK; k += 8) {
      simdgroup_float8x8 left[2], right[2], rows, a_part;
      for (uint i = 0; i < 2; i++) simdgroup_load(left[i], x_tile + (row + 8 * i) * (BK + PAD) + k, BK + PAD);
      for (uint j = 0; j < 2; j++) simdgroup_load(right[j], w_tile + k * (BN + PAD) + column + 8 * j, BN + PAD);
      for (uint i = 0; i < 2; i++)
        for (uint j = 0; j < 2; j++) simdgroup_multiply_accumulate(sum[i][j], left[i], right[j], sum[i][j]);
      simdgroup_load(rows, (has_z ? z_tile : x_tile) + 8 * simd * (BK + PAD) + k, BK + PAD);  // 8·simd…, for h
      for (uint f = 0; f < FRAGMENTS; f++) {
        simdgroup_load(a_part, a_tile + k * RANK + 8 * f, RANK);
        simdgroup_multiply_accumulate(h_sum[f], rows, a_part, h_sum[f]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  for (uint f = 0; f < FRAGMENTS; f++) simdgroup_store(h_sum[f], h_tile + 8 * simd * RANK + 8 * f, RANK);
  for (uint i = thread_index; i < RANK * BN; i += 128) {
    uint r = b_transposed ? i % RANK : i / BN, c = b_transposed ? i / RANK : i % BN;
    bool inside = r < p.R && column0 + c < p.N;
    uint at = b_transposed ? (column0 + c) * p.R + r : r * p.N + column0 + c;
    w_tile[r * (BN + PAD) + c] = inside ? p.scale * float(B[at]) : 0.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (save_h && group.x == 0)
    for (uint i = thread_index; i < BM * RANK; i += 128) {
      uint r = i / RANK, c = i % RANK;
      if (row0 + r < p.M && c < p.R) h[(row0 + r) * p.R + c] = T(h_tile[i]);
    }
  for (uint f = 0; f < FRAGMENTS; f++) {
    simdgroup_float8x8 left[2], right[2];
    for (uint i = 0; i < 2; i++) simdgroup_load(left[i], h_tile + (row + 8 * i) * RANK + 8 * f, RANK);
    for (uint j = 0; j < 2; j++) simdgroup_load(right[j], w_tile + 8 * f * (BN + PAD) + column + 8 * j, BN + PAD);
    for (uint i = 0; i < 2; i++)
      for (uint j = 0; j < 2; j++) simdgroup_multiply_accumulate(sum[i][j], left[i], right[j], sum[i][j]);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);  // w_tile's part of B has been read: reuse it for the result

  // The result goes out in two halves of 16 rows, through 16×(BN+PAD) floats of w_tile.
  for (uint half_tile = 0; half_tile < 2; half_tile++) {
    if (row == half_tile * 16)
      for (uint i = 0; i < 2; i++)
        for (uint j = 0; j < 2; j++) simdgroup_store(sum[i][j], w_tile + 8 * i * (BN + PAD) + column + 8 * j, BN + PAD);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = thread_index; i < 16 * BN; i += 128) {
      uint r = half_tile * 16 + i / BN, c = i % BN;
      if (row0 + r >= p.M || column0 + c >= p.N) continue;
      float v = w_tile[i / BN * (BN + PAD) + c];
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
  threadgroup float left_tile[BK * RANK];
  threadgroup float right_tile[BK * (BN + PAD)];
  threadgroup float out_tile[RANK * (BN + PAD)];
  const bool is_b = group.z == 1;
  device const T* left = is_b ? h : dh;
  device const T* right = is_b ? dy : x;
  const uint columns = is_b ? p.N : p.K, column0 = group.x * BN;
  if (column0 >= columns) return;  // the whole threadgroup

  simdgroup_float8x8 sum[FRAGMENTS];
  for (uint f = 0; f < FRAGMENTS; f++) sum[f] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  for (uint m0 = 0; m0 < p.M; m0 += BK) {
    for (uint i = thread_index; i < BK * RANK; i += 128) {
      uint m = i / RANK, r = i % RANK;
      left_tile[i] = m0 + m < p.M && r < p.R ? float(left[(m0 + m) * p.R + r]) : 0.0f;
    }
    for (uint i = thread_index; i < BK * BN; i += 128) {
      uint m = i / BN, c = i % BN;
      bool inside = m0 + m < p.M && column0 + c < columns;
      right_tile[m * (BN + PAD) + c] = inside ? float(right[(m0 + m) * columns + column0 + c]) : 0.0f;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint m = 0; m < BK; m += 8) {
      simdgroup_float8x8 l, r;
      simdgroup_load(r, right_tile + m * (BN + PAD) + 8 * simd, BN + PAD);
      for (uint f = 0; f < FRAGMENTS; f++) {
        simdgroup_load(l, left_tile + m * RANK + 8 * f, RANK, ulong2(0, 0), true);
        simdgroup_multiply_accumulate(sum[f], l, r, sum[f]);
      }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  for (uint f = 0; f < FRAGMENTS; f++) simdgroup_store(sum[f], out_tile + 8 * f * (BN + PAD) + 8 * simd, BN + PAD);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < RANK * BN; i += 128) {
    // Threads walk along the output's rows, whichever way it lies.
    bool rows_are_ranks = is_b ? !b_transposed : a_transposed;
    uint r = rows_are_ranks ? i / BN : i % RANK, c = rows_are_ranks ? i % BN : i / RANK;
    if (r >= p.R || column0 + c >= columns) continue;
    float v = p.scale * out_tile[r * (BN + PAD) + c];
    device T* out = is_b ? dB : dA;
    out[rows_are_ranks ? r * columns + column0 + c : (column0 + c) * p.R + r] = T(v);
  }
}
