package interp

import (
	"testing"
	"time"
)

func TestBenchmarksInCellsTellTheCostOfACall(t *testing.T) {
	s, r := newSession(t)
	if d := (host{s}).CallCost(); d <= 0 || d > time.Millisecond {
		t.Errorf("a call costs %v", d)
	}
	out, o := cell(t, s, r, `
x := lt.Ones(64).Eval()
report, err := bench.Options{Warmup: 1, Samples: 5}.Compare(bench.Case{Name: "neg", Run: func() *lt.Tensor { return x.Neg() }})
check(err)
fmt.Println(report.CallCost > 0, strings.Contains(report.String(), "empty case"))`)
	if o.Err != nil || out != "true true\n" {
		t.Errorf("%q, %v", out, o.Err)
	}
}
