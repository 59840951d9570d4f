package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

type Box[T any] struct{ v T }
type Two[A, B any] map[string]A
type Company struct{ Name string }
type many int
type If interface {
	io.Reader
	foo(many, ...Company) (n int, err error)
	Bar() any
}
type Fn func(any, ...Company) many

func show[T any]() {
	var p *T
	fmt.Printf("%T\n", p)
	var b *Box[T]
	fmt.Printf("%T\n", b)
}

func local() {
	type loc struct{ a int }
	type Pair[X any] struct{ a X }
	show[loc]()
	show[map[string][]loc]()
	show[func(loc) *loc]()
	{
		type loc string
		show[loc]()
		show[[]loc]()
	}
}

func gl[T any]() {
	type in struct{ t T }
	show[in]()
	fmt.Printf("%T\n", in{})
}

func main() {
	show[Company]()
	show[[]Company]()
	show[any]()
	show[error]()
	show[[]any]()
	show[map[many]any]()
	show[byte]()
	show[[3]rune]()
	show[struct {
		a int
		B Company `json:"b"`
		io.Reader
		*Company
		many
	}]()
	show[struct{}]()
	show[interface{}]()
	show[interface {
		Foo(int, string) any
		bar()
		io.Reader
	}]()
	show[If]()
	show[Fn]()
	show[func()]()
	show[func(a int, b ...any) (c error)]()
	show[func(a int) (c error, d any)]()
	show[chan int]()
	show[<-chan Company]()
	show[chan<- chan int]()
	show[chan (<-chan int)]()
	show[chan func() <-chan int]()
	show[*json.Decoder]()
	show[json.Decoder]()
	show[Box[json.Decoder]]()
	show[Two[http.Handler, *Box[[]http.Request]]]()
	show[Two[Box[Company], many]]()
	show[func(Box[Company]) Two[int, any]]()
	show[interface{ Error() string }]()
	show[func(func(int) string, map[string]func()) func() any]()
	show[complex64]()
	show[comparableI]()
	local()
	gl[int]()
	gl[Company]()
	gl[[]Company]()
	fmt.Printf("%T %T\n", struct{ a, b any }{}, struct{ c []Company }{})
	fmt.Printf("%T %T\n", func(x If, y any) {}, map[Company]interface{ foo() }{})
}

type comparableI interface{ Eq(comparableI) bool }
