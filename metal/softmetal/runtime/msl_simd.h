// Barriers, SIMD-group functions, 8×8 matrices and atomics on top of softmetal's lanes. SIMD functions see active
// lanes only; matrix functions insist on all 32.
#pragma once
#define MSL_SITE uint line = __builtin_LINE(), uint column = __builtin_COLUMN()
#define MSL_HERE ((uint64_t)line << 20 | column << 4 | 1)

namespace metal {
using softmetal::exchange;
using softmetal::my_lane;

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
inline mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((int)a | (int)b); }

__attribute__((noinline, convergent)) static void threadgroup_barrier(mem_flags flags, MSL_SITE) {
#ifdef SOFTMETAL_TSAN
  bool orders_memory = (int)flags & 3;
  if (orders_memory) __tsan_release(&softmetal::running->happens_before[0]);
#endif
  softmetal::wait_at(softmetal::Wait::barrier, MSL_HERE);
#ifdef SOFTMETAL_TSAN
  if (orders_memory) __tsan_acquire(&softmetal::running->happens_before[0]);
#endif
}
MSL_FN void simdgroup_barrier(mem_flags flags, MSL_SITE) {
#ifdef SOFTMETAL_TSAN
  long* address = &softmetal::running->happens_before[2 + softmetal::my_simdgroup()];
  if ((int)flags & 3) __tsan_release(address);
#endif
  (void)exchange((char)0, MSL_HERE);
#ifdef SOFTMETAL_TSAN
  if ((int)flags & 3) __tsan_acquire(address);
#endif
}

// Sums by halving, as hardware does, not left to right: kernels must not depend on the order.
template <class T> MSL_FN T simd_sum(T v, MSL_SITE) {
  auto x = exchange(v, MSL_HERE);
  T a[32];
  for (uint i = 0; i < 32; i++) a[i] = x.has(i) ? x.template get<T>(i) : T(0);
  for (uint s = 16; s > 0; s >>= 1)
    for (uint i = 0; i < s; i++) a[i] = (T)(a[i] + a[i + s]);
  return a[0];
}
#define MSL_SIMD_REDUCE(name, combine)                                                                    \
  template <class T> MSL_FN T name(T v, MSL_SITE) {                                                       \
    auto x = exchange(v, MSL_HERE);                                                                       \
    bool first = true;                                                                                    \
    T r = v;                                                                                              \
    for (uint i = 0; i < 32; i++)                                                                         \
      if (x.has(i)) { T y = x.template get<T>(i); r = first ? y : (T)(combine); first = false; }          \
    return r;                                                                                             \
  }
MSL_SIMD_REDUCE(simd_product, r* y) MSL_SIMD_REDUCE(simd_max, metal::max(r, y)) MSL_SIMD_REDUCE(simd_min, metal::min(r, y))
MSL_SIMD_REDUCE(simd_and, r& y) MSL_SIMD_REDUCE(simd_or, r | y) MSL_SIMD_REDUCE(simd_xor, r ^ y)

#define MSL_SIMD_SHUFFLE(name, source, otherwise)                                                         \
  template <class T> MSL_FN T name(T v, ushort by, MSL_SITE) {                                            \
    auto x = exchange(v, MSL_HERE);                                                                       \
    uint me = my_lane();                                                                                  \
    uint from = source;                                                                                   \
    (void)me;                                                                                             \
    return x.has(from) ? x.template get<T>(from) : (otherwise);                                           \
  }
MSL_SIMD_SHUFFLE(simd_shuffle, by, T(0)) MSL_SIMD_SHUFFLE(simd_broadcast, by, T(0)) MSL_SIMD_SHUFFLE(simd_shuffle_xor, me ^ by, T(0))
MSL_SIMD_SHUFFLE(simd_shuffle_up, me - by, v) MSL_SIMD_SHUFFLE(simd_shuffle_down, me + by, v)
MSL_SIMD_SHUFFLE(simd_shuffle_rotate_up, (me + 32 - by) & 31, T(0)) MSL_SIMD_SHUFFLE(simd_shuffle_rotate_down, (me + by) & 31, T(0))
template <class T> MSL_FN T simd_broadcast_first(T v, MSL_SITE) {
  auto x = exchange(v, MSL_HERE);
  return x.template get<T>(__builtin_ctz(x.mask));
}
template <class T> MSL_FN T simd_scan(T v, bool inclusive, uint64_t site) {
  auto x = exchange(v, site);
  T r = T(0);
  uint me = my_lane();
  for (uint i = 0; i < 32; i++)
    if (x.has(i) && (i < me || (inclusive && i == me))) r = (T)(r + x.template get<T>(i));
  return r;
}
template <class T> MSL_FN T simd_prefix_inclusive_sum(T v, MSL_SITE) { return simd_scan(v, true, MSL_HERE); }
template <class T> MSL_FN T simd_prefix_exclusive_sum(T v, MSL_SITE) { return simd_scan(v, false, MSL_HERE); }
MSL_FN bool simd_any(bool b, MSL_SITE) {
  auto x = exchange(b, MSL_HERE);
  bool r = false;
  for (uint i = 0; i < 32; i++) r |= x.has(i) && x.get<bool>(i);
  return r;
}
MSL_FN bool simd_all(bool b, MSL_SITE) {
  auto x = exchange(b, MSL_HERE);
  bool r = true;
  for (uint i = 0; i < 32; i++) r &= !x.has(i) || x.get<bool>(i);
  return r;
}
MSL_FN bool simd_is_first(MSL_SITE) { return (uint)__builtin_ctz(exchange((char)0, MSL_HERE).mask) == my_lane(); }

