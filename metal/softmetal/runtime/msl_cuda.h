// MSL kernels as CUDA C++ for clang without the CUDA SDK: SIMD groups are warps, threadgroup memory is shared memory,
// 8×8 matrices are spread over a warp and multiplied by shuffles.
#pragma once
#include "msl_types.h"

namespace softmetal {
struct Arguments { void* buffer[31]; };
#define SOFTMETAL_DEVICE __attribute__((device)) inline __attribute__((always_inline))
SOFTMETAL_DEVICE bool outside(const Arguments&) { return false; }  // grids are whole threadgroups
SOFTMETAL_DEVICE uint3 thread_position_in_threadgroup() { return uint3{(uint)__nvvm_read_ptx_sreg_tid_x(), (uint)__nvvm_read_ptx_sreg_tid_y(), (uint)__nvvm_read_ptx_sreg_tid_z()}; }
SOFTMETAL_DEVICE uint3 threads_per_threadgroup() { return uint3{(uint)__nvvm_read_ptx_sreg_ntid_x(), (uint)__nvvm_read_ptx_sreg_ntid_y(), (uint)__nvvm_read_ptx_sreg_ntid_z()}; }
SOFTMETAL_DEVICE uint3 threadgroup_position_in_grid() { return uint3{(uint)__nvvm_read_ptx_sreg_ctaid_x(), (uint)__nvvm_read_ptx_sreg_ctaid_y(), (uint)__nvvm_read_ptx_sreg_ctaid_z()}; }
SOFTMETAL_DEVICE uint3 threadgroups_per_grid() { return uint3{(uint)__nvvm_read_ptx_sreg_nctaid_x(), (uint)__nvvm_read_ptx_sreg_nctaid_y(), (uint)__nvvm_read_ptx_sreg_nctaid_z()}; }
SOFTMETAL_DEVICE uint3 dispatch_threads_per_threadgroup() { return threads_per_threadgroup(); }
SOFTMETAL_DEVICE uint3 thread_position_in_grid() { return threadgroup_position_in_grid() * threads_per_threadgroup() + thread_position_in_threadgroup(); }
SOFTMETAL_DEVICE uint3 threads_per_grid() { return threadgroups_per_grid() * threads_per_threadgroup(); }
SOFTMETAL_DEVICE uint flat_index() {
  uint3 t = thread_position_in_threadgroup(), n = threads_per_threadgroup();
  return t.x + n.x * (t.y + n.y * t.z);
}
SOFTMETAL_DEVICE uint3 thread_index_in_threadgroup() { return (uint3)flat_index(); }
SOFTMETAL_DEVICE uint3 thread_index_in_simdgroup() { return (uint3)(flat_index() & 31); }
SOFTMETAL_DEVICE uint3 simdgroup_index_in_threadgroup() { return (uint3)(flat_index() >> 5); }
SOFTMETAL_DEVICE uint3 simdgroups_per_threadgroup() {
  uint3 n = threads_per_threadgroup();
  return (uint3)((n.x * n.y * n.z + 31) / 32);
}
SOFTMETAL_DEVICE uint3 threads_per_simdgroup() { return (uint3)32u; }
SOFTMETAL_DEVICE uint3 thread_execution_width() { return (uint3)32u; }
template <class T> SOFTMETAL_DEVICE T builtin(uint3 v) {
  if constexpr (metal::vector_of<T>::size == 1) return (T)v.x;
  else if constexpr (metal::vector_of<T>::size == 2) return __builtin_convertvector(v.xy, T);
  else return __builtin_convertvector(v, T);
}
SOFTMETAL_DEVICE void* buffer_argument(const Arguments* a, int index) { return a->buffer[index]; }

SOFTMETAL_DEVICE uint my_lane() { return flat_index() & 31; }
// The value of another lane. All 32 lanes take part: a kernel's SIMD operations are never divergent.
template <class T> SOFTMETAL_DEVICE T from_lane(T v, uint lane) {
  constexpr int words = (sizeof(T) + 3) / 4;
  uint w[words] = {};
  __builtin_memcpy(w, &v, sizeof(T));
  for (int i = 0; i < words; i++) w[i] = __nvvm_shfl_sync_idx_i32(~0u, w[i], lane, 31);
  __builtin_memcpy(&v, w, sizeof(T));
  return v;
}
}  // namespace softmetal

