// Runs MSL kernels on the CPU: every GPU thread is a fiber. Fibers run one after another and meet only at SIMD-group
// operations and barriers, so a missing barrier shows: as a wrong number under another lane order, or as a race
// under ThreadSanitizer.
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>
#include "fiber.h"
#include "library_abi.h"
#include "msl_types.h"

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
  // Plain arrays: under ThreadSanitizer the functions of std::vector would be instrumented.
  Lane* lanes = new Lane[kMostThreads];
  uint* order = new uint[kMostThreads];
  uint count = 0;
  char** free_stacks = new char*[kMostThreads];
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
  ~Group() { delete[] lanes, delete[] order, delete[] free_stacks; }
};
inline thread_local Group* running = nullptr;

inline void fail(const char* message) {
  Group* g = running;
  if (!g->error[0]) snprintf(g->error, sizeof g->error, "%s (threadgroup %u,%u,%u)", message, g->position.x, g->position.y, g->position.z);
}

// memcpy that ThreadSanitizer does not intercept: exchanges between lanes are the hardware's, not the kernel's.
SOFTMETAL_RUNTIME void copy_bytes(void* to, const void* from, size_t n) {
#ifdef SOFTMETAL_TSAN
  for (size_t i = 0; i < n; i++) ((volatile char*)to)[i] = ((const volatile char*)from)[i];
#else
  memcpy(to, from, n);
#endif
}

