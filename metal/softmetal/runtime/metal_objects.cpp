// Metal's objects. Committed command buffers run in order on one thread of their own; what they run is MSL that mslc
// compiled to a shared library.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include "metal_objects.h"

// --- settings and counters of a test run
static struct Settings {
  std::atomic<int> order{getenv("SOFTMETAL_ORDER") ? atoi(getenv("SOFTMETAL_ORDER")) : 0};
  std::atomic<bool> noop{getenv("SOFTMETAL_NOOP") != nullptr};  // accept everything, run nothing
  std::atomic<size_t> memory_limit{8ul << 30};
  std::mutex lock;
  std::string failing;  // the kernel whose next dispatch fails, to test error paths
} settings;
static std::atomic<long> command_buffers{0}, dispatches{0}, barriers{0};
static std::atomic<size_t> allocated{0};

// --- objects
struct Device : Object { struct {} members; };
struct Architecture : Object { struct {} members; };
struct Queue : Object { struct {} members; };
struct Fence : Object { struct {} members; };
struct BufferMembers {
  char* contents = nullptr;
  size_t length = 0;
  char* mapping = nullptr;
  size_t mapped = 0;
  NSUInteger options = 0;
  Block* deallocator = nullptr;
  void* given = nullptr;
  bool unused = false;  // labelled so: bound where a kernel does not touch its argument
  ~BufferMembers() {
    if (mapping) munmap(mapping, mapped), allocated -= length;
    if (!deallocator) return;
    ((void (*)(void*, void*, NSUInteger))deallocator->invoke)(deallocator, given, length);
    _Block_release(deallocator);
  }
};
struct Buffer : Object { BufferMembers members; };
struct SharedEvent : Object { struct { uint64_t value = 0; } members; };

struct Binding { id buffer = nullptr; NSUInteger offset = 0; std::string bytes; bool inlined = false; };
struct Command {
  enum { dispatch, barrier, copy, fill, wait_fence, update_fence } what = dispatch;
  id pipeline = nullptr;
  Binding bindings[softmetal_max_buffers];
  NSUInteger threadgroup_bytes[softmetal_max_buffers] = {};
  Size grid{}, group{};
  bool grid_counts_threads = false, concurrent = false;
  id source = nullptr, target = nullptr;
  NSUInteger source_offset = 0, target_offset = 0, length = 0;
  uint8_t value = 0;
};
struct CommandBufferMembers {
  std::vector<Command> commands;
  std::vector<id> retained;
  std::vector<Block*> handlers;
  int status = 0;
  bool finished = false, encoding = false, unretained = false;
  id error = nullptr;
  double start = 0, end = 0;
  std::string label;
  ~CommandBufferMembers() {
    for (id o : retained) objc_release(o);
    objc_release(error);
  }
};
struct CommandBuffer : Object { CommandBufferMembers members; };
struct EncoderMembers {
  id command_buffer = nullptr;
  Command current;
  bool concurrent = false, ended = true;
  ~EncoderMembers() {
    if (!ended) problem(true, "command encoder released without endEncoding");
    objc_release(command_buffer);
  }
};
struct Encoder : Object { EncoderMembers members; };

static double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

// --- running
static std::mutex& queue_lock = *new std::mutex;
static std::condition_variable &work_came = *new std::condition_variable, &work_done = *new std::condition_variable;
static std::deque<id>& pending = *new std::deque<id>;
static const char* volatile running_kernel = nullptr;
static struct sigaction earlier_handler;

static void on_fault(int signal, siginfo_t* info, void* context) {
  if (const char* kernel = running_kernel) {
    char text[300];
    int n = snprintf(text, sizeof text, "softmetal: kernel %s touched address %p outside its buffers\n", kernel, info->si_addr);
    (void)!write(2, text, n);
    running_kernel = nullptr;
    _exit(86);
  }
  if (earlier_handler.sa_flags & SA_SIGINFO && earlier_handler.sa_sigaction) return earlier_handler.sa_sigaction(signal, info, context);
  ::signal(signal, SIG_DFL);
}

// One binding of a dispatch, for the hazard check: two that start at the same byte certainly overlap.
struct Use { id buffer; NSUInteger offset; bool writes; };
static bool conflicts(const std::vector<Use>& uses, const Use& u) {
  for (const Use& e : uses)
    if (e.buffer == u.buffer && e.offset == u.offset && (e.writes || u.writes)) return true;
  return false;
}

