package main

import (
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"sync"
)

func main() {
	seq := func(yield func(int) bool) {
		yield(1)
		panic("in seq")
	}
	func() {
		defer func() { fmt.Println("rec", recover()) }()
		next, stop := iter.Pull(seq)
		defer stop()
		fmt.Println(next())
		fmt.Println(next())
	}()
	f := sync.OnceFunc(func() { panic("once") })
	for range 2 {
		func() {
			defer func() { fmt.Println("rec", recover()) }()
			f()
		}()
	}
	mw := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if v := recover(); v != nil {
					http.Error(w, fmt.Sprint("recovered: ", v), 500)
				}
			}()
			h.ServeHTTP(w, r)
		})
	}
	srv := httptest.NewServer(mw(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ok" {
			fmt.Fprint(w, "fine")
			return
		}
		var m map[string]int
		m["x"] = 1
	})))
	defer srv.Close()
	for _, p := range []string{"/ok", "/bad", "/ok"} {
		res, err := http.Get(srv.URL + p)
		b, _ := io.ReadAll(res.Body)
		fmt.Println(res.StatusCode, string(b), err)
	}
}
