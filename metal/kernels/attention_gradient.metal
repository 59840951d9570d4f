// The gradient of attention without the matrix of scores (Dao et al., FlashAttention, algorithm 4). With P the weights
// and dP = dO·Vᵀ, the scores' gradient is dS = scale·P∘(dP − D), D = rowsum(P∘dP); then dQ = dS·K, dK = dSᵀ·Q and
// dV = Pᵀ·dO. The first kernel goes over the keys twice per block of queries: for the statistics of each query, the
// logarithm of its weights' sum and D, and for dQ. The second goes over the queries per block of keys.
//
// Shapes as in attention: Q and dO of `heads` heads, K and V of `key_heads`; statistics [batches·heads, queries, 2].
// Four SIMD groups take 8 rows each; blocks are of 32. HEAD is the larger of both sizes rounded up to 8.

#include "tile.metal"

constant bool causal [[function_constant(0)]];
constant bool has_mask [[function_constant(1)]];

struct AttentionParams {
  uint heads, key_heads, queries, keys, size, value_size;
  uint mask_batch, mask_head;
  float scale;
};

constant constexpr uint ROWS = 32, FRAGMENTS = HEAD / 8;

// products writes this SIMD group's 8 rows times the block's 32, 8×32 numbers.
inline void products(threadgroup float* out, thread const simdgroup_float8x8* left, threadgroup const float4* block) {
  for (uint j = 0; j < ROWS / 8; j++) {
    simdgroup_float8x8 sum = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    for (uint f = 0; f < FRAGMENTS; f++) simdgroup_multiply_accumulate(sum, left[f], fragment(block, 8 * f, 8 * j, true, HEAD), sum);
    simdgroup_store(sum, out + 8 * j, ROWS);
  }
}

// accumulate adds 8×32 weights times the block's rows.
inline void accumulate(thread simdgroup_float8x8* sum, threadgroup const float* weights, threadgroup const float4* block) {
  for (uint j = 0; j < ROWS / 8; j++) {
    simdgroup_float8x8 w;
    simdgroup_load(w, weights + 8 * j, ROWS);
    for (uint f = 0; f < FRAGMENTS; f++) simdgroup_multiply_accumulate(sum[f], w, fragment(block, 8 * j, 8 * f, false, HEAD), sum[f]);
  }
}

// write_rows writes this SIMD group's 8 rows through its part of the block.
inline void write_rows(device T* out, thread const simdgroup_float8x8* sum, threadgroup float* mine, uint first, uint rows, uint size, uint lane) {
  for (uint f = 0; f < FRAGMENTS; f++) simdgroup_store(sum[f], mine + 8 * f, HEAD + PAD);
  simdgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = lane; i < 8 * HEAD; i += 32) {
    const uint r = i / HEAD, c = i % HEAD;
    if (first + r < rows && c < size) out[(first + r) * size + c] = T(mine[r * (HEAD + PAD) + c]);
  }
}