namespace metal {
using softmetal::from_lane;
using softmetal::my_lane;
enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
SOFTMETAL_DEVICE mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((int)a | (int)b); }
SOFTMETAL_DEVICE void threadgroup_barrier(mem_flags) { __nvvm_bar_sync(0); }
SOFTMETAL_DEVICE void simdgroup_barrier(mem_flags) { __nvvm_bar_warp_sync(~0u); }

#define MSL_SIMD_REDUCE(name, combine)                                  \
  template <class T> SOFTMETAL_DEVICE T name(T r) {                     \
    for (uint s = 16; s > 0; s >>= 1) { T y = from_lane(r, my_lane() ^ s); r = (T)(combine); } \
    return r;                                                           \
  }
MSL_SIMD_REDUCE(simd_sum, r + y) MSL_SIMD_REDUCE(simd_product, r* y) MSL_SIMD_REDUCE(simd_max, metal::max(r, y)) MSL_SIMD_REDUCE(simd_min, metal::min(r, y))
MSL_SIMD_REDUCE(simd_and, r& y) MSL_SIMD_REDUCE(simd_or, r | y) MSL_SIMD_REDUCE(simd_xor, r ^ y)
template <class T> SOFTMETAL_DEVICE T simd_shuffle(T v, ushort lane) { return from_lane(v, lane); }
template <class T> SOFTMETAL_DEVICE T simd_broadcast(T v, ushort lane) { return from_lane(v, lane); }
template <class T> SOFTMETAL_DEVICE T simd_broadcast_first(T v) { return from_lane(v, 0); }
template <class T> SOFTMETAL_DEVICE T simd_shuffle_xor(T v, ushort mask) { return from_lane(v, my_lane() ^ mask); }
template <class T> SOFTMETAL_DEVICE T simd_shuffle_up(T v, ushort by) {
  T r = from_lane(v, (my_lane() - by) & 31);
  return my_lane() >= by ? r : v;
}
template <class T> SOFTMETAL_DEVICE T simd_shuffle_down(T v, ushort by) {
  T r = from_lane(v, (my_lane() + by) & 31);
  return my_lane() + by < 32 ? r : v;
}
template <class T> SOFTMETAL_DEVICE T simd_prefix_inclusive_sum(T v) {
  for (uint by = 1; by < 32; by *= 2) {
    T y = simd_shuffle_up(v, (ushort)by);
    if (my_lane() >= by) v = (T)(v + y);
  }
  return v;
}
template <class T> SOFTMETAL_DEVICE T simd_prefix_exclusive_sum(T v) {
  T s = simd_shuffle_up(simd_prefix_inclusive_sum(v), (ushort)1);
  return my_lane() ? s : T(0);
}
SOFTMETAL_DEVICE bool simd_any(bool b) { return __nvvm_vote_any_sync(~0u, b); }
SOFTMETAL_DEVICE bool simd_all(bool b) { return __nvvm_vote_all_sync(~0u, b); }

