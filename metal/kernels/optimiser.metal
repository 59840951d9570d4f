// AdamW (Loshchilov and Hutter), with decoupled weight decay:
//   m' = β1·m + (1−β1)·g, v' = β2·v + (1−β2)·g², p' = p − lr·λ·p − lr·(m'·h1)/(√(v'·h2) + ε).
// Moments are float. What changes from step to step, {lr, h1, h2}, comes in a buffer, so that a recorded step can be
// replayed; h1 = 1/(1−β1ᵗ) and h2 = 1/(1−β2ᵗ). Results may be written over their inputs.

struct AdamWParams {
  uint size;
  float beta1, beta2, eps, decay;
};

// One element of one parameter; its gradient lies at `from`.
inline void update(device const T* p, device const T* g, device const float* m, device const float* v, device const float* h,
                   device T* p_out, device float* m_out, device float* v_out, constant AdamWParams& k, uint i, uint from) {
  float gradient = float(g[from]), parameter = float(p[i]);
  float first = k.beta1 * m[i] + (1.0f - k.beta1) * gradient;
  float second = k.beta2 * v[i] + (1.0f - k.beta2) * gradient * gradient;
  m_out[i] = first;
  v_out[i] = second;
  parameter -= h[0] * k.decay * parameter;
  p_out[i] = T(parameter - h[0] * (first * h[1]) / (precise::sqrt(second * h[2]) + k.eps));
}

[[max_total_threads_per_threadgroup(256)]]
kernel void adamw(device const T* p [[buffer(0)]],
                  device const T* g [[buffer(1)]],
                  device const float* m [[buffer(2)]],
                  device const float* v [[buffer(3)]],
                  device const float* h [[buffer(4)]],
                  device T* p_out [[buffer(5)]],
                  device float* m_out [[buffer(6)]],
                  device float* v_out [[buffer(7)]],
                  constant AdamWParams& k [[buffer(8)]],
                  uint i [[thread_position_in_grid]]) {
  if (i < k.size) update(p, g, m, v, h, p_out, m_out, v_out, k, i, i);
}
