package display

import (
	"fmt"
	"math"
	"strings"
)

// chartPlot is a chart being drawn as SVG.
type chartPlot struct {
	c                        *Chart
	x, y                     scale
	left, top, width, height float64
	legend                   [][]string // the names of the series, row by row
	w                        svgWriter
}

// SVG returns the chart as one inline <svg> element; see [Graph.SVG].
func (c *Chart) SVG() string {
	p := &chartPlot{c: c, width: float64(c.Width), height: float64(c.Height), left: 62, top: 10}
	if c.Width <= 0 {
		p.width = 560
	}
	if c.Height <= 0 {
		p.height = 260
	}
	if c.Title != "" {
		p.top += 20
	}
	p.layLegend()
	p.top += 20 * float64(len(p.legend))
	if !p.setScales() {
		return p.empty()
	}
	bottom := 26.0
	if c.XLabel != "" {
		bottom += 16
	}
	right := p.left + p.width + 16
	if !p.banded() {
		for _, v := range p.x.ticks(7) {
			x, _ := p.x.pixel(v)
			right = max(right, centredEnd(x, tickText(v)))
		}
	}
	p.w.open("", right, p.top+p.height+bottom, p.label())
	p.drawFrame()
	for i := range c.Series {
		p.drawBand(i)
	}
	for i := range c.Series {
		switch c.Series[i].Mark {
		case Bar:
			p.drawBars(i)
		case Scatter:
			p.drawPoints(i, 3)
		default:
			p.drawLine(i)
		}
	}
	p.w.close()
	return p.w.String()
}

func (p *chartPlot) label() string {
	var names []string
	for _, s := range p.c.Series {
		names = append(names, s.Mark.String()+" "+s.Name)
	}
	return strings.TrimSpace("chart " + p.c.Title + ": " + strings.Join(names, ", "))
}

func (p *chartPlot) empty() string {
	p.w.open("", p.left+p.width, 60, p.label()+" without data")
	p.w.text(12, 18, "b", p.c.Title)
	p.w.text(12, 40, "d", "no finite values to draw")
	p.w.close()
	return p.w.String()
}

func (p *chartPlot) hasLegend() bool {
	return len(p.c.Series) > 1 || len(p.c.Series) == 1 && p.c.Series[0].Name != "" && p.c.Series[0].Name != p.c.YLabel
}

// layLegend breaks the names of the series into rows that fit the width.
func (p *chartPlot) layLegend() {
	if !p.hasLegend() {
		return
	}
	x := math.Inf(1)
	for i, s := range p.c.Series {
		name := shorten(cmpOr(s.Name, fmt.Sprintf("series %d", i+1)), 40)
		if x+legendEntry(name) > p.width {
			p.legend, x = append(p.legend, nil), 0
		}
		last := &p.legend[len(p.legend)-1]
		*last = append(*last, name)
		x += legendEntry(name)
	}
}

// legendEntry is the width of a name in the legend with its mark and its gap.
func legendEntry(name string) float64 { return 16 + textPixels(name, 11, false) + 16 }

func colour(i int) string { return fmt.Sprintf("var(--l-%d)", i%8) }

// setScales finds the ranges; false if there is nothing to draw.
func (p *chartPlot) setScales() bool {
	var xs, ys []float64
	zero := p.c.YFromZero
	for i := range p.c.Series {
		s := &p.c.Series[i]
		zero = zero || s.Mark == Bar || s.Mark == Area && len(s.Low) == 0
		for j, y := range s.Y {
			x := s.x(j)
			if p.c.LogY && y <= 0 || p.c.LogX && x <= 0 || math.IsNaN(y) || math.IsInf(y, 0) {
				continue
			}
			xs, ys = append(xs, x), append(ys, y)
			if low, high, ok := s.interval(j); ok {
				for _, v := range []float64{low, high} {
					if !p.c.LogY || v > 0 {
						ys = append(ys, v)
					}
				}
			}
		}
	}
	xLow, xHigh, nx := extent(xs)
	yLow, yHigh, ny := extent(ys)
	if nx == 0 || ny == 0 {
		return false
	}
	if zero && !p.c.LogY {
		yLow, yHigh = min(yLow, 0), max(yHigh, 0)
	}
	p.y = newScale(yLow, yHigh, p.c.LogY, 5)
	p.left = 22
	for _, v := range p.y.ticks(5) {
		p.left = max(p.left, textPixels(tickText(v), 11, false)+16)
	}
	if p.c.YLabel != "" {
		p.left += 16
	}
	p.y.from, p.y.to = p.top+p.height, p.top
	switch {
	case p.banded():
		n := p.bands()
		p.x = scale{low: -0.5, high: float64(n) - 0.5}
	case p.c.LogX:
		p.x = newScale(xLow, xHigh, true, 7)
	default:
		// The x axis ends with the data: widening to whole ticks wastes room.
		xLow, xHigh = max(xLow, -math.MaxFloat64/4), min(xHigh, math.MaxFloat64/4)
		p.x = scale{low: xLow, high: xHigh}
		if xLow == xHigh {
			p.x = scale{low: xLow - 1, high: xHigh + 1}
		}
		if p.allScatter() {
			pad := (p.x.high - p.x.low) * 0.03
			p.x.low, p.x.high = p.x.low-pad, p.x.high+pad
		}
	}
	p.x.from, p.x.to = p.left, p.left+p.width
	return true
}

