package nearest

import (
	"slices"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3},
		{"Printn", "Println", 1}, {"softmx", "softmax", 1}, {"abcdefgh", "x", 8},
	} {
		if got := Distance(c.a, c.b, 10); got != c.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := Distance(c.b, c.a, 10); got != c.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
	if got := Distance("abcdefgh", "stuvwxyz", 2); got <= 2 {
		t.Errorf("a distance above the limit is said to be %d", got)
	}
}

func TestNames(t *testing.T) {
	all := []string{"Println", "Printf", "Print", "Sprintln", "Fprintln", "loss", "lost", "i", "j", "Softmax", "softmax"}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"println", []string{"Println"}},
		{"Printn", []string{"Print", "Printf", "Println"}},
		{"los", []string{"loss", "lost"}},
		{"Softmx", []string{"Softmax", "softmax"}},
		{"k", nil},
		{"completelyDifferent", nil},
	} {
		if got := Names(c.name, all); !slices.Equal(got, c.want) {
			t.Errorf("Names(%q) = %q, want %q", c.name, got, c.want)
		}
	}
	if One("x", nil) != "" {
		t.Error("found something in nothing")
	}
}
