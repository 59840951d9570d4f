// Command logogen draws the logo, the face of a slow loris, as SVG and as PNG in
// the two sizes that Jupyter wants, from one list of shapes.
package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"math"
	"os"
	"strings"
)

// ellipse is filled; angles are in degrees, the canvas is 64 × 64.
type ellipse struct {
	x, y, rx, ry, angle float64
	fill                color.RGBA
}

var (
	teal    = color.RGBA{0x0b, 0x6e, 0x7d, 255}
	fur     = color.RGBA{0xb9, 0x8a, 0x62, 255}
	darkFur = color.RGBA{0x8a, 0x5f, 0x3f, 255}
	cream   = color.RGBA{0xf3, 0xe3, 0xcb, 255}
	patch   = color.RGBA{0x4b, 0x31, 0x21, 255}
	amber   = color.RGBA{0xf2, 0xa0, 0x1f, 255}
	pupil   = color.RGBA{0x14, 0x0d, 0x09, 255}
	white   = color.RGBA{0xff, 0xff, 0xff, 255}
	nose    = color.RGBA{0x33, 0x20, 0x1c, 255}
)

// face is painted in order. Rows that name one side are mirrored by paint.
var face = []struct {
	ellipse
	mirrored bool
}{
	{ellipse{32, 32, 31.5, 31.5, 0, teal}, false},
	{ellipse{12.5, 19, 7, 8.5, 35, darkFur}, true}, // ears
	{ellipse{13.5, 20, 4.2, 5.6, 35, cream}, true},
	{ellipse{32, 34, 24.5, 23, 0, fur}, false},
	{ellipse{32, 42, 15, 13.5, 0, cream}, false},   // muzzle
	{ellipse{32, 23, 4, 11, 0, cream}, false},      // blaze between the eyes
	{ellipse{20, 28.5, 10, 13.2, 22, patch}, true}, // dark patches
	{ellipse{21, 31, 8.2, 8.2, 0, amber}, true},    // eyes
	{ellipse{21.6, 31, 5.4, 5.9, 0, pupil}, true},
	{ellipse{19.6, 28.4, 1.9, 1.9, 0, white}, true},
	{ellipse{32, 43.5, 3.4, 2.5, 0, nose}, false},
	{ellipse{29, 48.6, 3, 1.5, 20, nose}, true}, // mouth
	{ellipse{29.2, 47.7, 3, 1.4, 20, cream}, true},
}

func shapes() (list []ellipse) {
	for _, f := range face {
		list = append(list, f.ellipse)
		if f.mirrored {
			m := f.ellipse
			m.x, m.angle = 64-m.x, -m.angle
			if m.fill == white { // light comes from one side
				m.x += 2 * (f.x - 21)
			}
			list = append(list, m)
		}
	}
	return list
}

func svg() string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img" aria-label="Loris">` + "\n")
	for _, e := range shapes() {
		fmt.Fprintf(&b, `<ellipse cx="%g" cy="%g" rx="%g" ry="%g" fill="#%02x%02x%02x"`, e.x, e.y, e.rx, e.ry, e.fill.R, e.fill.G, e.fill.B)
		if e.angle != 0 {
			fmt.Fprintf(&b, ` transform="rotate(%g %g %g)"`, e.angle, e.x, e.y)
		}
		b.WriteString("/>\n")
	}
	return b.String() + "</svg>\n"
}

func (e ellipse) contains(x, y float64) bool {
	sin, cos := math.Sincos(e.angle * math.Pi / 180)
	dx, dy := x-e.x, y-e.y
	u, v := (dx*cos+dy*sin)/e.rx, (dy*cos-dx*sin)/e.ry
	return u*u+v*v <= 1
}

// raster averages 8 × 8 samples per pixel.
func raster(size int) image.Image {
	const n = 8
	list := shapes()
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	scale := 64 / float64(size)
	for py := range size {
		for px := range size {
			var sum [3]float64
			hits := 0.0
			for s := range n * n {
				x := (float64(px) + (float64(s%n)+0.5)/n) * scale
				y := (float64(py) + (float64(s/n)+0.5)/n) * scale
				for i := len(list) - 1; i >= 0; i-- {
					if e := list[i]; e.contains(x, y) {
						sum[0] += float64(e.fill.R)
						sum[1] += float64(e.fill.G)
						sum[2] += float64(e.fill.B)
						hits++
						break
					}
				}
			}
			if hits > 0 {
				img.SetNRGBA(px, py, color.NRGBA{uint8(sum[0]/hits + 0.5), uint8(sum[1]/hits + 0.5), uint8(sum[2]/hits + 0.5), uint8(255*hits/(n*n) + 0.5)})
			}
		}
	}
	return img
}

func main() {
	if err := os.WriteFile("logo-svg.svg", []byte(svg()), 0o644); err != nil {
		log.Fatal(err)
	}
	for _, size := range []int{32, 64} {
		f, err := os.Create(fmt.Sprintf("logo-%dx%d.png", size, size))
		if err != nil {
			log.Fatal(err)
		}
		if err := png.Encode(f, raster(size)); err != nil {
			log.Fatal(err)
		}
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	}
}