static std::vector<Use> uses_of(const Command& c, const FunctionMembers& f) {
  std::vector<Use> uses;
  for (int i = 0; i < f.kernel->argument_count; i++) {
    const SoftmetalArgument& a = f.kernel->arguments[i];
    if (a.kind == softmetal_buffer && c.bindings[a.index].buffer && !of<Buffer>(c.bindings[a.index].buffer).unused)
      uses.push_back({c.bindings[a.index].buffer, c.bindings[a.index].offset, !a.readonly});
  }
  return uses;
}

static std::string run_dispatch(const Command& c) {
  static uint64_t seed = 1;
  auto& f = of<Function>(of<Pipeline>(c.pipeline).function.object);
  const SoftmetalLibrary* library = of<Library>(f.library.object).code;
  SoftmetalDispatch d{};
  static char unbound[65536];
  for (int i = 0; i < softmetal_max_buffers; i++) {
    const Binding& b = c.bindings[i];
    if (b.buffer && b.buffer->dead) problem(true, "%s: the buffer at index %d was released before the command buffer completed", f.kernel->name, i);
    d.buffer[i] = b.inlined ? (void*)b.bytes.data() : b.buffer ? of<Buffer>(b.buffer).contents + b.offset : unbound;
    d.threadgroup_bytes[i] = c.threadgroup_bytes[i];
  }
  for (int i = 0; i < f.kernel->argument_count; i++) {
    const SoftmetalArgument& a = f.kernel->arguments[i];
    if (a.kind == softmetal_buffer && d.buffer[a.index] == unbound) problem(false, "%s: no buffer bound at index %d", f.kernel->name, a.index);
    if (a.kind == softmetal_threadgroup && !c.threadgroup_bytes[a.index]) problem(false, "%s: no threadgroup memory length at index %d", f.kernel->name, a.index);
  }
  uint32_t grid[3] = {(uint32_t)c.grid.width, (uint32_t)c.grid.height, (uint32_t)c.grid.depth}, group[3] = {(uint32_t)c.group.width, (uint32_t)c.group.height, (uint32_t)c.group.depth};
  memcpy(d.grid, grid, sizeof grid);
  memcpy(d.group, group, sizeof group);
  d.grid_counts_threads = c.grid_counts_threads;
  d.order = settings.order;
  d.seed = seed++;
  for (int i = 0; i < library->constant_count; i++) {
    const SoftmetalConstant& k = library->constants[i];
    auto value = f.constants.find(k.index);
    if (value == f.constants.end()) memset(k.value, 0, k.size);
    else memcpy(k.value, value->second.data(), k.size);
  }
  {
    std::lock_guard<std::mutex> hold(settings.lock);
    if (settings.failing == f.kernel->name) {
      settings.failing.clear();
      return std::string(f.kernel->name) + ": planted failure";
    }
  }
  running_kernel = f.kernel->name;
  library->dispatch(f.kernel, &d);
  running_kernel = nullptr;
  return d.error;
}

// Dispatches of a concurrent encoder between two barriers may run in any order: run them reversed or shuffled when
// lanes do, so that a missing barrier gives wrong numbers even where the ranges are not known to overlap.
static std::string run_commands(CommandBufferMembers& m) {
  static std::vector<Use> uses;  // since the last barrier or fence, across command buffers
  std::string error;
  std::vector<const Command*> batch;
  auto run_batch = [&] {
    int order = settings.order;
    if (order == 1) std::reverse(batch.begin(), batch.end());
    if (order == 2) for (size_t i = batch.size(); i > 1; i--) std::swap(batch[i - 1], batch[rand() % i]);
    for (const Command* c : batch)
      if (error.empty()) error = run_dispatch(*c);
    batch.clear();
  };
  for (const Command& c : m.commands) {
    switch (c.what) {
      case Command::barrier: case Command::wait_fence:
        run_batch();
        uses.clear();
        break;
      case Command::update_fence:
        break;
      case Command::copy: case Command::fill:
        run_batch();
        uses.clear();
        if (c.what == Command::copy) memmove(of<Buffer>(c.target).contents + c.target_offset, of<Buffer>(c.source).contents + c.source_offset, c.length);
        else memset(of<Buffer>(c.target).contents + c.target_offset, c.value, c.length);
        break;
      case Command::dispatch: {
        dispatches++;
        auto& f = of<Function>(of<Pipeline>(c.pipeline).function.object);
        std::vector<Use> mine = uses_of(c, f);
        if (!c.concurrent) run_batch(), uses.clear();
        for (const Use& u : mine)
          if (conflicts(uses, u)) {
            problem(false, "%s: hazard: a buffer it %s is in use by an earlier dispatch of the concurrent encoder, and no memory barrier stands between", f.kernel->name, u.writes ? "writes" : "reads");
            break;
          }
        uses.insert(uses.end(), mine.begin(), mine.end());
        batch.push_back(&c);
      }
    }
  }
  run_batch();
  return error;
}

