// Gather and scatter. An index outside ±axis sets status[0] to its place + 1 and counts as 0 for reading and as
// nowhere for writing; the host turns the status into an error.

struct IndexParams {
  uint outer, axis, count, inner;  // tensor [outer, axis, inner], count indices
};

// The index as an unsigned place on the axis; negative ones count from the end.
inline bool resolve(int index, uint axis, uint where, device atomic_uint* status, thread uint& place) {
  int i = index < 0 ? index + int(axis) : index;
  bool valid = i >= 0 && i < int(axis);
  if (!valid) atomic_store_explicit(status, where + 1, memory_order_relaxed);
  place = valid ? uint(i) : 0;
  return valid;
}

// y[o,j,i] = x[o, index[j], i]
[[max_total_threads_per_threadgroup(256)]]
kernel void gather(device const T* x [[buffer(0)]],
                   device const int* index [[buffer(1)]],
                   device T* y [[buffer(2)]],
                   device atomic_uint* status [[buffer(3)]],
                   constant IndexParams& p [[buffer(4)]],
                   uint at [[thread_position_in_grid]]) {
  if (at >= p.outer * p.count * p.inner) return;
  uint i = at % p.inner, j = at / p.inner % p.count, o = at / (p.inner * p.count), place;
  bool valid = resolve(index[j], p.axis, j, status, place);
  y[at] = valid ? x[(o * p.axis + place) * p.inner + i] : T(0.0f);
}

// y[o,j,i] = x[o, index[o,j,i], i]
[[max_total_threads_per_threadgroup(256)]]
kernel void gather_along(device const T* x [[buffer(0)]],
                         device const int* index [[buffer(1)]],
                         device T* y [[buffer(2)]],
                         device atomic_uint* status [[buffer(3)]],
                         constant IndexParams& p [[buffer(4)]],
                         uint at [[thread_position_in_grid]]) {
  if (at >= p.outer * p.count * p.inner) return;
  uint i = at % p.inner, o = at / (p.inner * p.count), place;
  bool valid = resolve(index[at], p.axis, at, status, place);
  y[at] = valid ? x[(o * p.axis + place) * p.inner + i] : T(0.0f);
}

// x[o, index[j], i] (+)= source[o,j,i]. A thread owns one (o, i) and walks the indices in order: sums are the same
// in every run, and of equal indices the last one is kept when setting. x must hold the old values already.
constant bool adds [[function_constant(0)]];

[[max_total_threads_per_threadgroup(256)]]
kernel void scatter(device const T* source [[buffer(0)]],
                    device const int* index [[buffer(1)]],
                    device T* x [[buffer(2)]],
                    device atomic_uint* status [[buffer(3)]],
                    constant IndexParams& p [[buffer(4)]],
                    uint at [[thread_position_in_grid]]) {
  if (at >= p.outer * p.inner) return;
  uint i = at % p.inner, o = at / p.inner, place;
  for (uint j = 0; j < p.count; j++) {
    if (!resolve(index[j], p.axis, j, status, place)) continue;
    uint to = (o * p.axis + place) * p.inner + i;
    T v = source[(o * p.count + j) * p.inner + i];
    x[to] = adds ? T(Acc(x[to]) + Acc(v)) : v;
  }
}

// The same with an index per element: x[o, index[o,j,i], i] (+)= source[o,j,i].
[[max_total_threads_per_threadgroup(256)]]
kernel void scatter_along(device const T* source [[buffer(0)]],
                          device const int* index [[buffer(1)]],
                          device T* x [[buffer(2)]],
                          device atomic_uint* status [[buffer(3)]],
                          constant IndexParams& p [[buffer(4)]],
                          uint at [[thread_position_in_grid]]) {
  if (at >= p.outer * p.inner) return;
  uint i = at % p.inner, o = at / p.inner, place;
  for (uint j = 0; j < p.count; j++) {
    uint from = (o * p.count + j) * p.inner + i;
    if (!resolve(index[from], p.axis, from, status, place)) continue;
    uint to = (o * p.axis + place) * p.inner + i;
    x[to] = adds ? T(Acc(x[to]) + Acc(source[from])) : source[from];
  }
}
