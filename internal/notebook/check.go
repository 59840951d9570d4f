package notebook

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"loris/internal/lazy"
)

// mimeResult is the MIME type of {values, measured, tolerance}; see package
// display.
const mimeResult = "application/vnd.loris+json"

// defaultTolerance is the relative difference allowed to numbers in text, and
// to values whose output names none.
const defaultTolerance = 1e-4

// Difference is one place where two runs of a notebook differ.
type Difference struct {
	Cell   int    // index in the notebook, from 0
	CellID string // as in the file
	Where  string // such as "output 2, values.loss[3]"
	Stored string
	Fresh  string
	Why    string
}

// Comparison is the result of [Compare].
type Comparison struct {
	Differences []Difference
	// Compared and Measured count the code cells whose outputs were compared,
	// and those only run because they are tagged as measurements.
	Compared, Measured int
	// Values counts the numbers and texts that were compared.
	Values int
}

// OK reports whether the runs agree.
func (c *Comparison) OK() bool { return len(c.Differences) == 0 }

// Compare compares the outputs of a fresh run with those stored.
//
// An output with the MIME type application/vnd.loris+json is compared by its
// "values" alone, each number within the stored "tolerance" (1e-4 if none),
// relative to the larger of both and of the largest number in its list, a "mean"
// beside "min" and "max" also to these; what is
// under "measured", and pictures and texts drawn from it, is not. Every other
// text must be equal, with numbers within 1e-4 relative; pictures made of
// pixels must only be there. Cells tagged loris:measured are not compared.
func Compare(stored, fresh *Notebook) *Comparison {
	c := &comparer{Comparison: &Comparison{}}
	if len(stored.Cells) != len(fresh.Cells) {
		c.add("", strconv.Itoa(len(stored.Cells))+" cells", strconv.Itoa(len(fresh.Cells))+" cells", "not the same notebook")
		return c.Comparison
	}
	for i, cell := range stored.Cells {
		other := fresh.Cells[i]
		c.index, c.cell = i, cell
		if cell.Type != other.Type || cell.Source != other.Source {
			c.add("", abbreviate(cell.Source), abbreviate(other.Source), "not the same cell")
			continue
		}
		if cell.Type != Code || cell.HasTag(TagSkip) {
			continue
		}
		if cell.HasTag(TagMeasured) {
			c.Measured++
			continue
		}
		c.Compared++
		c.outputs(gather(cell.Outputs), gather(other.Outputs))
	}
	return c.Comparison
}

type comparer struct {
	*Comparison
	index int
	cell  *Cell
}

func (c *comparer) add(where, stored, fresh, why string) {
	d := Difference{Cell: c.index, Where: where, Stored: stored, Fresh: fresh, Why: why}
	if c.cell != nil {
		d.CellID = c.cell.ID
	}
	c.Differences = append(c.Differences, d)
}

// gathered is a cell's outputs with the parts of each stream joined: how a
// stream is cut and mixed with the other is chance.
type gathered struct {
	streams map[string]string
	others  []*Output
}

func gather(outputs []*Output) gathered {
	g := gathered{streams: map[string]string{}}
	for _, o := range outputs {
		if o.Type == Stream {
			g.streams[o.Name] += o.Text
		} else {
			g.others = append(g.others, o)
		}
	}
	return g
}

func (c *comparer) outputs(stored, fresh gathered) {
	names := map[string]bool{}
	for name := range stored.streams {
		names[name] = true
	}
	for name := range fresh.streams {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch a, b := stored.streams[name], fresh.streams[name]; {
		case a == "" && b != "":
			c.add(name, "", abbreviate(b), notStored)
		case a != "" && b == "":
			c.add(name, abbreviate(a), "", notShown)
		default:
			c.text(name, a, b)
		}
	}
	for i := range max(len(stored.others), len(fresh.others)) {
		where := fmt.Sprintf("output %d", i+1)
		switch {
		case i >= len(stored.others):
			c.add(where, "", describe(fresh.others[i]), notStored)
		case i >= len(fresh.others):
			c.add(where, describe(stored.others[i]), "", notShown)
		default:
			c.output(where, stored.others[i], fresh.others[i])
		}
	}
}

const (
	notStored = "not in the stored run"
	notShown  = "missing in the new run"
)

func describe(o *Output) string {
	if o.Type == Error {
		return abbreviate(o.EName + ": " + o.EValue)
	}
	if s, ok := o.Data["text/plain"].(string); ok {
		return abbreviate(s)
	}
	return strings.Join(slices.Sorted(maps.Keys(o.Data)), ", ")
}