func (p *chartPlot) allScatter() bool {
	for _, s := range p.c.Series {
		if s.Mark != Scatter {
			return false
		}
	}
	return true
}

// banded says that positions along x are named or numbered bands.
func (p *chartPlot) banded() bool {
	if len(p.c.Categories) > 0 {
		return true
	}
	for _, s := range p.c.Series {
		if s.Mark == Bar && s.X == nil {
			return true
		}
	}
	return false
}

func (p *chartPlot) bands() int {
	n := len(p.c.Categories)
	for _, s := range p.c.Series {
		n = max(n, len(s.Y))
	}
	return n
}

// position is where point j of series s lies along x.
func (p *chartPlot) position(s *Series, j int) (float64, bool) {
	if p.banded() {
		return p.x.pixel(float64(j))
	}
	return p.x.pixel(s.x(j))
}

func (p *chartPlot) drawFrame() {
	w := &p.w
	if p.c.Title != "" {
		w.text(p.left, 18, "b", shorten(p.c.Title, int(p.width/7)))
	}
	i := 0
	for row, names := range p.legend {
		x, y := p.left, p.top-12-20*float64(len(p.legend)-1-row)
		for _, name := range names {
			w.rect(x, y-4, 12, 4, `rx="2" style="fill:`+colour(i)+`"`, "")
			w.text(x+16, y+1, "", name)
			x += legendEntry(name)
			i++
		}
	}
	for _, v := range p.y.ticks(5) {
		y, _ := p.y.pixel(v)
		w.line(p.left, y, p.left+p.width, y, "g")
		w.text(p.left-6, y+3.8, "e d", tickText(v))
	}
	p.drawXTicks()
	bottom := p.top + p.height
	w.line(p.left, bottom, p.left+p.width, bottom, "ax")
	if p.c.XLabel != "" {
		w.text(p.left+p.width/2, bottom+34, "c d", p.c.XLabel)
	}
	if p.c.YLabel != "" {
		w.WriteString(`<g transform="translate(12 ` + num(p.top+p.height/2) + `) rotate(-90)">`)
		w.text(0, 0, "c d", p.c.YLabel)
		w.WriteString(`</g>`)
	}
}

func (p *chartPlot) drawXTicks() {
	bottom := p.top + p.height
	if !p.banded() {
		for _, v := range p.x.ticks(7) {
			x, _ := p.x.pixel(v)
			p.w.line(x, bottom, x, bottom+4, "ax")
			p.w.text(x, bottom+16, "c d", tickText(v))
		}
		return
	}
	n := p.bands()
	room := p.width / float64(n)
	every := 1
	for float64(every)*room < 24 {
		every++
	}
	for i := 0; i < n; i += every {
		name := fmt.Sprint(i)
		if i < len(p.c.Categories) {
			name = p.c.Categories[i]
		}
		x, _ := p.x.pixel(float64(i))
		p.w.text(x, bottom+16, "c d", shorten(name, max(3, int(float64(every)*room/6.2))))
	}
}

func (p *chartPlot) drawBand(i int) {
	s := &p.c.Series[i]
	if s.Mark == Bar || s.Mark == Scatter {
		return
	}
	var upper, lower []string
	for j := range s.Y {
		low, high, ok := s.interval(j)
		x, ok1 := p.position(s, j)
		a, ok2 := p.y.pixel(low)
		b, ok3 := p.y.pixel(high)
		if ok && ok1 && ok2 && ok3 {
			upper = append(upper, num(x)+" "+num(b))
			lower = append([]string{num(x) + " " + num(a)}, lower...)
		}
	}
	if len(upper) > 1 {
		p.w.WriteString(`<path style="fill:` + colour(i) + `;opacity:.18" d="M` + strings.Join(append(upper, lower...), "L") + `z"/>`)
	}
}

