// Kernels that work along rows: one threadgroup per row, as many SIMD groups as the row is long, up to 32.

struct RowParams {
  uint rows, columns;
  float eps;
};

inline Place place(uint thread_index, uint threads, uint lane, uint simd, uint simds) {
  Place p;
  p.index = thread_index;
  p.threads = threads;
  p.lane = lane;
  p.simd = simd;
  p.simds = simds;
  return p;
}

constant bool takes_log [[function_constant(0)]];     // softmax: log-softmax instead
constant bool has_weight [[function_constant(1)]];    // norms: · weight[columns]
constant bool has_offset [[function_constant(2)]];    // layer_norm: + offset[columns]
constant bool has_residual [[function_constant(3)]];  // norms: of x + residual, and the sum is written to `sum_out`

// y = exp(x − max)/Σ, or x − max − log Σ.
[[max_total_threads_per_threadgroup(1024)]]
kernel void softmax(device const T* x [[buffer(0)]],
                    device T* y [[buffer(1)]],
                    constant RowParams& p [[buffer(2)]],
                    uint row [[threadgroup_position_in_grid]],
                    uint thread_index [[thread_index_in_threadgroup]],
                    uint threads [[threads_per_threadgroup]],
                    uint lane [[thread_index_in_simdgroup]],
                    uint simd [[simdgroup_index_in_threadgroup]],
                    uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup float scratch[32];
  Place at = place(thread_index, threads, lane, simd, simds);
  device const T* in = x + row * p.columns;
  device T* out = y + row * p.columns;
  float largest = kLowest;
  for (uint i = thread_index; i < p.columns; i += threads) largest = max(largest, float(in[i]));
  largest = group_max(largest, scratch, at);
  float sum = 0.0f;
  for (uint i = thread_index; i < p.columns; i += threads) sum += exp(float(in[i]) - largest);
  sum = group_sum(sum, scratch, at);
  if (takes_log) {
    float shift = largest + log(sum);
    for (uint i = thread_index; i < p.columns; i += threads) out[i] = T(float(in[i]) - shift);
    return;
  }
  float inverse = 1.0f / sum;
  for (uint i = thread_index; i < p.columns; i += threads) out[i] = T(exp(float(in[i]) - largest) * inverse);
}

// y = x/√(mean x² + eps) · weight
[[max_total_threads_per_threadgroup(1024)]]
kernel void rms_norm(device const T* x [[buffer(0)]],
                     device const T* residual [[buffer(1)]],
                     device const T* weight [[buffer(2)]],
                     device T* y [[buffer(3)]],
                     device T* sum_out [[buffer(4)]],
                     constant RowParams& p [[buffer(5)]],
                     uint row [[threadgroup_position_in_grid]],
                     uint thread_index [[thread_index_in_threadgroup]],
                     uint threads [[threads_per_threadgroup]],
                     uint lane [[thread_index_in_simdgroup]],
                     uint simd [[simdgroup_index_in_threadgroup]],
                     uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup float scratch[32];
  Place at = place(thread_index, threads, lane, simd, simds);
  const uint base = row * p.columns;
  float squares = 0.0f;
  for (uint i = thread_index; i < p.columns; i += threads) {
    float v = float(x[base + i]);
    if (has_residual) {
      v = float(T(v + float(residual[base + i])));
      sum_out[base + i] = T(v);
    }
    squares = fma(v, v, squares);
  }
  float scale = precise::rsqrt(group_sum(squares, scratch, at) / float(p.columns) + p.eps);
  for (uint i = thread_index; i < p.columns; i += threads) {
    float v = float(has_residual ? sum_out[base + i] : x[base + i]);  // each thread reads what it wrote itself
    y[base + i] = T(v * scale * (has_weight ? float(weight[i]) : 1.0f));
  }
}

