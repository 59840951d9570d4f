package feature

import (
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	ls := []Level{Generic, AVX2}
	for _, c := range []struct {
		forced string
		want   Level
		warn   string
	}{
		{"", AVX2, ""},
		{"generic", Generic, ""},
		{" AVX2 ", AVX2, ""},
		{"avx512", AVX2, "cannot run"},
		{"sse9", AVX2, "unknown level"},
	} {
		got, warn := choose(c.forced, ls)
		if got != c.want || (c.warn == "") != (warn == "") || !strings.Contains(warn, c.warn) {
			t.Errorf("choose(%q) = %v, %q; want %v, …%s…", c.forced, got, warn, c.want, c.warn)
		}
	}
}

func TestActiveIsRunnable(t *testing.T) {
	if !slices.Contains(Levels(), Active()) || Levels()[0] != Generic {
		t.Errorf("active %v, levels %v", Active(), Levels())
	}
}

func TestPairsAreOfTheWidestLevel(t *testing.T) {
	defer func(l Level, p bool) { active, pairs = l, p }(active, pairs)
	for _, l := range Levels() {
		for _, pairs = range []bool{false, true} {
			active = l
			runs, fast := BFloat16()
			if runs != (pairs && l == AVX512) || fast && !runs {
				t.Errorf("%s, AVX512_BF16 %v: runs %v, fast %v", l, pairs, runs, fast)
			}
			if told := strings.Contains(precision(), "at medium"); told != fast {
				t.Errorf("%s: the report says %q", l, precision())
			}
		}
	}
}

func TestSizesHaveDefaults(t *testing.T) {
	if c := sizes(-1, 0, 1<<20); c.L1 <= 0 || c.L2 <= 0 || c.L3 != 1<<20 {
		t.Errorf("sizes = %+v", c)
	}
}

func TestReportNamesLevel(t *testing.T) {
	for _, r := range Report() {
		if r.Name == "kernel level" && r.Value == Active().String() {
			return
		}
	}
	t.Errorf("report lacks the level: %v", Report())
}
