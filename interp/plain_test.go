package interp

import "testing"

func TestYaegiRunsThePlainStatements(t *testing.T) {
	s, r := newSession(t)
	for _, c := range []struct {
		code, out, value string
		plain            int64 // statements of the cell that yaegi runs
	}{
		{`n := 3; n += 4; fmt.Println(n, "plain")`, "7 plain\n", "", 3},
		{`n * 2`, "", "14", 1},
		{`b := bytes.NewBufferString("ab"); b.WriteString("c"); b.String()`, "", "abc", 3},
		{`s, err := strconv.Unquote("'x'")`, "", "", 1},
		{`for i := range 3 { n += i }; n`, "", "10", 1},
		{`type T int; t := T(n); t`, "", "10", 0},
		{`f := func() int { return n }; f()`, "", "10", 0},
		{`n / 3`, "", "3", 0},
	} {
		before := s.program.PlainStatements()
		out, o := cell(t, s, r, c.code)
		if o.Err != nil {
			t.Errorf("%s: %v", c.code, o.Err)
			continue
		}
		value := ""
		if o.Value != nil {
			value, _ = o.Value.Data["text/plain"].(string)
		}
		if out != c.out || value != c.value {
			t.Errorf("%s: printed %q and showed %q, want %q and %q", c.code, out, value, c.out, c.value)
		}
		if n := s.program.PlainStatements() - before; n != c.plain {
			t.Errorf("%s: yaegi ran %d statements, want %d", c.code, n, c.plain)
		}
	}
}
