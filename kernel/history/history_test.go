package history

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func inputs(list []Entry, err error) string {
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%d:%d %s;", e.Session, e.Line, e.Input)
	}
	return b.String()
}

func TestHistoryOfTwoSessions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dir", "h?#%.sqlite")
	s := Open(file, nil)
	s.Add(1, "a[0]")
	s.SetOutput(1, "7")
	s.Add(2, "b")
	s.Close()
	s.Add(3, "after close") // must neither panic nor hang
	if _, err := s.Tail(1); err == nil {
		t.Error("a closed store answers")
	}

	s = Open(file, nil)
	defer s.Close()
	if s.Session() != 2 {
		t.Fatalf("session %d", s.Session())
	}
	s.Add(1, "b")
	s.Add(2, "ab\nc")
	for _, c := range []struct{ what, got, want string }{
		{"tail 3", inputs(s.Tail(3)), "1:2 b;2:1 b;2:2 ab\nc;"},
		{"tail of all", inputs(s.Tail(0)), "1:1 a[0];1:2 b;2:1 b;2:2 ab\nc;"},
		{"range", inputs(s.Range(1, 1, 2)), "1:1 a[0];"},
		{"range of this session", inputs(s.Range(0, 1, -1)), "2:1 b;2:2 ab\nc;"},
		{"range of the session before", inputs(s.Range(-1, 2, 10)), "1:2 b;"},
		{"empty range", inputs(s.Range(1, 2, 2)), ""},
		{"search", inputs(s.Search("b", 0, false)), "1:2 b;2:1 b;"},
		{"search unique", inputs(s.Search("b", 0, true)), "2:1 b;"},
		{"search newest", inputs(s.Search("*", 1, false)), "2:2 ab\nc;"},
		{"search ?", inputs(s.Search("a?\n?", 0, false)), "2:2 ab\nc;"},
		{"brackets are literal", inputs(s.Search("a[0]", 0, false)), "1:1 a[0];"},
		{"quotes are harmless", inputs(s.Search("'; DROP TABLE cells; --", 0, false)), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
	if list, _ := s.Range(1, 1, 2); list[0].Output != "7" {
		t.Errorf("output %q", list[0].Output)
	}
}

func TestTwoKernelsWriteAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "h.sqlite")
	a, b := Open(file, nil), Open(file, nil)
	for i := range 100 {
		a.Add(i, "a")
		b.Add(i, "b")
	}
	a.Close()
	if list, err := b.Tail(0); err != nil || len(list) != 200 {
		t.Errorf("%d entries, %v", len(list), err)
	}
	b.Close()
}

func TestDamagedFileIsSetAside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "h.sqlite")
	if err := os.WriteFile(file, []byte(strings.Repeat("damaged ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Open(file, nil)
	s.Add(1, "x")
	if got := inputs(s.Tail(1)); got != "1:1 x;" {
		t.Error(got)
	}
	s.Close()
	aside, _ := filepath.Glob(file + ".damaged-*")
	if len(aside) != 1 {
		t.Errorf("set aside: %v", aside)
	}
	s = Open(file, nil)
	defer s.Close()
	if got := inputs(s.Tail(1)); got != "1:1 x;" {
		t.Errorf("the new file: %s", got)
	}
}

func TestLockedFileIsNotWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "h.sqlite")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE t (x); BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	s := Open(file, nil) // whose owner holds it for as long as this test
	defer s.Close()
	s.Add(1, "x")
	if got := inputs(s.Tail(1)); got != "1:1 x;" {
		t.Error(got)
	}
}

func TestPath(t *testing.T) {
	t.Setenv("LORIS_HISTORY", "")
	t.Setenv("XDG_STATE_HOME", "/state")
	if p, err := Path(); err != nil || p != "/state/loris/history.sqlite" {
		t.Error(p, err)
	}
	t.Setenv("LORIS_HISTORY", "/h")
	if p, err := Path(); err != nil || p != "/h" {
		t.Error(p, err)
	}
}
