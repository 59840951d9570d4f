// Metal's objects that several files of the software Metal use.
#pragma once
#include <map>
#include <set>
#include "library_abi.h"
#include "objc_runtime.h"

struct Size { NSUInteger width, height, depth; };
struct Range { NSUInteger location, length; };
template <> struct Encoding<Size> { static std::string value() { return "{MTLSize=QQQ}"; } };
template <> struct Encoding<Range> { static std::string value() { return "{_NSRange=QQ}"; } };

template <class T> static auto& of(id o) { return static_cast<T*>(o)->members; }

// Libraries, functions, pipelines and archives: metal_library.cpp.
struct CompileOptions : Object { struct { NSInteger math_mode = 2, functions = 0; NSUInteger language = 0; } members; };
struct Library : Object { struct { const SoftmetalLibrary* code = nullptr; std::string path; } members; };
struct ConstantValues : Object { struct { std::map<NSUInteger, std::string> values; } members; };
struct Held { id object = nullptr; ~Held() { objc_release(object); } };
struct FunctionMembers { Held library; const SoftmetalKernel* kernel = nullptr; std::map<NSUInteger, std::string> constants; };
struct Function : Object { FunctionMembers members; };
struct Pipeline : Object { struct { Held function; } members; };
struct PipelineDescriptor : Object { struct { Held function, archives; bool multiple = false; NSUInteger max_threads = 0; } members; };
struct ArchiveDescriptor : Object { struct { std::string path; } members; };
struct Archive : Object { struct { std::set<std::string> functions; } members; };
void define_libraries();
NSUInteger max_threads(id pipeline, SEL);

// Strings, errors, arrays: objc_runtime.cpp.
void define_foundation();
