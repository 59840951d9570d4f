package display

import (
	"fmt"
	"html"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Align is the side to which a column's cells keep.
type Align int

const (
	AlignAuto Align = iota // numbers right with their points aligned, the rest left
	AlignLeft
	AlignRight
)

// Column describes a column of a [Table].
type Column struct {
	Name  string
	Align Align
	// Digits is the number of significant digits of floats; 0 means 4.
	Digits int
	// Bar draws each number also as a bar, relative to the largest.
	Bar bool
	// Tooltip explains the column.
	Tooltip string
}

// Cell is a table cell with more than a value.
type Cell struct {
	Value   any
	Tooltip string
	Strong  bool
}

// Table shows rows of values. A cell may hold a string, any number, a
// time.Duration, [Bytes], a bool, nil (an empty cell), a [Cell], or anything
// that fmt prints.
type Table struct {
	Title   string
	Columns []Column
	Rows    [][]any
	// Foot is a last row, set apart, for totals.
	Foot []any
	Note string
	// MaxRows is the number of rows shown, from both ends; 0 means 60,
	// negative means all.
	MaxRows int
}

// Columns makes plain columns of names.
func Columns(names ...string) []Column {
	cs := make([]Column, len(names))
	for i, n := range names {
		cs[i].Name = n
	}
	return cs
}

// Add appends a row.
func (t *Table) Add(cells ...any) { t.Rows = append(t.Rows, cells) }

// MIME implements [Rich].
func (t *Table) MIME() map[string]any { return render(t) }

func (t *Table) String() string { return t.Text() }

const tableCSS = `.loris table.l-t{border-collapse:collapse;margin:4px 0;font-size:13px;border:0;color:var(--l-fg);table-layout:auto;width:auto}` +
	`.loris .l-t th,.loris .l-t td{padding:3px 8px;border:0;text-align:left;vertical-align:top;white-space:pre-wrap;max-width:48em;overflow-wrap:break-word;background-color:transparent;line-height:1.4}` +
	`.loris .l-t thead th{font-weight:600;border-bottom:1px solid var(--l-dim);vertical-align:bottom;color:var(--l-fg)}` +
	`.loris .l-t tbody tr{background:none}.loris .l-t tbody tr:nth-child(even){background:var(--l-soft)}.loris .l-t tbody tr:hover{background:var(--l-soft)}` +
	`.loris .l-t tfoot td{border-top:1px solid var(--l-dim);font-weight:600}` +
	`.loris .l-t .l-r{text-align:right;font-variant-numeric:tabular-nums;white-space:pre}` +
	`.loris .l-t .l-one{white-space:nowrap}` +
	`.loris .l-t .l-bar{background:linear-gradient(to right,color-mix(in srgb,var(--l-0) 28%,transparent) var(--w),transparent var(--w)) no-repeat}` +
	`.loris .l-t .l-more td{color:var(--l-dim);text-align:center}`

// HTML implements [Part].
func (t *Table) HTML() string {
	g := t.grid()
	var w strings.Builder
	if t.Title != "" {
		w.WriteString(`<div class="l-h">` + html.EscapeString(t.Title) + `</div>`)
	}
	w.WriteString(`<div class="l-scroll"><table class="l-t"><thead><tr>`)
	for i, c := range t.Columns {
		w.WriteString(`<th scope="col"` + class(c.Name, g.right[i], false) + title(c.Tooltip) + `>` + html.EscapeString(c.Name) + `</th>`)
	}
	w.WriteString(`</tr></thead><tbody>`)
	for i, row := range g.rows {
		if i == g.cutAt {
			fmt.Fprintf(&w, `<tr class="l-more"><td colspan="%d">… %d more rows …</td></tr>`, len(t.Columns), g.cut)
		}
		t.writeRow(&w, g, row, true)
	}
	w.WriteString(`</tbody>`)
	if g.foot != nil {
		w.WriteString(`<tfoot>`)
		t.writeRow(&w, g, g.foot, false)
		w.WriteString(`</tfoot>`)
	}
	w.WriteString(`</table></div>`)
	if t.Note != "" {
		w.WriteString(note(t.Note).HTML())
	}
	return w.String()
}

func (t *Table) writeRow(w *strings.Builder, g grid, row []gridCell, bars bool) {
	w.WriteString(`<tr>`)
	for i, c := range row {
		bar := bars && t.Columns[i].Bar && g.largest[i] > 0 && c.number > 0
		w.WriteString(`<td` + class(c.text, g.right[i], bar))
		if bar {
			fmt.Fprintf(w, ` style="--w:%s%%"`, strconv.FormatFloat(100*c.number/g.largest[i], 'f', 1, 64))
		}
		w.WriteString(title(c.tooltip) + `>`)
		text := html.EscapeString(figureSpaces(c.text))
		if c.strong {
			text = `<strong>` + text + `</strong>`
		}
		w.WriteString(text + `</td>`)
	}
	w.WriteString(`</tr>`)
}

// shortCell is the width up to which text stays on one line, in characters.
const shortCell = 20

func class(text string, right, bar bool) string {
	var names []string
	switch {
	case right:
		names = append(names, "l-r")
	case strings.ContainsRune(text, ' ') && !strings.ContainsRune(text, '\n') && textWidth(text) <= shortCell:
		names = append(names, "l-one")
	}
	if bar {
		names = append(names, "l-bar")
	}
	if names == nil {
		return ""
	}
	return ` class="` + strings.Join(names, " ") + `"`
}

func title(s string) string {
	if s == "" {
		return ""
	}
	return ` title="` + html.EscapeString(s) + `"`
}

// figureSpaces turns the padding behind a number into spaces as wide as the
// digits and the point they stand for, so that points align in any font.
func figureSpaces(s string) string {
	body := strings.TrimRight(s, " ")
	pad := len(s) - len(body)
	if pad == 0 || body == "" {
		return s
	}
	if strings.ContainsAny(body, ".") {
		return body + strings.Repeat("\u2007", pad)
	}
	return body + "\u2008" + strings.Repeat("\u2007", pad-1)
}

// Text implements [Part].
func (t *Table) Text() string {
	g := t.grid()
	widths := make([]int, len(t.Columns))
	all := append([][]gridCell{}, g.rows...)
	if g.foot != nil {
		all = append(all, g.foot)
	}
	for i, c := range t.Columns {
		widths[i] = textWidth(c.Name)
		for _, row := range all {
			widths[i] = max(widths[i], textWidth(oneLine(row[i].text)))
		}
	}
	line := func(cell func(i int) string) string {
		parts := make([]string, len(t.Columns))
		for i := range parts {
			if g.right[i] {
				parts[i] = padLeft(cell(i), widths[i])
			} else {
				parts[i] = padRight(cell(i), widths[i])
			}
		}
		return strings.TrimRight(strings.Join(parts, "  "), " ")
	}
	var lines []string
	if t.Title != "" {
		lines = append(lines, t.Title)
	}
	rule := line(func(i int) string { return strings.Repeat("─", widths[i]) })
	lines = append(lines, line(func(i int) string { return t.Columns[i].Name }), rule)
	for i, row := range g.rows {
		if i == g.cutAt {
			lines = append(lines, fmt.Sprintf("… %d more rows …", g.cut))
		}
		lines = append(lines, line(func(i int) string { return oneLine(row[i].text) }))
	}
	if g.foot != nil {
		lines = append(lines, rule, line(func(i int) string { return oneLine(g.foot[i].text) }))
	}
	if t.Note != "" {
		lines = append(lines, t.Note)
	}
	return strings.Join(lines, "\n")
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "⏎") }