[[max_total_threads_per_threadgroup(THREADS)]]
kernel void attention_gradient_queries(device const T* Q [[buffer(0)]],
                                       device const T* K [[buffer(1)]],
                                       device const T* V [[buffer(2)]],
                                       device const T* mask [[buffer(3)]],
                                       device const T* gradient [[buffer(4)]],
                                       device T* dQ [[buffer(5)]],
                                       device float* statistics [[buffer(6)]],
                                       constant AttentionParams& p [[buffer(7)]],
                                       uint2 group [[threadgroup_position_in_grid]],
                                       uint thread_index [[thread_index_in_threadgroup]],
                                       uint lane [[thread_index_in_simdgroup]],
                                       uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float4 block[ROWS * (HEAD + PAD) / 4];
  threadgroup float scores[ROWS * ROWS];
  threadgroup float slopes[ROWS * ROWS];  // dP

  const uint head = group.y % p.heads, batch = group.y / p.heads, key_head = batch * p.key_heads + head / (p.heads / p.key_heads);
  device const T* k_rows = K + key_head * p.keys * p.size;
  device const T* v_rows = V + key_head * p.keys * p.value_size;
  device const T* mask_rows = mask + batch * p.mask_batch + head * p.mask_head;
  threadgroup float* my_scores = scores + simd * 8 * ROWS;
  threadgroup float* my_slopes = slopes + simd * 8 * ROWS;
  threadgroup float* my_rows = (threadgroup float*)block + simd * 8 * (HEAD + PAD);

  simdgroup_float8x8 q[FRAGMENTS], g[FRAGMENTS], sum[FRAGMENTS];
  stage(block, Q + (group.y * p.queries + group.x * ROWS) * p.size, p.size, ROWS, HEAD, p.queries - group.x * ROWS, p.size, p.scale, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint f = 0; f < FRAGMENTS; f++) q[f] = fragment(block, simd * 8, 8 * f, false, HEAD);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  stage(block, gradient + (group.y * p.queries + group.x * ROWS) * p.value_size, p.value_size, ROWS, HEAD, p.queries - group.x * ROWS, p.value_size, 1.0f, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint f = 0; f < FRAGMENTS; f++) {
    g[f] = fragment(block, simd * 8, 8 * f, false, HEAD);
    sum[f] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }

  // Four lanes share a query of the SIMD group: lane/4 is its row, lane%4 its eight columns of the block.
  const uint row = lane / 4, query = group.x * ROWS + simd * 8 + row;
  const int limit = causal ? int(query) + int(p.keys) - int(p.queries) : int(p.keys);
  uint end = p.keys;
  if (causal) {
    const int last = int(group.x * ROWS + ROWS) + int(p.keys) - int(p.queries);
    end = last < 0 ? 0 : min(p.keys, uint(last));
  }
  float largest = kLowest, total = 0.0f, weighted = 0.0f, logarithm = INFINITY, mean = 0.0f;
  for (uint pass = 0; pass < 2; pass++) {
    for (uint key0 = 0; key0 < end; key0 += ROWS) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      stage(block, k_rows + key0 * p.size, p.size, ROWS, HEAD, p.keys - key0, p.size, 1.0f, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      products(my_scores, q, block);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      stage(block, v_rows + key0 * p.value_size, p.value_size, ROWS, HEAD, p.keys - key0, p.value_size, 1.0f, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      products(my_slopes, g, block);
      simdgroup_barrier(mem_flags::mem_threadgroup);

      float values[8], next = largest;
      for (uint j = 0; j < 8; j++) {
        const uint at = row * ROWS + lane % 4 * 8 + j, key = key0 + lane % 4 * 8 + j;
        const bool visible = key < p.keys && query < p.queries && (!causal || int(key) <= limit);
        float v = visible ? my_scores[at] : kLowest;
        if (has_mask && visible) v += float(mask_rows[query * p.keys + key]);
        values[j] = v;
        next = max(next, v);
      }
      if (pass == 0) {
        next = max(next, simd_shuffle_xor(next, 1));
        next = max(next, simd_shuffle_xor(next, 2));
        float block_total = 0.0f, block_weighted = 0.0f;
        for (uint j = 0; j < 8; j++) {
          const float e = values[j] <= kLowest ? 0.0f : exp(values[j] - next);
          block_total += e;
          block_weighted = fma(e, my_slopes[row * ROWS + lane % 4 * 8 + j], block_weighted);
        }
        block_total += simd_shuffle_xor(block_total, 1);
        block_total += simd_shuffle_xor(block_total, 2);
        block_weighted += simd_shuffle_xor(block_weighted, 1);
        block_weighted += simd_shuffle_xor(block_weighted, 2);
        const float factor = exp(largest - next);
        total = fma(total, factor, block_total);
        weighted = fma(weighted, factor, block_weighted);
        largest = next;
        continue;
      }
      for (uint j = 0; j < 8; j++) {
        const uint at = row * ROWS + lane % 4 * 8 + j;
        const float weight = values[j] <= kLowest ? 0.0f : exp(values[j] - logarithm);
        my_scores[at] = p.scale * weight * (my_slopes[at] - mean);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read V
      stage(block, k_rows + key0 * p.size, p.size, ROWS, HEAD, p.keys - key0, p.size, 1.0f, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      accumulate(sum, my_scores, block);
    }
    if (pass == 0 && total > 0.0f) {
      logarithm = largest + log(total);
      mean = weighted / total;
    }
  }
  if (lane % 4 == 0 && query < p.queries) {
    device float* to = statistics + (group.y * p.queries + query) * 2;
    to[0] = logarithm;  // infinite if no key is visible: its weights are then 0
    to[1] = mean;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  write_rows(dQ + group.y * p.queries * p.size, sum, my_rows, group.x * ROWS + simd * 8, p.queries, p.size, lane);
}

[[max_total_threads_per_threadgroup(THREADS)]]
kernel void attention_gradient_keys(device const T* Q [[buffer(0)]],
                                    device const T* K [[buffer(1)]],
                                    device const T* V [[buffer(2)]],
                                    device const T* mask [[buffer(3)]],
                                    device const T* gradient [[buffer(4)]],
                                    device const float* statistics [[buffer(5)]],
                                    device T* dK [[buffer(6)]],
                                    device T* dV [[buffer(7)]],
                                    constant AttentionParams& p [[buffer(8)]],
                                    uint2 group [[threadgroup_position_in_grid]],
                                    uint thread_index [[thread_index_in_threadgroup]],
                                    uint lane [[thread_index_in_simdgroup]],
                                    uint simd [[simdgroup_index_in_threadgroup]]) {
  threadgroup float4 block[ROWS * (HEAD + PAD) / 4];
  threadgroup float weights[ROWS * ROWS];  // [key][query]
  threadgroup float slopes[ROWS * ROWS];

  const uint batch = group.y / p.key_heads, ratio = p.heads / p.key_heads, first = group.x * ROWS + simd * 8;
  threadgroup float* my_weights = weights + simd * 8 * ROWS;
  threadgroup float* my_slopes = slopes + simd * 8 * ROWS;
  threadgroup float* my_rows = (threadgroup float*)block + simd * 8 * (HEAD + PAD);

  simdgroup_float8x8 k[FRAGMENTS], v[FRAGMENTS], dk[FRAGMENTS], dv[FRAGMENTS];
  stage(block, K + (group.y * p.keys + group.x * ROWS) * p.size, p.size, ROWS, HEAD, p.keys - group.x * ROWS, p.size, p.scale, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint f = 0; f < FRAGMENTS; f++) k[f] = fragment(block, simd * 8, 8 * f, false, HEAD);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  stage(block, V + (group.y * p.keys + group.x * ROWS) * p.value_size, p.value_size, ROWS, HEAD, p.keys - group.x * ROWS, p.value_size, 1.0f, thread_index);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint f = 0; f < FRAGMENTS; f++) {
    v[f] = fragment(block, simd * 8, 8 * f, false, HEAD);
    dk[f] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    dv[f] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  }

  // A causal group is not seen by queries before its first key's.
  uint begin = 0;
  if (causal) {
    const int seen = int(group.x * ROWS) + int(p.queries) - int(p.keys);
    begin = seen < 0 ? 0 : uint(seen) / ROWS * ROWS;
  }
  for (uint h = 0; h < ratio; h++) {
    const uint head = group.y % p.key_heads * ratio + h, n = batch * p.heads + head;
    device const T* q_rows = Q + n * p.queries * p.size;
    device const T* g_rows = gradient + n * p.queries * p.value_size;
    device const T* mask_rows = mask + batch * p.mask_batch + head * p.mask_head;
    for (uint query0 = begin; query0 < p.queries; query0 += ROWS) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      stage(block, q_rows + query0 * p.size, p.size, ROWS, HEAD, p.queries - query0, p.size, 1.0f, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      products(my_weights, k, block);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      stage(block, g_rows + query0 * p.value_size, p.value_size, ROWS, HEAD, p.queries - query0, p.value_size, 1.0f, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      products(my_slopes, v, block);
      simdgroup_barrier(mem_flags::mem_threadgroup);

      const uint query = query0 + lane;
      const bool real = query < p.queries;
      const float logarithm = real ? statistics[(n * p.queries + query) * 2] : INFINITY;
      const float mean = real ? statistics[(n * p.queries + query) * 2 + 1] : 0.0f;
      for (uint r = 0; r < 8; r++) {
        const uint key = first + r, at = r * ROWS + lane;
        const bool visible = real && key < p.keys && (!causal || int(key) <= int(query) + int(p.keys) - int(p.queries));
        float s = visible ? my_weights[at] : kLowest;
        if (has_mask && visible) s += float(mask_rows[query * p.keys + key]);
        const float weight = s <= kLowest ? 0.0f : exp(s - logarithm);
        my_weights[at] = weight;
        my_slopes[at] = p.scale * weight * (my_slopes[at] - mean);
      }
      simdgroup_barrier(mem_flags::mem_threadgroup);
      accumulate(dv, my_weights, block);
      threadgroup_barrier(mem_flags::mem_threadgroup);  // all have read dO
      stage(block, q_rows + query0 * p.size, p.size, ROWS, HEAD, p.queries - query0, p.size, 1.0f, thread_index);
      threadgroup_barrier(mem_flags::mem_threadgroup);
      accumulate(dk, my_slopes, block);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  write_rows(dK + group.y * p.keys * p.size, dk, my_rows, first, p.keys, p.size, lane);
  simdgroup_barrier(mem_flags::mem_threadgroup);
  write_rows(dV + group.y * p.keys * p.value_size, dv, my_rows, first, p.keys, p.value_size, lane);
}
