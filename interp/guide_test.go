package interp

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"loris/interp/magic"
)

const guide = "../docs/GUIDE.md"

// Blocks of Go in the guide are cells of one session, as its introduction says.
func TestTheGuidesCellsRun(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 15 {
		t.Fatalf("only %d blocks found", len(blocks))
	}
	s, r := newSession(t)
	for i, b := range blocks {
		out, o := cell(t, s, r, b[1])
		if o.Err != nil {
			t.Fatalf("block %d fails:\n%s\n%s", i+1, b[1], strings.Join(o.Err.Traceback, "\n"))
		}
		if out == "" && o.Value == nil && !strings.HasPrefix(b[1], "func ") && !strings.Contains(b[1], "display.") {
			t.Errorf("block %d shows nothing:\n%s", i+1, b[1])
		}
		if o.Value != nil && strings.Contains(o.Value.Data["text/plain"].(string), "false") {
			t.Errorf("block %d shows %v", i+1, o.Value.Data["text/plain"])
		}
	}
}

// The guide's table of magics has all of them, and no others.
func TestTheGuideNamesAllMagics(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)\n## Magics\n(.*?)\n## `).FindStringSubmatch(string(text))
	if section == nil {
		t.Fatal("there is no section about magics")
	}
	var told []string
	for _, m := range regexp.MustCompile("`(%%?[a-z]+)").FindAllStringSubmatch(section[1], -1) {
		told = append(told, m[1])
	}
	for _, name := range told {
		if _, ok := magic.Find(name); !ok {
			t.Errorf("the guide names %s, which does not exist", name)
		}
	}
	for _, m := range magic.Table() {
		if strings.HasPrefix(m.Name, "%") && !slices.Contains(told, m.Name) {
			t.Errorf("the guide lacks %s", m.Name)
		}
	}
}
