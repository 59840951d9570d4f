package display

import (
	"fmt"
	"math"
	"strings"
)

// Mark is how a series is drawn.
type Mark int

const (
	Line    Mark = iota
	Bar          // from zero up; X or Categories say where
	Scatter      // points only
	Area         // the band between Low and High, or from zero to Y
)

func (m Mark) String() string {
	return [...]string{"line", "bar", "scatter", "area"}[m]
}

// Series is one set of points of a [Chart]. Points that are NaN or infinite
// leave a gap.
type Series struct {
	Name string
	Mark Mark
	// X are the positions; nil means 0, 1, 2, … Ignored with Chart.Categories.
	X []float64
	Y []float64
	// Low and High are the ends of an interval around each Y, drawn as a band
	// for lines and as whiskers for bars and points. Optional.
	Low, High []float64
}

// Chart is a line, bar, scatter or area chart. It shows as Vega-Lite where the
// front end draws that, otherwise as static SVG; without either, as text.
type Chart struct {
	Title          string
	XLabel, YLabel string
	Series         []Series
	// Categories name the positions of bars.
	Categories []string
	LogX, LogY bool
	// YFromZero keeps zero in the picture; bars and areas always do.
	YFromZero bool
	// Width and Height of the plot in pixels; 0 means 560×260.
	Width, Height int
	// Measured marks a picture of measurements, which a replay does not
	// compare.
	Measured bool
	// Tolerance is passed on in the result's [Result].
	Tolerance float64
	Note      string
}

// MIME implements [Rich]. There is no HTML in it: JupyterLab would prefer that
// to Vega-Lite, while exporters take the SVG.
func (c *Chart) MIME() map[string]any {
	m := c.Static()
	delete(m, MIMEHTML)
	m[MIMEVegaLite] = c.VegaLite()
	return m
}

// Static returns the MIME form without Vega-Lite: front ends redraw it without
// a flicker, so it serves charts that grow while a cell runs.
func (c *Chart) Static() map[string]any {
	m := render(c)
	m[MIMESVG] = svgDocument(c.SVG())
	m[MIMEResult] = c.result().JSON()
	return m
}

func (c *Chart) result() Result {
	points := make([]any, len(c.Series))
	for i, s := range c.Series {
		points[i] = map[string]any{"name": s.Name, "x": s.X, "y": s.Y}
	}
	r := Result{Tolerance: c.Tolerance}
	if c.Measured {
		r.Measured = map[string]any{"series": points}
	} else {
		r.Values = map[string]any{"series": points}
	}
	return r
}

func (c *Chart) String() string { return c.Text() }

// HTML implements [Part].
func (c *Chart) HTML() string {
	out := `<div class="l-scroll">` + c.SVG() + `</div>`
	if c.Note != "" {
		out += note(c.Note).HTML()
	}
	return out
}

// Text implements [Part]: a line of block characters per series with its
// range and last value.
func (c *Chart) Text() string {
	var lines []string
	if c.Title != "" {
		lines = append(lines, c.Title)
	}
	width := 0
	for _, s := range c.Series {
		width = max(width, textWidth(s.Name))
	}
	for _, s := range c.Series {
		low, high, n := extent(s.Y)
		if n == 0 {
			lines = append(lines, padRight(s.Name, width)+"  no finite values")
			continue
		}
		lines = append(lines, fmt.Sprintf("%s  %s  min %s  max %s  last %s", padRight(s.Name, width), sparkText(s.Y, 40),
			Number(low, 4), Number(high, 4), Number(s.Y[len(s.Y)-1], 4)))
	}
	if c.Note != "" {
		lines = append(lines, c.Note)
	}
	return strings.Join(lines, "\n")
}

func (s *Series) x(i int) float64 {
	if i < len(s.X) {
		return s.X[i]
	}
	return float64(i)
}

// low and high are the ends of the interval around point i; ok is false
// without one.
func (s *Series) interval(i int) (low, high float64, ok bool) {
	if i < len(s.Low) && i < len(s.High) {
		return s.Low[i], s.High[i], true
	}
	if s.Mark == Area && i < len(s.Y) {
		return 0, s.Y[i], true
	}
	return 0, 0, false
}

// extent is the range of the finite values and their number.
func extent(values []float64) (low, high float64, n int) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			low, high = min(low, v), max(high, v)
			n++
		}
	}
	return low, high, n
}

const sparkBlocks = "▁▂▃▄▅▆▇█"

// sparkText draws values as a line of block characters, averaged down to at
// most width of them. NaN and infinities show as a dot.
func sparkText(values []float64, width int) string {
	n := min(len(values), width)
	means := make([]float64, n)
	for i := range means {
		sum, count := 0.0, 0.0
		for _, v := range values[i*len(values)/n : (i+1)*len(values)/n] {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				sum += v
				count++
			}
		}
		means[i] = sum / count
	}
	low, high, _ := extent(means)
	blocks := []rune(sparkBlocks)
	var w strings.Builder
	for _, v := range means {
		switch {
		case math.IsNaN(v):
			w.WriteRune('·')
		case high == low:
			w.WriteRune(blocks[3])
		default:
			w.WriteRune(blocks[int((v-low)/(high-low)*7.999)])
		}
	}
	return w.String()
}
