package display

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"time"
)

// Span is a stretch of time in a lane of a [Timeline].
type Span struct {
	Lane, Name string
	Start      time.Duration // from the start of the timeline
	Duration   time.Duration
	// Kind picks the colour: spans of one kind look alike. Empty means Name.
	Kind    string
	Tooltip string
	// Args go into the trace file.
	Args map[string]any
}

// Timeline shows what ran when, a lane per queue, thread or device.
type Timeline struct {
	Title string
	Spans []Span
	// Width of the drawing in pixels; 0 means 760.
	Width int
	Note  string
}

const (
	timelineRow   = 22.0
	timelineSpans = 3000 // more cannot be told apart and only make pages heavy
)

// MIME implements [Rich].
func (t *Timeline) MIME() map[string]any {
	m := render(t)
	m[MIMESVG] = svgDocument(t.SVG())
	m[MIMEResult] = Result{Measured: map[string]any{"spans": len(t.Spans)}}.JSON()
	return m
}

func (t *Timeline) String() string { return t.Text() }

// HTML implements [Part].
func (t *Timeline) HTML() string {
	out := ""
	if t.Title != "" {
		out = `<div class="l-h">` + html.EscapeString(t.Title) + `</div>`
	}
	out += `<div class="l-scroll">` + t.SVG() + `</div>`
	if len(t.Spans) > timelineSpans {
		out += Note(fmt.Sprintf("The longest %d of %d spans are drawn; the trace file has all.", timelineSpans, len(t.Spans))).HTML()
	}
	if t.Note != "" {
		out += note(t.Note).HTML()
	}
	return out
}

// Text implements [Part]: a table of the spans.
func (t *Timeline) Text() string {
	table := Table{Title: t.Title, Columns: Columns("lane", "span", "start", "duration"), Note: t.Note, MaxRows: 40}
	for _, s := range t.Spans {
		table.Add(s.Lane, s.Name, s.Start, s.Duration)
	}
	return table.Text()
}

// timelineLane is a lane with its spans packed into rows.
type timelineLane struct {
	name string
	rows [][]Span
}

// lanes packs the spans: each goes into the first row of its lane that is free.
func (t *Timeline) lanes() []timelineLane {
	spans := slices.Clone(t.Spans)
	if len(spans) > timelineSpans {
		slices.SortStableFunc(spans, func(a, b Span) int { return int(b.Duration - a.Duration) })
		spans = spans[:timelineSpans]
	}
	var lanes []timelineLane
	index := map[string]int{}
	for _, s := range t.Spans {
		if _, ok := index[s.Lane]; !ok {
			index[s.Lane] = len(lanes)
			lanes = append(lanes, timelineLane{name: s.Lane})
		}
	}
	slices.SortStableFunc(spans, func(a, b Span) int { return int(a.Start - b.Start) })
	for _, s := range spans {
		l := &lanes[index[s.Lane]]
		placed := false
		for r, row := range l.rows {
			if last := row[len(row)-1]; last.Start+last.Duration <= s.Start {
				l.rows[r] = append(row, s)
				placed = true
				break
			}
		}
		if !placed {
			l.rows = append(l.rows, []Span{s})
		}
	}
	return lanes
}

// SVG returns the timeline as one inline <svg> element.
func (t *Timeline) SVG() string {
	width := float64(t.Width)
	if t.Width <= 0 {
		width = 760
	}
	lanes := t.lanes()
	left, rows := 20.0, 0
	end := time.Duration(0)
	for _, l := range lanes {
		left = max(left, labelPixels(shorten(l.name, 28))+18)
		rows += len(l.rows)
	}
	for _, s := range t.Spans {
		end = max(end, s.Start+s.Duration)
	}
	height := 26 + float64(rows)*timelineRow + float64(len(lanes))*6 + 6
	w := &svgWriter{}
	x := scale{low: 0, high: max(float64(end), 1), from: left, to: left + width}
	ticks, right := x.ticks(8), left+width+16
	for _, v := range ticks {
		// Labels are centred: the last one may reach beyond the last span.
		at, _ := x.pixel(v)
		right = max(right, centredEnd(at, FormatDuration(time.Duration(v))))
	}
	w.open("", right, height, fmt.Sprintf("timeline of %d spans in %d lanes", len(t.Spans), len(lanes)))
	for _, v := range ticks {
		at, _ := x.pixel(v)
		w.line(at, 22, at, height-4, "g")
		w.text(at, 15, "c d", FormatDuration(time.Duration(v)))
	}
	kinds := map[string]int{}
	y := 26.0
	for _, l := range lanes {
		w.text(left-8, y+timelineRow/2+3.5, "e", shorten(l.name, 28))
		for _, row := range l.rows {
			for _, s := range row {
				drawSpan(w, s, x, y, spanColour(kinds, s))
			}
			y += timelineRow
		}
		w.line(left, y+3, left+width, y+3, "g")
		y += 6
	}
	w.close()
	return w.String()
}