func (c *comparer) output(where string, stored, fresh *Output) {
	if stored.Type != fresh.Type {
		c.add(where, stored.Type+" "+describe(stored), fresh.Type+" "+describe(fresh), "another kind of output")
		return
	}
	if stored.Type == Error {
		c.text(where+", error name", stored.EName, fresh.EName)
		c.text(where+", error", stored.EValue, fresh.EValue)
		return
	}
	a, inStored := stored.Data[mimeResult]
	b, inFresh := fresh.Data[mimeResult]
	if inStored || inFresh {
		c.results(where, a, b)
		return
	}
	mimes := maps.Clone(stored.Data)
	maps.Copy(mimes, fresh.Data)
	for _, mime := range slices.Sorted(maps.Keys(mimes)) {
		a, inStored := stored.Data[mime]
		b, inFresh := fresh.Data[mime]
		at := where + ", " + mime
		switch {
		case !inFresh:
			c.add(at, "present", "missing", "the new run shows less")
		case !inStored:
			c.add(at, "missing", "present", "the new run shows more")
		case isJSON(mime):
			c.value(at, a, b, defaultTolerance, 0)
		case strings.HasPrefix(mime, "text/") || mime == "image/svg+xml" || mime == "application/javascript":
			c.text(at, textOf(a), textOf(b))
		}
	}
}

func textOf(v any) string {
	s, _ := v.(string)
	return s
}

// results compares two application/vnd.loris+json values.
func (c *comparer) results(where string, stored, fresh any) {
	a, ok1 := plain(stored).(map[string]any)
	b, ok2 := plain(fresh).(map[string]any)
	if !ok1 || !ok2 {
		c.add(where, abbreviate(fmt.Sprint(stored)), abbreviate(fmt.Sprint(fresh)), "no "+mimeResult+" object to compare")
		return
	}
	tolerance := defaultTolerance
	if t, ok := number(a["tolerance"]); ok && t >= 0 {
		tolerance = t
	}
	c.value(where+", values", a["values"], b["values"], tolerance, 0)
}

// plain turns any value into what decoding its JSON gives, so that outputs that
// were read from a file compare with those made in memory.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var out any
	if decodeNumbers(b, &out) != nil {
		return nil
	}
	return out
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case float64:
		return v, true
	case int:
		return float64(v), true
	}
	return 0, false
}

// value compares JSON values; scale is the largest number in the list around.
func (c *comparer) value(where string, a, b any, tolerance, scale float64) {
	if x, ok := number(a); ok {
		y, ok := number(b)
		c.Values++
		if !ok || !within(x, y, tolerance, scale) {
			c.add(where, fmt.Sprint(a), fmt.Sprint(b), tooFar(x, y, ok, tolerance, scale))
		}
		return
	}
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok {
			break
		}
		keys := maps.Clone(a)
		maps.Copy(keys, b)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			x, in1 := a[k]
			y, in2 := b[k]
			if in1 != in2 {
				c.add(where+"."+k, presence(in1), presence(in2), "not in both")
				continue
			}
			s := 0.0
			if k == "mean" {
				s = spread(a)
			}
			c.value(where+"."+k, x, y, tolerance, s)
		}
		return
	case []any:
		b, ok := b.([]any)
		if !ok {
			break
		}
		if len(a) != len(b) {
			c.add(where, fmt.Sprintf("%d elements", len(a)), fmt.Sprintf("%d elements", len(b)), "another length")
			return
		}
		c.list(where, a, b, tolerance, max(scale, largest(a)))
		return
	case string:
		if b, ok := b.(string); ok {
			c.Values++
			if a != b {
				c.add(where, abbreviate(a), abbreviate(b), "another text")
			}
			return
		}
	}
	c.Values++
	if a != nil && b != nil && comparable(a) && comparable(b) && a == b || a == nil && b == nil {
		return
	}
	c.add(where, abbreviate(jsonText(a)), abbreviate(jsonText(b)), "another value")
}

// spread is the largest magnitude of what an object with "min" and "max" sums
// up, else 0: its mean is a sum of numbers of that size, which may cancel.
func spread(object map[string]any) float64 {
	low, ok1 := number(object["min"])
	high, ok2 := number(object["max"])
	if !ok1 || !ok2 {
		return 0
	}
	return max(math.Abs(low), math.Abs(high))
}

// list compares lists of one length and reports the first differing elements.
func (c *comparer) list(where string, a, b []any, tolerance, scale float64) {
	const shown = 5
	before := len(c.Differences)
	for i := range a {
		if len(c.Differences)-before < shown {
			c.value(fmt.Sprintf("%s[%d]", where, i), a[i], b[i], tolerance, scale)
			continue
		}
		rest := &comparer{Comparison: &Comparison{}}
		for j := i; j < len(a); j++ {
			rest.value("", a[j], b[j], tolerance, scale)
		}
		c.Values += rest.Values
		if n := len(rest.Differences); n > 0 {
			c.add(where, "", "", counted(n, "more element")+" differ")
		}
		return
	}
}

