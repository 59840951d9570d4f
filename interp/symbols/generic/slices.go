package generic

import (
	"math/bits"
	"reflect"
	"sort"
)

var slice = []int{1} // of type arguments [S, E]: the element

func init() {
	register(map[string]row{
		// Elements that have < also have a shape: these are always linked.
		"slices.BinarySearch": {elems: slice},
		"slices.Compare":      {elems: slice},
		"slices.IsSorted":     {elems: slice},
		"slices.Max":          {elems: slice},
		"slices.Min":          {elems: slice},
		"slices.Sort":         {elems: slice},
		"slices.Sorted":       {elems: []int{0}},

		"slices.All":              {slice, slicesAll},
		"slices.AppendSeq":        {slice, slicesAppendSeq},
		"slices.Backward":         {slice, slicesBackward},
		"slices.BinarySearchFunc": {[]int{1, 2}, slicesBinarySearchFunc},
		"slices.Chunk":            {slice, slicesChunk},
		"slices.Clip":             {slice, slicesClip},
		"slices.Clone":            {slice, slicesClone},
		"slices.Collect":          {[]int{0}, slicesCollect},
		"slices.Compact":          {slice, slicesCompact},
		"slices.CompactFunc":      {slice, slicesCompactFunc},
		"slices.CompareFunc":      {[]int{2, 3}, slicesCompareFunc},
		"slices.Concat":           {slice, slicesConcat},
		"slices.Contains":         {slice, slicesContains},
		"slices.ContainsFunc":     {slice, slicesContainsFunc},
		"slices.Delete":           {slice, slicesDelete},
		"slices.DeleteFunc":       {slice, slicesDeleteFunc},
		"slices.Equal":            {slice, slicesEqual},
		"slices.EqualFunc":        {[]int{2, 3}, slicesEqualFunc},
		"slices.Grow":             {slice, slicesGrow},
		"slices.Index":            {slice, slicesIndex},
		"slices.IndexFunc":        {slice, slicesIndexFunc},
		"slices.Insert":           {slice, slicesInsert},
		"slices.IsSortedFunc":     {slice, slicesIsSortedFunc},
		"slices.MaxFunc":          {slice, slicesMaxFunc},
		"slices.MinFunc":          {slice, slicesMinFunc},
		"slices.Repeat":           {slice, slicesRepeat},
		"slices.Replace":          {slice, slicesReplace},
		"slices.Reverse":          {slice, slicesReverse},
		"slices.SortFunc":         {slice, slicesSortFunc},
		"slices.SortStableFunc":   {slice, slicesSortStableFunc},
		"slices.SortedFunc":       {[]int{0}, slicesSortedFunc},
		"slices.SortedStableFunc": {[]int{0}, slicesSortedStableFunc},
		"slices.Values":           {slice, slicesValues},
	})
}

// likeness is a slice of the same length and capacity that takes no memory: to
// slice it panics as to slice s does.
func likeness(s reflect.Value) []struct{} { return make([]struct{}, s.Len(), s.Cap()) }

func slicesAll(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(iterator(sig.Out(0), func(yield func(...reflect.Value) bool) {
			for i := range args[0].Len() {
				if !yield(intValue(i), args[0].Index(i)) {
					return
				}
			}
		}))
	})
}

func slicesBackward(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(iterator(sig.Out(0), func(yield func(...reflect.Value) bool) {
			for i := args[0].Len() - 1; i >= 0; i-- {
				if !yield(intValue(i), args[0].Index(i)) {
					return
				}
			}
		}))
	})
}

func slicesValues(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(iterator(sig.Out(0), func(yield func(...reflect.Value) bool) {
			for i := range args[0].Len() {
				if !yield(args[0].Index(i)) {
					return
				}
			}
		}))
	})
}

