package display

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"image"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

type richText struct{}

func (richText) MIME() map[string]any         { return map[string]any{MIMEHTML: "<b>x</b>"} }
func (richText) MIMEMetadata() map[string]any { return map[string]any{"k": 1} }
func (richText) String() string               { return "plain" }

type panics struct{}

func (*panics) MIME() map[string]any { panic("boom") }

func TestOfGivesEveryValueAText(t *testing.T) {
	var nilPanics *panics
	for _, c := range []struct {
		v    any
		text string
	}{
		{nil, "<nil>"}, {3, "3"}, {"s", "s"}, {errors.New("bad"), "bad"}, {richText{}, "plain"}, {nilPanics, "<nil>"},
		{&panics{}, "*display.panics: cannot be displayed: panic: boom"}, {"a\xffb", "a\uFFFDb"},
		{image.NewGray(image.Rect(0, 0, 3, 2)), "<*image.Gray 3×2>"}, {math.NaN(), "NaN"}, {Text("t"), "t"},
	} {
		if got := Of(c.v).Data[MIMEText]; got != c.text {
			t.Errorf("Of(%T): text %q, want %q", c.v, got, c.text)
		}
	}
	if b := Of(richText{}); b.Metadata["k"] != 1 || b.Data[MIMEHTML] != "<b>x</b>" {
		t.Errorf("rich value lost its HTML or metadata: %v", b)
	}
	if b := Of(image.NewGray(image.Rect(0, 0, 3, 2))); !strings.HasPrefix(string(b.Data[MIMEPNG].([]byte)), "\x89PNG") {
		t.Error("an image is not shown as PNG")
	}
}

func TestValuesCarryTheirMIMEType(t *testing.T) {
	for _, c := range []struct {
		v    any
		mime string
	}{
		{HTML("<p>a</p>"), MIMEHTML}, {SVG("<svg></svg>"), MIMESVG}, {Markdown("*a*"), MIMEMarkdown}, {Latex("x^2"), MIMELatex},
		{JSON(map[string]float64{"a": math.Inf(1)}), MIMEJSON},
	} {
		b := Of(c.v)
		if _, ok := b.Data[c.mime]; !ok || b.Data[MIMEText] == "" {
			t.Errorf("%s: got %v", c.mime, b.Data)
		}
	}
	if got := Of(Latex("x^2")).Data[MIMELatex]; got != "$$x^2$$" {
		t.Errorf("bare formula became %q", got)
	}
	if got := Of(Image([]byte("no"))).Data[MIMEText].(string); !strings.Contains(got, "not a PNG or JPEG") {
		t.Errorf("bad picture: %q", got)
	}
	if got := Of(HTML("<style>x{}</style><p>a &lt; b</p><br>c")).Data[MIMEText]; got != "a < b\nc" {
		t.Errorf("text of HTML: %q", got)
	}
}

