package kernels

import (
	"strings"
	"testing"
)

func TestSplitKIsChosenForLongThinProductsOnly(t *testing.T) {
	for _, c := range []struct {
		m, n, k, launches int
	}{{16, 16, 4096, 2}, {64, 64, 64, 1}, {1024, 1024, 1024, 1}, {4096, 4096, 4096, 1}, {32, 32, 2048, 2}} {
		g := GEMM{Type: F32, M: c.m, N: c.n, K: c.k, Alpha: 1}
		if got := len(g.Launches(Chip{'g'})); got != c.launches {
			t.Errorf("%dx%dx%d takes %d dispatches, want %d", c.m, c.n, c.k, got, c.launches)
		}
	}
}

func TestLargeProductsTakeLargeTiles(t *testing.T) {
	large := GEMM{Type: F32, M: 1024, N: 1024, K: 64, Alpha: 1}.Launches(Chip{'g'})[0]
	small := GEMM{Type: F32, M: 40, N: 40, K: 64, Alpha: 1}.Launches(Chip{'g'})[0]
	if !strings.Contains(large.Variant, LargeTile.String()) || !strings.Contains(small.Variant, SmallTile.String()) {
		t.Errorf("variants %q and %q", large.Variant, small.Variant)
	}
}

func TestLoRAForwardIsOneDispatch(t *testing.T) {
	l := LoRA{Type: F32, M: 64, N: 512, K: 512, R: 8, Scale: 2}.Forward()
	if want := int64(2 * 64 * (512*512 + 8*1024)); l.Flops != want {
		t.Errorf("%d FLOPs, want %d", l.Flops, want)
	}
	if l.Groups != [3]int{16, 2, 1} {
		t.Errorf("grid %v", l.Groups)
	}
}

func TestEqualProblemsShareTheirSource(t *testing.T) {
	a, b := Softmax(F32, 3, 100, false), Softmax(F32, 7, 9, true)
	if a.Source != b.Source {
		t.Error("softmax of two sizes has two sources")
	}
	group := func(rows int) *Group {
		return &Group{Shape: []int{rows, 8}, Inputs: []Input{{Type: F32, Strides: []int{8, 1}, Size: 8 * rows}}, Ops: []Op{{Code: "exp", Args: []int{0}, Type: F32}}, Outputs: []Output{{Value: 1, Type: F32}}}
	}
	x, errX := group(3).Launch()
	y, errY := group(500).Launch()
	if errX != nil || errY != nil || x.Source != y.Source {
		t.Errorf("a group of two sizes has two sources (%v, %v)", errX, errY)
	}
}

func TestGroupsThatCannotBeKernelsAreRefused(t *testing.T) {
	in := []Input{{Type: F32, Strides: []int{1}, Size: 4}}
	for name, g := range map[string]*Group{
		"unknown code":      {Shape: []int{4}, Inputs: in, Ops: []Op{{Code: "frobnicate", Args: []int{0}, Type: F32}}},
		"too few":           {Shape: []int{4}, Inputs: in, Ops: []Op{{Code: "add", Args: []int{0}, Type: F32}}},
		"later value":       {Shape: []int{4}, Inputs: in, Ops: []Op{{Code: "exp", Args: []int{1}, Type: F32}}},
		"exp of integers":   {Shape: []int{4}, Inputs: in, Ops: []Op{{Code: "exp", Args: []int{0}, Type: I32}}},
		"nine axes":         {Shape: make([]int, 9)},
		"too many buffers":  {Shape: []int{4}, Inputs: make([]Input, 30)},
		"output of nothing": {Shape: []int{4}, Inputs: in, Outputs: []Output{{Value: 5, Type: F32}}},
	} {
		if _, err := g.Launch(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestUserKernelsWithBadNamesAreRefused(t *testing.T) {
	good := User{Name: "f", Outputs: []Tensor{{Name: "y", Size: 4}}, Body: "y[i] = 1;", Grid: [3]int{4, 1, 1}}
	if _, err := good.Launch(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*User){
		"name with a space": func(u *User) { u.Name = "a b" },
		"argument named i":  func(u *User) { u.Outputs[0].Name = "i" },
		"same name twice":   func(u *User) { u.Inputs = []Tensor{{Name: "y"}} },
		"keyword":           func(u *User) { u.Outputs[0].Name = "float" },
		"no outputs":        func(u *User) { u.Outputs = nil },
		"empty grid":        func(u *User) { u.Grid = [3]int{} },
		"too large a group": func(u *User) { u.Group = [3]int{2048, 1, 1} },
	} {
		u := good
		u.Outputs = append([]Tensor(nil), good.Outputs...)
		change(&u)
		if _, err := u.Launch(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
