#include "objc_runtime.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <map>
#include <mutex>

static std::mutex& lock = *new std::mutex;
static std::map<std::string, Class*>& classes = *new std::map<std::string, Class*>;
static std::map<std::string, Selector*>& selectors = *new std::map<std::string, Selector*>;
static std::vector<std::string>& problems = *new std::vector<std::string>;
static std::atomic<long> messages{0}, live_blocks{0};

void problem(bool fatal, const char* format, ...) {
  char text[600];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  {
    std::lock_guard<std::mutex> hold(lock);
    problems.push_back(text);
  }
  if (fatal || getenv("SOFTMETAL_VERBOSE")) fprintf(stderr, "softmetal: %s\n", text);
  if (fatal) abort();
}

// --- classes and messages
OBJC_EXPORT SEL sel_registerName(const char* name) {
  std::lock_guard<std::mutex> hold(lock);
  Selector*& s = selectors[name];
  if (!s) s = new Selector{name};
  return s;
}
OBJC_EXPORT Class* objc_getClass(const char* name) {
  std::lock_guard<std::mutex> hold(lock);
  auto found = classes.find(name);
  return found == classes.end() ? nullptr : found->second;
}
OBJC_EXPORT Class* object_getClass(id o) { return o ? o->isa : nullptr; }
static const Method* find_method(const Class* c, SEL s) {
  for (; c; c = c->super) {
    auto found = c->methods.find(s);
    if (found != c->methods.end()) return &found->second;
  }
  return nullptr;
}
OBJC_EXPORT const Method* class_getInstanceMethod(Class* c, SEL s) { return c ? find_method(c, s) : nullptr; }
OBJC_EXPORT const Method* class_getClassMethod(Class* c, SEL s) { return c ? find_method(c->isa, s) : nullptr; }
OBJC_EXPORT const char* method_getTypeEncoding(const Method* m) { return m ? m->types.c_str() : nullptr; }

Class* define_class(const char* name, const char* super) {
  Class *c = new Class, *meta = new Class;
  c->name = meta->name = name;
  c->isa = meta;
  meta->isa = meta;
  meta->is_metaclass = true;
  if (super) {
    Class* s = objc_getClass(super);
    c->super = s;
    meta->super = s->isa;
  }
  std::lock_guard<std::mutex> hold(lock);
  classes[name] = c;
  return c;
}
void add_method(const char* cls, const char* selector, IMP implementation, std::string types) {
  bool of_class = cls[0] == '+';
  Class* c = objc_getClass(cls + of_class);
  (of_class ? c->isa : c)->methods[sel_registerName(selector)] = Method{implementation, types};
}
extern "C" __attribute__((visibility("hidden"), used)) IMP softmetal_lookup(id o, SEL s) {
  messages.fetch_add(1, std::memory_order_relaxed);
  if (o->dead) problem(true, "message %s sent to deallocated instance of %s", s->name.c_str(), o->isa->name.c_str());
  if (const Method* m = find_method(o->isa, s)) return m->implementation;
  problem(true, "%c[%s %s]: unrecognized selector", o->isa->is_metaclass ? '+' : '-', o->isa->name.c_str(), s->name.c_str());
  return nullptr;
}

