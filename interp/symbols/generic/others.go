package generic

import (
	"crypto/hkdf"
	"crypto/pbkdf2"
	"database/sql"
	"database/sql/driver"
	"errors"
	"hash"
	"hash/maphash"
	"iter"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"unique"
	"unsafe"
	"weak"
)

func init() {
	first := []int{0}
	register(map[string]row{
		"cmp.Compare": {elems: first},
		"cmp.Less":    {elems: first},
		"cmp.Or":      {first, cmpOr},

		"iter.Pull":  {first, iterPull},
		"iter.Pull2": {nil, iterPull2},

		"math/rand/v2.N": {nil, randomN},

		"sync.OnceValue":  {first, syncOnceValue},
		"sync.OnceValues": {nil, syncOnceValues},

		"sync/atomic.Pointer.Load":           {nil, pointers((*atomic.Pointer[byte]).Load)},
		"sync/atomic.Pointer.Store":          {nil, pointers((*atomic.Pointer[byte]).Store)},
		"sync/atomic.Pointer.Swap":           {nil, pointers((*atomic.Pointer[byte]).Swap)},
		"sync/atomic.Pointer.CompareAndSwap": {nil, pointers((*atomic.Pointer[byte]).CompareAndSwap)},

		"weak.Make":          {nil, pointers(weak.Make[byte])},
		"weak.Pointer.Value": {nil, pointers(weak.Pointer[byte].Value)},

		"unique.Make":         {nil, uniqueMake},
		"unique.Handle.Value": {nil, uniqueValue},

		"hash/maphash.Comparable":      {nil, maphashComparable},
		"hash/maphash.WriteComparable": {nil, maphashWriteComparable},

		"errors.AsType":      {nil, errorsAsType},
		"reflect.TypeFor":    {nil, reflectTypeFor},
		"reflect.TypeAssert": {nil, reflectTypeAssert},
		"runtime.AddCleanup": {nil, runtimeAddCleanup},

		"database/sql.Null.Scan":  {nil, sqlNullScan},
		"database/sql.Null.Value": {nil, sqlNullValue},

		"crypto/hkdf.Expand":  {nil, hkdfExpand},
		"crypto/hkdf.Extract": {nil, hkdfExtract},
		"crypto/hkdf.Key":     {nil, hkdfKey},
		"crypto/pbkdf2.Key":   {nil, pbkdf2Key},
	})
}

// pointers serves functions whose types hold T only behind a pointer: one
// instance fits all.
func pointers(fn any) func([]TypeArg, reflect.Type) reflect.Value {
	return func(_ []TypeArg, sig reflect.Type) (v reflect.Value) {
		if sameShape(reflect.TypeOf(fn), sig) {
			v = retype(fn, sig)
		}
		return v
	}
}

func cmpOr(_ []TypeArg, sig reflect.Type) reflect.Value {
	eq := newEquality(sig.Out(0))
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		zero := reflect.New(sig.Out(0)).Elem()
		for i := range args[0].Len() {
			if v := args[0].Index(i); !eq.same(v, zero) {
				return results(v)
			}
		}
		return results(zero)
	})
}

func iterPull(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		next, stop := iter.Pull(seq(args[0]))
		zero := reflect.Zero(sig.Out(0).Out(0))
		return results(makeFunc(sig.Out(0), func([]reflect.Value) []reflect.Value {
			v, ok := next()
			if !ok {
				v = zero
			}
			return results(v, boolValue(ok))
		}), reflect.ValueOf(stop))
	})
}

func iterPull2(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		next, stop := iter.Pull2(seq2(args[0]))
		zeroK, zeroV := reflect.Zero(sig.Out(0).Out(0)), reflect.Zero(sig.Out(0).Out(1))
		return results(makeFunc(sig.Out(0), func([]reflect.Value) []reflect.Value {
			k, v, ok := next()
			if !ok {
				k, v = zeroK, zeroV
			}
			return results(k, v, boolValue(ok))
		}), reflect.ValueOf(stop))
	})
}

func randomN(_ []TypeArg, sig reflect.Type) (v reflect.Value) {
	if fn := randN[shapeKind(sig.In(0))]; fn != nil {
		v = retype(fn, sig)
	}
	return v
}

func syncOnceValue(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		once := sync.OnceValue(func() []reflect.Value { return call(args[0], nil) })
		return results(makeFunc(sig.Out(0), func([]reflect.Value) []reflect.Value { return once() }))
	})
}

// OnceValues over two results is OnceValue over their list.
func syncOnceValues(targs []TypeArg, sig reflect.Type) reflect.Value {
	return syncOnceValue(targs, sig)
}

// A handle is one pointer. Ours points to the canonical copy of an interface
// value that holds the true value, which is as unique.
func uniqueMake(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		h := unique.Make(targs[0].box(args[0]))
		return results(reflect.NewAt(sig.Out(0), unsafe.Pointer(&h)).Elem())
	})
}

