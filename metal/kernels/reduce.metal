// Reductions of x [outer, length, inner] over `length`, in Acc: float for float types, an integer for others. Long ones
// are made in two launches: the first reduces `splits` parts of `part` elements each, from IN to OUT = Acc, and leaves them
// side by side, [outer, inner, splits]; the second reduces those.

constant uint operation [[function_constant(0)]];
constant constexpr uint kSum = 0, kMean = 1, kMax = 2, kMin = 3, kProduct = 4;

struct ReduceParams {
  uint outer, length, inner, splits, part;
};

inline Acc initial() { return operation == kMax ? Acc(LOWEST) : operation == kMin ? Acc(HIGHEST) : operation == kProduct ? Acc(1) : Acc(0); }
// max and min let a NaN through, as NumPy and PyTorch do; the library's would drop it.
inline Acc combine(Acc a, Acc b) {
  if (operation == kMax) return IS_NAN(a) || a > b ? a : b;
  if (operation == kMin) return IS_NAN(a) || a < b ? a : b;
  return operation == kProduct ? a * b : a + b;
}

inline OUT finished(Acc v, uint length) { return operation == kMean ? OUT(float(v) / float(length)) : OUT(v); }

// Values of other lanes. SIMD functions do not take 64-bit types: those go by halves.
#ifdef WIDE
inline Acc across(Acc v, ushort mask) { return as_type<Acc>(simd_shuffle_xor(as_type<uint2>(v), mask)); }
inline Acc from_lower(Acc v, ushort by) { return as_type<Acc>(simd_shuffle_up(as_type<uint2>(v), by)); }
inline Acc from_lane(Acc v, ushort lane) { return as_type<Acc>(simd_shuffle(as_type<uint2>(v), lane)); }
#else
inline Acc across(Acc v, ushort mask) { return simd_shuffle_xor(v, mask); }
inline Acc from_lower(Acc v, ushort by) { return simd_shuffle_up(v, by); }
inline Acc from_lane(Acc v, ushort lane) { return simd_shuffle(v, lane); }
#endif

// inner = 1: one threadgroup per part of a row.
[[max_total_threads_per_threadgroup(1024)]]
kernel void reduce_rows(device const IN* x [[buffer(0)]],
                        device OUT* y [[buffer(1)]],
                        constant ReduceParams& p [[buffer(2)]],
                        uint at [[threadgroup_position_in_grid]],
                        uint thread_index [[thread_index_in_threadgroup]],
                        uint threads [[threads_per_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]],
                        uint simd [[simdgroup_index_in_threadgroup]],
                        uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup Acc scratch[32];
  const uint row = at / p.splits, begin = at % p.splits * p.part, end = min(p.length, begin + p.part);
  Acc v = initial();
  for (uint i = begin + thread_index; i < end; i += threads) v = combine(v, Acc(x[row * p.length + i]));
  for (ushort s = 16; s > 0; s /= 2) v = combine(v, across(v, s));
  if (lane == 0) scratch[simd] = v;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index != 0) return;
  for (uint s = 1; s < simds; s++) v = combine(v, scratch[s]);
  y[at] = finished(v, p.length);
}

// One thread per part of an output: neighbours read neighbours.
[[max_total_threads_per_threadgroup(256)]]
kernel void reduce_columns(device const IN* x [[buffer(0)]],
                           device OUT* y [[buffer(1)]],
                           constant ReduceParams& p [[buffer(2)]],
                           uint at [[thread_position_in_grid]]) {
  if (at >= p.outer * p.inner * p.splits) return;
  const uint i = at % p.inner, s = at / p.inner % p.splits, o = at / (p.inner * p.splits);
  const uint begin = s * p.part, end = min(p.length, begin + p.part);
  Acc v = initial();
  for (uint j = begin; j < end; j++) v = combine(v, Acc(x[(o * p.length + j) * p.inner + i]));
  y[(o * p.inner + i) * p.splits + s] = finished(v, p.length);
}

// Index of the largest (kMax) or smallest (kMin) element, the first of equals; a NaN wins. One threadgroup per output.
inline bool better(Acc a, uint i, Acc b, uint j) {  // is (a, i) to be preferred to (b, j)?
  if (IS_NAN(a) != IS_NAN(b)) return IS_NAN(a);
  if (a == b || IS_NAN(a)) return i < j;
  return operation == kMax ? a > b : a < b;
}
[[max_total_threads_per_threadgroup(1024)]]
kernel void arg_reduce(device const T* x [[buffer(0)]],
                       device int* y [[buffer(1)]],
                       constant ReduceParams& p [[buffer(2)]],
                       uint at [[threadgroup_position_in_grid]],
                       uint thread_index [[thread_index_in_threadgroup]],
                       uint threads [[threads_per_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]],
                       uint simd [[simdgroup_index_in_threadgroup]],
                       uint simds [[simdgroups_per_threadgroup]]) {
  threadgroup Acc scratch[32];
  threadgroup uint places[32];
  const uint i = at % p.inner, o = at / p.inner;
  uint best_at = UINT_MAX;
  Acc best = initial();
  for (uint j = thread_index; j < p.length; j += threads) {
    Acc v = Acc(x[(o * p.length + j) * p.inner + i]);
    if (better(v, j, best, best_at)) best = v, best_at = j;
  }
  for (ushort s = 16; s > 0; s /= 2) {
    Acc v = across(best, s);
    uint j = simd_shuffle_xor(best_at, s);
    if (better(v, j, best, best_at)) best = v, best_at = j;
  }
  if (lane == 0) {
    scratch[simd] = best;
    places[simd] = best_at;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (thread_index != 0) return;
  for (uint s = 1; s < simds; s++)
    if (better(scratch[s], places[s], best, best_at)) best = scratch[s], best_at = places[s];
  y[at] = int(best_at);
}

// A sum and what it has lost to rounding.
struct Exact {
  Acc sum, lost;
};
inline Exact add(Exact a, Exact b) {
  Exact r;
  r.sum = a.sum + b.sum;
  r.lost = a.lost + b.lost;
#ifdef FLOAT
  float as_b = r.sum - a.sum, lost = (a.sum - (r.sum - as_b)) + (b.sum - as_b);  // Knuth's two-sum
  if (isfinite(lost)) r.lost += lost;
#endif
  return r;
}
// Running sums along `length`: one SIMD group per line, 32 elements at a time.
[[max_total_threads_per_threadgroup(32)]]
kernel void cumulative_sum(device const T* x [[buffer(0)]],
                           device T* y [[buffer(1)]],
                           constant ReduceParams& p [[buffer(2)]],
                           uint at [[threadgroup_position_in_grid]],
                           uint lane [[thread_index_in_simdgroup]]) {
  uint i = at % p.inner, o = at / p.inner;
  Exact before;
  before.sum = before.lost = Acc(0);
  for (uint j0 = 0; j0 < p.length; j0 += 32) {
    uint j = j0 + lane;
    uint where = (o * p.length + j) * p.inner + i;
    Exact up_to;
    up_to.sum = j < p.length ? Acc(x[where]) : Acc(0);
    up_to.lost = Acc(0);
    for (ushort s = 1; s < 32; s *= 2) {
      Exact left;
      left.sum = from_lower(up_to.sum, s);
      left.lost = from_lower(up_to.lost, s);
      if (lane >= s) up_to = add(left, up_to);
    }
    up_to = add(before, up_to);
    if (j < p.length) y[where] = T(up_to.sum + up_to.lost);
    before.sum = from_lane(up_to.sum, 31);
    before.lost = from_lane(up_to.lost, 31);
  }
}
