package display

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
)

// HeatMap shows a matrix as coloured cells. Values of both signs get a
// blue-white-red scale around zero, others one from dark to bright; NaN is
// drawn in magenta, infinities in the colours of the ends.
type HeatMap struct {
	Title string
	// Values are the rows. Matrices above 128 rows or columns are averaged
	// down.
	Values [][]float64
	// CellSize in pixels; 0 picks one.
	CellSize int
	Note     string
}

const heatMapMost = 128

// MIME implements [Rich].
func (h *HeatMap) MIME() map[string]any { return render(h) }

func (h *HeatMap) String() string { return h.Text() }

// Text implements [Part].
func (h *HeatMap) Text() string {
	low, high, nan := h.extent()
	rows, cols := h.size()
	s := fmt.Sprintf("%s %d×%d heat map, %s to %s", h.Title, rows, cols, Number(low, 4), Number(high, 4))
	if nan > 0 {
		s += fmt.Sprintf(", %d NaN", nan)
	}
	return s
}

func (h *HeatMap) size() (rows, cols int) {
	for _, r := range h.Values {
		cols = max(cols, len(r))
	}
	return len(h.Values), cols
}

func (h *HeatMap) extent() (low, high float64, nan int) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, r := range h.Values {
		for _, v := range r {
			if math.IsNaN(v) {
				nan++
			} else if !math.IsInf(v, 0) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if low > high {
		low, high = 0, 0
	}
	return low, high, nan
}

// HTML implements [Part]: a small picture scaled up with hard edges, and its
// colour scale.
func (h *HeatMap) HTML() string {
	rows, cols := h.size()
	if rows == 0 || cols == 0 {
		return note("empty matrix").HTML()
	}
	low, high, _ := h.extent()
	img := h.image(low, high)
	b := img.Bounds()
	cell := h.CellSize
	if cell <= 0 {
		cell = min(max(240/max(b.Dx(), b.Dy()), 2), 18)
	}
	bar := image.NewPaletted(image.Rect(0, 0, 64, 1), heatPalette(low < 0 && high > 0))
	for x := range 64 {
		bar.SetColorIndex(x, 0, uint8(x*253/63))
	}
	from, to := low, high
	if low < 0 && high > 0 {
		to = max(high, -low)
		from = -to
	}
	// The size stands in the style, since pages set height:auto for pictures.
	const style = `image-rendering:pixelated;border:1px solid var(--l-line);display:block;max-width:none;margin:0`
	out := ""
	if h.Title != "" {
		out = `<div class="l-note">` + escape(h.Title) + `</div>`
	}
	out += fmt.Sprintf(`<img alt="%s" title="%s" style="%s;width:%dpx;height:%dpx" src="data:image/png;base64,%s">`,
		escape(h.Text()), escape(h.Text()), style, b.Dx()*cell, b.Dy()*cell, encodePNG(img))
	out += fmt.Sprintf(`<div style="display:flex;gap:6px;align-items:center" class="l-note"><span>%s</span><img alt="colour scale" width="96" height="8" style="%s;width:96px;height:8px" src="data:image/png;base64,%s"><span>%s</span></div>`,
		escape(Number(from, 3)), style, encodePNG(bar), escape(Number(to, 3)))
	if h.Note != "" {
		out += note(h.Note).HTML()
	}
	return out
}

func encodePNG(img image.Image) string {
	var buf bytes.Buffer
	// Encoding a picture in memory cannot fail for its size or type here.
	if err := png.Encode(&buf, img); err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes())
}

// nanIndex is the palette entry of NaN, behind 254 steps of the scale.
const nanIndex = 254

func (h *HeatMap) image(low, high float64) *image.Paletted {
	rows, cols := h.size()
	height, width := min(rows, heatMapMost), min(cols, heatMapMost)
	signed := low < 0 && high > 0
	if signed {
		high = max(high, -low)
		low = -high
	}
	img := image.NewPaletted(image.Rect(0, 0, width, height), heatPalette(signed))
	for y := range height {
		for x := range width {
			v := h.mean(y*rows/height, (y+1)*rows/height, x*cols/width, (x+1)*cols/width)
			img.SetColorIndex(x, y, heatIndex(v, low, high))
		}
	}
	return img
}

func heatIndex(v, low, high float64) uint8 {
	switch {
	case math.IsNaN(v):
		return nanIndex
	case high == low:
		return 127
	}
	return uint8(min(max((v-low)/(high-low), 0), 1) * 253)
}

// mean averages a block; one NaN makes it NaN, so that none is hidden.
func (h *HeatMap) mean(y0, y1, x0, x1 int) float64 {
	sum, n := 0.0, 0
	for y := y0; y < y1; y++ {
		for x := x0; x < x1 && x < len(h.Values[y]); x++ {
			sum += h.Values[y][x]
			n++
		}
	}
	return sum / float64(n)
}

// heatPalette is 254 colours through fixed points, and magenta for NaN.
func heatPalette(signed bool) color.Palette {
	stops := [][3]float64{{38, 20, 78}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}}
	if signed {
		stops = [][3]float64{{33, 82, 165}, {120, 170, 220}, {245, 245, 245}, {232, 140, 110}, {170, 30, 45}}
	}
	p := make(color.Palette, 0, nanIndex+1)
	for i := range nanIndex {
		at := float64(i) / (nanIndex - 1) * float64(len(stops)-1)
		k := min(int(at), len(stops)-2)
		f := at - float64(k)
		mix := func(c int) uint8 { return uint8(math.Round(stops[k][c]*(1-f) + stops[k+1][c]*f)) }
		p = append(p, color.RGBA{mix(0), mix(1), mix(2), 255})
	}
	return append(p, color.RGBA{255, 0, 255, 255})
}
