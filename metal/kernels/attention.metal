// Attention without the matrix of scores: out = softmax(scale·Q·Kᵀ + mask)·V, keys in blocks, with a running
// maximum and sum per query (Dao et al., FlashAttention). Q [batches, heads, queries, size], K [batches, key_heads, keys,
// size], V [batches, key_heads, keys, value_size]; heads is a multiple of key_heads (grouped queries). HEAD is the larger
// size rounded up to 8.
//
// Four SIMD groups take 8 queries each; blocks are of 32 keys.

#include "tile.metal"

constant bool causal [[function_constant(0)]];    // query i sees keys up to i + keys − queries
constant bool has_mask [[function_constant(1)]];  // mask[queries, keys] is added, with strides for batch and head

struct AttentionParams {
  uint heads, key_heads, queries, keys, size, value_size;
  uint mask_batch, mask_head;  // elements, 0 to broadcast
  float scale;
};

constant constexpr uint QUERIES = 32, KEYS = 32, FRAGMENTS = HEAD / 8;

[[max_total_threads_per_threadgroup(THREADS)]]
kernel void attention(device const T* Q [[buffer(0)]],
                      device const T* K [[buffer(1)]],
                      device const T* V [[buffer(2)]],
                      device const T* mask [[buffer(3)]],
                      device T* out [[buffer(4)]],
                      constant AttentionParams& p [[buffer(5)]],
                      uint2 group [[threadgroup_position_in_grid]],
                      uint thread_index [[thread_index_in_threadgroup]],
                      uint lane [[thread_index_in_simdgroup]],
                      uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float4 block[KEYS * (HEAD + PAD) / 4];  // of K, then of V; at the end a SIMD group's part holds its result
  threadgroup float scores[QUERIES * KEYS];   // 8 rows per SIMD group
  threadgroup float rescale[4 * 64];          // a diagonal 8×8 matrix per SIMD group

  const uint head = group.y % p.heads, batch = group.y / p.heads;
  const uint key_head = head / (p.heads / p.key_heads);
  const uint query0 = group.x * QUERIES + simd * 8;
  device const T* q_rows = Q + group.y * p.queries * p.size;
  device const T* k_rows = K + (batch * p.key_heads + key_head) * p.keys * p.size;
  device const T* v_rows = V + (batch * p.key_heads + key_head) * p.keys * p.value_size;
  device const T* mask_rows = mask + batch * p.mask_batch + head * p.mask_head;
  threadgroup float* my_scores = scores + simd * 8 * KEYS;
  threadgroup float* my_diagonal = rescale + simd * 64;

  // Queries: staged through `block`, kept in registers.
  simdgroup_float8x8 q[FRAGMENTS], result[FRAGMENTS];
  stage(block, q_rows + group.x * QUERIES * p.size, p.size, QUERIES, HEAD, p.queries - group.x * QUERIES, p.size, p.scale, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint f = 0; f < FRAGMENTS; f++) {
    q[f] = fragment(block, simd * 8, 8 * f, false, HEAD);
    result[f] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }
  for (uint e = lane; e < 64; e += 32) my_diagonal[e] = 0.0f;

  // Four lanes share a query of the SIMD group: lane/4 is its row, lane%4 its eight columns of the block.
  const uint row = lane / 4, query = query0 + row;
  const int limit = causal ? int(query) + int(p.keys) - int(p.queries) : int(p.keys);
  float largest = kLowest, sum = 0.0f;

  // A causal group needs no keys past its last query's.
  uint end = p.keys;
  if (causal) {
    int last = int(group.x * QUERIES + QUERIES) + int(p.keys) - int(p.queries);
    end = last < 0 ? 0 : min(p.keys, uint(last));
  }
  for (uint key0 = 0; key0 < end; key0 += KEYS) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    stage(block, k_rows + key0 * p.size, p.size, KEYS, HEAD, p.keys - key0, p.size, 1.0f, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint j = 0; j < KEYS / 8; j++) {
      simdgroup_float8x8 s = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
      for (uint f = 0; f < FRAGMENTS; f++) simdgroup_multiply_accumulate(s, q[f], fragment(block, 8 * f, 8 * j, true, HEAD), s);
      simdgroup_store(s, my_scores + 8 * j, KEYS);
    }
    simdgroup_barrier(mem_flags::mem_threadgroup);

    float values[KEYS / 4], block_largest = kLowest;
    for (uint j = 0; j < KEYS / 4; j++) {
      uint key = key0 + lane % 4 * (KEYS / 4) + j;
      bool visible = key < p.keys && query < p.queries && (!causal || int(key) <= limit);
      float v = visible ? my_scores[row * KEYS + lane % 4 * (KEYS / 4) + j] : kLowest;
      if (has_mask && visible) v += float(mask_rows[query * p.keys + key]);
      values[j] = v;
      block_largest = max(block_largest, v);
    }
    block_largest = max(block_largest, simd_shuffle_xor(block_largest, 1));
    block_largest = max(block_largest, simd_shuffle_xor(block_largest, 2));
    float next = max(largest, block_largest);
    float factor = exp(largest - next), block_sum = 0.0f;
    for (uint j = 0; j < KEYS / 4; j++) {
      float e = values[j] <= kLowest ? 0.0f : exp(values[j] - next);  // masked keys count nothing
      my_scores[row * KEYS + lane % 4 * (KEYS / 4) + j] = e;
      block_sum += e;
    }
    block_sum += simd_shuffle_xor(block_sum, 1);
    block_sum += simd_shuffle_xor(block_sum, 2);
    sum = sum * factor + block_sum;
    largest = next;
    if (lane % 4 == 0) my_diagonal[row * 9] = factor;

    threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read K
    stage(block, v_rows + key0 * p.value_size, p.value_size, KEYS, HEAD, p.keys - key0, p.value_size, 1.0f, thread_index);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_float8x8 diagonal, weights;
    simdgroup_load(diagonal, my_diagonal, 8);
    for (uint f = 0; f < FRAGMENTS; f++) {
      simdgroup_float8x8 scaled;
      simdgroup_multiply(scaled, diagonal, result[f]);
      for (uint j = 0; j < KEYS / 8; j++) {
        simdgroup_load(weights, my_scores + 8 * j, KEYS);
        simdgroup_multiply_accumulate(scaled, weights, fragment(block, 8 * j, 8 * f, false, HEAD), scaled);
      }
      result[f] = scaled;
    }
  }

  // Divide by the sums, as one more diagonal product, and write out through this SIMD group's rows of `block`.
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (lane % 4 == 0) my_diagonal[row * 9] = sum > 0.0f ? 1.0f / sum : 0.0f;
  simdgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_float8x8 inverse;
  simdgroup_load(inverse, my_diagonal, 8);
  threadgroup float* my_rows = (threadgroup float*)block + simd * 8 * (HEAD + PAD);
  for (uint f = 0; f < FRAGMENTS; f++) {
    simdgroup_float8x8 scaled;
    simdgroup_multiply(scaled, inverse, result[f]);
    simdgroup_store(scaled, my_rows + 8 * f, HEAD + PAD);
  }
  simdgroup_barrier(mem_flags::mem_threadgroup);
  device T* out_rows = out + group.y * p.queries * p.value_size;
  for (uint i = lane; i < 8 * HEAD; i += 32) {
    uint r = i / HEAD, c = i % HEAD;
    if (query0 + r < p.queries && c < p.value_size) out_rows[(query0 + r) * p.value_size + c] = T(my_rows[r * (HEAD + PAD) + c]);
  }
}