// y = (x − mean)/√(variance + eps) · weight + offset; the variance in a second pass, so that it cannot cancel, with the
// sum of the differences, by which the mean's rounding is made up for (Chan, Golub, LeVeque 1983).
[[max_total_threads_per_threadgroup(1024)]]
kernel void layer_norm(device const T* x [[buffer(0)]],
                       device const T* residual [[buffer(1)]],
                       device const T* weight [[buffer(2)]],
                       device const T* offset [[buffer(3)]],
                       device T* y [[buffer(4)]],
                       device T* sum_out [[buffer(5)]],
                       constant RowParams& p [[buffer(6)]],
                       uint row [[threadgroup_position_in_grid]],
                       uint thread_index [[thread_index_in_threadgroup]],
                       uint threads [[threads_per_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]],
                       uint simd [[simdgroup_index_in_threadgroup]],
                       uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup float scratch[32];
  Place at = place(thread_index, threads, lane, simd, simds);
  const uint base = row * p.columns;
  float sum = 0.0f;
  for (uint i = thread_index; i < p.columns; i += threads) {
    float v = float(x[base + i]);
    if (has_residual) {
      v = float(T(v + float(residual[base + i])));
      sum_out[base + i] = T(v);
    }
    sum += v;
  }
  float mean = group_sum(sum, scratch, at) / float(p.columns);
  float squares = 0.0f, differences = 0.0f;
  for (uint i = thread_index; i < p.columns; i += threads) {
    float v = float(has_residual ? sum_out[base + i] : x[base + i]) - mean;
    squares = fma(v, v, squares);
    differences += v;
  }
  float rest = group_sum(differences, scratch, at) / float(p.columns);
  float scale = precise::rsqrt(max(group_sum(squares, scratch, at) / float(p.columns) - rest * rest, 0.0f) + p.eps);
  for (uint i = thread_index; i < p.columns; i += threads) {
    float v = (float(has_residual ? sum_out[base + i] : x[base + i]) - mean - rest) * scale;
    if (has_weight) v *= float(weight[i]);
    if (has_offset) v += float(offset[i]);
    y[base + i] = T(v);
  }
}

// Loss −log softmax(x)[target] per row, smoothed by s: (1−s)·NLL + s·mean(−log p); and, if asked, its gradient
// scale·(softmax − (1−s)·onehot − s/columns), scale being a float per row, or one for all. Rows whose target is `ignored`
// have loss 0 and gradient 0.
struct CrossEntropyParams {
  uint rows, columns;
  int ignored;
  float smoothing;
  uint scale_step;  // 1: a scale per row, 0: one for all
};
constant bool wants_gradient [[function_constant(4)]];

[[max_total_threads_per_threadgroup(1024)]]
kernel void cross_entropy(device const T* x [[buffer(0)]],
                          device const int* targets [[buffer(1)]],
                          device const float* scale [[buffer(2)]],
                          device float* loss [[buffer(3)]],
                          device T* gradient [[buffer(4)]],
                          constant CrossEntropyParams& p [[buffer(5)]],
                          uint row [[threadgroup_position_in_grid]],
                          uint thread_index [[thread_index_in_threadgroup]],
                          uint threads [[threads_per_threadgroup]],
                          uint lane [[thread_index_in_simdgroup]],
                          uint simd [[simdgroup_index_in_threadgroup]],
                          uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup float scratch[32];
  Place at = place(thread_index, threads, lane, simd, simds);
  device const T* in = x + row * p.columns;
  int target = targets[row];
  if (target < 0 && target != p.ignored) target += int(p.columns);  // negative ones count from the end
  const bool valid = target != p.ignored && target >= 0 && target < int(p.columns);
  float largest = kLowest, total = 0.0f, sum = 0.0f;
  for (uint i = thread_index; i < p.columns; i += threads) largest = max(largest, float(in[i]));
  largest = group_max(largest, scratch, at);
  for (uint i = thread_index; i < p.columns; i += threads) {
    float v = float(in[i]) - largest;
    sum += exp(v);
    total += v;
  }
  sum = group_sum(sum, scratch, at);
  total = group_sum(total, scratch, at);
  float log_sum = log(sum);
  if (thread_index == 0) {
    float nll = valid ? log_sum - (float(in[target]) - largest) : 0.0f;
    float uniform_part = log_sum - total / float(p.columns);
    // A target outside the vocabulary that is not the ignored one is a mistake of the caller: NaN shows it.
    loss[row] = valid ? (1.0f - p.smoothing) * nll + (p.smoothing > 0.0f ? p.smoothing * uniform_part : 0.0f) : target == p.ignored ? 0.0f : NAN;
  }
  if (!wants_gradient) return;
  float factor = valid ? scale[row * p.scale_step] : 0.0f;
  for (uint i = thread_index; i < p.columns; i += threads) {
    float wanted = p.smoothing / float(p.columns) + (int(i) == target ? 1.0f - p.smoothing : 0.0f);
    gradient[row * p.columns + i] = T(factor * (exp(float(in[i]) - largest) / sum - wanted));
  }
}
