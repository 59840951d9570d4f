package interp

import (
	"fmt"
	"reflect"
	"time"

	"loris/interp/lower"
	"loris/interp/run"
)

// specials are the functions of the standard library that act on the whole
// process, or wait, and must act on the cell instead.
var specials = map[string]lower.SpecialCall{
	"fmt.Print":   printer(func(a []any) string { return fmt.Sprint(a...) }),
	"fmt.Println": printer(func(a []any) string { return fmt.Sprintln(a...) }),
	"fmt.Printf": func(th *run.Thread, args []reflect.Value) []reflect.Value {
		return printed(th, fmt.Sprintf(args[0].String(), args[1].Interface().([]any)...))
	},
	"os.Exit":    exit(func(args []reflect.Value) int { return int(args[0].Int()) }),
	"time.Sleep": sleep,
}

func printer(format func([]any) string) lower.SpecialCall {
	return func(th *run.Thread, args []reflect.Value) []reflect.Value {
		return printed(th, format(args[0].Interface().([]any)))
	}
}

var noError = reflect.Zero(reflect.TypeFor[error]())

func printed(th *run.Thread, text string) []reflect.Value {
	th.Task.Print("stdout", text)
	return []reflect.Value{reflect.ValueOf(len(text)), noError}
}

func exit(code func([]reflect.Value) int) lower.SpecialCall {
	return func(th *run.Thread, args []reflect.Value) []reflect.Value {
		panic(run.Exit{Code: code(args)})
	}
}

func sleep(th *run.Thread, args []reflect.Value) []reflect.Value {
	t := time.NewTimer(time.Duration(args[0].Int()))
	defer t.Stop()
	select {
	case <-t.C:
	case <-th.Task.Done():
		th.Stop.Store(1)
	}
	return nil
}