func TestJSONNeverHoldsNaN(t *testing.T) {
	type inner struct {
		F    float64 `json:"f"`
		Skip int     `json:"-"`
		Zero []int   `json:"zero,omitempty"`
		G    float32
	}
	var cycle []any
	cycle = append(cycle, nil)
	cycle[0] = cycle
	text, err := MarshalJSON(map[string]any{"a": math.NaN(), "b": []float64{1, math.Inf(1), math.Inf(-1)}, "c": &inner{F: math.NaN(), G: 0.1}, "d": time.Time{}, "e": "<&>"})
	want := `{"a":"NaN","b":[1,"Infinity","-Infinity"],"c":{"G":0.1,"f":"NaN"},"d":"0001-01-01T00:00:00Z","e":"<&>"}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
	if _, err := json.Marshal(Finite(cycle)); err != nil {
		t.Error(err)
	}
}

func TestEveryPartEncodesAndEscapes(t *testing.T) {
	evil := `<script>alert("x")</script>` + "\x00\xff"
	nan := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 0}
	g := &Graph{Title: evil, Nodes: []GraphNode{{ID: "a", Label: evil, Sub: evil, Tooltip: evil, Kind: evil, Group: "g"}, {ID: "b"}},
		Edges: []GraphEdge{{From: "a", To: "b", Label: evil}, {From: "b", To: "a"}, {From: "b", To: "b"}, {From: "?", To: "a"}}, Groups: []GraphGroup{{ID: "g", Label: evil, Tooltip: evil}, {ID: "empty"}}}
	table := &Table{Title: evil, Columns: []Column{{Name: evil, Tooltip: evil, Bar: true}, {Name: "n"}}, Note: evil}
	table.Add(evil)
	table.Add(Cell{Value: nan[0], Tooltip: evil}, nan[1], "surplus")
	for _, part := range []Part{g, table,
		&Chart{Title: evil, XLabel: evil, YLabel: evil, Series: []Series{{Name: evil, Y: nan, Low: nan, High: nan}, {Name: evil, Mark: Bar, Y: nan}, {Mark: Scatter, X: nan[:2], Y: nan}}, Categories: []string{evil}},
		&Chart{LogX: true, LogY: true, Series: []Series{{Y: nan}, {Mark: Area, X: nan, Y: nan}}}, &Chart{},
		&Timeline{Title: evil, Spans: []Span{{Lane: evil, Name: evil, Tooltip: evil, Duration: -1}}}, &Timeline{},
		&HeatMap{Title: evil, Values: [][]float64{nan, {1}}, Note: evil}, &HeatMap{}, &HeatMap{Values: [][]float64{{}, nil}}, &HeatMap{Values: [][]float64{{math.NaN()}}},
		NewHistogram(nan, 0), NewHistogram(nil, 0), NewHistogram([]float64{2, 2}, 3), Facts{{evil, evil}}, Note(evil),
		Stack(evil, Note(evil)), Toggle(evil, Note(evil), evil, g), &progressState{label: evil, note: evil, err: evil, total: 1, done: 5, rate: math.Inf(1)}, &Graph{}, &Table{},
	} {
		b := Of(part)
		if b.Data[MIMEText] == nil {
			b = Of(Output{Part: part})
		}
		for mime, content := range b.Data {
			if s, ok := content.(string); ok && mime != MIMEText && (strings.Contains(s, "<script") || strings.Contains(s, `alert("`)) {
				t.Errorf("%T: %s is not escaped", part, mime)
			}
			if s, ok := content.(string); ok && (strings.Contains(s, "NaN px") || strings.Contains(s, `="NaN"`) || strings.Contains(s, "LNaN")) {
				t.Errorf("%T: %s has NaN as a coordinate", part, mime)
			}
			if _, err := json.Marshal(content); err != nil {
				t.Errorf("%T: %s: %v", part, mime, err)
			}
		}
		if b.Data[MIMESVG] != nil {
			wellFormed(t, b.Data[MIMESVG].(string))
		}
	}
}

func TestLongTablesAreCutInTheMiddle(t *testing.T) {
	table := &Table{Columns: Columns("i"), MaxRows: 5}
	for i := range 100 {
		table.Add(i)
	}
	for _, s := range []string{table.HTML(), table.Text()} {
		if !strings.Contains(s, "… 95 more rows …") || !strings.Contains(s, "99") || strings.Contains(s, "50") {
			t.Errorf("got %s", s)
		}
	}
	table.MaxRows = -1
	if strings.Contains(table.Text(), "more rows") {
		t.Error("a negative limit still cuts")
	}
}

