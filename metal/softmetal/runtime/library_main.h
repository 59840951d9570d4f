// Ends every compiled MSL library. The front end has written the tables softmetal_kernels, softmetal_constants and
// their counts before it.
#pragma once
namespace softmetal {
static const SoftmetalLibrary this_library = {softmetal_kernels, softmetal_kernel_count, softmetal_constants, softmetal_constant_count, dispatch};
}  // namespace softmetal
extern "C" __attribute__((visibility("default"))) const SoftmetalLibrary* softmetal_library(void) { return &softmetal::this_library; }