static void execute(id object) {
  CommandBufferMembers& m = of<CommandBuffer>(object);
  m.start = now();
  std::string error;
  if (!settings.noop) error = run_commands(m);
  m.end = std::max(now(), m.start + 1e-7);
  std::vector<Block*> handlers;
  {
    std::lock_guard<std::mutex> hold(queue_lock);
    if (!error.empty()) {
      Error* e = make<Error>("NSError");
      e->members.text = error;
      m.error = e;
    }
    m.status = error.empty() ? 4 : 5;
    handlers.swap(m.handlers);
  }
  for (Block* b : handlers) {
    ((void (*)(void*, id))b->invoke)(b, object);
    _Block_release(b);
  }
  {
    std::lock_guard<std::mutex> hold(queue_lock);
    m.finished = true;
  }
  work_done.notify_all();
  objc_release(object);
}

static void gpu_thread() {
  for (;;) {
    id next;
    {
      std::unique_lock<std::mutex> hold(queue_lock);
      work_came.wait(hold, [] { return !pending.empty(); });
      next = pending.front();
      pending.pop_front();
      of<CommandBuffer>(next).status = 3;
    }
    execute(next);
  }
}

// --- device
static id the_device() {
  static id device = make<Device>("MTLDevice");
  return device;
}
OBJC_EXPORT id MTLCreateSystemDefaultDevice() { return objc_retain(the_device()); }
static id d_name(id, SEL) { return objc_autorelease(new_string("softmetal")); }
static id d_architecture(id, SEL) { return objc_autorelease(make<Architecture>("MTLArchitecture")); }
static id a_name(id, SEL) { return objc_autorelease(new_string("applegpu_soft_g")); }
static ObjCBool d_unified(id, SEL) { return 1; }
static NSUInteger d_registry(id, SEL) { return 1; }
static NSUInteger d_working_set(id, SEL) { return settings.memory_limit; }
static NSUInteger d_allocated(id, SEL) { return allocated; }
static NSUInteger d_max_buffer(id, SEL) { return settings.memory_limit; }
static NSUInteger d_max_threadgroup_memory(id, SEL) { return 32768; }
static Size d_max_threads(id, SEL) { return {1024, 1024, 1024}; }
static ObjCBool d_supports(id, SEL, NSInteger family) { return (family >= 1001 && family <= 1007) || family == 5001 || (family >= 3001 && family <= 3003); }
static id d_queue(id, SEL, NSUInteger) { return make<Queue>("MTLCommandQueue"); }
static id d_fence(id, SEL) { return make<Fence>("MTLFence"); }
static id d_event(id, SEL) { return make<SharedEvent>("MTLSharedEvent"); }
static NSUInteger ev_value(id self, SEL) { return of<SharedEvent>(self).value; }

