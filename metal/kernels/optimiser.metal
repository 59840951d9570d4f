// AdamW (Loshchilov and Hutter) over one arena of parameters, with decoupled weight decay. Moments are float. What
// changes from step to step comes in a buffer, so that a recorded step can be replayed.

struct AdamWParams {
  uint size;
};
// hyper: 0 learning rate, 1 β1, 2 β2, 3 ε, 4 weight decay, 5 1/(1−β1ᵗ), 6 1/(1−β2ᵗ), 7 factor on the gradient.
kernel void adamw(device T* parameters [[buffer(0)]],
                  device const T* gradients [[buffer(1)]],
                  device float* first [[buffer(2)]],
                  device float* second [[buffer(3)]],
                  device const float* hyper [[buffer(4)]],
                  constant AdamWParams& p [[buffer(5)]],
                  uint i [[thread_position_in_grid]]) {
  if (i >= p.size) return;
  float g = float(gradients[i]) * hyper[7], w = float(parameters[i]);
  float m = hyper[1] * first[i] + (1.0f - hyper[1]) * g;
  float v = hyper[2] * second[i] + (1.0f - hyper[2]) * g * g;
  first[i] = m;
  second[i] = v;
  w -= hyper[0] * hyper[4] * w;
  parameters[i] = T(w - hyper[0] * (m * hyper[5]) / (precise::sqrt(v * hyper[6]) + hyper[3]));
}
