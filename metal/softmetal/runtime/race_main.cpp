// Runs kernels of one compiled MSL source under ThreadSanitizer: arguments are case files, see conformance.WriteFile.
// Races are reported with MSL lines; the exit status is then ThreadSanitizer's.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "library_abi.h"

extern "C" const char* __tsan_default_suppressions() { return "race:softmetal::run_group\n"; }

struct Reader {
  FILE* file;
  uint32_t word() { uint32_t w = 0; if (fread(&w, 4, 1, file) != 1) exit(3); return w; }
  void bytes(void* to, size_t n) { if (n && fread(to, 1, n, file) != n) exit(3); }
};

static void run(const char* path) {
  Reader in{fopen(path, "rb")};
  if (!in.file || in.word() != 0x3143534cu) { fprintf(stderr, "%s: not a case file\n", path); exit(3); }
  char name[128] = {};
  uint32_t length = in.word();
  if (length >= sizeof name) exit(3);
  in.bytes(name, length);
  SoftmetalDispatch d{};
  for (uint32_t& v : d.grid) v = in.word();
  for (uint32_t& v : d.group) v = in.word();
  d.order = 2;
  d.seed = 1;
  d.host_threads = 1;
  const SoftmetalLibrary* library = softmetal_library();
  for (uint32_t n = in.word(); n > 0; n--) {
    int index = (int)in.word();
    uint32_t value = in.word();
    for (int i = 0; i < library->constant_count; i++)
      if (library->constants[i].index == index) memcpy(library->constants[i].value, &value, library->constants[i].size);
  }
  uint32_t buffers = in.word();
  for (uint32_t i = 0; i < buffers; i++) {
    uint32_t size = in.word();
    d.buffer[i] = calloc(1, size + 16);
    in.bytes(d.buffer[i], size);
  }
  fclose(in.file);
  for (int i = 0; i < library->kernel_count; i++) {
    if (strcmp(library->kernels[i].name, name)) continue;
    if (library->dispatch(&library->kernels[i], &d)) { fprintf(stderr, "%s\n", d.error); exit(4); }
    return;
  }
  fprintf(stderr, "no kernel %s\n", name);
  exit(3);
}

int main(int count, char** arguments) {
  for (int i = 1; i < count; i++) run(arguments[i]);
}
