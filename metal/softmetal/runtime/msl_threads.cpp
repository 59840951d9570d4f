// Runs the threads of a dispatch: threadgroups spread over host threads, GPU threads as fibers. Compiled once and
// linked to every compiled MSL library.
#include "msl_threads.h"
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fiber.h"

#ifdef SOFTMETAL_TSAN
#pragma clang attribute push(__attribute__((no_sanitize("thread"))), apply_to = function)
#endif
namespace softmetal {
void fail(const char* message) {
  Group* g = running;
  if (!g->error[0]) snprintf(g->error, sizeof g->error, "%s (threadgroup %u,%u,%u)", message, g->position.x, g->position.y, g->position.z);
}

static void switch_to_scheduler() {
  Group* g = running;
  Lane* lane = g->current;
#ifdef SOFTMETAL_TSAN
  __tsan_switch_to_fiber(g->scheduler_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  softmetal_switch(&lane->stack_pointer, g->scheduler_stack);
}

static void lane_entry() {
  running->context->function(running->context);
#ifdef SOFTMETAL_TSAN
  __tsan_release(&running->happens_before[1]);
#endif
  running->current->wait = Wait::done;
  switch_to_scheduler();
  __builtin_trap();
}

__attribute__((convergent)) void wait_at(Wait what, uint64_t site) {
  Lane* lane = running->current;
  lane->wait = what;
  lane->site = site;
  switch_to_scheduler();
}

static void set_order(Group& g, int order) {
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

static void resume(Group& g, Lane& lane) {
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
static bool complete_simd_operations(Group& g) {
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
static bool complete_barrier(Group& g) {
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

__attribute__((noinline)) static void run_group(Group& g, const Context& context) {
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

struct Work {  // of one dispatch, shared by its host threads
  Context context;
  const SoftmetalKernel* kernel;
  SoftmetalDispatch* dispatch;
  uint count, next;
  pthread_mutex_t lock;
};

static void* work(void* shared) {
  Work* w = (Work*)shared;
  SoftmetalDispatch* d = w->dispatch;
  uint3 groups = w->context.groups;
  Group g;
  g.random = d->seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
  for (;;) {
    uint i = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED);
    if (i >= w->count) break;
    uint j = d->order == 1 ? w->count - 1 - i : i;
    g.position = uint3{j % groups.x, j / groups.x % groups.y, j / (groups.x * groups.y)};
    run_group(g, w->context);
  }
#ifdef SOFTMETAL_TSAN
  __tsan_acquire(&g.happens_before[1]);
#endif
  pthread_mutex_lock(&w->lock);
  if (g.error[0] && !d->error[0]) snprintf(d->error, sizeof d->error, "%s: %s", w->kernel->name, g.error);
  d->simd_operations += g.simd_operations;
  d->barriers += g.barriers;
  d->divergent_simd += g.divergent;
  if (g.memory_peak > d->threadgroup_memory) d->threadgroup_memory = g.memory_peak;
  pthread_mutex_unlock(&w->lock);
  for (uint i = 0; i < g.free_count; i++) munmap(g.free_stacks[i], kStackBytes);
  if (g.memory) munmap(g.memory, kThreadgroupBytes + kThreadgroupSlack);
  return nullptr;
}

int dispatch(const SoftmetalKernel* kernel, SoftmetalDispatch* d) {
  Work w{};
  Context& c = w.context;
  c.dispatch = d;
  c.function = kernel->function;
  c.group = uint3{d->group[0], d->group[1], d->group[2]};
  uint3 grid{d->grid[0], d->grid[1], d->grid[2]};
  c.ragged = d->grid_counts_threads;
  c.groups = c.ragged ? (grid + c.group - 1) / c.group : grid;
  c.threads = c.ragged ? grid : grid * c.group;
  w.kernel = kernel;
  w.dispatch = d;
  w.count = c.groups.x * c.groups.y * c.groups.z;
  pthread_mutex_init(&w.lock, nullptr);
  uint workers = d->host_threads ? d->host_threads : (uint)sysconf(_SC_NPROCESSORS_ONLN);
#ifdef SOFTMETAL_TSAN
  workers = 1;
#endif
  enum { most = 64 };
  if (workers > most) workers = most;
  if (workers > w.count) workers = w.count ? w.count : 1;
  d->error[0] = 0;
  pthread_t threads[most];
  uint started = 0;
  while (started + 1 < workers && !pthread_create(&threads[started], nullptr, work, &w)) started++;
  work(&w);
  for (uint i = 0; i < started; i++) pthread_join(threads[i], nullptr);
  pthread_mutex_destroy(&w.lock);
  return d->error[0] != 0;
}
}  // namespace softmetal
#ifdef SOFTMETAL_TSAN
#pragma clang attribute pop
#endif
