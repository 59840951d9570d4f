// Matrix products: C = epilogue(alpha · prologue(A)·B). Threadgroups of SM×SN SIMD groups make tiles of BM×BN.

#include "tile.metal"

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

constant constexpr uint FM = BM / SM / 8, FN = BN / SN / 8;  // 8×8 fragments of a SIMD group

// prepare is stage for A where its elements are activated or gated on their way.
inline void prepare(threadgroup float4* tile, device const T* from, device const T* gate, uint stride, uint rows, uint columns,
                    uint there_rows, uint there_columns, uint thread_index) {
  threadgroup float* elements = (threadgroup float*)tile;
  for (uint i = thread_index; i < rows * columns; i += THREADS) {
    const uint r = i / columns, c = i % columns;
    float v = 0.0f;
    if (r < there_rows && c < there_columns) {
      v = activate(prologue, float(from[r * stride + c]));
      if (has_gate) v *= float(gate[r * stride + c]);
    }
    elements[r * (columns + PAD) + c] = v;
  }
}

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

[[max_total_threads_per_threadgroup(THREADS)]]
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
  threadgroup float4 a_tile[BM * (BK + PAD) / 4];
  threadgroup float4 b_tile[BN * (BK + PAD) / 4];
  threadgroup float c_tile[SM * SN * 8 * 8];  // one fragment per SIMD group

  const uint batch = group.z % p.batches, split = group.z / p.batches;
  const uint row0 = group.y * BM, column0 = group.x * BN;
  const uint k_begin = split * p.k_per_split, k_end = min(p.K, k_begin + p.k_per_split);
  const uint row = simd / SN * (BM / SM), column = simd % SN * (BN / SN);
  // Tiles hold their matrices as these are stored, so that neighbouring threads read neighbours.
  const uint a_rows = a_transposed ? BK : BM, a_columns = a_transposed ? BM : BK;
  const uint b_rows = b_transposed ? BN : BK, b_columns = b_transposed ? BK : BN;
  device const T* a_matrix = A + batch * p.a_batch;
  device const T* gate_matrix = gate + batch * p.a_batch;
  device const T* b_matrix = B + batch * p.b_batch;

  simdgroup_float8x8 sum[FM][FN];
  for (uint i = 0; i < FM; i++)
    for (uint j = 0; j < FN; j++) sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);

  for (uint k0 = k_begin; k0 < k_end; k0 += BK) {
    const uint rows_left = p.M - row0, columns_left = p.N - column0, k_left = k_end - k0;
    const uint a_at = a_transposed ? k0 * p.a_row + row0 : row0 * p.a_row + k0;
    const uint b_at = b_transposed ? column0 * p.b_row + k0 : k0 * p.b_row + column0;
    if (prologue == kIdentity && !has_gate)
      stage(a_tile, a_matrix + a_at, p.a_row, a_rows, a_columns, a_transposed ? k_left : rows_left, a_transposed ? rows_left : k_left, 1.0f, thread_index);
    else
      prepare(a_tile, a_matrix + a_at, gate_matrix + a_at, p.a_row, a_rows, a_columns, a_transposed ? k_left : rows_left, a_transposed ? rows_left : k_left, thread_index);
    stage(b_tile, b_matrix + b_at, p.b_row, b_rows, b_columns, b_transposed ? columns_left : k_left, b_transposed ? k_left : columns_left, 1.0f, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < BK; k += 8) {
      simdgroup_float8x8 left[FM], right[FN];
      for (uint i = 0; i < FM; i++) left[i] = fragment(a_tile, row + 8 * i, k, a_transposed, a_columns);
      for (uint j = 0; j < FN; j++) right[j] = fragment(b_tile, k, column + 8 * j, b_transposed, b_columns);
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
[[max_total_threads_per_threadgroup(256)]]
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