// grid is a table's cells as text, cut to the rows that are shown.
type grid struct {
	rows    [][]gridCell
	foot    []gridCell
	cutAt   int // row before which rows are missing, -1 for none
	cut     int
	right   []bool
	largest []float64
}

type gridCell struct {
	text    string
	number  float64 // NaN if none
	tooltip string
	strong  bool
}

func (t *Table) grid() grid {
	rows, cutAt, cut := t.shownRows()
	g := grid{cutAt: cutAt, cut: cut, right: make([]bool, len(t.Columns)), largest: make([]float64, len(t.Columns))}
	for _, row := range rows {
		g.rows = append(g.rows, t.cells(row))
	}
	if t.Foot != nil {
		g.foot = t.cells(t.Foot)
	}
	for i, c := range t.Columns {
		numbers := alignPoints(g.rows, g.foot, i)
		g.right[i] = c.Align == AlignRight || c.Align == AlignAuto && numbers
		for _, row := range g.rows {
			if n := row[i].number; n > g.largest[i] && !math.IsInf(n, 0) {
				g.largest[i] = n
			}
		}
	}
	return g
}

func (t *Table) shownRows() (rows [][]any, cutAt, cut int) {
	limit := t.MaxRows
	if limit == 0 {
		limit = 60
	}
	if limit < 0 || len(t.Rows) <= limit {
		return t.Rows, -1, 0
	}
	head := (limit + 1) / 2
	tail := limit - head
	rows = append(append(rows, t.Rows[:head]...), t.Rows[len(t.Rows)-tail:]...)
	return rows, head, len(t.Rows) - limit
}