// largest is the largest finite magnitude in a nested list of numbers.
func largest(v any) float64 {
	if f, ok := number(v); ok {
		return math.Abs(f)
	}
	most := 0.0
	if list, ok := v.([]any); ok {
		for _, x := range list {
			most = max(most, largest(x))
		}
	}
	return most
}

func within(x, y, tolerance, scale float64) bool {
	return x == y || math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y), scale)
}

func tooFar(x, y float64, isNumber bool, tolerance, scale float64) string {
	if !isNumber {
		return "not a number"
	}
	relative := math.Abs(x-y) / max(math.Abs(x), math.Abs(y), scale)
	return fmt.Sprintf("differs by %.2g relative, %.2g is allowed", relative, tolerance)
}

func presence(in bool) string {
	if in {
		return "present"
	}
	return "missing"
}

func comparable(v any) bool {
	switch v.(type) {
	case bool, string, json.Number, float64:
		return true
	}
	return false
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

var numberPattern = lazy.Regexp(`[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?`)

// text compares texts line by line: the words between numbers exactly, numbers
// within the tolerance. Digits that belong to a word, such as in f32, are part
// of the word.
func (c *comparer) text(where, a, b string) {
	c.Values++
	if a == b {
		return
	}
	x, y := strings.Split(strings.TrimRight(a, "\n"), "\n"), strings.Split(strings.TrimRight(b, "\n"), "\n")
	for i := range max(len(x), len(y)) {
		at := where
		if len(x) > 1 || len(y) > 1 {
			at = fmt.Sprintf("%s, line %d", where, i+1)
		}
		switch {
		case i >= len(x):
			c.add(at, "", abbreviate(y[i]), counted(len(y)-len(x), "line")+" more")
			return
		case i >= len(y):
			c.add(at, abbreviate(x[i]), "", counted(len(x)-len(y), "line")+" less")
			return
		}
		if why := compareLine(x[i], y[i]); why != "" {
			c.add(at, abbreviate(x[i]), abbreviate(y[i]), why)
			return // what follows is often only a consequence
		}
	}
}

func compareLine(a, b string) string {
	if a == b {
		return ""
	}
	wordsA, numbersA := split(a)
	wordsB, numbersB := split(b)
	if !slices.Equal(wordsA, wordsB) {
		return "another text"
	}
	for i := range numbersA {
		if numbersA[i] == numbersB[i] {
			continue
		}
		x, err1 := strconv.ParseFloat(numbersA[i], 64)
		y, err2 := strconv.ParseFloat(numbersB[i], 64)
		if err1 != nil || err2 != nil || !within(x, y, defaultTolerance, 0) {
			return tooFar(x, y, err1 == nil && err2 == nil, defaultTolerance, 0)
		}
	}
	return ""
}

// split cuts a line into its numbers and the words around them; runs of spaces
// count as one, since columns move with the width of a number.
func split(s string) (words, numbers []string) {
	from := 0
	for at := 0; at < len(s); {
		loc := numberPattern().FindStringIndex(s[at:])
		if loc == nil {
			break
		}
		start, end := at+loc[0], at+loc[1]
		at = end
		// A sign behind a number or a word is a hyphen.
		if c := s[start]; (c == '-' || c == '+') && start > 0 && partOfWord(s[start-1]) {
			start++
		}
		if start > from && partOfWord(s[start-1]) || start >= end {
			continue
		}
		words = append(words, spaces(s[from:start]))
		numbers = append(numbers, s[start:end])
		from = end
	}
	return append(words, spaces(s[from:])), numbers
}

func spaces(s string) string {
	return rule().ReplaceAllString(strings.Join(strings.Fields(s), " "), "─")
}

// rule is a drawn line, whose length follows the width of numbers too.
var rule = lazy.Regexp(`─+`)

func partOfWord(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80
}

// abbreviate makes one short line of a text.
func abbreviate(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "…"
	}
	return s
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// String is the table that a check prints.
func (c *Comparison) String() string {
	var w strings.Builder
	if !c.OK() {
		t := tabwriter.NewWriter(&w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "cell\tid\twhere\tstored\tnew\twhy")
		for _, d := range c.Differences {
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", d.Cell+1, d.CellID, d.Where, d.Stored, d.Fresh, d.Why)
		}
		t.Flush()
	}
	fmt.Fprintf(&w, "%s compared (%s), %d measured and only run: ", counted(c.Compared, "cell"), counted(c.Values, "value"), c.Measured)
	if c.OK() {
		w.WriteString("all agree\n")
	} else {
		w.WriteString(counted(len(c.Differences), "difference") + "\n")
	}
	return w.String()
}
