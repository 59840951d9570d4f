package display

import (
	"fmt"
	"html"
	"math"
)

func escape(s string) string { return html.EscapeString(s) }

// Histogram is a small picture of how values are spread, for use beside text.
type Histogram struct {
	Low, High float64 // range of the finite values
	Counts    []int   // per bin of equal width
	NaN, Inf  int     // left out of the bins
}

// NewHistogram counts values into bins; 0 bins means 24.
func NewHistogram(values []float64, bins int) *Histogram {
	if bins <= 0 {
		bins = 24
	}
	h := &Histogram{}
	low, high, n := extent(values)
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			h.NaN++
		case math.IsInf(v, 0):
			h.Inf++
		}
	}
	if n == 0 {
		return h
	}
	h.Low, h.High, h.Counts = low, high, make([]int, bins)
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		i := bins / 2
		if high > low {
			// Halves first: high-low may overflow.
			i = min(int((v/2-low/2)/(high/2-low/2)*float64(bins)), bins-1)
		}
		h.Counts[i]++
	}
	return h
}

// MIME implements [Rich].
func (h *Histogram) MIME() map[string]any { return render(h) }

func (h *Histogram) String() string { return h.Text() }

// Text implements [Part].
func (h *Histogram) Text() string {
	if len(h.Counts) == 0 {
		return fmt.Sprintf("no finite values (%d NaN, %d infinite)", h.NaN, h.Inf)
	}
	counts := make([]float64, len(h.Counts))
	for i, c := range h.Counts {
		counts[i] = float64(c)
	}
	s := Number(h.Low, 3) + " " + sparkText(append(counts, 0), len(counts)+1)
	s = s[:len(s)-len("▁")] + " " + Number(h.High, 3)
	if h.NaN+h.Inf > 0 {
		s += fmt.Sprintf(" (%d NaN, %d infinite)", h.NaN, h.Inf)
	}
	return s
}

// HTML implements [Part].
func (h *Histogram) HTML() string {
	if len(h.Counts) == 0 {
		return note(h.Text()).HTML()
	}
	const barWidth, height = 7.0, 44.0
	most := 1
	for _, c := range h.Counts {
		most = max(most, c)
	}
	width := barWidth * float64(len(h.Counts))
	w := &svgWriter{}
	w.open("", width+4, height+18, "histogram "+h.Text())
	binWidth := (h.High/2 - h.Low/2) / float64(len(h.Counts)) * 2
	for i, c := range h.Counts {
		bar := float64(c) / float64(most) * (height - 2)
		if c > 0 {
			bar = max(bar, 1)
		}
		from := h.Low + float64(i)*binWidth
		w.rect(2+float64(i)*barWidth, height-bar, barWidth-1, bar, `style="fill:var(--l-0)"`, fmt.Sprintf("%s to %s: %d", Number(from, 3), Number(from+binWidth, 3), c))
	}
	w.line(2, height+0.5, width+2, height+0.5, "ax")
	w.text(2, height+13, "d", Number(h.Low, 3))
	w.text(width+2, height+13, "e d", Number(h.High, 3))
	w.close()
	out := w.String()
	if h.NaN+h.Inf > 0 {
		out += note(fmt.Sprintf("%d NaN, %d infinite", h.NaN, h.Inf)).HTML()
	}
	return out
}
