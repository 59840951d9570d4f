// Sorting rows by bitonic networks, stable because ties are decided by index; NaN comes last in either order.
// Rows up to LOCAL elements are sorted in threadgroup memory. Longer ones are padded to a power of two in scratch
// buffers by sort_load, sorted by one sort_step per stage of the network, and written by sort_store.

constant bool descending [[function_constant(0)]];
constant constexpr uint LOCAL = 2048;

struct SortParams {
  uint rows, columns, padded, kept;  // kept: how many of each sorted row are written (top-k)
  uint block, distance;              // of sort_step
};

inline bool precedes(Acc a, uint i, Acc b, uint j) {
  if (IS_NAN(a) || IS_NAN(b)) {
    if (IS_NAN(a) && IS_NAN(b)) return i < j;
    return IS_NAN(b);
  }
  if (a == b) return i < j;
  return descending ? a > b : a < b;
}
// Padding has indices past the row and comes last whatever its neighbours are.
inline bool in_order(Acc a, uint i, Acc b, uint j, uint columns) {
  if (i >= columns || j >= columns) return i < j;
  return precedes(a, i, b, j);
}

[[max_total_threads_per_threadgroup(512)]]
kernel void sort_rows(device const T* x [[buffer(0)]],
                      device T* values [[buffer(1)]],
                      device int* indices [[buffer(2)]],
                      constant SortParams& p [[buffer(3)]],
                      uint row [[threadgroup_position_in_grid]],
                      uint thread_index [[thread_index_in_threadgroup]],
                      uint threads [[threads_per_threadgroup]]) {
  threadgroup Acc keys[LOCAL];
  threadgroup uint places[LOCAL];
  for (uint i = thread_index; i < p.padded; i += threads) {
    keys[i] = i < p.columns ? Acc(x[row * p.columns + i]) : Acc(0);
    places[i] = i;
  }
  for (uint block = 2; block <= p.padded; block *= 2)
    for (uint distance = block / 2; distance > 0; distance /= 2) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint t = thread_index; t < p.padded / 2; t += threads) {
        uint a = 2 * t - t % distance, b = a + distance;
        bool ascending = (a & block) == 0;
        if (in_order(keys[a], places[a], keys[b], places[b], p.columns) == ascending) continue;
        Acc key = keys[a];
        keys[a] = keys[b];
        keys[b] = key;
        uint place = places[a];
        places[a] = places[b];
        places[b] = place;
      }
    }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint i = thread_index; i < p.kept; i += threads) {
    values[row * p.kept + i] = T(keys[i]);
    indices[row * p.kept + i] = int(places[i]);
  }
}

[[max_total_threads_per_threadgroup(256)]]
kernel void sort_load(device const T* x [[buffer(0)]],
                      device Acc* keys [[buffer(1)]],
                      device uint* places [[buffer(2)]],
                      constant SortParams& p [[buffer(3)]],
                      uint at [[thread_position_in_grid]]) {
  if (at >= p.rows * p.padded) return;
  uint i = at % p.padded, row = at / p.padded;
  keys[at] = i < p.columns ? Acc(x[row * p.columns + i]) : Acc(0);
  places[at] = i;
}

[[max_total_threads_per_threadgroup(256)]]
kernel void sort_step(device Acc* keys [[buffer(0)]],
                      device uint* places [[buffer(1)]],
                      constant SortParams& p [[buffer(2)]],
                      uint at [[thread_position_in_grid]]) {
  if (at >= p.rows * p.padded / 2) return;
  uint row = at / (p.padded / 2), t = at % (p.padded / 2);
  uint first = 2 * t - t % p.distance, a = row * p.padded + first, b = a + p.distance;
  bool ascending = (first & p.block) == 0;
  if (in_order(keys[a], places[a], keys[b], places[b], p.columns) == ascending) return;
  Acc key = keys[a];
  keys[a] = keys[b];
  keys[b] = key;
  uint place = places[a];
  places[a] = places[b];
  places[b] = place;
}

[[max_total_threads_per_threadgroup(256)]]
kernel void sort_store(device const Acc* keys [[buffer(0)]],
                       device const uint* places [[buffer(1)]],
                       device T* values [[buffer(2)]],
                       device int* indices [[buffer(3)]],
                       constant SortParams& p [[buffer(4)]],
                       uint at [[thread_position_in_grid]]) {
  if (at >= p.rows * p.kept) return;
  uint from = at / p.kept * p.padded + at % p.kept;
  values[at] = T(keys[from]);
  indices[at] = int(places[from]);
}
