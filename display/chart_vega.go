package display

import (
	"fmt"
	"math"
)

// VegaLite returns the chart as a Vega-Lite v5 specification with its data
// inside. Values that JSON lacks become null, which Vega draws as gaps.
func (c *Chart) VegaLite() map[string]any {
	width, height := c.Width, c.Height
	if width <= 0 {
		width = 560
	}
	if height <= 0 {
		height = 260
	}
	var rows []any
	names := make([]string, len(c.Series))
	for i := range c.Series {
		names[i] = cmpOr(c.Series[i].Name, fmt.Sprintf("series %d", i+1))
		rows = append(rows, c.vegaRows(&c.Series[i], names[i])...)
	}
	var layers []any
	for i := range c.Series {
		layers = append(layers, c.vegaLayers(i, names)...)
	}
	spec := map[string]any{
		"$schema":    "https://vega.github.io/schema/vega-lite/v5.json",
		"width":      width,
		"height":     height,
		"background": nil,
		"data":       map[string]any{"values": rows},
		"layer":      layers,
		// One grey that reads on light and dark pages: the front end does not
		// tell Vega which theme it has.
		"config": map[string]any{
			"view":   map[string]any{"stroke": "transparent"},
			"axis":   map[string]any{"labelColor": "#888", "titleColor": "#888", "domainColor": "#888", "tickColor": "#888", "gridColor": "rgba(136,136,136,0.25)", "titleFontWeight": "normal"},
			"legend": map[string]any{"labelColor": "#888", "titleColor": "#888", "orient": "top", "title": nil, "symbolOpacity": 1},
			"title":  map[string]any{"color": "#888", "anchor": "start"},
			"range":  map[string]any{"category": []string{"#4a86e0", "#e0833a", "#3f9e5f", "#d9534f", "#8f65cf", "#1f9aa5", "#c25fae", "#94834f"}},
		},
	}
	if c.Title != "" {
		spec["title"] = c.Title
	}
	return spec
}

func (c *Chart) vegaRows(s *Series, name string) []any {
	rows := make([]any, 0, len(s.Y))
	for j, y := range s.Y {
		row := map[string]any{"s": name, "y": finiteOrNil(y), "x": finiteOrNil(s.x(j))}
		if len(c.Categories) > 0 {
			row["x"] = fmt.Sprint(j)
			if j < len(c.Categories) {
				row["x"] = c.Categories[j]
			}
		}
		if low, high, ok := s.interval(j); ok {
			row["lo"], row["hi"] = finiteOrNil(low), finiteOrNil(high)
		}
		rows = append(rows, row)
	}
	return rows
}

func finiteOrNil(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

func (c *Chart) vegaLayers(i int, names []string) []any {
	s := &c.Series[i]
	x := map[string]any{"field": "x", "type": "quantitative", "title": nilIfEmpty(c.XLabel), "scale": vegaScale(c.LogX, false)}
	if len(c.Categories) > 0 {
		x = map[string]any{"field": "x", "type": "nominal", "title": nilIfEmpty(c.XLabel), "sort": nil, "axis": map[string]any{"labelAngle": 0}}
	} else if s.Mark == Bar && s.X == nil {
		x["type"] = "ordinal"
		delete(x, "scale")
	}
	y := map[string]any{"field": "y", "type": "quantitative", "title": nilIfEmpty(c.YLabel), "scale": vegaScale(c.LogY, c.YFromZero || s.Mark == Bar)}
	colour := map[string]any{"field": "s", "type": "nominal", "scale": map[string]any{"domain": names}}
	if len(c.Series) == 1 && c.Series[0].Name == "" {
		colour["legend"] = nil
	}
	mark := map[string]any{"tooltip": true}
	switch s.Mark {
	case Line:
		mark["type"] = "line"
		mark["point"] = len(s.Y) <= 40
	case Bar:
		mark["type"] = "bar"
	case Scatter:
		mark["type"], mark["filled"] = "point", true
	case Area:
		mark["type"], mark["opacity"] = "area", 0.3
	}
	encoding := map[string]any{"x": x, "y": y, "color": colour}
	if s.Mark == Bar && len(c.Series) > 1 {
		encoding["xOffset"] = map[string]any{"field": "s", "sort": names}
	}
	filter := []any{map[string]any{"filter": map[string]any{"field": "s", "equal": names[i]}}}
	layers := []any{map[string]any{"transform": filter, "mark": mark, "encoding": encoding}}
	if len(s.Low) == 0 || len(s.High) == 0 {
		return layers
	}
	if s.Mark == Area {
		y["field"] = "lo"
		encoding["y2"] = map[string]any{"field": "hi"}
		return layers
	}
	band := map[string]any{"x": x, "y": map[string]any{"field": "lo", "type": "quantitative", "title": nilIfEmpty(c.YLabel)}, "y2": map[string]any{"field": "hi"}, "color": colour}
	if s.Mark == Bar {
		band["color"] = map[string]any{"value": "#888"}
		if offset, ok := encoding["xOffset"]; ok {
			band["xOffset"] = offset
		}
	}
	kind := map[string]any{"type": "rule"}
	if s.Mark == Line {
		kind = map[string]any{"type": "area", "opacity": 0.18}
	}
	return append(layers, map[string]any{"transform": filter, "mark": kind, "encoding": band})
}

func vegaScale(log, zero bool) map[string]any {
	if log {
		return map[string]any{"type": "log"}
	}
	return map[string]any{"zero": zero}
}

func nilIfEmpty(s string) any {
	if s == "" {
		return nil
	}
	return s
}