// --- simdgroup_matrix: each lane keeps two neighbouring elements of a row. The placement is private: kernels load,
// store and multiply only.
struct MatrixPlace { uint row, column; };
MSL_FN MatrixPlace matrix_place(uint lane) { return {(lane / 4 & 4) + lane / 2 % 4, (lane / 4 & 2) * 2 + lane % 2 * 2}; }
MSL_FN uint matrix_lane(uint row, uint column) { return (row & 4) * 4 + ((column & 4) ? 8 : 0) + (row & 3) * 2 + ((column & 2) >> 1); }

template <class T, int Columns, int Rows> struct simdgroup_matrix {
  static_assert(Columns == 8 && Rows == 8, "simdgroup_matrix is 8x8");
  T element[2];
  simdgroup_matrix() = default;
  MSL_FN explicit simdgroup_matrix(T diagonal) {
    MatrixPlace p = matrix_place(my_lane());
    for (uint j = 0; j < 2; j++) element[j] = p.row == p.column + j ? diagonal : T(0);
  }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;
template <class T, int C, int R> MSL_FN simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T v) {
  simdgroup_matrix<T, C, R> m;
  m.element[0] = m.element[1] = v;
  return m;
}
MSL_FN void need_all_lanes(uint mask) {
  if (mask != ~0u) softmetal::fail("simdgroup_matrix operation that not all 32 lanes reach");
}
template <class T> MSL_FN void simdgroup_load(simdgroup_matrix<T, 8, 8>& d, const T* source, ulong stride = 8, ulong2 origin = 0, bool transposed = false, MSL_SITE) {
  need_all_lanes(exchange((char)0, MSL_HERE).mask);
  MatrixPlace p = matrix_place(my_lane());
  for (uint j = 0; j < 2; j++) {
    ulong r = transposed ? p.column + j : p.row, c = transposed ? p.row : p.column + j;
    d.element[j] = source[(origin.y + r) * stride + origin.x + c];
  }
}
template <class T> MSL_FN void simdgroup_store(const simdgroup_matrix<T, 8, 8>& s, T* to, ulong stride = 8, ulong2 origin = 0, bool transposed = false, MSL_SITE) {
  need_all_lanes(exchange((char)0, MSL_HERE).mask);
  MatrixPlace p = matrix_place(my_lane());
  for (uint j = 0; j < 2; j++) {
    ulong r = transposed ? p.column + j : p.row, c = transposed ? p.row : p.column + j;
    to[(origin.y + r) * stride + origin.x + c] = s.element[j];
  }
}
template <class D, class A, class B, class C>
MSL_FN void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a, const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c, MSL_SITE) {
  struct Pair { A a[2]; B b[2]; } mine{{a.element[0], a.element[1]}, {b.element[0], b.element[1]}};
  auto x = exchange(mine, MSL_HERE);
  need_all_lanes(x.mask);
  MatrixPlace p = matrix_place(my_lane());
  float s0 = (float)c.element[0], s1 = (float)c.element[1];
  for (uint k = 0; k < 8; k++) {
    float left = (float)x.template get<Pair>(matrix_lane(p.row, k)).a[k & 1];
    Pair right = x.template get<Pair>(matrix_lane(k, p.column));
    s0 = __builtin_fmaf(left, (float)right.b[0], s0);
    s1 = __builtin_fmaf(left, (float)right.b[1], s1);
  }
  d.element[0] = (D)s0;
  d.element[1] = (D)s1;
}
template <class D, class A, class B>
MSL_FN void simdgroup_multiply(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a, const simdgroup_matrix<B, 8, 8>& b, MSL_SITE) {
  simdgroup_matrix<D, 8, 8> zero;
  zero.element[0] = zero.element[1] = D(0);
  simdgroup_multiply_accumulate(d, a, b, zero, line, column);
}

// --- atomics, relaxed as in MSL
enum memory_order { memory_order_relaxed };
template <class T> struct atomic { T value; };
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<float> atomic_float;
template <class T> MSL_FN T atomic_load_explicit(const volatile atomic<T>* p, memory_order) {
  T r;
  __atomic_load(const_cast<T*>(&p->value), &r, __ATOMIC_RELAXED);
  return r;
}
template <class T> MSL_FN void atomic_store_explicit(volatile atomic<T>* p, T v, memory_order) { __atomic_store(const_cast<T*>(&p->value), &v, __ATOMIC_RELAXED); }
template <class T> MSL_FN T atomic_exchange_explicit(volatile atomic<T>* p, T v, memory_order) {
  T r;
  __atomic_exchange(const_cast<T*>(&p->value), &v, &r, __ATOMIC_RELAXED);
  return r;
}
template <class T> MSL_FN bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* p, T* expected, T v, memory_order, memory_order) {
  return __atomic_compare_exchange(const_cast<T*>(&p->value), expected, &v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
#define MSL_ATOMIC(name, result)                                                                                  \
  template <class T> MSL_FN T atomic_fetch_##name##_explicit(volatile atomic<T>* p, T v, memory_order order) {    \
    T old = atomic_load_explicit(p, order);                                                                       \
    while (!atomic_compare_exchange_weak_explicit(p, &old, (T)(result), order, order)) {}                         \
    return old;                                                                                                   \
  }
MSL_ATOMIC(add, old + v) MSL_ATOMIC(sub, old - v) MSL_ATOMIC(max, old < v ? v : old) MSL_ATOMIC(min, v < old ? v : old)
MSL_ATOMIC(and, old & v) MSL_ATOMIC(or, old | v) MSL_ATOMIC(xor, old ^ v)
}  // namespace metal
