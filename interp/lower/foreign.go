package lower

import (
	"go/types"
	"reflect"
	"unsafe"

	"loris/interp/native"
	"loris/interp/run"
)

// nativeCallee calls a compiled function.
func (c *compiler) nativeCallee(name string, fn reflect.Value, recv *value, sig *types.Signature) callee {
	var rt types.Type
	if recv != nil {
		rt = recv.typ
	}
	cv := c.p.convention(rt, sig)
	code := run.NewCode(name)
	code.Hidden = true
	code.Params, code.Results = cv.params, cv.results
	var l native.Layout
	l.Place(run.FrameType)
	for _, s := range append(append([]run.Slot{}, cv.params...), cv.results...) {
		l.Place(s.Type)
	}
	code.Layout = l.Type()
	if special, ok := c.p.Special[name]; ok {
		code.Body = func(f *frame) {
			out := special(f.Thread, loadArgs(f, cv.params))
			storeResults(f, cv.results, out)
			f.Check()
		}
	} else if body := directCall(fn, cv); body != nil {
		code.Body = body
	} else {
		code.Body = reflectCall(fn, cv, sig.Variadic())
	}
	return callee{sig: sig, recv: recv, enter: func(f *frame) *frame { return f.Thread.NewFrame(code) }}
}

func loadArgs(f *frame, params []run.Slot) []reflect.Value {
	in := make([]reflect.Value, len(params))
	for i, p := range params {
		in[i] = native.Value(p.Type, f.At(p.Off))
	}
	return in
}

func storeResults(f *frame, results []run.Slot, out []reflect.Value) {
	for i, r := range results {
		native.Value(r.Type, f.At(r.Off)).Set(out[i])
	}
}

func reflectCall(fn reflect.Value, cv convention, variadic bool) func(*frame) {
	return func(f *frame) {
		in := loadArgs(f, cv.params)
		var out []reflect.Value
		if variadic {
			out = fn.CallSlice(in)
		} else {
			out = fn.Call(in)
		}
		storeResults(f, cv.results, out)
		f.Check()
	}
}

// valueAdapter is code that calls the compiled func value in its closure.
func (p *Program) valueAdapter(sig *types.Signature) *run.Code {
	cv := p.convention(nil, sig)
	code := run.NewCode("func")
	code.Hidden = true
	code.Params, code.Results = cv.params, cv.results
	var l native.Layout
	l.Place(run.FrameType)
	for _, s := range append(append([]run.Slot{}, cv.params...), cv.results...) {
		l.Place(s.Type)
	}
	code.Layout = l.Type()
	rt := p.rtype(sig)
	variadic := sig.Variadic()
	code.Body = func(f *frame) {
		fn := native.Value(rt, unsafe.Pointer(&f.Closure.Captured[0]))
		reflectCall(fn, cv, variadic)(f)
	}
	return code
}

// nativeWordMethod calls a method of a compiled type on an interface's word.
func (p *Program) nativeWordMethod(dt *native.Type, name string, sig *types.Signature) *run.Code {
	cv := p.convention(types.Typ[types.UnsafePointer], sig)
	code := run.NewCode(name)
	code.Hidden = true
	code.Params, code.Results = cv.params, cv.results
	var l native.Layout
	l.Place(run.FrameType)
	for _, s := range append(append([]run.Slot{}, cv.params...), cv.results...) {
		l.Place(s.Type)
	}
	code.Layout = l.Type()
	m, ok := dt.Reflect().MethodByName(name)
	if !ok {
		panic(runtimeError("method " + name + " of " + dt.Reflect().String() + " cannot be called from a cell"))
	}
	variadic := sig.Variadic()
	word := cv.params[0].Off
	rest := cv.params[1:]
	code.Body = func(f *frame) {
		x := native.Iface{Tab: unsafe.Pointer(dt), Data: *(*unsafe.Pointer)(f.At(word))}
		fn := reflect.ValueOf(*(*any)(unsafe.Pointer(&x))).Method(m.Index)
		in := loadArgs(f, rest)
		var out []reflect.Value
		if variadic {
			out = fn.CallSlice(in)
		} else {
			out = fn.Call(in)
		}
		storeResults(f, cv.results, out)
		f.Check()
	}
	return code
}

func arg[T any](f *frame, s run.Slot) T { return *(*T)(f.At(s.Off)) }

func ret[T any](f *frame, s run.Slot, x T) { *(*T)(f.At(s.Off)) = x }

// directCall calls functions of common signatures without reflection.
func directCall(fn reflect.Value, cv convention) func(*frame) {
	p, r := cv.params, cv.results
	switch fn := fn.Interface().(type) {
	case func():
		return func(f *frame) { fn(); f.Check() }
	case func(float64) float64:
		return func(f *frame) { ret(f, r[0], fn(arg[float64](f, p[0]))) }
	case func(float64, float64) float64:
		return func(f *frame) { ret(f, r[0], fn(arg[float64](f, p[0]), arg[float64](f, p[1]))) }
	case func(string) string:
		return func(f *frame) { ret(f, r[0], fn(arg[string](f, p[0]))) }
	case func(string, string) bool:
		return func(f *frame) { ret(f, r[0], fn(arg[string](f, p[0]), arg[string](f, p[1]))) }
	case func(string, string) string:
		return func(f *frame) { ret(f, r[0], fn(arg[string](f, p[0]), arg[string](f, p[1]))) }
	case func(string, string) int:
		return func(f *frame) { ret(f, r[0], fn(arg[string](f, p[0]), arg[string](f, p[1]))) }
	case func(string, string) []string:
		return func(f *frame) { ret(f, r[0], fn(arg[string](f, p[0]), arg[string](f, p[1]))) }
	case func(int) string:
		return func(f *frame) { ret(f, r[0], fn(arg[int](f, p[0]))) }
	case func(int) int:
		return func(f *frame) { ret(f, r[0], fn(arg[int](f, p[0]))) }
	case func(string) (int, error):
		return func(f *frame) {
			n, err := fn(arg[string](f, p[0]))
			ret(f, r[0], n)
			ret(f, r[1], err)
		}
	case func(string, ...any) string:
		return func(f *frame) { ret(f, r[0], fn(arg[string](f, p[0]), arg[[]any](f, p[1])...)); f.Check() }
	case func(string, ...any) error:
		return func(f *frame) { ret(f, r[0], fn(arg[string](f, p[0]), arg[[]any](f, p[1])...)); f.Check() }
	case func(...any) string:
		return func(f *frame) { ret(f, r[0], fn(arg[[]any](f, p[0])...)); f.Check() }
	case func(string) error:
		return func(f *frame) { ret(f, r[0], fn(arg[string](f, p[0]))) }
	case func(uint64) int:
		return func(f *frame) { ret(f, r[0], fn(arg[uint64](f, p[0]))) }
	}
	return nil
}