func slicesChunk(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s, n := args[0], int(args[1].Int())
		if n < 1 {
			panic("cannot be less than 1")
		}
		return results(iterator(sig.Out(0), func(yield func(...reflect.Value) bool) {
			for i := 0; i < s.Len(); i += n {
				end := i + min(n, s.Len()-i)
				if !yield(s.Slice3(i, end, end)) {
					return
				}
			}
		}))
	})
}

// collect appends what a sequence yields.
func collect(s, from reflect.Value) reflect.Value {
	for v := range seq(from) {
		s = reflect.Append(s, v)
	}
	return s
}

func slicesAppendSeq(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(collect(args[0], args[1]))
	})
}

func slicesCollect(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(collect(reflect.Zero(sig.Out(0)), args[0]))
	})
}

func slicesClip(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		n := args[0].Len()
		return results(args[0].Slice3(0, n, n))
	})
}

func slicesClone(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s := args[0]
		if s.IsNil() {
			return results(s)
		}
		return results(reflect.AppendSlice(reflect.MakeSlice(s.Type(), 0, 0), s))
	})
}

func slicesConcat(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		all := args[0]
		size := 0
		for i := range all.Len() {
			size += all.Index(i).Len()
			if size < 0 {
				panic("len out of range")
			}
		}
		s := grow(reflect.Zero(sig.Out(0)), size)
		for i := range all.Len() {
			s = reflect.AppendSlice(s, all.Index(i))
		}
		return results(s)
	})
}

// grow returns s with room for n more elements.
func grow(s reflect.Value, n int) reflect.Value {
	if n < 0 {
		panic("cannot be negative")
	}
	if n -= s.Cap() - s.Len(); n > 0 {
		full := s.Slice(0, s.Cap())
		return reflect.AppendSlice(full, reflect.MakeSlice(s.Type(), n, n)).Slice(0, s.Len())
	}
	return s
}

func slicesGrow(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(grow(args[0], int(args[1].Int())))
	})
}

func slicesRepeat(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s, count := args[0], int(args[1].Int())
		if count < 0 {
			panic("cannot be negative")
		}
		hi, lo := bits.Mul(uint(s.Len()), uint(count))
		if hi > 0 || lo > ^uint(0)>>1 {
			panic("the result of (len(x) * count) overflows")
		}
		out := reflect.MakeSlice(s.Type(), int(lo), int(lo))
		for n := reflect.Copy(out, s); n < out.Len(); {
			n += reflect.Copy(out.Slice(n, out.Len()), out.Slice(0, n))
		}
		return results(out)
	})
}

func slicesReverse(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		reverse(args[0])
		return nil
	})
}

func reverse(s reflect.Value) {
	swap := reflect.Swapper(s.Interface())
	for i, j := 0, s.Len()-1; i < j; i, j = i+1, j-1 {
		swap(i, j)
	}
}

// insert puts v into s at i. v may overlap s, so it is copied first where the
// result does not get new memory.
func insert(s reflect.Value, i int, v reflect.Value) reflect.Value {
	_ = likeness(s)[i:]
	n, m := s.Len(), v.Len()
	if m == 0 {
		return s
	}
	if i == n {
		return reflect.AppendSlice(s, v)
	}
	if n+m > s.Cap() {
		out := reflect.AppendSlice(s.Slice(0, i), reflect.MakeSlice(s.Type(), n+m-i, n+m-i))
		reflect.Copy(out.Slice(i, n+m), v)
		reflect.Copy(out.Slice(i+m, n+m), s.Slice(i, n))
		return out
	}
	v = detached(v)
	s = s.Slice(0, n+m)
	reflect.Copy(s.Slice(i+m, n+m), s.Slice(i, n))
	reflect.Copy(s.Slice(i, n+m), v)
	return s
}

func detached(s reflect.Value) reflect.Value {
	return reflect.AppendSlice(reflect.Zero(s.Type()), s)
}

func slicesInsert(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(insert(args[0], int(args[1].Int()), args[2]))
	})
}