func uniqueValue(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		p := reflect.New(sig.In(0))
		p.Elem().Set(args[0])
		return results(targs[0].unbox((*unique.Handle[any])(p.UnsafePointer()).Value()))
	})
}

func maphashComparable(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		seed := args[0].Interface().(maphash.Seed)
		return results(reflect.ValueOf(maphash.Comparable(seed, targs[0].box(args[1]))))
	})
}

func maphashWriteComparable(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		maphash.WriteComparable(args[0].Interface().(*maphash.Hash), targs[0].box(args[1]))
		return nil
	})
}

func errorsAsType(targs []TypeArg, sig reflect.Type) reflect.Value {
	t := targs[0]
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		target := reflect.New(t.True)
		err, _ := args[0].Interface().(error)
		if !errors.As(err, target.Interface()) {
			return results(reflect.Zero(t.Rep), boolValue(false))
		}
		if t.Rep.Kind() == reflect.Interface {
			return results(t.unbox(target.Elem().Interface()), boolValue(true))
		}
		return results(reflect.NewAt(t.Rep, target.UnsafePointer()).Elem(), boolValue(true))
	})
}

func reflectTypeFor(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func([]reflect.Value) []reflect.Value {
		v := reflect.New(sig.Out(0)).Elem()
		v.Set(reflect.ValueOf(targs[0].True))
		return results(v)
	})
}

func reflectTypeAssert(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		x, _ := reflect.TypeAssert[any](args[0].Interface().(reflect.Value))
		v, ok := targs[0].assert(x)
		return results(v, boolValue(ok))
	})
}

// runtimeAddCleanup passes the argument in a closure, so the checks that it
// does not keep ptr alive are made here.
func runtimeAddCleanup(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		ptr, cleanup, arg := args[0].UnsafePointer(), args[1], copyOf(args[2])
		if k := arg.Kind(); ptr != nil && (k == reflect.Pointer || k == reflect.UnsafePointer) {
			p, size := uintptr(arg.UnsafePointer()), args[0].Type().Elem().Size()
			if p == uintptr(ptr) {
				panic("runtime.AddCleanup: ptr is equal to arg, cleanup will never run")
			}
			if p > uintptr(ptr) && p < uintptr(ptr)+size {
				panic("runtime.AddCleanup: ptr is within arg, cleanup will never run")
			}
		}
		c := runtime.AddCleanup((*byte)(ptr), func(arg reflect.Value) {
			call(cleanup, []reflect.Value{arg})
		}, arg)
		return results(reflect.ValueOf(c))
	})
}

//go:linkname convertAssign database/sql.convertAssign
func convertAssign(dest, src any) error

// sqlNullScan is func(n *Null[T], value any) error.
func sqlNullScan(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		v, valid := args[0].Elem().Field(0), args[0].Elem().Field(1)
		if args[1].IsNil() {
			v.SetZero()
			valid.SetBool(false)
			return results(reflect.Zero(sig.Out(0)))
		}
		valid.SetBool(true)
		dest := reflect.NewAt(targs[0].True, v.Addr().UnsafePointer()).Interface()
		return results(errorValue(convertAssign(dest, args[1].Interface())))
	})
}

// sqlNullValue is func(n Null[T]) (driver.Value, error).
func sqlNullValue(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		n := sql.Null[any]{Valid: args[0].Field(1).Bool()}
		if n.Valid {
			n.V = targs[0].box(args[0].Field(0))
		}
		v, err := n.Value()
		out := reflect.New(reflect.TypeFor[driver.Value]()).Elem()
		if v != nil {
			out.Set(reflect.ValueOf(v))
		}
		return results(out, errorValue(err))
	})
}

func errorValue(err error) reflect.Value {
	v := reflect.New(errorShape).Elem()
	if err != nil {
		v.Set(reflect.ValueOf(err))
	}
	return v
}

// hashes turns a func() H into a func() hash.Hash.
func hashes(t TypeArg, fn reflect.Value) func() hash.Hash {
	return func() hash.Hash { return t.box(call(fn, nil)[0]).(hash.Hash) }
}

func bytesResult(b []byte, err error) []reflect.Value {
	return results(reflect.ValueOf(b), errorValue(err))
}

func hkdfExpand(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return bytesResult(hkdf.Expand(hashes(targs[0], args[0]), args[1].Bytes(), args[2].String(), int(args[3].Int())))
	})
}

func hkdfExtract(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return bytesResult(hkdf.Extract(hashes(targs[0], args[0]), args[1].Bytes(), args[2].Bytes()))
	})
}

func hkdfKey(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return bytesResult(hkdf.Key(hashes(targs[0], args[0]), args[1].Bytes(), args[2].Bytes(), args[3].String(), int(args[4].Int())))
	})
}

func pbkdf2Key(targs []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return bytesResult(pbkdf2.Key(hashes(targs[0], args[0]), args[1].String(), args[2].Bytes(), int(args[3].Int()), int(args[4].Int())))
	})
}