func TestUnits(t *testing.T) {
	for got, want := range map[string]string{
		Bytes(0).String(): "0 B", Bytes(1023).String(): "1023 B", Bytes(1024).String(): "1 KiB", Bytes(1<<20 - 1).String(): "1 MiB", Bytes(-1536).String(): "-1.5 KiB",
		FormatDuration(999): "999 ns", FormatDuration(1000): "1.00 µs", FormatDuration(9996): "10.0 µs", FormatDuration(999499): "999 µs", FormatDuration(999999): "1.00 ms",
		FormatDuration(59 * time.Second): "59.0 s", FormatDuration(61 * time.Second): "1:01", FormatDuration(3661 * time.Second): "1:01:01", FormatDuration(-time.Second): "-1.00 s",
		Number(0.00012345, 3): "0.000123", Number(123456, 3): "123456", Number(1.5e7, 3): "1.5e+07", Number(-2, 4): "-2", Number(1e-9, 2): "1e-09", Number(math.Inf(-1), 2): "-∞",
		group("-1234567"): "-1,234,567", group("9999"): "9999", tickText(20000): "20k", tickText(2.5e6): "2.5M", tickText(0.1 + 0.2): "0.3",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// recorder is an Outlet that writes down what it gets.
type recorder struct {
	discard
	mu  sync.Mutex
	log []string
}

func (r *recorder) Display(b Bundle, id string) { r.add("display", b, id) }
func (r *recorder) Update(b Bundle, id string)  { r.add("update", b, id) }
func (r *recorder) Clear(wait bool)             { r.add(fmt.Sprint("clear ", wait), Text(""), "") }
func (r *recorder) add(what string, b Bundle, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, strings.TrimSpace(fmt.Sprintf("%s %v %s", what, b.Data[MIMEText], id)))
}

func record(t *testing.T) *recorder {
	r := &recorder{}
	SetOutlet(r)
	t.Cleanup(func() { SetOutlet(nil) })
	return r
}

func TestShowGoesToTheOutlet(t *testing.T) {
	Show("nobody listens") // must do nothing
	r := record(t)
	Show(1)
	ShowID(2, "id")
	Update(3, "id")
	Clear(true)
	want := "display 1;display 2 id;update 3 id;clear true"
	if got := strings.Join(r.log, ";"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLiveSendsFewUpdatesAndAlwaysTheLast(t *testing.T) {
	r := record(t)
	l := NewLive()
	l.Every = time.Hour
	for i := range 1000 {
		l.Set(i)
	}
	l.Close("end")
	l.Set("ignored")
	l.Close("ignored")
	if len(r.log) != 2 || !strings.HasPrefix(r.log[0], "display 0 ") || !strings.HasPrefix(r.log[1], "update end ") {
		t.Errorf("got %q", r.log)
	}
}

func TestLiveShowsAWaitingStateByItself(t *testing.T) {
	r := record(t)
	l := NewLive()
	l.Every = 5 * time.Millisecond
	l.Set("a")
	l.Set("b")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		r.mu.Lock()
		n := len(r.log)
		r.mu.Unlock()
		if n == 2 {
			l.Close(nil)
			if len(r.log) != 2 || !strings.HasPrefix(r.log[1], "update b") {
				t.Errorf("got %q", r.log)
			}
			return
		}
	}
	t.Fatal("the second state never showed")
}

func TestProgressCountsAndEstimates(t *testing.T) {
	r := record(t)
	clock := time.Unix(0, 0)
	p := NewProgress("train", 100)
	p.now = func() time.Time { return clock }
	p.start, p.rateAt = clock, clock
	p.live.now, p.live.last = p.now, time.Time{}
	for range 40 {
		clock = clock.Add(time.Second)
		p.Add(1)
	}
	p.Note("loss 0.5")
	if last := r.log[len(r.log)-1]; !strings.Contains(last, "40/100 · 40 % · 1 it/s · ETA 1:00") {
		t.Errorf("got %q", last)
	}
	p.Done()
	if last := r.log[len(r.log)-1]; !strings.Contains(last, "40/100 · 40 % · 1 it/s · took 40.0 s  loss 0.5") {
		t.Errorf("got %q", last)
	}
}

func TestTraceIsWhatChromeReads(t *testing.T) {
	var w strings.Builder
	if err := sampleTimeline().WriteTrace(&w); err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []struct {
			Name, Ph string
			Ts, Dur  float64
			Tid      int
			Args     map[string]any
		}
	}
	if err := json.Unmarshal([]byte(w.String()), &trace); err != nil {
		t.Fatal(err)
	}
	spans, lanes := 0, map[string]int{}
	for _, e := range trace.TraceEvents {
		switch {
		case e.Ph == "X":
			spans++
		case e.Name == "thread_name":
			lanes[e.Args["name"].(string)] = e.Tid
		}
	}
	if spans != len(sampleTimeline().Spans) || len(lanes) != 3 || lanes["build"] == 0 {
		t.Errorf("%d spans, lanes %v", spans, lanes)
	}
}

func TestLabelsOfTimelinesStayInTheirBars(t *testing.T) {
	for _, c := range []struct {
		label string
		width float64
		whole bool
	}{{"mul", 20, false}, {"mmmmwwww matmul", 30, false}, {"mmmmwwww matmul", 50, false}, {"MMMMMMMMMMMM", 60, false}, {"mul", 60, true}} {
		got := fitting(c.label, c.width)
		if textPixels(got, 11, false) > c.width || (got == c.label) != c.whole || c.width < labelledBar-8 && got != "" {
			t.Errorf("%q in %v pixels: %q of %v", c.label, c.width, got, textPixels(got, 11, false))
		}
	}
}

// Labels are measured as the drawing code estimates them, which is on the
// generous side of what browsers draw.
func TestTextOfPicturesStaysInside(t *testing.T) {
	label := regexp.MustCompile(`<text x="([-0-9.]+)" y="([-0-9.]+)"(?: class="([^"]*)")?>([^<]*)</text>`)
	size := regexp.MustCompile(`viewBox="0 0 ([0-9.]+) ([0-9.]+)"`)
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	check := func(what, svg string) {
		t.Helper()
		frame := size.FindStringSubmatch(svg)
		width, height := number(frame[1]), number(frame[2])
		found := label.FindAllStringSubmatch(svg, -1)
		if len(found) == 0 {
			t.Errorf("%s: no text", what)
		}
		for _, m := range found {
			// Labels of y axes are turned and stand in a group of their own.
			if m[1] == "0" && m[2] == "0" {
				continue
			}
			x, y, w := number(m[1]), number(m[2]), textPixels(html.UnescapeString(m[4]), 11, false)
			from := x
			switch {
			case strings.HasPrefix(m[3], "c"):
				from = x - w/2
			case strings.HasPrefix(m[3], "e"):
				from = x - w
			}
			if from < -1 || from+w > width+1 || y > height || y < 8 {
				t.Errorf("%s: %q from %.0f to %.0f at height %.0f leaves a picture of %.0f x %.0f", what, m[4], from, from+w, y, width, height)
			}
		}
	}
	for end := time.Duration(1); end < 200*time.Second; end = end*21/20 + 1 {
		check(fmt.Sprint("timeline of ", end), (&Timeline{Spans: []Span{{Lane: "main", Name: "mul", Duration: end}}}).SVG())
	}
	for _, scale := range []float64{1e-12, 3.3e-4, 1, 12345, 9.99e8, 1e300} {
		c := &Chart{Title: strings.Repeat("a long title ", 20), XLabel: "step", YLabel: "loss"}
		for i := range 9 {
			name := strings.Repeat("name ", 1+3*i)
			c.Series = append(c.Series, Series{Name: name, X: []float64{-scale, scale * 0.997, scale}, Y: []float64{-scale, 0, scale}})
		}
		check(fmt.Sprint("chart of ", scale), c.SVG())
	}
}

func TestProgressCountsWhatLenReturns(t *testing.T) {
	record(t)
	items := []string{"a", "b"}
	p := NewProgress("items", len(items))
	for i := range items {
		p.Set(i + 1)
	}
	p.Done()
	if p.done != 2 {
		t.Error(p.done)
	}
}