inline void switch_to_scheduler() {
  Group* g = running;
  Lane* lane = g->current;
#ifdef SOFTMETAL_TSAN
  __tsan_switch_to_fiber(g->scheduler_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  softmetal_switch(&lane->stack_pointer, g->scheduler_stack);
}

inline void lane_entry() {
  running->context->function(running->context);
#ifdef SOFTMETAL_TSAN
  __tsan_release(&running->happens_before[1]);
#endif
  running->current->wait = Wait::done;
  switch_to_scheduler();
  __builtin_trap();
}

// noinline and convergent: the optimiser must not duplicate or merge the places where lanes meet.
__attribute__((noinline, convergent)) inline void wait_at(Wait what, uint64_t site) {
  Lane* lane = running->current;
  lane->wait = what;
  lane->site = site;
  switch_to_scheduler();
}

inline void set_order(Group& g, int order) {
  uint n = g.count;
  for (uint i = 0; i < n; i++) g.order[i] = order == 1 ? n - 1 - i : i;
  if (order != 2) return;
  for (uint i = n; i-- > 1;) {
    g.random ^= g.random << 13, g.random ^= g.random >> 7, g.random ^= g.random << 17;
    uint j = g.random % (i + 1), kept = g.order[i];
    g.order[i] = g.order[j];
    g.order[j] = kept;
  }
}

inline void resume(Group& g, Lane& lane) {
  if (!lane.started) {
    lane.started = true;
    if (!g.free_count)
      g.free_stacks[g.free_count++] = (char*)mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    lane.stack = g.free_stacks[--g.free_count];
    lane.stack_pointer = new_stack(lane.stack + kStackBytes, lane_entry);
#ifdef SOFTMETAL_TSAN
    lane.tsan_fiber = __tsan_create_fiber(0);
#endif
  }
  g.current = &lane;
#ifdef SOFTMETAL_TSAN
  __tsan_switch_to_fiber(lane.tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  softmetal_switch(&g.scheduler_stack, lane.stack_pointer);
#ifndef SOFTMETAL_TSAN  // under ThreadSanitizer a stack is used once: reuse would look like a race
  if (lane.wait == Wait::done) g.free_stacks[g.free_count++] = lane.stack;
#endif
}

// Completes one SIMD operation in each SIMD group that waits at one. Lanes at different sites have diverged: the
// earliest site in the source goes first, as it would on hardware that reconverges late.
inline bool complete_simd_operations(Group& g) {
  bool any = false;
  uint n = g.count;
  for (uint first = 0; first < n; first += kSimdWidth) {
    uint end = first + kSimdWidth < n ? first + kSimdWidth : n;
    uint64_t site = 0;
    bool diverged = false;
    for (uint i = first; i < end; i++) {
      Lane& lane = g.lanes[i];
      if (lane.wait != Wait::simd) { diverged |= lane.wait != Wait::done; continue; }
      if (site && lane.site != site) diverged = true;
      if (!site || lane.site < site) site = lane.site;
    }
    if (!site) continue;
    any = true;
    g.simd_operations++;
    g.divergent += diverged;
    const void* peers[kSimdWidth] = {};
    uint mask = 0;
    for (uint i = first; i < end; i++) {
      Lane& lane = g.lanes[i];
      if (lane.wait != Wait::simd || lane.site != site) continue;
      mask |= 1u << lane.lane;
      peers[lane.lane] = lane.value[lane.slot];
    }
    for (uint i = first; i < end; i++) {
      Lane& lane = g.lanes[i];
      if (!(lane.wait == Wait::simd && lane.site == site)) continue;
      copy_bytes(lane.peers, peers, sizeof peers);
      lane.mask = mask;
      lane.wait = Wait::ready;
    }
  }
  return any;
}

// Completes a threadgroup barrier once every lane that still lives waits at one. Returns false when all are done.
inline bool complete_barrier(Group& g) {
  uint waiting = 0, finished = 0;
  uint64_t site = 0;
  for (uint i = 0; i < g.count; i++) {
    Lane& lane = g.lanes[i];
    if (lane.wait == Wait::done) { finished++; continue; }
    waiting++;
    if (site && lane.site != site) fail("threads of one threadgroup wait at different threadgroup_barrier calls");
    site = lane.site;
  }
  if (!waiting) return false;
  if (finished) fail("threadgroup_barrier is not reached by all threads: some have returned");
  g.barriers++;
  for (uint i = 0; i < g.count; i++)
    if (g.lanes[i].wait == Wait::barrier) g.lanes[i].wait = Wait::ready;
  return true;
}

inline void run_group(Group& g, const Context& context) {
  running = &g;
  g.context = &context;
  g.size = context.group;
  if (context.ragged)
    for (int axis = 0; axis < 3; axis++) {
      uint rest = context.threads[axis] - g.position[axis] * context.group[axis];
      if (rest < g.size[axis]) g.size[axis] = rest;
    }
  uint n = g.size.x * g.size.y * g.size.z;
  g.count = n;
  g.variable_count = 0;
  g.memory_used = 0;
#ifdef SOFTMETAL_TSAN
  g.memory = nullptr;  // fresh for each group, for the same reason as the stacks
#endif
  if (!g.memory) g.memory = (char*)mmap(nullptr, kThreadgroupBytes + kThreadgroupSlack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < kThreadgroupBytes / 8; i++) ((volatile uint64_t*)g.memory)[i] = ~0ull;  // NaN as float or half
  for (int i = 0; i < softmetal_max_buffers; i++) {
    uint64_t bytes = context.dispatch->threadgroup_bytes[i];
    if (!bytes) continue;
    g.variables[g.variable_count++] = {(const void*)(uintptr_t)(i + 1), g.memory_used};
    g.memory_used += (bytes + 15) & ~15ull;
  }
  for (uint i = 0; i < n; i++) {
    Lane& lane = g.lanes[i];
    lane.wait = Wait::ready;
    lane.started = false;
    lane.index = i, lane.simdgroup = i / kSimdWidth, lane.lane = i % kSimdWidth;
    lane.position = uint3{i % g.size.x, i / g.size.x % g.size.y, i / (g.size.x * g.size.y)};
  }
#ifdef SOFTMETAL_TSAN
  g.scheduler_fiber = __tsan_get_current_fiber();
#endif
  int order = context.dispatch->order;
  set_order(g, order);
  for (;;) {
    for (uint at = 0; at < n; at++) {
      Lane& lane = g.lanes[g.order[at]];
      if (lane.wait == Wait::ready) resume(g, lane);
    }
    if (!complete_simd_operations(g) && !complete_barrier(g)) break;
    if (order == 2) set_order(g, 2);
  }
  if (g.memory_used > g.memory_peak) g.memory_peak = g.memory_used;
#ifdef SOFTMETAL_TSAN
  for (uint i = 0; i < n; i++) __tsan_destroy_fiber(g.lanes[i].tsan_fiber);
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
