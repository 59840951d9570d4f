// Convolutions as matrix products: unfold writes the window of every output place as a column, fold adds columns back
// into the places that they were read from. `planes` are images times channels; columns are [planes, kh, kw, oh, ow].

struct ConvolutionParams {
  uint size;  // threads
  uint height, width, kh, kw, oh, ow;
  uint stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};

[[max_total_threads_per_threadgroup(256)]]
kernel void unfold(device const T* x [[buffer(0)]],
                   device T* columns [[buffer(1)]],
                   constant ConvolutionParams& p [[buffer(2)]],
                   uint at [[thread_position_in_grid]]) {
  if (at >= p.size) return;
  uint rest = at;
  const uint u = rest % p.ow;
  rest /= p.ow;
  const uint v = rest % p.oh;
  rest /= p.oh;
  const uint j = rest % p.kw;
  rest /= p.kw;
  const uint i = rest % p.kh, plane = rest / p.kh;
  const int row = int(v * p.stride_h + i * p.dilation_h) - int(p.pad_h), column = int(u * p.stride_w + j * p.dilation_w) - int(p.pad_w);
  const bool inside = row >= 0 && row < int(p.height) && column >= 0 && column < int(p.width);
  columns[at] = inside ? x[(plane * p.height + uint(row)) * p.width + uint(column)] : T(0.0f);
}

[[max_total_threads_per_threadgroup(256)]]
kernel void fold(device const T* columns [[buffer(0)]],
                 device T* x [[buffer(1)]],
                 constant ConvolutionParams& p [[buffer(2)]],
                 uint at [[thread_position_in_grid]]) {
  if (at >= p.size) return;
  const uint column = at % p.width, row = at / p.width % p.height, plane = at / p.width / p.height;
  float sum = 0.0f;
  for (uint i = 0; i < p.kh; i++) {
    const int y = int(row + p.pad_h) - int(i * p.dilation_h);
    if (y < 0 || uint(y) % p.stride_h != 0 || uint(y) / p.stride_h >= p.oh) continue;
    for (uint j = 0; j < p.kw; j++) {
      const int z = int(column + p.pad_w) - int(j * p.dilation_w);
      if (z < 0 || uint(z) % p.stride_w != 0 || uint(z) / p.stride_w >= p.ow) continue;
      sum += float(columns[(((plane * p.kh + i) * p.kw + j) * p.oh + uint(y) / p.stride_h) * p.ow + uint(z) / p.stride_w]);
    }
  }
  x[at] = T(sum);
}
