// Libraries that mslc compiles, their functions and pipelines, and binary archives.
#include <dlfcn.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "metal_objects.h"

static std::atomic<long> compiled{0};
OBJC_EXPORT long softmetal_compiled() { return compiled; }  // pipelines that no archive had

static void o_fast(id self, SEL, ObjCBool v) { of<CompileOptions>(self).math_mode = v ? 2 : 0, of<CompileOptions>(self).functions = v ? 0 : 1; }
static void o_functions(id self, SEL, NSInteger v) { of<CompileOptions>(self).functions = v; }
static void o_mode(id self, SEL, NSInteger v) { of<CompileOptions>(self).math_mode = v; }
static void o_language(id self, SEL, NSUInteger v) { of<CompileOptions>(self).language = v; }

// mslc stands beside this library. It prints the path of what it compiled, or errors and a non-zero exit.
static bool compile_msl(const std::string& source, std::string& result) {
  Dl_info info;
  std::string program;
  if (const char* named = getenv("SOFTMETAL_MSLC")) program = named;
  else if (dladdr((void*)compile_msl, &info)) program = std::string(info.dli_fname).substr(0, std::string(info.dli_fname).rfind('/') + 1) + "mslc";
  char path[] = "/tmp/softmetal-XXXXXX";
  int in = mkstemp(path);
  if (in < 0) { result = "cannot write to /tmp"; return false; }
  for (size_t at = 0; at < source.size();) {
    ssize_t n = write(in, source.data() + at, source.size() - at);
    if (n <= 0) break;
    at += n;
  }
  close(in);
  int out[2];
  if (pipe(out)) { result = "no pipe"; return false; }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, out[1], 2);
  posix_spawn_file_actions_addclose(&actions, out[0]);
#if defined(__aarch64__)
  const char* arch = "arm64";
#else
  const char* arch = "amd64";
#endif
  const char* arguments[] = {program.c_str(), "-arch", arch, path, nullptr};
  pid_t child;
  int failed = posix_spawn(&child, program.c_str(), &actions, nullptr, (char**)arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  if (failed) { close(out[0]); unlink(path); result = "cannot run " + program + ": " + strerror(failed); return false; }
  char text[4096];
  for (ssize_t n; (n = read(out[0], text, sizeof text)) > 0;) result.append(text, n);
  close(out[0]);
  int status = 0;
  waitpid(child, &status, 0);
  unlink(path);
  while (!result.empty() && result.back() == '\n') result.pop_back();
  return status == 0;
}
static id d_library(id, SEL, id source, id options, id* error) {
  std::string result;
  if (options && of<CompileOptions>(options).language < (3 << 16 | 1) && of<CompileOptions>(options).language != 0) {
    set_error(error, "the language version is below 3.1");
    return nullptr;
  }
  if (options && of<CompileOptions>(options).math_mode == 0 && of<CompileOptions>(options).functions == 0)
    problem(false, "newLibraryWithSource: math mode safe, yet exp and its like are the fast ones: mathFloatingPointFunctions is not set");
  if (!compile_msl(text_of(source), result)) { set_error(error, "Compilation failed: \n\n" + result); return nullptr; }
  void* handle = dlopen(result.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) { set_error(error, dlerror()); return nullptr; }
  auto get = (const SoftmetalLibrary* (*)())dlsym(handle, "softmetal_library");
  Library* l = make<Library>("MTLLibrary");
  l->members.code = get();
  l->members.path = result;
  return l;
}
static id l_function(id self, SEL, id name) {
  const SoftmetalLibrary* code = of<Library>(self).code;
  for (int i = 0; i < code->kernel_count; i++)
    if (text_of(name) == code->kernels[i].name) {
      Function* f = make<Function>("MTLFunction");
      f->members.library.object = objc_retain(self);
      f->members.kernel = &code->kernels[i];
      return f;
    }
  return nullptr;
}
static id l_function_constants(id self, SEL s, id name, id values, id* error) {
  id f = l_function(self, s, name);
  if (!f) { set_error(error, "function " + text_of(name) + " was not found in the library"); return nullptr; }
  of<Function>(f).constants = of<ConstantValues>(values).values;
  const SoftmetalLibrary* code = of<Library>(self).code;
  for (int i = 0; i < code->constant_count; i++)
    if (!of<Function>(f).constants.count(code->constants[i].index)) {
      set_error(error, "function constant " + std::string(code->constants[i].name) + " is not set");
      objc_release(f);
      return nullptr;
    }
  return f;
}
static void v_set(id self, SEL, const void* value, NSUInteger type, NSUInteger index) {
  static const std::map<NSUInteger, size_t> sizes = {{53, 1}, {3, 4}, {29, 4}, {33, 4}, {16, 2}, {37, 2}, {41, 2}};
  auto size = sizes.find(type);
  if (size == sizes.end()) return problem(false, "setConstantValue: data type %lu is not one of bool, float, int, uint, half, short, ushort", type);
  of<ConstantValues>(self).values[index] = std::string((const char*)value, size->second);
}
static id d_pipeline(id, SEL, id function, id* error) {
  if (!function) { set_error(error, "computeFunction must not be nil"); return nullptr; }
  Pipeline* p = make<Pipeline>("MTLComputePipelineState");
  p->members.function.object = objc_retain(function);
  compiled++;
  return p;
}
static void pd_function(id self, SEL, id f) { of<PipelineDescriptor>(self).function.object = objc_retain(f); }
static void pd_archives(id self, SEL, id a) { of<PipelineDescriptor>(self).archives.object = objc_retain(a); }
static void pd_multiple(id self, SEL, ObjCBool b) { of<PipelineDescriptor>(self).multiple = b; }
static std::string key_of(id function) {
  auto& f = of<Function>(function);
  std::string key = of<Library>(f.library.object).path + " " + f.kernel->name;
  for (auto& [index, value] : f.constants) {
    key += " " + std::to_string(index) + "=";
    for (unsigned char c : value) key += std::to_string(c) + ".";
  }
  return key + "\n";
}
static id d_pipeline_descriptor(id self, SEL s, id descriptor, NSUInteger options, id*, id* error) {
  auto& d = of<PipelineDescriptor>(descriptor);
  bool found = false;
  if (d.archives.object)
    for (id a : items_of(d.archives.object)) found |= of<Archive>(a).functions.count(key_of(d.function.object)) != 0;
  if (!found && options & 4) { set_error(error, "the binary archives lack the function"); return nullptr; }
  if (found) compiled--;
  return d_pipeline(self, s, d.function.object, error);
}
NSUInteger max_threads(id self, SEL) {
  int declared = of<Function>(of<Pipeline>(self).function.object).kernel->max_threads;
  return declared ? declared : 1024;
}
static NSUInteger p_width(id, SEL) { return 32; }
static NSUInteger p_static_memory(id, SEL) { return 0; }

