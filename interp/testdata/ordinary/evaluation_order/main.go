package main

import "fmt"

type C struct {
	n   int
	s   string
	f   float64
	b   bool
	p   struct{ a, b int }
	e   error
	sl  []int
	m   map[string]int
	arr [2]int
}

func (c *C) inc() int {
	c.n++
	c.s += "x"
	c.f += 0.5
	c.b = !c.b
	c.p.a++
	c.e = fmt.Errorf("e%d", c.n)
	if len(c.sl) > 0 {
		c.sl[0]++
	}
	if c.m != nil {
		c.m["k"]++
	}
	c.arr[0]++
	return c.n
}
func (c *C) self() *C { c.inc(); return c }

func two(a, b int) string                   { return fmt.Sprint(a, b) }
func strf(a string, b int) string           { return fmt.Sprint(a, b) }
func st(a struct{ a, b int }, b int) string { return fmt.Sprint(a, b) }
func pr[T any](a T, b int) string           { return fmt.Sprint(a, b) }

func main() {
	c := &C{}
	fmt.Println(c.n, c.inc())
	fmt.Println(c.s, c.inc())
	fmt.Println(c.f, c.inc())
	fmt.Println(c.b, c.inc())
	fmt.Println(c.p, c.inc())
	fmt.Println(c.e, c.inc())
	fmt.Println(c.arr, c.inc())
	c.sl = []int{5}
	c.m = map[string]int{}
	i := 0
	fmt.Println(c.sl[0], c.inc())
	fmt.Println(c.sl[i], c.inc())
	fmt.Println(c.m["k"], c.inc())
	fmt.Println(c.arr[0], c.inc())
	fmt.Println(c.arr[i], c.inc())
	fmt.Println(two(c.n, c.inc()), strf(c.s, c.inc()), st(c.p, c.inc()), pr(c.f, c.inc()), pr(c.arr, c.inc()), pr(c.e, c.inc()))
	fmt.Println(c.n+c.inc(), c.n)
	x := c.n + c.inc()
	y := c.inc() + c.n
	z := []int{c.n, c.inc(), c.n}
	w := map[string]int{"a": c.n, "b": c.inc()}
	v := C{n: c.n, f: float64(c.inc())}
	fmt.Println(x, y, z, w, v.n, v.f)
	fmt.Println(c.self().n, c.self().n, c.self().s)
	fmt.Println(two(c.self().n, c.self().n))
	a, b := c.n, c.inc()
	fmt.Println(a, b)
	arr := [3]int{c.n, c.inc(), c.n}
	fmt.Println(arr)
	d := *c
	fmt.Println(d.n, d.inc())
	fmt.Println(d.p, d.inc(), d.n+1)
	fmt.Println(-d.n, d.inc(), d.n*2, d.b && d.f > 0, !d.b)
	q := &d.n
	fmt.Println(*q, d.inc())
	fmt.Println(two(*q, d.inc()))
	var e any = *c
	fmt.Println(e.(C).n, c.inc())
	k := 1
	g := func() int { k *= 2; return k }
	fmt.Println(k, g(), k)
	fmt.Println(two(k, g()), k+g(), g()+k)
	s := []int{k, g(), k}
	fmt.Println(s)
	l := []int{1, 2, 3}
	h := func() int { l = append(l, len(l)); l[0]++; return len(l) }
	fmt.Println(len(l), h(), len(l))
	fmt.Println(l, h())
	fmt.Println(l[0], h(), l[1:2], cap(l) > 0)
	fmt.Println(two(len(l), h()), two(l[0], h()))
	str := "a"
	u := func() string { str += "b"; return str }
	fmt.Println(str, u(), str+"!", str[0], str[1:])
	fmt.Println(str+u(), u()+str)
	ret := func() (int, int) { return k, g() }
	fmt.Println(ret())
	ret2 := func() (a int, b int) { return c.n, c.inc() }
	fmt.Println(ret2())
	if k == g() {
		fmt.Println("eq")
	}
	if c.n == c.inc() {
		fmt.Println("eq")
	}
	if c.n < c.inc() {
		fmt.Println("lt")
	}
	ch := make(chan int, 3)
	ch <- c.n + c.inc()
	fmt.Println(<-ch)
	l[c.n-c.n] = c.inc()
	l[k-k], k = g(), 7
	fmt.Println(l, k)
	type P struct{ x, y int }
	pp := P{k, g()}
	p2 := &P{c.n, c.inc()}
	fmt.Println(pp, *p2, P{x: c.n, y: c.inc()})
	m := map[int]int{k: g()}
	fmt.Println(m)
	m[k] = g()
	fmt.Println(m)
	m[c.n] += c.inc()
	fmt.Println(m)
	k += g()
	fmt.Println(k)
	c.n += c.inc()
	fmt.Println(c.n)
	l[0] += h()
	fmt.Println(l)
	*q += d.inc()
	fmt.Println(d.n)
	str += u()
	fmt.Println(str)
	defer fmt.Println(k, g(), c.n, c.inc())
	fmt.Printf("%d %d %v\n", c.n, c.inc(), c.p.a)
	f := fmt.Sprintf("%v|%v|%v", c.p.a+1, c.inc(), c.sl)
	fmt.Println(f)
}
