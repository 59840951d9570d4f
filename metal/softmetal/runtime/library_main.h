// Ends every compiled MSL library: runs a dispatch, its threadgroups spread over host threads. The front end has
// written the tables softmetal_kernels, softmetal_constants and their counts before it.
#pragma once
#ifdef SOFTMETAL_TSAN
#pragma clang attribute push(__attribute__((no_sanitize("thread"))), apply_to = function)
#endif
namespace softmetal {
inline int dispatch(const SoftmetalKernel* kernel, SoftmetalDispatch* d) {
  Context c{};
  c.dispatch = d;
  c.function = kernel->function;
  c.group = uint3{d->group[0], d->group[1], d->group[2]};
  uint3 grid{d->grid[0], d->grid[1], d->grid[2]};
  c.ragged = d->grid_counts_threads;
  c.groups = c.ragged ? (grid + c.group - 1) / c.group : grid;
  c.threads = c.ragged ? grid : grid * c.group;
  uint count = c.groups.x * c.groups.y * c.groups.z;
  uint workers = d->host_threads ? d->host_threads : std::thread::hardware_concurrency();
#ifdef SOFTMETAL_TSAN
  workers = 1;
#endif
  if (workers > count) workers = count ? count : 1;
  std::atomic<uint> next{0};
  std::mutex lock;
  d->error[0] = 0;
  auto work = [&] {
    Group g;
    g.random = d->seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull;
    for (;;) {
      uint i = next++;
      if (i >= count) break;
      uint j = d->order == 1 ? count - 1 - i : i;
      g.position = uint3{j % c.groups.x, j / c.groups.x % c.groups.y, j / (c.groups.x * c.groups.y)};
      run_group(g, c);
    }
#ifdef SOFTMETAL_TSAN
    __tsan_acquire(&g.happens_before[1]);
#endif
    std::lock_guard<std::mutex> hold(lock);
    if (g.error[0] && !d->error[0]) snprintf(d->error, sizeof d->error, "%s: %s", kernel->name, g.error);
    d->simd_operations += g.simd_operations;
    d->barriers += g.barriers;
    d->divergent_simd += g.divergent;
    if (g.memory_peak > d->threadgroup_memory) d->threadgroup_memory = g.memory_peak;
    for (uint i = 0; i < g.free_count; i++) munmap(g.free_stacks[i], kStackBytes);
    if (g.memory) munmap(g.memory, kThreadgroupBytes + kThreadgroupSlack);
  };
  std::vector<std::thread> threads;
  for (uint i = 1; i < workers; i++) threads.emplace_back(work);
  work();
  for (std::thread& t : threads) t.join();
  return d->error[0] != 0;
}
static const SoftmetalLibrary this_library = {softmetal_kernels, softmetal_kernel_count, softmetal_constants, softmetal_constant_count, dispatch};
}  // namespace softmetal
extern "C" __attribute__((visibility("default"))) const SoftmetalLibrary* softmetal_library(void) { return &softmetal::this_library; }
#ifdef SOFTMETAL_TSAN
#pragma clang attribute pop
#endif