func spanColour(kinds map[string]int, s Span) int {
	kind := cmpOr(s.Kind, s.Name)
	if _, ok := kinds[kind]; !ok {
		kinds[kind] = len(kinds)
	}
	return kinds[kind]
}

func drawSpan(w *svgWriter, s Span, x scale, y float64, c int) {
	from, _ := x.pixel(float64(s.Start))
	to, _ := x.pixel(float64(s.Start + s.Duration))
	tip := s.Name + "\n" + FormatDuration(s.Duration) + " from " + FormatDuration(s.Start)
	if s.Tooltip != "" {
		tip += "\n" + s.Tooltip
	}
	w.rect(from, y+1, max(to-from-0.6, 0.8), timelineRow-3, `rx="2" style="fill:color-mix(in srgb,`+colour(c)+` 45%,var(--l-bg));stroke:`+colour(c)+`;stroke-width:.6"`, tip)
	if label := fitting(s.Name, to-from-8); label != "" {
		w.text(from+4, y+timelineRow/2+3, "", label)
	}
}

// narrowest bar that gets a label, in pixels: what fits into less tells nothing.
const labelledBar = 40.0

// fitting shortens a label to a width in pixels; "" if that is too narrow.
func fitting(label string, width float64) string {
	if width < labelledBar-8 {
		return ""
	}
	for n := len([]rune(label)); n >= 3; n-- {
		if s := shorten(label, n); labelPixels(s) <= width {
			return s
		}
	}
	return ""
}

// WriteTrace writes the timeline in Chrome's trace event format, which
// chrome://tracing and ui.perfetto.dev open. Times are in microseconds.
func (t *Timeline) WriteTrace(w io.Writer) error {
	type event struct {
		Name string         `json:"name"`
		Cat  string         `json:"cat,omitempty"`
		Ph   string         `json:"ph"`
		Ts   float64        `json:"ts"`
		Dur  *float64       `json:"dur,omitempty"`
		Pid  int            `json:"pid"`
		Tid  int            `json:"tid"`
		Args map[string]any `json:"args,omitempty"`
	}
	events := []event{{Name: "process_name", Ph: "M", Pid: 1, Args: map[string]any{"name": cmpOr(t.Title, "loris")}}}
	lanes := map[string]int{}
	for _, s := range t.Spans {
		tid, ok := lanes[s.Lane]
		if !ok {
			tid = len(lanes) + 1
			lanes[s.Lane] = tid
			events = append(events, event{Name: "thread_name", Ph: "M", Pid: 1, Tid: tid, Args: map[string]any{"name": s.Lane}})
		}
		dur := float64(s.Duration) / 1e3
		args := map[string]any{}
		for k, v := range s.Args {
			args[k] = Finite(v)
		}
		if s.Tooltip != "" {
			args["note"] = strings.ReplaceAll(s.Tooltip, "\n", "; ")
		}
		events = append(events, event{Name: s.Name, Cat: s.Kind, Ph: "X", Ts: float64(s.Start) / 1e3, Dur: &dur, Pid: 1, Tid: tid, Args: args})
	}
	return json.NewEncoder(w).Encode(map[string]any{"traceEvents": events, "displayTimeUnit": "ns"})
}