func (t *Table) cells(row []any) []gridCell {
	out := make([]gridCell, len(t.Columns))
	for i := range out {
		out[i].number = math.NaN()
		if i < len(row) {
			out[i] = t.cell(row[i], t.Columns[i])
		}
	}
	return out
}

func (t *Table) cell(v any, c Column) gridCell {
	if rich, ok := v.(Cell); ok {
		g := t.cell(rich.Value, c)
		g.tooltip, g.strong = rich.Tooltip, rich.Strong
		return g
	}
	text, number := formatCell(v, c.Digits)
	return gridCell{text: validText(text), number: number}
}

// formatCell returns a value's text and, for numbers, its magnitude.
func formatCell(v any, digits int) (string, float64) {
	if digits <= 0 {
		digits = 4
	}
	switch v := v.(type) {
	case nil:
		return "", math.NaN()
	case string:
		return v, math.NaN()
	case time.Duration:
		return FormatDuration(v), float64(v)
	case Bytes:
		return v.String(), float64(v)
	case fmt.Stringer, error:
		return fmt.Sprint(v), math.NaN()
	}
	rv := reflect.ValueOf(v)
	switch {
	case rv.CanFloat():
		f := rv.Float()
		return Number(f, digits), f
	case rv.CanInt():
		return group(strconv.FormatInt(rv.Int(), 10)), float64(rv.Int())
	case rv.CanUint():
		return group(strconv.FormatUint(rv.Uint(), 10)), float64(rv.Uint())
	}
	return fmt.Sprint(v), math.NaN()
}

// alignPoints pads the plain numbers of column i behind their point to one
// width, and reports whether the column holds only numbers.
func alignPoints(rows [][]gridCell, foot []gridCell, i int) bool {
	numbers, decimals := 0, 0
	all := rows
	if foot != nil {
		all = append(append([][]gridCell{}, rows...), foot)
	}
	fraction := func(s string) (int, bool) {
		for _, r := range s {
			if !unicode.IsDigit(r) && r != '.' && r != '-' && r != ',' {
				return 0, false
			}
		}
		if p := strings.IndexByte(s, '.'); p >= 0 {
			return len(s) - p, true
		}
		return 0, true
	}
	for _, row := range all {
		c := row[i]
		isNumber := !math.IsNaN(c.number) || c.text == "NaN"
		if !isNumber && c.text != "" {
			return false
		}
		if isNumber {
			numbers++
		}
		if n, ok := fraction(c.text); ok {
			decimals = max(decimals, n)
		}
	}
	if numbers == 0 {
		return false
	}
	for _, row := range all {
		if n, ok := fraction(row[i].text); ok && row[i].text != "" {
			row[i].text += strings.Repeat(" ", decimals-n)
		}
	}
	return true
}

// group puts a comma before each three digits of a number above 9999.
func group(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	if len(s) <= 4 {
		return sign + s
	}
	var parts []string
	for len(s) > 3 {
		parts = append([]string{s[len(s)-3:]}, parts...)
		s = s[:len(s)-3]
	}
	return sign + strings.Join(append([]string{s}, parts...), ",")
}

func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(0, width-textWidth(s))) + s
}

func padRight(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-textWidth(s)))
}

// textWidth is the number of terminal columns of s, close enough for tables:
// combining marks take none, East Asian wide characters two.
func textWidth(s string) int {
	if isASCII(s) {
		return len(s)
	}
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
			r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff):
			n += 2
		default:
			n++
		}
	}
	return n
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
