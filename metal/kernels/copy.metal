// Copies between layouts and element types. FROM and TO are the element types.

struct CopyParams {
  uint size, rank;
  uint from_offset, to_offset;
  uint shape[8];
  int from_strides[8], to_strides[8];  // elements; 0 broadcasts
};

// to[…] = from[…] for every index of shape. One thread per element, the last axis fastest.
[[max_total_threads_per_threadgroup(256)]]
kernel void copy_strided(device const FROM* from [[buffer(0)]],
                         device TO* to [[buffer(1)]],
                         constant CopyParams& p [[buffer(2)]],
                         uint i [[thread_position_in_grid]]) {
  if (i >= p.size) return;
  uint rest = i;
  int source = int(p.from_offset), target = int(p.to_offset);
  for (uint axis = p.rank; axis-- > 0;) {
    int at = int(rest % p.shape[axis]);
    rest /= p.shape[axis];
    source += at * p.from_strides[axis];
    target += at * p.to_strides[axis];
  }
  to[target] = CONVERT(from[source]);
}

// to[i] = from[i]; from[0] alone where `fill` is set.
constant bool fill [[function_constant(0)]];

[[max_total_threads_per_threadgroup(256)]]
kernel void copy_contiguous(device const FROM* from [[buffer(0)]],
                            device TO* to [[buffer(1)]],
                            constant CopyParams& p [[buffer(2)]],
                            uint i [[thread_position_in_grid]]) {
  if (i < p.size) to[p.to_offset + i] = CONVERT(from[fill ? p.from_offset : p.from_offset + i]);
}
