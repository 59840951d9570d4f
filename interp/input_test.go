package interp

import (
	"errors"
	"testing"
)

type typist struct {
	*recorder
	lines []string
}

func (u *typist) ReadInput(cell, prompt string, password bool) (string, error) {
	if len(u.lines) == 0 {
		return "", errors.New("no more")
	}
	line := u.lines[0]
	u.lines = u.lines[1:]
	return line, nil
}

func TestReadingInputAsksTheUser(t *testing.T) {
	u := &typist{&recorder{}, []string{"42 hello", "a line", "another", "last"}}
	s, err := New(Options{Sink: u})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"var n int; var w string; fmt.Scanln(&n, &w); fmt.Print(n, w)", "42hello"},
		{"sc := bufio.NewScanner(os.Stdin); sc.Scan(); fmt.Print(sc.Text())", "a line"},
		{"sc.Scan(); fmt.Print(sc.Text())", "another"},
		{"line, err := bufio.NewReader(os.Stdin).ReadString('\\n'); fmt.Print(line, err)", "last\n<nil>"},
		{"_, err := fmt.Scan(&n); fmt.Print(err)", "no more"}, // why nobody answers
		{"fmt.Print(len(os.Args))", "1"},
	} {
		out, o := cell(t, s, u.recorder, c[0])
		if o.Err != nil || out != c[1] {
			t.Errorf("%s: %q %v", c[0], out, o.Err)
		}
	}
}
