package parity

import (
	"os"
	"testing"
)

func TestValuesAndGradientsAgreeWithPyTorch(t *testing.T) {
	f, err := os.Open("testdata/parity.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := Run(f, func(failure string) { t.Error(failure) })
	if err != nil {
		t.Fatal(err)
	}
	if s.Calls < 2000 || s.Graphs < 300 {
		t.Error("the fixture is too small")
	}
	t.Log(s, "PyTorch", s.PyTorch)
}