func (p *chartPlot) drawLine(i int) {
	s := &p.c.Series[i]
	var d strings.Builder
	pen := "M"
	run := 0
	lastRun := 0
	for _, j := range thinned(len(s.Y), int(p.width)*2, s.Y) {
		x, ok1 := p.position(s, j)
		y, ok2 := p.y.pixel(s.Y[j])
		if !ok1 || !ok2 {
			pen, run = "M", 0
			continue
		}
		d.WriteString(pen + num(x) + " " + num(y))
		pen = "L"
		run++
		lastRun = max(lastRun, run)
	}
	p.w.WriteString(`<path fill="none" stroke-width="1.8" stroke-linejoin="round" stroke-linecap="round" style="stroke:` + colour(i) + `" d="` + d.String() + `">` + tooltip(s.Name) + `</path>`)
	if len(s.Y) <= 40 || lastRun < 2 {
		p.drawPoints(i, 2.4)
	}
}

// thinned returns the indexes to draw of n points: all of few, else the lowest
// and the highest of each stretch, so that no spike is lost.
func thinned(n, limit int, y []float64) []int {
	if n <= limit {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	var out []int
	buckets := limit / 2
	for b := range buckets {
		from, to := b*n/buckets, (b+1)*n/buckets
		low, high := from, from
		for i := from; i < to; i++ {
			if y[i] < y[low] || math.IsNaN(y[low]) {
				low = i
			}
			if y[i] > y[high] || math.IsNaN(y[high]) {
				high = i
			}
		}
		out = append(out, min(low, high))
		if low != high {
			out = append(out, max(low, high))
		}
	}
	return out
}

func (p *chartPlot) drawPoints(i int, radius float64) {
	s := &p.c.Series[i]
	for j, v := range s.Y {
		x, ok1 := p.position(s, j)
		y, ok2 := p.y.pixel(v)
		if !ok1 || !ok2 {
			continue
		}
		if s.Mark == Scatter {
			p.drawWhisker(s, i, j, x)
		}
		p.w.WriteString(`<circle cx="` + num(x) + `" cy="` + num(y) + `" r="` + num(radius) + `" style="fill:` + colour(i) + `">` + tooltip(p.pointTip(s, j)) + `</circle>`)
	}
}

func (p *chartPlot) drawBars(i int) {
	s := &p.c.Series[i]
	bars, nth := 0, 0
	for k := range p.c.Series {
		if p.c.Series[k].Mark == Bar {
			if k < i {
				nth++
			}
			bars++
		}
	}
	slot := p.barSlot(s)
	width := slot * 0.8 / float64(bars)
	base, ok := p.y.pixel(0)
	if !ok {
		base = p.top + p.height
	}
	for j, v := range s.Y {
		x, ok1 := p.position(s, j)
		y, ok2 := p.y.pixel(v)
		if !ok1 || !ok2 {
			continue
		}
		left := x - slot*0.4 + float64(nth)*width
		p.w.rect(left+0.5, min(y, base), max(width-1, 0.8), math.Abs(base-y), `style="fill:`+colour(i)+`"`, p.pointTip(s, j))
		p.drawWhisker(s, -1, j, left+width/2)
	}
}

// barSlot is the room each position has for its bars.
func (p *chartPlot) barSlot(s *Series) float64 {
	if p.banded() {
		return p.width / float64(p.bands())
	}
	least := p.width / float64(max(len(s.Y), 1))
	for j := 1; j < len(s.Y); j++ {
		a, ok1 := p.position(s, j-1)
		b, ok2 := p.position(s, j)
		if ok1 && ok2 && math.Abs(b-a) > 0 {
			least = min(least, math.Abs(b-a))
		}
	}
	return least
}

func (p *chartPlot) drawWhisker(s *Series, colourIndex, j int, x float64) {
	low, high, ok := s.interval(j)
	a, ok1 := p.y.pixel(low)
	b, ok2 := p.y.pixel(high)
	if !ok || !ok1 || !ok2 {
		return
	}
	stroke := "var(--l-fg)"
	if colourIndex >= 0 {
		stroke = colour(colourIndex)
	}
	p.w.WriteString(`<path fill="none" style="stroke:` + stroke + `" d="M` + num(x-3) + ` ` + num(a) + `h6m-3 0V` + num(b) + `m-3 0h6"/>`)
}

func (p *chartPlot) pointTip(s *Series, j int) string {
	at := Number(s.x(j), 6)
	if j < len(p.c.Categories) {
		at = p.c.Categories[j]
	}
	tip := strings.TrimSpace(s.Name + "\n" + at + ": " + Number(s.Y[j], 6))
	if low, high, ok := s.interval(j); ok && s.Mark != Area {
		tip += " [" + Number(low, 4) + ", " + Number(high, 4) + "]"
	}
	return tip
}
