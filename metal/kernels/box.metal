// Boxes of a tensor whose first element is computed on the GPU. `starts` has an index for each axis, moved so that the
// box fits; the tensor and the box are row-major.

struct BoxParams {
  uint size, rank;          // elements and axes of the box
  uint shape[8], full[8];  // of the box and of the tensor
};

// in_tensor returns where element i of the box lies in the tensor.
inline uint in_tensor(uint i, device const long* starts, constant BoxParams& p) {
  uint at = 0, stride = 1;
  for (uint axis = p.rank; axis-- > 0;) {
    const long start = starts[axis], last = long(p.full[axis] - p.shape[axis]);
    at += (uint(start < 0 ? 0 : start > last ? last : start) + i % p.shape[axis]) * stride;
    i /= p.shape[axis];
    stride *= p.full[axis];
  }
  return at;
}

[[max_total_threads_per_threadgroup(256)]]
kernel void box_read(device const T* x [[buffer(0)]],
                     device const long* starts [[buffer(1)]],
                     device T* box [[buffer(2)]],
                     constant BoxParams& p [[buffer(3)]],
                     uint i [[thread_position_in_grid]]) {
  if (i < p.size) box[i] = x[in_tensor(i, starts, p)];
}

[[max_total_threads_per_threadgroup(256)]]
kernel void box_write(device const T* box [[buffer(0)]],
                      device const long* starts [[buffer(1)]],
                      device T* x [[buffer(2)]],
                      constant BoxParams& p [[buffer(3)]],
                      uint i [[thread_position_in_grid]]) {
  if (i < p.size) x[in_tensor(i, starts, p)] = box[i];
}
