package generic

import (
	"cmp"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"unsafe"
)

// anyElements links the functions that move elements and pass them on.
func anyElements[E any]() map[string]any {
	return map[string]any{
		"iter.Pull":               iter.Pull[E],
		"slices.All":              slices.All[[]E],
		"slices.AppendSeq":        slices.AppendSeq[[]E],
		"slices.Backward":         slices.Backward[[]E],
		"slices.BinarySearchFunc": slices.BinarySearchFunc[[]E, E, E],
		"slices.Chunk":            slices.Chunk[[]E],
		"slices.Clip":             slices.Clip[[]E],
		"slices.Clone":            slices.Clone[[]E],
		"slices.Collect":          slices.Collect[E],
		"slices.CompactFunc":      slices.CompactFunc[[]E],
		"slices.CompareFunc":      slices.CompareFunc[[]E, []E],
		"slices.Concat":           slices.Concat[[]E],
		"slices.ContainsFunc":     slices.ContainsFunc[[]E],
		"slices.Delete":           slices.Delete[[]E],
		"slices.DeleteFunc":       slices.DeleteFunc[[]E],
		"slices.EqualFunc":        slices.EqualFunc[[]E, []E],
		"slices.Grow":             slices.Grow[[]E],
		"slices.IndexFunc":        slices.IndexFunc[[]E],
		"slices.Insert":           slices.Insert[[]E],
		"slices.IsSortedFunc":     slices.IsSortedFunc[[]E],
		"slices.MaxFunc":          slices.MaxFunc[[]E],
		"slices.MinFunc":          slices.MinFunc[[]E],
		"slices.Repeat":           slices.Repeat[[]E],
		"slices.Replace":          slices.Replace[[]E],
		"slices.Reverse":          slices.Reverse[[]E],
		"slices.SortFunc":         slices.SortFunc[[]E],
		"slices.SortStableFunc":   slices.SortStableFunc[[]E],
		"slices.SortedFunc":       slices.SortedFunc[E],
		"slices.SortedStableFunc": slices.SortedStableFunc[E],
		"slices.Values":           slices.Values[[]E],
		"sync.OnceValue":          sync.OnceValue[E],
	}
}

// comparableOnly links what needs == on elements.
func comparableOnly[E comparable]() map[string]any {
	return map[string]any{
		"cmp.Or":          cmp.Or[E],
		"slices.Compact":  slices.Compact[[]E],
		"slices.Contains": slices.Contains[[]E],
		"slices.Equal":    slices.Equal[[]E],
		"slices.Index":    slices.Index[[]E],
	}
}

// orderedOnly links what needs < or == on elements. It is all there is for
// rare kinds; reflection does the rest for them.
func orderedOnly[E cmp.Ordered]() map[string]any {
	m := comparableOnly[E]()
	maps.Copy(m, map[string]any{
		"cmp.Compare":         cmp.Compare[E],
		"cmp.Less":            cmp.Less[E],
		"slices.BinarySearch": slices.BinarySearch[[]E],
		"slices.Compare":      slices.Compare[[]E],
		"slices.IsSorted":     slices.IsSorted[[]E],
		"slices.Max":          slices.Max[[]E],
		"slices.Min":          slices.Min[[]E],
		"slices.Sort":         slices.Sort[[]E],
		"slices.Sorted":       slices.Sorted[E],
	})
	return m
}

func comparableElements[E comparable]() map[string]any {
	m := anyElements[E]()
	maps.Copy(m, comparableOnly[E]())
	return m
}

func orderedElements[E cmp.Ordered]() map[string]any {
	m := anyElements[E]()
	maps.Copy(m, orderedOnly[E]())
	return m
}

// mapFuncs links the functions of package maps for one pair of shapes.
func mapFuncs[K, V comparable]() map[string]any {
	return map[string]any{
		"maps.All":        maps.All[map[K]V],
		"maps.Clone":      maps.Clone[map[K]V],
		"maps.Collect":    maps.Collect[K, V],
		"maps.Copy":       maps.Copy[map[K]V, map[K]V],
		"maps.DeleteFunc": maps.DeleteFunc[map[K]V],
		"maps.Equal":      maps.Equal[map[K]V, map[K]V],
		"maps.EqualFunc":  maps.EqualFunc[map[K]V, map[K]V],
		"maps.Insert":     maps.Insert[map[K]V],
		"maps.Keys":       maps.Keys[map[K]V],
		"maps.Values":     maps.Values[map[K]V],
	}
}

// linkedMaps covers the usual pairs of key and value.
var linkedMaps = map[[2]reflect.Type]func() map[string]any{}

func linkMaps[K, V comparable]() {
	pair := [2]reflect.Type{reflect.TypeFor[K](), reflect.TypeFor[V]()}
	linkedMaps[pair] = sync.OnceValue(mapFuncs[K, V])
}

func init() {
	linkMaps[string, string]()
	linkMaps[string, int64]()
	linkMaps[string, float64]()
	linkMaps[string, bool]()
	linkMaps[string, unsafe.Pointer]()
	linkMaps[string, any]()
	linkMaps[int64, string]()
	linkMaps[int64, int64]()
	linkMaps[int64, float64]()
	linkMaps[int64, bool]()
	linkMaps[int64, unsafe.Pointer]()
	linkMaps[int64, any]()
}

// randN links rand.N, whose constraint admits integers only.
var randN = map[reflect.Kind]any{
	reflect.Int8:   rand.N[int8],
	reflect.Int16:  rand.N[int16],
	reflect.Int32:  rand.N[int32],
	reflect.Int64:  rand.N[int64],
	reflect.Uint8:  rand.N[uint8],
	reflect.Uint16: rand.N[uint16],
	reflect.Uint32: rand.N[uint32],
	reflect.Uint64: rand.N[uint64],
}