// --- binary archives: the functions that are in them; their machine code stands in mslc's cache anyway
static void ad_url(id self, SEL, id url) { of<ArchiveDescriptor>(self).path = text_of(url); }
static id d_archive(id, SEL, id descriptor, id* error) {
  Archive* a = make<Archive>("MTLBinaryArchive");
  const std::string& path = of<ArchiveDescriptor>(descriptor).path;
  if (path.empty()) return a;
  FILE* f = fopen(path.c_str(), "r");
  char line[4096];
  if (!f || !fgets(line, sizeof line, f) || strcmp(line, "softmetal archive\n")) {
    if (f) fclose(f);
    set_error(error, "cannot read archive " + path);
    objc_release(a);
    return nullptr;
  }
  while (fgets(line, sizeof line, f)) a->members.functions.insert(line);
  fclose(f);
  return a;
}
static ObjCBool ar_add(id self, SEL, id descriptor, id*) {
  compiled++;
  of<Archive>(self).functions.insert(key_of(of<PipelineDescriptor>(descriptor).function.object));
  return 1;
}
static ObjCBool ar_save(id self, SEL, id url, id* error) {
  FILE* f = fopen(text_of(url).c_str(), "w");
  if (!f) { set_error(error, "cannot write archive " + text_of(url)); return 0; }
  fputs("softmetal archive\n", f);
  for (const std::string& name : of<Archive>(self).functions) fputs(name.c_str(), f);
  fclose(f);
  return 1;
}

void define_libraries() {
  define<Library>("MTLLibrary");
  define<Function>("MTLFunction");
  define<ConstantValues>("MTLFunctionConstantValues");
  define<Pipeline>("MTLComputePipelineState");
  define<PipelineDescriptor>("MTLComputePipelineDescriptor");
  define<CompileOptions>("MTLCompileOptions");
  define<ArchiveDescriptor>("MTLBinaryArchiveDescriptor");
  define<Archive>("MTLBinaryArchive");
  method("MTLDevice", "newLibraryWithSource:options:error:", d_library);
  method("MTLDevice", "newComputePipelineStateWithFunction:error:", d_pipeline);
  method("MTLDevice", "newComputePipelineStateWithDescriptor:options:reflection:error:", d_pipeline_descriptor);
  method("MTLDevice", "newBinaryArchiveWithDescriptor:error:", d_archive);
  method("MTLCompileOptions", "setFastMathEnabled:", o_fast);
  method("MTLCompileOptions", "setMathMode:", o_mode);
  method("MTLCompileOptions", "setMathFloatingPointFunctions:", o_functions);
  method("MTLCompileOptions", "setLanguageVersion:", o_language);
  method("MTLLibrary", "newFunctionWithName:", l_function);
  method("MTLLibrary", "newFunctionWithName:constantValues:error:", l_function_constants);
  method("MTLFunctionConstantValues", "setConstantValue:type:atIndex:", v_set);
  method("MTLComputePipelineState", "maxTotalThreadsPerThreadgroup", max_threads);
  method("MTLComputePipelineState", "threadExecutionWidth", p_width);
  method("MTLComputePipelineState", "staticThreadgroupMemoryLength", p_static_memory);
  method("MTLComputePipelineDescriptor", "setComputeFunction:", pd_function);
  method("MTLComputePipelineDescriptor", "setBinaryArchives:", pd_archives);
  method("MTLComputePipelineDescriptor", "setThreadGroupSizeIsMultipleOfThreadExecutionWidth:", pd_multiple);
  method("MTLBinaryArchiveDescriptor", "setUrl:", ad_url);
  method("MTLBinaryArchive", "addComputePipelineFunctionsWithDescriptor:error:", ar_add);
  method("MTLBinaryArchive", "serializeToURL:error:", ar_save);
}
