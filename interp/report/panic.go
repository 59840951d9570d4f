package report

import (
	"go/token"
	"strings"
)

// Frame is a frame of a cell on the stack of a panic.
type Frame struct {
	Func     string         // as users know it: "f", "(*T).Method", "" for the cell itself
	Pos, End token.Position // of the failing part; End may be invalid
	Repeated int            // how many more frames are the same, by recursion
}

// Panic is a panic that ended a cell.
type Panic struct {
	Value  any     // what panic was called with
	Frames []Frame // innermost first; frames of the interpreter left out
	More   int     // frames that were dropped from the middle
	// Started is where the goroutine was started, if it is not the cell's own.
	Started token.Position
	// Detail replaces the text of the value. Without it, a value with a method
	// Detail() string (see Detailer) speaks for itself.
	Detail *Detail
}

// Detail is a rich error: what is wrong, where it shows, where the parts came
// from and what to do.
type Detail struct {
	Title    string
	Pos, End token.Position
	Notes    []Note
	Hint     string
}

// Detailer is an error with more to say than one line. The first line of
// Detail is its message; indented lines follow.
type Detailer interface {
	error
	Detail() string
}

// maxFrames bounds the frames shown from each end of the stack.
const maxFrames = 10

// Render shows a panic.
func Render(src Source, pn Panic) Report {
	r := Report{Name: "panic"}
	var p page
	title := panicText(pn.Value)
	detail := pn.Detail
	if detail != nil {
		title = detail.Title
	}
	r.Value = firstLine(title)
	what, remark := "panic: ", ""
	if pn.Started.IsValid() {
		what = "panic in a goroutine: "
	}
	if _, rich := pn.Value.(Detailer); detail == nil && !rich {
		remark = typeRemark(pn.Value)
	}
	p.line(text(styleError, what), text(styleStrong, r.Value), text(styleDim, remark))
	p.rest(title, "")
	switch d, ok := pn.Value.(Detailer); {
	case detail != nil:
		p.detail(src, *detail, pn.Frames)
	case ok && len(pn.Frames) > 0:
		p.rest(safely(d.Detail), place(pn.Frames[0].Pos))
	case ok:
		p.rest(safely(d.Detail), "")
	}
	p.frames(src, pn)
	r.Traceback, r.HTML = p.ansi(), p.html()
	return r
}

// rest shows all lines but the first, and but those that only name a place
// which is shown anyway.
func (p *page) rest(s, known string) {
	if _, rest, more := strings.Cut(strings.TrimRight(s, "\n"), "\n"); more {
		for l := range strings.SplitSeq(rest, "\n") {
			if known != "" && strings.TrimSpace(l) == known {
				continue
			}
			if hint, ok := strings.CutPrefix(strings.TrimSpace(l), "hint: "); ok {
				p.hint(hint)
				continue
			}
			p.line(text(stylePlain, l))
		}
	}
}

func (p *page) detail(src Source, d Detail, frames []Frame) {
	// The innermost frame shows the same line again: then only once.
	if d.Pos.IsValid() && (len(frames) == 0 || frames[0].Pos.Filename != d.Pos.Filename || frames[0].Pos.Line != d.Pos.Line) {
		p.line(text(stylePlace, place(d.Pos)))
		p.excerpt(src, d.Pos, d.End)
	}
	p.notes(src, d.Notes)
	p.hint(d.Hint)
}

func (p *page) frames(src Source, pn Panic) {
	shown := pn.Frames
	var tail []Frame
	more := pn.More
	if len(shown) > 2*maxFrames {
		for _, f := range shown[maxFrames : len(shown)-maxFrames] {
			more += 1 + f.Repeated
		}
		tail = shown[len(shown)-maxFrames:]
		shown = shown[:maxFrames]
	}
	if len(pn.Frames) > 0 {
		p.line()
	}
	for _, f := range shown {
		p.frame(src, f)
	}
	if more > 0 {
		p.line(text(styleDim, "… "+count(more, "more frame")))
	}
	for _, f := range tail {
		p.frame(src, f)
	}
	if pn.Started.IsValid() {
		p.line(text(styleDim, "started at "), text(stylePlace, place(pn.Started)))
		p.excerpt(src, pn.Started, token.Position{})
	}
}

// frame shows one frame: its place, its function and its source line with the
// failing part, or the call under way, marked.
func (p *page) frame(src Source, f Frame) {
	spans := []span{{stylePlace, place(f.Pos)}}
	if f.Func != "" {
		spans = append(spans, text(stylePlain, ", in "), text(styleStrong, f.Func))
	}
	p.line(spans...)
	if f.Pos.Column > 0 {
		p.excerpt(src, f.Pos, f.End)
	} else if line, ok := sourceLine(src, f.Pos); ok {
		shown, _, _ := window(line, 0, 0)
		p.line(text(styleGutter, "  "+itoa(f.Pos.Line)+" │ "), text(stylePlain, shown))
	}
	if f.Repeated > 0 {
		p.line(text(styleDim, "  … and "+count(f.Repeated, "more call")+" from the same place"))
	}
}