// Buffers end at a page that must not be touched, and start at a multiple of 16 bytes.
static id d_buffer(id, SEL, NSUInteger length, NSUInteger options) {
  if (!length) { problem(false, "newBufferWithLength: length is 0"); return nullptr; }
  if (allocated + length > settings.memory_limit) return nullptr;
  Buffer* b = make<Buffer>("MTLBuffer");
  size_t page = 4096, data = (length + 15) & ~15ul;
  b->members.mapped = ((data + page - 1) & ~(page - 1)) + page;
  b->members.mapping = (char*)mmap(nullptr, b->members.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(b->members.mapping + b->members.mapped - page, page, PROT_NONE);
  b->members.contents = b->members.mapping + b->members.mapped - page - data;
  b->members.length = length;
  b->members.options = options;
  allocated += length;
  return b;
}
static id d_buffer_no_copy(id, SEL, void* memory, NSUInteger length, NSUInteger options, Block* deallocator) {
  if ((uintptr_t)memory % 4096 || length % 4096) { problem(false, "newBufferWithBytesNoCopy: pointer and length must be multiples of the page size"); return nullptr; }
  Buffer* b = make<Buffer>("MTLBuffer");
  b->members.contents = (char*)memory;
  b->members.given = memory;
  b->members.length = length;
  b->members.options = options;
  b->members.deallocator = _Block_copy(deallocator);
  return b;
}
static void* b_contents(id self, SEL) { return of<Buffer>(self).contents; }
static NSUInteger b_length(id self, SEL) { return of<Buffer>(self).length; }
static void b_label(id self, SEL, id label) { of<Buffer>(self).unused = text_of(label) == "unused"; }
static void set_label(id, SEL, id) {}

// --- command buffers
static id q_command_buffer(id, SEL) {
  command_buffers++;
  return objc_autorelease(make<CommandBuffer>("MTLCommandBuffer"));
}
static id q_unretained(id self, SEL s) {
  id c = q_command_buffer(self, s);
  of<CommandBuffer>(c).unretained = true;
  return c;
}
static id new_encoder(id command_buffer, const char* cls, bool concurrent) {
  auto& m = of<CommandBuffer>(command_buffer);
  if (m.status) problem(true, "encoder asked of a command buffer that was committed");
  if (m.encoding) problem(true, "second encoder while one is open on this command buffer");
  m.encoding = true;
  Encoder* e = make<Encoder>(cls);
  e->members.command_buffer = objc_retain(command_buffer);
  e->members.concurrent = concurrent;
  e->members.ended = false;
  return objc_autorelease(e);
}
static id c_compute(id self, SEL, NSUInteger type) { return new_encoder(self, "MTLComputeCommandEncoder", type == 1); }
static id c_blit(id self, SEL) { return new_encoder(self, "MTLBlitCommandEncoder", false); }
static void c_commit(id self, SEL) {
  auto& m = of<CommandBuffer>(self);
  if (m.encoding) problem(true, "commit while an encoder is open");
  if (m.status) problem(true, "command buffer committed twice");
  if (settings.noop) return execute(objc_retain(self));  // at once: what is measured is the host code
  std::lock_guard<std::mutex> hold(queue_lock);
  m.status = 2;
  pending.push_back(objc_retain(self));
  static std::thread* gpu = new std::thread(gpu_thread);
  (void)gpu;
  work_came.notify_one();
}
static void c_wait(id self, SEL) {
  auto& m = of<CommandBuffer>(self);
  if (!m.status) problem(true, "waitUntilCompleted before commit would wait for ever");
  std::unique_lock<std::mutex> hold(queue_lock);
  work_done.wait(hold, [&] { return m.finished; });
}
static NSUInteger c_status(id self, SEL) {
  std::lock_guard<std::mutex> hold(queue_lock);
  return of<CommandBuffer>(self).status;
}
static id c_error(id self, SEL) { return of<CommandBuffer>(self).error; }
static double c_start(id self, SEL) { return of<CommandBuffer>(self).start; }
static double c_end(id self, SEL) { return of<CommandBuffer>(self).end; }
static void c_completed(id self, SEL, Block* b) {
  if (of<CommandBuffer>(self).status) problem(true, "addCompletedHandler: after commit");
  of<CommandBuffer>(self).handlers.push_back(_Block_copy(b));
}

// --- encoders
static void keep(id encoder, id object) {
  auto& m = of<CommandBuffer>(of<Encoder>(encoder).command_buffer);
  if (object && !m.unretained) m.retained.push_back(objc_retain(object));
}
static void push(id encoder, Command c) {
  if (of<Encoder>(encoder).ended) problem(true, "command after endEncoding");
  of<CommandBuffer>(of<Encoder>(encoder).command_buffer).commands.push_back(std::move(c));
}
static void e_pipeline(id self, SEL, id p) {
  if (!p) problem(true, "setComputePipelineState: nil");
  of<Encoder>(self).current.pipeline = p;
  keep(self, p);
}
static void e_buffer(id self, SEL, id b, NSUInteger offset, NSUInteger index) {
  if (index >= softmetal_max_buffers) problem(true, "buffer index %lu is above 30", index);
  if (b && b->dead) problem(true, "setBuffer: a deallocated buffer");
  if (b && offset >= of<Buffer>(b).length) problem(false, "setBuffer: offset %lu is past the buffer's end", offset);
  Binding& to = of<Encoder>(self).current.bindings[index];
  to.buffer = b;
  to.offset = offset;
  to.inlined = false;
  keep(self, b);
}
static void e_buffers(id self, SEL s, const id* buffers, const NSUInteger* offsets, Range range) {
  for (NSUInteger i = 0; i < range.length; i++) e_buffer(self, s, buffers[i], offsets[i], range.location + i);
}
static void e_bytes(id self, SEL, const void* bytes, NSUInteger length, NSUInteger index) {
  if (index >= softmetal_max_buffers) problem(true, "buffer index %lu is above 30", index);
  if (length > 4096) problem(false, "setBytes: %lu bytes, at most 4096 are allowed", length);
  Binding& to = of<Encoder>(self).current.bindings[index];
  to.bytes.assign((const char*)bytes, length);
  to.inlined = true;
  to.buffer = nullptr;
}
static void e_threadgroup_memory(id self, SEL, NSUInteger length, NSUInteger index) {
  if (length % 16) problem(false, "threadgroup memory length %lu is no multiple of 16", length);
  if (length > 32768) problem(false, "threadgroup memory length %lu is above 32768", length);
  of<Encoder>(self).current.threadgroup_bytes[index] = length;
}
static void dispatch_command(id self, Size grid, Size group, bool counts_threads) {
  auto& e = of<Encoder>(self);
  if (!e.current.pipeline) problem(true, "dispatch without a pipeline state");
  NSUInteger threads = group.width * group.height * group.depth, most = max_threads(e.current.pipeline, nullptr);
  if (!threads || threads > most) problem(true, "%s: threadgroup of %lu x %lu x %lu threads, the pipeline allows 1 to %lu", of<Function>(of<Pipeline>(e.current.pipeline).function.object).kernel->name, group.width, group.height, group.depth, most);
  if (!grid.width || !grid.height || !grid.depth) problem(false, "dispatch of an empty grid");
  if (settings.noop) {
    dispatches++;
    return;
  }
  Command c = e.current;
  c.what = Command::dispatch;
  c.grid = grid;
  c.group = group;
  c.grid_counts_threads = counts_threads;
  c.concurrent = e.concurrent;
  push(self, std::move(c));
}
static void e_dispatch_groups(id self, SEL, Size grid, Size group) { dispatch_command(self, grid, group, false); }
static void e_dispatch_threads(id self, SEL, Size grid, Size group) { dispatch_command(self, grid, group, true); }
static void push_simple(id self, decltype(Command::what) what) {
  if (settings.noop) return;
  Command c;
  c.what = what;
  push(self, std::move(c));
}
static void e_barrier(id self, SEL, NSUInteger scope) {
  if (!(scope & 1)) problem(false, "memoryBarrierWithScope: %lu does not cover buffers", scope);
  barriers++;
  push_simple(self, Command::barrier);
}
static void e_wait_fence(id self, SEL, id) { push_simple(self, Command::wait_fence); }
static void e_update_fence(id self, SEL, id) { push_simple(self, Command::update_fence); }
static void e_end(id self, SEL) {
  auto& e = of<Encoder>(self);
  if (e.ended) problem(true, "endEncoding twice");
  e.ended = true;
  of<CommandBuffer>(e.command_buffer).encoding = false;
}
static void bl_copy(id self, SEL, id source, NSUInteger from, id target, NSUInteger to, NSUInteger length) {
  if (from + length > of<Buffer>(source).length || to + length > of<Buffer>(target).length) problem(true, "copyFromBuffer: out of bounds");
  Command c;
  c.what = Command::copy;
  c.source = source, c.target = target, c.source_offset = from, c.target_offset = to, c.length = length;
  keep(self, source);
  keep(self, target);
  push(self, std::move(c));
}
static void bl_fill(id self, SEL, id target, Range r, uint8_t value) {
  if (r.location + r.length > of<Buffer>(target).length) problem(true, "fillBuffer: out of bounds");
  Command c;
  c.what = Command::fill;
  c.target = target, c.target_offset = r.location, c.length = r.length, c.value = value;
  keep(self, target);
  push(self, std::move(c));
}

// --- what tests set and ask
OBJC_EXPORT void softmetal_set_order(int order) { settings.order = order; }
OBJC_EXPORT void softmetal_set_noop(int on) { settings.noop = on != 0; }
OBJC_EXPORT void softmetal_set_memory_limit(NSUInteger bytes) { settings.memory_limit = bytes; }
OBJC_EXPORT void softmetal_fail_next(const char* kernel) {
  std::lock_guard<std::mutex> hold(settings.lock);
  settings.failing = kernel;
}
OBJC_EXPORT long softmetal_command_buffers() { return command_buffers; }
OBJC_EXPORT long softmetal_dispatches() { return dispatches; }
OBJC_EXPORT long softmetal_barriers() { return barriers; }

// An echo of mixed arguments, by which the host's calling convention is tested.
struct ABIProbe : Object { struct {} members; };
static NSUInteger abi_mix(id, SEL, Size a, Size b, NSUInteger x) { return a.width + 10 * a.height + 100 * a.depth + 1000 * b.width + 10000 * b.height + 100000 * b.depth + 1000000 * x; }

static int initialise() {
  define_foundation();
  define<Device>("MTLDevice");
  define_libraries();
  define<Architecture>("MTLArchitecture");
  define<Queue>("MTLCommandQueue");
  define<CommandBuffer>("MTLCommandBuffer");
  define<Encoder>("MTLComputeCommandEncoder");
  define<Encoder>("MTLBlitCommandEncoder");
  define<Buffer>("MTLBuffer");
  define<Fence>("MTLFence");
  define<SharedEvent>("MTLSharedEvent");
  define<ABIProbe>("SoftmetalABIProbe");
  const char* device = "MTLDevice";
  method(device, "name", d_name);
  method(device, "architecture", d_architecture);
  method("MTLArchitecture", "name", a_name);
  method(device, "registryID", d_registry);
  method(device, "hasUnifiedMemory", d_unified);
  method(device, "recommendedMaxWorkingSetSize", d_working_set);
  method(device, "currentAllocatedSize", d_allocated);
  method(device, "maxBufferLength", d_max_buffer);
  method(device, "maxThreadgroupMemoryLength", d_max_threadgroup_memory);
  method(device, "maxThreadsPerThreadgroup", d_max_threads);
  method(device, "supportsFamily:", d_supports);
  method(device, "newCommandQueueWithMaxCommandBufferCount:", d_queue);
  method(device, "newFence", d_fence);
  method(device, "newSharedEvent", d_event);
  method(device, "newBufferWithLength:options:", d_buffer);
  method(device, "newBufferWithBytesNoCopy:length:options:deallocator:", d_buffer_no_copy);
  method("MTLSharedEvent", "signaledValue", ev_value);
  method("MTLBuffer", "contents", b_contents);
  method("MTLBuffer", "length", b_length);
  method("MTLBuffer", "setLabel:", b_label);
  method("MTLCommandQueue", "commandBuffer", q_command_buffer);
  method("MTLCommandQueue", "commandBufferWithUnretainedReferences", q_unretained);
  method("MTLCommandBuffer", "computeCommandEncoderWithDispatchType:", c_compute);
  method("MTLCommandBuffer", "blitCommandEncoder", c_blit);
  method("MTLCommandBuffer", "commit", c_commit);
  method("MTLCommandBuffer", "waitUntilCompleted", c_wait);
  method("MTLCommandBuffer", "status", c_status);
  method("MTLCommandBuffer", "error", c_error);
  method("MTLCommandBuffer", "GPUStartTime", c_start);
  method("MTLCommandBuffer", "GPUEndTime", c_end);
  method("MTLCommandBuffer", "addCompletedHandler:", c_completed);
  method("MTLCommandBuffer", "setLabel:", set_label);
  const char* compute = "MTLComputeCommandEncoder";
  method(compute, "setComputePipelineState:", e_pipeline);
  method(compute, "setBuffer:offset:atIndex:", e_buffer);
  method(compute, "setBuffers:offsets:withRange:", e_buffers);
  method(compute, "setBytes:length:atIndex:", e_bytes);
  method(compute, "setThreadgroupMemoryLength:atIndex:", e_threadgroup_memory);
  method(compute, "dispatchThreadgroups:threadsPerThreadgroup:", e_dispatch_groups);
  method(compute, "dispatchThreads:threadsPerThreadgroup:", e_dispatch_threads);
  method(compute, "memoryBarrierWithScope:", e_barrier);
  method(compute, "waitForFence:", e_wait_fence);
  method(compute, "updateFence:", e_update_fence);
  method(compute, "endEncoding", e_end);
  method("MTLBlitCommandEncoder", "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", bl_copy);
  method("MTLBlitCommandEncoder", "fillBuffer:range:value:", bl_fill);
  method("MTLBlitCommandEncoder", "waitForFence:", e_wait_fence);
  method("MTLBlitCommandEncoder", "updateFence:", e_update_fence);
  method("MTLBlitCommandEncoder", "endEncoding", e_end);
  method("SoftmetalABIProbe", "mix:with:and:", abi_mix);
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &earlier_handler);
  return 0;
}
static int initialised = initialise();