func slicesReplace(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s, i, j, v := args[0], int(args[1].Int()), int(args[2].Int()), args[3]
		_ = likeness(s)[i:j]
		if i == j {
			return results(insert(s, i, v))
		}
		n := s.Len()
		if j == n {
			out := reflect.AppendSlice(s.Slice(0, i), v)
			if out.Len() < n {
				s.Slice(out.Len(), n).Clear()
			}
			return results(out)
		}
		_ = likeness(s)[j:]
		total := i + v.Len() + n - j
		if total > s.Cap() {
			out := reflect.AppendSlice(s.Slice(0, i), reflect.MakeSlice(s.Type(), total-i, total-i))
			reflect.Copy(out.Slice(i, total), v)
			reflect.Copy(out.Slice(i+v.Len(), total), s.Slice(j, n))
			return results(out)
		}
		v = detached(v)
		out := s.Slice(0, total)
		reflect.Copy(out.Slice(i+v.Len(), total), s.Slice(j, n))
		reflect.Copy(out.Slice(i, total), v)
		if total < n {
			s.Slice(total, n).Clear()
		}
		return results(out)
	})
}

func slicesDelete(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s, i, j := args[0], int(args[1].Int()), int(args[2].Int())
		_ = likeness(s)[i:j:s.Len()]
		if i == j {
			return results(s)
		}
		out := reflect.AppendSlice(s.Slice(0, i), s.Slice(j, s.Len()))
		s.Slice(out.Len(), s.Len()).Clear()
		return results(out)
	})
}

func slicesDeleteFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s, del := args[0], newCaller(args[1])
		i := 0
		for i < s.Len() && !del.one(s.Index(i)).Bool() {
			i++
		}
		if i == s.Len() {
			return results(s)
		}
		for j := i + 1; j < s.Len(); j++ {
			if v := copyOf(s.Index(j)); !del.one(v).Bool() {
				s.Index(i).Set(v)
				i++
			}
		}
		s.Slice(i, s.Len()).Clear()
		return results(s.Slice(0, i))
	})
}

// compact keeps the first of each run of elements that are equal to their
// predecessor.
func compact(s reflect.Value, eq func(a, b reflect.Value) bool) reflect.Value {
	n := s.Len()
	for k := 1; k < n; k++ {
		if !eq(s.Index(k), s.Index(k-1)) {
			continue
		}
		for from := k + 1; from < n; from++ {
			if !eq(s.Index(from), s.Index(from-1)) {
				s.Index(k).Set(s.Index(from))
				k++
			}
		}
		s.Slice(k, n).Clear()
		return s.Slice(0, k)
	}
	return s
}

func slicesCompact(_ []TypeArg, sig reflect.Type) reflect.Value {
	eq := newEquality(sig.In(0).Elem())
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(compact(args[0], eq.same))
	})
}

func slicesCompactFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		eq := newCaller(args[1])
		return results(compact(args[0], func(a, b reflect.Value) bool { return eq.two(a, b).Bool() }))
	})
}

func index(s, v reflect.Value, eq equality) int {
	v = copyOf(v)
	for i := range s.Len() {
		if eq.same(v, s.Index(i)) {
			return i
		}
	}
	return -1
}

func slicesIndex(_ []TypeArg, sig reflect.Type) reflect.Value {
	eq := newEquality(sig.In(1))
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(intValue(index(args[0], args[1], eq)))
	})
}

func slicesContains(_ []TypeArg, sig reflect.Type) reflect.Value {
	eq := newEquality(sig.In(1))
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(boolValue(index(args[0], args[1], eq) >= 0))
	})
}

func indexFunc(s, f reflect.Value) int {
	c := newCaller(f)
	for i := range s.Len() {
		if c.one(s.Index(i)).Bool() {
			return i
		}
	}
	return -1
}

func slicesIndexFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(intValue(indexFunc(args[0], args[1])))
	})
}

func slicesContainsFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(boolValue(indexFunc(args[0], args[1]) >= 0))
	})
}

func slicesEqual(_ []TypeArg, sig reflect.Type) reflect.Value {
	eq := newEquality(sig.In(0).Elem())
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		a, b := args[0], args[1]
		if a.Len() != b.Len() {
			return results(boolValue(false))
		}
		for i := range a.Len() {
			if !eq.same(a.Index(i), b.Index(i)) {
				return results(boolValue(false))
			}
		}
		return results(boolValue(true))
	})
}

func slicesEqualFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		a, b, eq := args[0], args[1], newCaller(args[2])
		if a.Len() != b.Len() {
			return results(boolValue(false))
		}
		for i := range a.Len() {
			if !eq.two(a.Index(i), b.Index(i)).Bool() {
				return results(boolValue(false))
			}
		}
		return results(boolValue(true))
	})
}

func slicesCompareFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		a, b, cmp := args[0], args[1], newCaller(args[2])
		for i := range a.Len() {
			if i >= b.Len() {
				return results(intValue(1))
			}
			if c := cmp.two(a.Index(i), b.Index(i)).Int(); c != 0 {
				return results(intValue(int(c)))
			}
		}
		if a.Len() < b.Len() {
			return results(intValue(-1))
		}
		return results(intValue(0))
	})
}

func slicesBinarySearchFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s, target, cmp := args[0], args[1], newCaller(args[2])
		i := sort.Search(s.Len(), func(i int) bool { return cmp.two(s.Index(i), target).Int() >= 0 })
		return results(intValue(i), boolValue(i < s.Len() && cmp.two(s.Index(i), target).Int() == 0))
	})
}

func slicesIsSortedFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s, cmp := args[0], newCaller(args[1])
		for i := s.Len() - 1; i > 0; i-- {
			if cmp.two(s.Index(i), s.Index(i-1)).Int() < 0 {
				return results(boolValue(false))
			}
		}
		return results(boolValue(true))
	})
}

// extreme finds the first element that none other comes before, where before
// is decided by the sign of cmp.
func extreme(name string, sig reflect.Type, sign int64) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s, cmp := args[0], newCaller(args[1])
		if s.Len() < 1 {
			panic(name + ": empty list")
		}
		m := copyOf(s.Index(0))
		for i := 1; i < s.Len(); i++ {
			if cmp.two(s.Index(i), m).Int()*sign > 0 {
				m = copyOf(s.Index(i))
			}
		}
		return results(m)
	})
}

func slicesMaxFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return extreme("slices.MaxFunc", sig, 1)
}

func slicesMinFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return extreme("slices.MinFunc", sig, -1)
}

// byCallback sorts a slice of any type. Package sort runs the same algorithms
// as package slices, so that even elements that compare equal end up in the
// same order.
type byCallback struct {
	s    reflect.Value
	cmp  *caller
	swap func(i, j int)
}

func newByCallback(s, cmp reflect.Value) byCallback {
	return byCallback{s, newCaller(cmp), reflect.Swapper(s.Interface())}
}

func (b byCallback) Len() int           { return b.s.Len() }
func (b byCallback) Swap(i, j int)      { b.swap(i, j) }
func (b byCallback) Less(i, j int) bool { return b.cmp.two(b.s.Index(i), b.s.Index(j)).Int() < 0 }

func slicesSortFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		sort.Sort(newByCallback(args[0], args[1]))
		return nil
	})
}

func slicesSortStableFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		sort.Stable(newByCallback(args[0], args[1]))
		return nil
	})
}

func slicesSortedFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s := collect(reflect.Zero(sig.Out(0)), args[0])
		sort.Sort(newByCallback(s, args[1]))
		return results(s)
	})
}

func slicesSortedStableFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		s := collect(reflect.Zero(sig.Out(0)), args[0])
		sort.Stable(newByCallback(s, args[1]))
		return results(s)
	})
}
