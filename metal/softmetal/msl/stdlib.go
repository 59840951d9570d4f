package msl

import (
	"fmt"
	"strings"
)

// StrictHeader declares MSL's types and library for the type check: exactly MSL's overloads, one per type and
// address space, so that a call that Apple's compiler would find ambiguous is ambiguous here.
func StrictHeader() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	integers := []string{"char", "uchar", "short", "ushort", "int", "uint", "long", "ulong"}
	floats := []string{"half", "float"}
	vectors := func(types ...string) (all []string) {
		for _, t := range types {
			for _, n := range []string{"", "2", "3", "4"} {
				all = append(all, t+n)
			}
		}
		return all
	}
	// declare writes one overload per type, each with n arguments of that type.
	declare := func(names string, n int, types []string) {
		for _, name := range strings.Fields(names) {
			for _, t := range types {
				p("%s %s(%s);", t, name, strings.TrimSuffix(strings.Repeat(t+", ", n), ", "))
			}
		}
	}
	p("#pragma OPENCL EXTENSION cl_khr_fp16 : enable")
	p("typedef unsigned char uchar; typedef unsigned short ushort; typedef unsigned int uint; typedef unsigned long ulong; typedef __bf16 bfloat;")
	p("typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned int uint32_t; typedef unsigned long uint64_t; typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long int64_t; typedef unsigned long size_t;")
	for _, t := range append(append([]string{}, integers...), floats...) {
		for n := 2; n <= 4; n++ {
			p("typedef %s %s%d __attribute__((ext_vector_type(%d)));", t, t, n, n)
		}
	}
	for n := 2; n <= 4; n++ {
		p("typedef int%d bool%d;", n, n)
	}
	p("#define atomic_int metal_atomic_int\n#define atomic_uint metal_atomic_uint\n#define atomic_float metal_atomic_float") // OpenCL has its own
	p("namespace metal {")
	p("template<class T, int N> using vec = T __attribute__((ext_vector_type(N)));")
	p("template<class T> struct vector_of { static constexpr int size = 1; }; template<class T, int N> struct vector_of<T __attribute__((ext_vector_type(N)))> { static constexpr int size = N; };")
	p("template<class T> struct packed4 { T element[4]; }; template<class T> struct vector_of<packed4<T>> { static constexpr int size = 4; };")
	p(`template<class T, int N, class... A> vec<T,N> make_vector(A... a) { static_assert((sizeof...(A) == 1 && (vector_of<A>::size + ...) == 1) || (vector_of<A>::size + ...) == N, "wrong number of components for a vector constructor"); return vec<T,N>{}; }`)
	for _, space := range []string{"", "fast", "precise"} {
		if space != "" {
			p("namespace %s {", space)
		}
		declare("exp exp2 exp10 log log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sqrt rsqrt floor ceil round rint trunc fract saturate fabs sign abs", 1, vectors(floats...))
		declare("pow powr atan2 fmod fmax fmin max min copysign divide fdim step nextafter", 2, vectors(floats...))
		declare("fma clamp mix smoothstep", 3, vectors(floats...))
		if space != "" {
			p("}")
		}
	}
	declare("abs popcount clz ctz reverse_bits", 1, vectors(integers...))
	declare("max min mulhi rotate addsat subsat absdiff", 2, vectors(integers...))
	declare("clamp", 3, vectors(integers...))
	for _, t := range vectors(floats...) {
		result := "bool" + strings.TrimLeft(strings.TrimLeft(t, "halfot"), "")
		p("%s isnan(%s); %s isinf(%s); %s isfinite(%s); %s signbit(%s);", result, t, result, t, result, t, result, t)
	}
	for _, t := range vectors(append(append([]string{}, integers...), floats...)...) {
		p("%s select(%s, %s, bool%s);", t, t, t, lastDigit(t))
	}
	for _, t := range floats {
		for n := 2; n <= 4; n++ {
			p("%s dot(%s%d, %s%d); %s length(%s%d); %s length_squared(%s%d);", t, t, n, t, n, t, t, n, t, t, n)
		}
	}
	p("bool all(bool2); bool all(bool3); bool all(bool4); bool any(bool2); bool any(bool3); bool any(bool4);")
	simd := vectors("char", "uchar", "short", "ushort", "int", "uint", "half", "float") // no 64-bit types
	declare("simd_sum simd_product simd_max simd_min simd_prefix_inclusive_sum simd_prefix_exclusive_sum simd_broadcast_first", 1, simd)
	declare("simd_and simd_or simd_xor", 1, vectors("char", "uchar", "short", "ushort", "int", "uint"))
	for _, name := range strings.Fields("simd_shuffle simd_shuffle_xor simd_shuffle_up simd_shuffle_down simd_shuffle_rotate_up simd_shuffle_rotate_down simd_broadcast") {
		for _, t := range simd {
			p("%s %s(%s, ushort);", t, name, t)
		}
	}
	p("bool simd_all(bool); bool simd_any(bool); bool simd_is_first();")
	p("enum class mem_flags { mem_none, mem_device, mem_threadgroup, mem_texture }; mem_flags operator|(mem_flags, mem_flags); void threadgroup_barrier(mem_flags); void simdgroup_barrier(mem_flags); enum memory_order { memory_order_relaxed };")
	p("template<class T> struct matrix_element { static constexpr bool ok = false; }; template<> struct matrix_element<float> { static constexpr bool ok = true; }; template<> struct matrix_element<half> { static constexpr bool ok = true; }; template<> struct matrix_element<bfloat> { static constexpr bool ok = true; };")
	p("template<class T, int C, int R> struct simdgroup_matrix { static_assert(C == 8 && R == 8 && matrix_element<T>::ok); simdgroup_matrix() = default; explicit simdgroup_matrix(T); T element; };")
	p("typedef simdgroup_matrix<float,8,8> simdgroup_float8x8; typedef simdgroup_matrix<half,8,8> simdgroup_half8x8; typedef simdgroup_matrix<bfloat,8,8> simdgroup_bfloat8x8;")
	for _, space := range []string{"__global", "__local"} {
		p("template<class T> void simdgroup_load(__private simdgroup_matrix<T,8,8>& d, const %s T* s, ulong stride = 8, ulong2 origin = 0, bool transposed = false);", space)
		p("template<class T> void simdgroup_store(simdgroup_matrix<T,8,8> d, %s T* s, ulong stride = 8, ulong2 origin = 0, bool transposed = false);", space)
	}
	p("template<class T, int C, int R> simdgroup_matrix<T,C,R> make_filled_simdgroup_matrix(T v); template<class D, class A, class B, class C> void simdgroup_multiply_accumulate(__private simdgroup_matrix<D,8,8>& d, simdgroup_matrix<A,8,8> a, simdgroup_matrix<B,8,8> b, simdgroup_matrix<C,8,8> c); template<class D, class A, class B> void simdgroup_multiply(__private simdgroup_matrix<D,8,8>& d, simdgroup_matrix<A,8,8> a, simdgroup_matrix<B,8,8> b);")
	for _, t := range []string{"int", "uint", "float"} {
		p("struct atomic_%s { %s value; };", t, t)
		for _, space := range []string{"__global", "__local"} {
			p("%[2]s atomic_load_explicit(const volatile %[1]s atomic_%[2]s*, memory_order); void atomic_store_explicit(volatile %[1]s atomic_%[2]s*, %[2]s, memory_order); %[2]s atomic_exchange_explicit(volatile %[1]s atomic_%[2]s*, %[2]s, memory_order); bool atomic_compare_exchange_weak_explicit(volatile %[1]s atomic_%[2]s*, __private %[2]s*, %[2]s, memory_order, memory_order); %[2]s atomic_fetch_add_explicit(volatile %[1]s atomic_%[2]s*, %[2]s, memory_order); %[2]s atomic_fetch_sub_explicit(volatile %[1]s atomic_%[2]s*, %[2]s, memory_order);", space, t)
			if t != "float" {
				for _, name := range []string{"max", "min", "and", "or", "xor"} {
					p("%[2]s atomic_fetch_%[3]s_explicit(volatile %[1]s atomic_%[2]s*, %[2]s, memory_order);", space, t, name)
				}
			}
		}
	}
	p("template<class D, class S> D as_type(S s) { static_assert(sizeof(D) == sizeof(S)); return __builtin_bit_cast(D, s); }")
	p("}\nusing metal::as_type; typedef metal::packed4<float> packed_float4; typedef metal::packed4<half> packed_half4; typedef metal::packed4<bfloat> packed_bfloat4;")
	return b.String()
}

func lastDigit(t string) string {
	if c := t[len(t)-1]; c >= '2' && c <= '4' {
		return string(c)
	}
	return ""
}
