package generic

import (
	"reflect"
)

func init() {
	var (
		one = []int{1, 2}    // of type arguments [M, K, V]
		two = []int{2, 3}    // of [M1, M2, K, V]
		dif = []int{2, 3, 4} // of [M1, M2, K, V1, V2]
	)
	register(map[string]row{
		"maps.All":        {one, mapsAll},
		"maps.Clone":      {one, mapsClone},
		"maps.Collect":    {[]int{0, 1}, mapsCollect},
		"maps.Copy":       {two, mapsCopy},
		"maps.DeleteFunc": {one, mapsDeleteFunc},
		"maps.Equal":      {two, mapsEqual},
		"maps.EqualFunc":  {dif, mapsEqualFunc},
		"maps.Insert":     {one, mapsInsert},
		"maps.Keys":       {one, mapsKeys},
		"maps.Values":     {one, mapsValues},
	})
}

func mapsAll(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(iterator(sig.Out(0), func(yield func(...reflect.Value) bool) {
			for i := args[0].MapRange(); i.Next() && yield(i.Key(), i.Value()); {
			}
		}))
	})
}

func mapsKeys(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(iterator(sig.Out(0), func(yield func(...reflect.Value) bool) {
			for i := args[0].MapRange(); i.Next() && yield(i.Key()); {
			}
		}))
	})
}

func mapsValues(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(iterator(sig.Out(0), func(yield func(...reflect.Value) bool) {
			for i := args[0].MapRange(); i.Next() && yield(i.Value()); {
			}
		}))
	})
}

func mapsClone(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		m := args[0]
		if m.IsNil() {
			return results(m)
		}
		c := reflect.MakeMapWithSize(m.Type(), m.Len())
		copyMap(c, m)
		return results(c)
	})
}

func copyMap(dst, src reflect.Value) {
	for i := src.MapRange(); i.Next(); {
		dst.SetMapIndex(i.Key(), i.Value())
	}
}

func mapsCopy(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		copyMap(args[0], args[1])
		return nil
	})
}

func mapsCollect(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		m := reflect.MakeMap(sig.Out(0))
		for k, v := range seq2(args[0]) {
			m.SetMapIndex(k, v)
		}
		return results(m)
	})
}

func mapsInsert(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		for k, v := range seq2(args[1]) {
			args[0].SetMapIndex(k, v)
		}
		return nil
	})
}

func mapsDeleteFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		m, del := args[0], newCaller(args[1])
		for i := m.MapRange(); i.Next(); {
			if k := i.Key(); del.two(k, i.Value()).Bool() {
				m.SetMapIndex(k, reflect.Value{})
			}
		}
		return nil
	})
}

// equalMaps reports whether both have the same keys with values that eq holds
// equal.
func equalMaps(a, b reflect.Value, eq func(x, y reflect.Value) bool) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := a.MapRange(); i.Next(); {
		if v := b.MapIndex(i.Key()); !v.IsValid() || !eq(i.Value(), v) {
			return false
		}
	}
	return true
}

func mapsEqual(_ []TypeArg, sig reflect.Type) reflect.Value {
	eq := newEquality(sig.In(0).Elem())
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		return results(boolValue(equalMaps(args[0], args[1], func(x, y reflect.Value) bool {
			return eq.same(copyOf(x), copyOf(y))
		})))
	})
}

func mapsEqualFunc(_ []TypeArg, sig reflect.Type) reflect.Value {
	return makeFunc(sig, func(args []reflect.Value) []reflect.Value {
		eq := newCaller(args[2])
		return results(boolValue(equalMaps(args[0], args[1], func(x, y reflect.Value) bool {
			return eq.two(x, y).Bool()
		})))
	})
}
