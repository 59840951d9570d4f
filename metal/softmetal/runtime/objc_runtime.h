// A small Objective-C runtime: classes, selectors, messages, reference counts, autorelease pools, blocks. Objects
// are never freed but turned into zombies, so that a message to a dead one is told rather than obeyed.
#pragma once
#include <stdarg.h>
#include <stdint.h>
#include <atomic>
#include <string>
#include <unordered_map>
#include <vector>
#define OBJC_EXPORT extern "C" __attribute__((visibility("default")))

typedef unsigned long NSUInteger;
typedef long NSInteger;
typedef signed char ObjCBool;
struct Selector { std::string name; };
typedef const Selector* SEL;
typedef void (*IMP)(void);
struct Method { IMP implementation; std::string types; };
struct Class;
struct Object {
  Class* isa;
  std::atomic<int> references{1};
  std::atomic<bool> dead{false};
};
typedef Object* id;
struct Class : Object {
  std::string name;
  Class* super = nullptr;
  bool is_metaclass = false;
  std::unordered_map<SEL, Method> methods;
  std::atomic<long> live{0};
  id (*create)(Class*) = nullptr;     // +alloc
  void (*destroy)(Object*) = nullptr; // runs the members' destructors
};

// Something the host code did that real Metal or the validation layer would punish. Fatal ones abort.
void problem(bool fatal, const char* format, ...) __attribute__((format(printf, 2, 3)));

extern "C" {
SEL sel_registerName(const char*);
Class* objc_getClass(const char*);
id objc_retain(id);
void objc_release(id);
id objc_autorelease(id);
void* objc_autoreleasePoolPush();
void objc_autoreleasePoolPop(void*);
}

template <class T> T* make(const char* class_name) {
  T* o = new T;
  o->isa = objc_getClass(class_name);
  o->isa->live++;
  return o;
}
Class* define_class(const char* name, const char* super);
template <class T> void define(const char* name, const char* super = "NSObject") {
  Class* c = define_class(name, super);
  c->create = [](Class* cls) -> id { return make<T>(cls->name.c_str()); };
  c->destroy = [](Object* o) {
    using Members = decltype(static_cast<T*>(o)->members);
    static_cast<T*>(o)->members.~Members();
  };
}

// Type encodings, from the C++ signature, as method_getTypeEncoding gives them without offsets.
template <class T> struct Encoding;
#define OBJC_ENCODING(T, text) template <> struct Encoding<T> { static std::string value() { return text; } };
OBJC_ENCODING(void, "v") OBJC_ENCODING(id, "@") OBJC_ENCODING(Class*, "#") OBJC_ENCODING(SEL, ":") OBJC_ENCODING(NSUInteger, "Q")
OBJC_ENCODING(NSInteger, "q") OBJC_ENCODING(ObjCBool, "B") OBJC_ENCODING(double, "d") OBJC_ENCODING(uint8_t, "C") OBJC_ENCODING(int, "i")
OBJC_ENCODING(const char*, "*") OBJC_ENCODING(void*, "^v") OBJC_ENCODING(const void*, "^v") OBJC_ENCODING(id*, "^@")
OBJC_ENCODING(const id*, "^@") OBJC_ENCODING(const NSUInteger*, "^Q")
struct Block;
OBJC_ENCODING(Block*, "@?")

void add_method(const char* cls, const char* selector, IMP implementation, std::string types);
template <class R, class... A> void method(const char* cls, const char* selector, R (*f)(A...)) {
  std::string types = Encoding<R>::value();
  (types.append(Encoding<A>::value()), ...);
  add_method(cls, selector, (IMP)f, types);
}

struct String : Object { struct { std::string text; } members; };
struct Error : Object { struct { std::string text; long code = 1; } members; };
id new_string(const std::string&);
const std::string& text_of(id string);
const std::vector<id>& items_of(id array);
void set_error(id* error, const std::string& text);

struct BlockDescriptor { unsigned long reserved, size; void (*copy)(void*, void*); void (*dispose)(void*); const char* signature; };
struct Block { void* isa; int flags, references; void (*invoke)(void*, ...); BlockDescriptor* descriptor; };
extern "C" Block* _Block_copy(Block*);
extern "C" void _Block_release(Block*);