// objc_msgSend keeps every argument register, finds the method and jumps to it. A message to nil returns 0.
#if defined(__x86_64__)
asm(R"(.text
.globl objc_msgSend
.type objc_msgSend,@function
objc_msgSend:
 testq %rdi,%rdi
 je 1f
 pushq %rbp
 movq %rsp,%rbp
 subq $192,%rsp
 movq %rdi,0(%rsp)
 movq %rsi,8(%rsp)
 movq %rdx,16(%rsp)
 movq %rcx,24(%rsp)
 movq %r8,32(%rsp)
 movq %r9,40(%rsp)
 movq %rax,48(%rsp)
 movups %xmm0,64(%rsp)
 movups %xmm1,80(%rsp)
 movups %xmm2,96(%rsp)
 movups %xmm3,112(%rsp)
 movups %xmm4,128(%rsp)
 movups %xmm5,144(%rsp)
 movups %xmm6,160(%rsp)
 movups %xmm7,176(%rsp)
 call softmetal_lookup
 movq %rax,%r11
 movq 0(%rsp),%rdi
 movq 8(%rsp),%rsi
 movq 16(%rsp),%rdx
 movq 24(%rsp),%rcx
 movq 32(%rsp),%r8
 movq 40(%rsp),%r9
 movq 48(%rsp),%rax
 movups 64(%rsp),%xmm0
 movups 80(%rsp),%xmm1
 movups 96(%rsp),%xmm2
 movups 112(%rsp),%xmm3
 movups 128(%rsp),%xmm4
 movups 144(%rsp),%xmm5
 movups 160(%rsp),%xmm6
 movups 176(%rsp),%xmm7
 leave
 jmp *%r11
1: xorl %eax,%eax
 xorl %edx,%edx
 xorps %xmm0,%xmm0
 xorps %xmm1,%xmm1
 ret
.size objc_msgSend,.-objc_msgSend
.globl objc_msgSend_stret
.type objc_msgSend_stret,@function
objc_msgSend_stret:
 testq %rsi,%rsi
 je 2f
 pushq %rbp
 movq %rsp,%rbp
 subq $64,%rsp
 movq %rdi,0(%rsp)
 movq %rsi,8(%rsp)
 movq %rdx,16(%rsp)
 movq %rcx,24(%rsp)
 movq %r8,32(%rsp)
 movq %r9,40(%rsp)
 movq %rsi,%rdi
 movq %rdx,%rsi
 call softmetal_lookup
 movq %rax,%r11
 movq 0(%rsp),%rdi
 movq 8(%rsp),%rsi
 movq 16(%rsp),%rdx
 movq 24(%rsp),%rcx
 movq 32(%rsp),%r8
 movq 40(%rsp),%r9
 leave
 jmp *%r11
2: movq %rdi,%rax
 ret
.size objc_msgSend_stret,.-objc_msgSend_stret
)");
#elif defined(__aarch64__)
asm(R"(.text
.globl objc_msgSend
.type objc_msgSend,%function
objc_msgSend:
 cbz x0,1f
 stp x29,x30,[sp,#-224]!
 mov x29,sp
 stp x0,x1,[sp,#16]
 stp x2,x3,[sp,#32]
 stp x4,x5,[sp,#48]
 stp x6,x7,[sp,#64]
 str x8,[sp,#80]
 stp q0,q1,[sp,#96]
 stp q2,q3,[sp,#128]
 stp q4,q5,[sp,#160]
 stp q6,q7,[sp,#192]
 bl softmetal_lookup
 mov x16,x0
 ldp x0,x1,[sp,#16]
 ldp x2,x3,[sp,#32]
 ldp x4,x5,[sp,#48]
 ldp x6,x7,[sp,#64]
 ldr x8,[sp,#80]
 ldp q0,q1,[sp,#96]
 ldp q2,q3,[sp,#128]
 ldp q4,q5,[sp,#160]
 ldp q6,q7,[sp,#192]
 ldp x29,x30,[sp],#224
 br x16
1: mov x1,#0
 movi d0,#0
 movi d1,#0
 ret
.size objc_msgSend,.-objc_msgSend
)");
#endif

// --- memory
OBJC_EXPORT id objc_retain(id o) {
  if (!o) return o;
  if (o->dead) problem(true, "retain of deallocated instance of %s", o->isa->name.c_str());
  o->references++;
  return o;
}
OBJC_EXPORT void objc_release(id o) {
  if (!o) return;
  if (o->dead) problem(true, "over-release of %s", o->isa->name.c_str());
  if (--o->references > 0) return;
  o->dead = true;
  o->isa->live--;
  if (o->isa->destroy) o->isa->destroy(o);
}
struct Pool { std::vector<id> objects; };
static thread_local std::vector<Pool*> pools;
OBJC_EXPORT id objc_autorelease(id o) {
  if (pools.empty()) problem(false, "%s autoreleased with no pool in place - just leaking", o->isa->name.c_str());
  else pools.back()->objects.push_back(o);
  return o;
}
static thread_local std::vector<Pool*> spare_pools;
OBJC_EXPORT void* objc_autoreleasePoolPush() {
  Pool* p;
  if (spare_pools.empty()) p = new Pool;
  else p = spare_pools.back(), spare_pools.pop_back();
  pools.push_back(p);
  return p;
}
OBJC_EXPORT void objc_autoreleasePoolPop(void* pool) {
  bool found = false;
  for (Pool* p : pools) found |= p == pool;
  if (!found) problem(true, "autorelease pool popped on a thread where it was not pushed");
  for (bool last = false; !last;) {
    Pool* p = pools.back();
    last = p == pool;
    for (size_t i = p->objects.size(); i-- > 0;) objc_release(p->objects[i]);
    p->objects.clear();
    pools.pop_back();
    spare_pools.push_back(p);
  }
}

// --- blocks
OBJC_EXPORT Block* _Block_copy(Block* b) {
  if (!b) return nullptr;
  if (b->references & 1) {
    __atomic_fetch_add(&b->references, 2, __ATOMIC_SEQ_CST);
    return b;
  }
  Block* copy = (Block*)malloc(b->descriptor->size);
  memcpy((void*)copy, (void*)b, b->descriptor->size);
  copy->references = 1 | 2;
  live_blocks++;
  return copy;
}
OBJC_EXPORT void _Block_release(Block* b) {
  if (!b || __atomic_sub_fetch(&b->references, 2, __ATOMIC_SEQ_CST) > 1) return;
  if (b->flags & (1 << 25) && b->descriptor->dispose) b->descriptor->dispose(b);
  live_blocks--;
  free(b);
}

// --- Foundation
id new_string(const std::string& s) {
  String* o = make<String>("NSString");
  o->members.text = s;
  return o;
}
const std::string& text_of(id s) {
  static const std::string& empty = *new std::string;
  return s ? static_cast<String*>(s)->members.text : empty;
}
void set_error(id* error, const std::string& text) {
  if (!error) return;
  Error* e = make<Error>("NSError");
  e->members.text = text;
  *error = objc_autorelease(e);
}

static id o_alloc(Class* c, SEL) { return c->create(c); }
static id o_init(id self, SEL) { return self; }
static id o_retain(id self, SEL) { return objc_retain(self); }
static void o_release(id self, SEL) { objc_release(self); }
static ObjCBool o_responds(id self, SEL, SEL s) { return find_method(self->isa, s) != nullptr; }
static id s_with_cstring(Class*, SEL, const char* p, NSUInteger encoding) {
  if (encoding != 4) problem(false, "stringWithCString: encoding %lu, the host code means UTF-8 (4)", encoding);
  return objc_autorelease(new_string(p));
}
static const char* s_utf8(id self, SEL) { return text_of(self).c_str(); }
static id e_description(id self, SEL) { return objc_autorelease(new_string(static_cast<Error*>(self)->members.text)); }
static NSInteger e_code(id self, SEL) { return static_cast<Error*>(self)->members.code; }
static id u_file(Class*, SEL, id path) {
  String* url = make<String>("NSURL");
  url->members.text = text_of(path);
  return objc_autorelease(url);
}
struct Array : Object { struct { std::vector<id> items; } members; };
static id a_with(Class*, SEL, const id* objects, NSUInteger count) {
  Array* a = make<Array>("NSArray");
  for (NSUInteger i = 0; i < count; i++) a->members.items.push_back(objc_retain(objects[i]));
  return objc_autorelease(a);
}
const std::vector<id>& items_of(id array) { return static_cast<Array*>(array)->members.items; }
static NSUInteger a_count(id self, SEL) { return static_cast<Array*>(self)->members.items.size(); }

void define_foundation() {
  define_class("NSObject", nullptr);
  define<String>("NSString");
  define<String>("NSURL");
  define<Error>("NSError");
  define<Array>("NSArray");
  define_class("__NSMallocBlock__", "NSObject");
  method("+NSObject", "alloc", o_alloc);
  method("NSObject", "init", o_init);
  method("NSObject", "retain", o_retain);
  method("NSObject", "release", o_release);
  method("NSObject", "respondsToSelector:", o_responds);
  method("+NSString", "stringWithCString:encoding:", s_with_cstring);
  method("NSString", "UTF8String", s_utf8);
  method("NSError", "localizedDescription", e_description);
  method("NSError", "code", e_code);
  method("+NSURL", "fileURLWithPath:", u_file);
  method("+NSArray", "arrayWithObjects:count:", a_with);
  method("NSArray", "count", a_count);
}

// --- what tests ask
OBJC_EXPORT long softmetal_live(const char* cls) {
  Class* c = objc_getClass(cls);
  return c ? c->live.load() : -1;
}
OBJC_EXPORT long softmetal_live_blocks() { return live_blocks; }
OBJC_EXPORT long softmetal_messages() { return messages; }
OBJC_EXPORT long softmetal_problem_count() {
  std::lock_guard<std::mutex> hold(lock);
  return problems.size();
}
OBJC_EXPORT const char* softmetal_problem(long i) {
  std::lock_guard<std::mutex> hold(lock);
  return problems[i].c_str();
}
OBJC_EXPORT void softmetal_clear_problems() {
  std::lock_guard<std::mutex> hold(lock);
  problems.clear();
}
