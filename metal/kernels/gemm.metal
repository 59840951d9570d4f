// Matrix products: C = epilogue(alpha · prologue(A)·B). Threadgroups of SM×SN SIMD groups make tiles of BM×BN.

constant bool a_transposed [[function_constant(0)]];   // A is [K,M]
constant bool b_transposed [[function_constant(1)]];   // B is [N,K]
constant bool has_bias [[function_constant(2)]];       // + bias[N]
constant bool has_addend [[function_constant(3)]];     // + addend[M,N], with C's strides
constant uint activation [[function_constant(4)]];     // then activate
constant bool has_gate [[function_constant(5)]];       // A is multiplied by gate, of A's shape and strides
constant uint prologue [[function_constant(6)]];       // after activating A's elements
constant bool split_k [[function_constant(7)]];        // writes float partial sums [splits,M,N] instead

struct GemmParams {
  uint M, N, K;
  uint a_row, b_row, c_row;        // elements between rows as stored
  uint a_batch, b_batch, c_batch;  // elements between matrices, 0 to broadcast
  uint batches, k_per_split;
  float alpha;
  // epilogue: parameters
};

// epilogue: function

constant constexpr uint PAD = 4, THREADS = SM * SN * 32;
constant constexpr uint FM = BM / SM / 8, FN = BN / SN / 8;  // 8×8 fragments of a SIMD group

// One element of the result on its way out.
inline void write_result(device T* C, device float* partial, device const T* bias, device const T* addend,
                         constant GemmParams& p, uint batch, uint split, uint r, uint c, float v) {
  if (split_k) {
    partial[((split * p.batches + batch) * p.M + r) * p.N + c] = v;
    return;
  }
  v *= p.alpha;
  uint at = batch * p.c_batch + r * p.c_row + c;
  if (has_bias) v += float(bias[c]);
  if (has_addend) v += float(addend[at]);
  C[at] = T(activate(activation, v));
}

kernel void gemm(device const T* A [[buffer(0)]],
                 device const T* B [[buffer(1)]],
                 device const T* bias [[buffer(2)]],
                 device const T* addend [[buffer(3)]],
                 device const T* gate [[buffer(4)]],
                 device T* C [[buffer(5)]],
                 device float* partial [[buffer(6)]],
                 // epilogue: buffers
                 constant GemmParams& p [[buffer(7)]],
                 uint3 group [[threadgroup_position_in_grid]],
                 uint thread_index [[thread_index_in_threadgroup]],
                 uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float a_tile[BM * (BK + PAD)];
  threadgroup float b_tile[BK * (BN + PAD)];
  threadgroup float c_tile[SM * SN * 8 * 8];  // one fragment per SIMD group

  const uint batch = group.z % p.batches, split = group.z / p.batches;
  const uint row0 = group.y * BM, column0 = group.x * BN;
  const uint k_begin = split * p.k_per_split, k_end = min(p.K, k_begin + p.k_per_split);
  const uint row = simd / SN * (BM / SM), column = simd % SN * (BN / SN);
  device const T* a_matrix = A + batch * p.a_batch;
  device const T* gate_matrix = gate + batch * p.a_batch;
  device const T* b_matrix = B + batch * p.b_batch;

  simdgroup_float8x8 sum[FM][FN];
  for (uint i = 0; i < FM; i++)
    for (uint j = 0; j < FN; j++) sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

  for (uint k0 = k_begin; k0 < k_end; k0 += BK) {
    for (uint i = thread_index; i < BM * BK; i += THREADS) {
      uint r = a_transposed ? i % BM : i / BK, c = a_transposed ? i / BM : i % BK;
      float v = 0.0f;
      if (row0 + r < p.M && k0 + c < k_end) {
        uint at = a_transposed ? (k0 + c) * p.a_row + row0 + r : (row0 + r) * p.a_row + k0 + c;
        v = activate(prologue, float(a_matrix[at]));
        if (has_gate) v *= float(gate_matrix[at]);
      }
      a_tile[r * (BK + PAD) + c] = v;
    }
    for (uint i = thread_index; i < BK * BN; i += THREADS) {
      uint r = b_transposed ? i % BK : i / BN, c = b_transposed ? i / BK : i % BN;
      bool inside = k0 + r < k_end && column0 + c < p.N;
      uint at = b_transposed ? (column0 + c) * p.b_row + k0 + r : (k0 + r) * p.b_row + column0 + c;
      b_tile[r * (BN + PAD) + c] = inside ? float(b_matrix[at]) : 0.0f;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < BK; k += 8) {
      simdgroup_float8x8 left[FM], right[FN];
      for (uint i = 0; i < FM; i++) simdgroup_load(left[i], a_tile + (row + 8 * i) * (BK + PAD) + k, BK + PAD);
      for (uint j = 0; j < FN; j++) simdgroup_load(right[j], b_tile + k * (BN + PAD) + column + 8 * j, BN + PAD);
      for (uint i = 0; i < FM; i++)
        for (uint j = 0; j < FN; j++) simdgroup_multiply_accumulate(sum[i][j], left[i], right[j], sum[i][j]);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }

  // Each SIMD group writes its fragments through its own 8×8 floats: nothing to share, so no barrier of the group.
  threadgroup float* mine = c_tile + simd * 64;
  const uint lane = thread_index % 32;
  for (uint i = 0; i < FM; i++)
    for (uint j = 0; j < FN; j++) {
      simdgroup_store(sum[i][j], mine, 8);
      simdgroup_barrier(mem_flags::mem_threadgroup);
      for (uint e = lane; e < 64; e += 32) {
        uint r = row0 + row + 8 * i + e / 8, c = column0 + column + 8 * j + e % 8;
        // epilogue: store
        if (r < p.M && c < p.N) write_result(C, partial, bias, addend, p, batch, split, r, c, mine[e]);
      }
      simdgroup_barrier(mem_flags::mem_threadgroup);
    }
}

// gemm_sum_splits adds the partial sums of a split product and applies the epilogue. One thread per element.
struct SplitParams {
  uint M, N, splits, batches, c_row, c_batch;
  float alpha;
};
kernel void gemm_sum_splits(device const float* partial [[buffer(0)]],
                            device const T* bias [[buffer(1)]],
                            device const T* addend [[buffer(2)]],
                            device T* C [[buffer(3)]],
                            constant SplitParams& p [[buffer(4)]],
                            uint i [[thread_position_in_grid]]) {
  const uint size = p.batches * p.M * p.N;
  if (i >= size) return;
  float v = 0.0f;
  for (uint s = 0; s < p.splits; s++) v += partial[s * size + i];
  uint c = i % p.N, r = i / p.N % p.M, batch = i / (p.N * p.M);
  uint at = batch * p.c_batch + r * p.c_row + c;
  v *= p.alpha;
  if (has_bias) v += float(bias[c]);
  if (has_addend) v += float(addend[at]);
  C[at] = T(activate(activation, v));
}
