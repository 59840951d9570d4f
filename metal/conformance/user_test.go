//go:build darwin || softmetal

package conformance

import (
	"errors"
	"testing"

	"loris/metal/kernels"
	"loris/metal/launch"
	"loris/metal/mtl"
)

func TestUserKernelErrorsNameTheUsersLines(t *testing.T) {
	d, err := mtl.Open(mtl.Options{})
	if err != nil {
		t.Skip(err)
	}
	defer d.Close()
	for _, c := range []struct {
		file         string
		line         int
		header, body string
	}{
		{kernels.UserFile, 2, "", "float v = x[i];\ny[i] = nosuch(v);"},
		{kernels.UserFile, 1, "", "x[i] = 1;"},
		{kernels.HeaderFile, 3, "struct S {\n  float a;\n  nosuch b;\n};", "y[i] = x[i];"},
	} {
		u := kernels.User{Name: "bad", Inputs: []kernels.Tensor{{Name: "x", Size: 4}}, Outputs: []kernels.Tensor{{Name: "y", Size: 4}}, Header: c.header, Body: c.body, Grid: [3]int{4, 1, 1}}
		l, err := u.Launch()
		if err != nil {
			t.Fatal(err)
		}
		x, _ := d.NewBuffer(16)
		y, _ := d.NewBuffer(16)
		_, err = launch.Prepare(d, l, []mtl.Binding{{Buffer: x}, {Buffer: y}})
		var failure *mtl.CompileError
		if !errors.As(err, &failure) || len(failure.Diagnostics) == 0 {
			t.Fatalf("%q: %v", c.body, err)
		}
		if at := failure.Diagnostics[0]; at.File != c.file || at.Line != c.line {
			t.Errorf("%q is told at %s:%d, want %s:%d", c.body, at.File, at.Line, c.file, c.line)
		}
	}
}
