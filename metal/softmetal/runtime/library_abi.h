// What a compiled MSL library exports to whoever runs it: the software Metal, the race runner.
#pragma once
#include <stdint.h>
extern "C" {
enum { softmetal_max_buffers = 31 };
enum SoftmetalArgumentKind { softmetal_buffer, softmetal_threadgroup, softmetal_builtin };
struct SoftmetalArgument { int kind, index, readonly; };
struct SoftmetalDispatch {
  void* buffer[softmetal_max_buffers];
  uint64_t threadgroup_bytes[softmetal_max_buffers];
  uint32_t grid[3], group[3];
  int32_t grid_counts_threads;  // dispatchThreads: rather than dispatchThreadgroups:
  int32_t order;                // lanes run 0 in order, 1 reversed, 2 shuffled by seed
  uint64_t seed;
  int32_t host_threads;         // 0: as many as the machine has
  char error[512];
  uint64_t simd_operations, barriers, divergent_simd, threadgroup_memory;
};
struct SoftmetalKernel {
  const char* name;
  const SoftmetalArgument* arguments;
  int argument_count, max_threads;
  void (*function)(const void* context);
};
struct SoftmetalConstant { int index; const char* name; void* value; int size; };
struct SoftmetalLibrary {
  const SoftmetalKernel* kernels;
  int kernel_count;
  const SoftmetalConstant* constants;
  int constant_count;
  int (*dispatch)(const SoftmetalKernel*, SoftmetalDispatch*);
};
const SoftmetalLibrary* softmetal_library(void);
}