struct MatrixPlace { uint row, column; };
SOFTMETAL_DEVICE MatrixPlace matrix_place(uint lane) { return {(lane / 4 & 4) + lane / 2 % 4, (lane / 4 & 2) * 2 + lane % 2 * 2}; }
SOFTMETAL_DEVICE uint matrix_lane(uint row, uint column) { return (row & 4) * 4 + ((column & 4) ? 8 : 0) + (row & 3) * 2 + ((column & 2) >> 1); }
template <class T, int Columns, int Rows> struct simdgroup_matrix {
  T element[2];
  simdgroup_matrix() = default;
  SOFTMETAL_DEVICE explicit simdgroup_matrix(T diagonal) {
    MatrixPlace p = matrix_place(my_lane());
    for (uint j = 0; j < 2; j++) element[j] = p.row == p.column + j ? diagonal : T(0);
  }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;
template <class T, int C, int R> SOFTMETAL_DEVICE simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T v) {
  simdgroup_matrix<T, C, R> m;
  m.element[0] = m.element[1] = v;
  return m;
}
template <class T> SOFTMETAL_DEVICE void simdgroup_load(simdgroup_matrix<T, 8, 8>& d, const T* source, ulong stride = 8, ulong2 origin = 0, bool transposed = false) {
  MatrixPlace p = matrix_place(my_lane());
  for (uint j = 0; j < 2; j++) {
    ulong r = transposed ? p.column + j : p.row, c = transposed ? p.row : p.column + j;
    d.element[j] = source[(origin.y + r) * stride + origin.x + c];
  }
}
template <class T> SOFTMETAL_DEVICE void simdgroup_store(const simdgroup_matrix<T, 8, 8>& s, T* to, ulong stride = 8, ulong2 origin = 0, bool transposed = false) {
  MatrixPlace p = matrix_place(my_lane());
  for (uint j = 0; j < 2; j++) {
    ulong r = transposed ? p.column + j : p.row, c = transposed ? p.row : p.column + j;
    to[(origin.y + r) * stride + origin.x + c] = s.element[j];
  }
}
template <class D, class A, class B, class C>
SOFTMETAL_DEVICE void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a, const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c) {
  MatrixPlace p = matrix_place(my_lane());
  float s0 = (float)c.element[0], s1 = (float)c.element[1];
  for (uint k = 0; k < 8; k++) {
    float left = from_lane((float)a.element[k & 1], matrix_lane(p.row, k));
    uint source = matrix_lane(k, p.column);
    s0 = __builtin_fmaf(left, from_lane((float)b.element[0], source), s0);
    s1 = __builtin_fmaf(left, from_lane((float)b.element[1], source), s1);
  }
  d.element[0] = (D)s0;
  d.element[1] = (D)s1;
}
template <class D, class A, class B>
SOFTMETAL_DEVICE void simdgroup_multiply(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a, const simdgroup_matrix<B, 8, 8>& b) {
  simdgroup_matrix<D, 8, 8> zero;
  zero.element[0] = zero.element[1] = D(0);
  simdgroup_multiply_accumulate(d, a, b, zero);
}

enum memory_order { memory_order_relaxed };
template <class T> struct atomic { T value; };
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<float> atomic_float;
template <class T> SOFTMETAL_DEVICE T atomic_load_explicit(const volatile atomic<T>* p, memory_order) { return p->value; }
template <class T> SOFTMETAL_DEVICE void atomic_store_explicit(volatile atomic<T>* p, T v, memory_order) { p->value = v; }
template <class T> SOFTMETAL_DEVICE bool atomic_compare_exchange_weak_explicit(volatile atomic<T>* p, T* expected, T v, memory_order, memory_order) {
  int old = __builtin_bit_cast(int, *expected), seen = __nvvm_atom_cas_gen_i((int*)&p->value, old, __builtin_bit_cast(int, v));
  *expected = __builtin_bit_cast(T, seen);
  return seen == old;
}
#define MSL_ATOMIC(name, result)                                                                                       \
  template <class T> SOFTMETAL_DEVICE T atomic_fetch_##name##_explicit(volatile atomic<T>* p, T v, memory_order order) { \
    T old = p->value;                                                                                                  \
    while (!atomic_compare_exchange_weak_explicit(p, &old, (T)(result), order, order)) {}                              \
    return old;                                                                                                        \
  }
MSL_ATOMIC(add, old + v) MSL_ATOMIC(sub, old - v) MSL_ATOMIC(max, old < v ? v : old) MSL_ATOMIC(min, v < old ? v : old)
MSL_ATOMIC(and, old & v) MSL_ATOMIC(or, old | v) MSL_ATOMIC(xor, old ^ v)
}  // namespace metal
