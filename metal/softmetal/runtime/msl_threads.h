// Runs MSL kernels on the CPU: every GPU thread is a fiber. Fibers run one after another and meet only at SIMD-group
// operations and barriers, so a missing barrier shows: as a wrong number under another lane order, or as a race
// under ThreadSanitizer. What depends on no kernel is in msl_threads.cpp, which is compiled once and linked to each.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "library_abi.h"
#include "msl_types.h"

#if __has_feature(thread_sanitizer)
#define SOFTMETAL_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif

#ifdef SOFTMETAL_TSAN
// The scheduler itself is not under test; only the kernels are instrumented.
#pragma clang attribute push(__attribute__((no_sanitize("thread"))), apply_to = function)
#define SOFTMETAL_RUNTIME __attribute__((noinline)) inline
#else
#define SOFTMETAL_RUNTIME inline
#endif

namespace softmetal {
constexpr uint kSimdWidth = 32;
constexpr uint kMostThreads = 1024, kMostVariables = 64;
constexpr size_t kStackBytes = 256 * 1024, kThreadgroupBytes = 32768, kThreadgroupSlack = 65536;

enum class Wait : uint8_t { ready, simd, barrier, done };

struct Lane {
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  void* tsan_fiber = nullptr;
  Wait wait = Wait::ready;
  bool started = false;
  uint8_t slot = 0;                    // which of two value slots this exchange uses: peers may still read the other
  uint64_t site = 0;                   // source position of the operation waited at
  alignas(16) char value[2][64];
  const void* peers[kSimdWidth];       // after an exchange: each participant's value
  uint mask = 0;                       // and who took part
  uint index = 0, simdgroup = 0, lane = 0;
  uint3 position;
};

struct Context {  // one dispatch
  const SoftmetalDispatch* dispatch;
  void (*function)(const void*);
  uint3 groups, group, threads;
  bool ragged;  // the last group of each axis may be smaller
};

struct Variable { const void* key; size_t offset; };

struct Group {  // one threadgroup while it runs
  const Context* context = nullptr;
  // No standard library: its functions would be instrumented by ThreadSanitizer, and every program linked with it.
  Lane* lanes = (Lane*)calloc(kMostThreads, sizeof(Lane));  // zero is how a lane starts
  uint* order = (uint*)calloc(kMostThreads, sizeof(uint));
  uint count = 0;
  char** free_stacks = (char**)calloc(kMostThreads, sizeof(char*));
  uint free_count = 0;
  Variable variables[kMostVariables];
  uint variable_count = 0;
  Lane* current = nullptr;
  void* scheduler_stack = nullptr;
  void* scheduler_fiber = nullptr;
  char* memory = nullptr;
  size_t memory_used = 0, memory_peak = 0;
  uint3 position, size;
  uint64_t random = 1, simd_operations = 0, barriers = 0, divergent = 0;
  char error[300] = "";
  long happens_before[2 + 40];  // addresses that name barriers to ThreadSanitizer
  ~Group() { free(lanes), free(order), free(free_stacks); }
};
inline thread_local Group* running = nullptr;

void fail(const char* message);
// The optimiser must not duplicate or merge the places where lanes meet: convergent, and defined elsewhere.
__attribute__((convergent)) void wait_at(Wait what, uint64_t site);
int dispatch(const SoftmetalKernel* kernel, SoftmetalDispatch* d);

// memcpy that ThreadSanitizer does not intercept: exchanges between lanes are the hardware's, not the kernel's.
SOFTMETAL_RUNTIME void copy_bytes(void* to, const void* from, size_t n) {
#ifdef SOFTMETAL_TSAN
  for (size_t i = 0; i < n; i++) ((volatile char*)to)[i] = ((const volatile char*)from)[i];
#else
  memcpy(to, from, n);
#endif
}

// --- what the front end's generated code calls -----------------------------------------------------------------

// The storage of one `threadgroup` variable: the tag type names the declaration.
template <class Tag, class T> SOFTMETAL_RUNTIME T& threadgroup_variable() {
  static const char key = 0;
  Group* g = running;
  for (uint i = 0; i < g->variable_count; i++)
    if (g->variables[i].key == &key) return *(T*)(g->memory + g->variables[i].offset);
  size_t offset = (g->memory_used + 15) & ~(size_t)15;
  g->variables[g->variable_count++] = {&key, offset};
  g->memory_used = offset + sizeof(T);
  if (g->memory_used > kThreadgroupBytes) fail("more than 32 KiB of threadgroup memory");
  if (g->memory_used > kThreadgroupBytes + kThreadgroupSlack) { fprintf(stderr, "softmetal: threadgroup memory far beyond 32 KiB\n"); abort(); }
  return *(T*)(g->memory + offset);
}
SOFTMETAL_RUNTIME void* threadgroup_argument(int index) {
  Group* g = running;
  for (uint i = 0; i < g->variable_count; i++)
    if (g->variables[i].key == (const void*)(uintptr_t)(index + 1)) return g->memory + g->variables[i].offset;
  fail("threadgroup argument without setThreadgroupMemoryLength:atIndex:");
  return g->memory + kThreadgroupBytes;
}
SOFTMETAL_RUNTIME void* buffer_argument(const void* context, int index) { return ((const Context*)context)->dispatch->buffer[index]; }

#define SOFTMETAL_BUILTIN(name, value) \
  SOFTMETAL_RUNTIME uint3 name() { Group* g = running; Lane* l = g->current; const Context* c = g->context; (void)l; (void)c; return value; }
SOFTMETAL_BUILTIN(thread_position_in_grid, g->position * c->group + l->position)
SOFTMETAL_BUILTIN(thread_position_in_threadgroup, l->position)
SOFTMETAL_BUILTIN(threadgroup_position_in_grid, g->position)
SOFTMETAL_BUILTIN(threads_per_threadgroup, g->size)
SOFTMETAL_BUILTIN(dispatch_threads_per_threadgroup, c->group)
SOFTMETAL_BUILTIN(threadgroups_per_grid, c->groups)
SOFTMETAL_BUILTIN(threads_per_grid, c->threads)
SOFTMETAL_BUILTIN(thread_index_in_threadgroup, (uint3)l->index)
SOFTMETAL_BUILTIN(thread_index_in_simdgroup, (uint3)l->lane)
SOFTMETAL_BUILTIN(simdgroup_index_in_threadgroup, (uint3)l->simdgroup)
SOFTMETAL_BUILTIN(simdgroups_per_threadgroup, (uint3)((g->size.x * g->size.y * g->size.z + kSimdWidth - 1) / kSimdWidth))
SOFTMETAL_BUILTIN(threads_per_simdgroup, (uint3)kSimdWidth)
SOFTMETAL_BUILTIN(thread_execution_width, (uint3)kSimdWidth)

template <class T> MSL_FN T builtin(uint3 v) {
  if constexpr (metal::vector_of<T>::size == 1) return (T)v.x;
  else if constexpr (metal::vector_of<T>::size == 2) return __builtin_convertvector(v.xy, T);
  else return __builtin_convertvector(v, T);
}

// An exchange hands each lane of a SIMD group the values of all lanes that wait at the same place.
struct Exchange {
  const void* const* peers;
  uint mask;
  bool has(uint lane) const { return lane < kSimdWidth && (mask >> lane & 1); }
  template <class T> T get(uint lane) const {
    T v;
    const void* p;
    copy_bytes(&p, &peers[lane], sizeof p);
    copy_bytes(&v, p, sizeof(T));
    return v;
  }
};
__attribute__((convergent)) SOFTMETAL_RUNTIME Lane* publish(const void* value, size_t n, uint64_t site) {
  Lane* lane = running->current;
  lane->slot ^= 1;
  copy_bytes(lane->value[lane->slot], value, n);
  wait_at(Wait::simd, site);
  return running->current;
}
template <class T> MSL_FN Exchange exchange(const T& v, uint64_t site) {
  static_assert(sizeof(T) <= 64);
  Lane* lane = publish(&v, sizeof(T), site);
  return Exchange{lane->peers, lane->mask};
}
SOFTMETAL_RUNTIME uint my_lane() { return running->current->lane; }
SOFTMETAL_RUNTIME uint my_simdgroup() { return running->current->simdgroup; }
}  // namespace softmetal

#include "msl_simd.h"

#ifdef SOFTMETAL_TSAN
#pragma clang attribute pop
#endif
