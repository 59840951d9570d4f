// Package display turns Go values into what a notebook shows: values go in,
// MIME bundles come out (HTML and text tables, SVG graphs and timelines,
// charts, progress bars, images), and [Show] hands them to whatever [Outlet]
// the program runs under. It knows nothing of tensors.
//
// Every bundle holds text/plain, needs no network and no script, and is a pure
// function of the value: two runs that show the same value emit the same bytes.
package display

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"reflect"
	"unicode/utf8"
)

// MIME types that the package emits.
const (
	MIMEText     = "text/plain"
	MIMEHTML     = "text/html"
	MIMEMarkdown = "text/markdown"
	MIMELatex    = "text/latex"
	MIMESVG      = "image/svg+xml"
	MIMEPNG      = "image/png"
	MIMEJPEG     = "image/jpeg"
	MIMEJSON     = "application/json"
	MIMEVegaLite = "application/vnd.vegalite.v5+json"
	// MIMEResult carries the numbers of a result as {values, measured,
	// tolerance}; a replay compares it. See [Result].
	MIMEResult = "application/vnd.loris+json"
)

// Bundle is one output: the same content under several MIME types.
type Bundle struct {
	// Data maps a MIME type to a string, to []byte (binary content, base64 on
	// the wire), or to a value that encodes as JSON.
	Data map[string]any
	// Metadata maps a MIME type or a free key to a JSON value; it may be nil.
	Metadata map[string]any
}

// Rich is implemented by values that know how to show themselves.
type Rich interface{ MIME() map[string]any }

// RichMetadata is implemented by Rich values that have more to say about an
// output than its content, such as the provenance of a measurement.
type RichMetadata interface{ MIMEMetadata() map[string]any }

// Of returns the bundle that shows v: its own MIME form if it is [Rich], a PNG
// if it is an image, otherwise its text. It never panics: a MIME or String
// method that does is shown as text saying so.
func Of(v any) (b Bundle) {
	defer func() {
		if r := recover(); r != nil {
			b = Text(fmt.Sprintf("%T: cannot be displayed: panic: %v", v, r))
		}
	}()
	switch v := v.(type) {
	case nil:
		return Text("<nil>")
	case Bundle:
		return v
	case *Bundle:
		if v == nil {
			return Text("<nil>")
		}
		return *v
	}
	if isNilPointer(v) {
		return Text("<nil>")
	}
	if r, ok := v.(Rich); ok {
		return ofRich(r)
	}
	if img, ok := v.(image.Image); ok {
		return ofImage(img)
	}
	if err, ok := v.(error); ok {
		return Text(err.Error())
	}
	return Text(fmt.Sprintf("%v", v))
}

// Text returns a bundle with only text/plain. Bytes that are not UTF-8 become
// U+FFFD, since no front end accepts them.
func Text(s string) Bundle {
	return Bundle{Data: map[string]any{MIMEText: validText(s)}}
}

func ofRich(r Rich) Bundle {
	data := r.MIME()
	out := make(map[string]any, len(data)+1)
	for mime, content := range data {
		if s, ok := content.(string); ok {
			content = validText(s)
		}
		out[mime] = content
	}
	if _, ok := out[MIMEText]; !ok {
		out[MIMEText] = plainText(r)
	}
	b := Bundle{Data: out}
	if m, ok := r.(RichMetadata); ok {
		b.Metadata = m.MIMEMetadata()
	}
	return b
}

// plainText is the text of a Rich value that gave none. Without a String
// method, %v would print the fields behind it, which helps nobody.
func plainText(v any) string {
	switch v := v.(type) {
	case error:
		return validText(v.Error())
	case fmt.Stringer:
		return validText(v.String())
	}
	return fmt.Sprintf("<%T>", v)
}

func ofImage(img image.Image) Bundle {
	b := img.Bounds()
	text := fmt.Sprintf("<%T %d×%d>", img, b.Dx(), b.Dy())
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		return Text(text + ": " + err.Error())
	}
	return Bundle{
		Data:     map[string]any{MIMEPNG: buf.Bytes(), MIMEText: text},
		Metadata: map[string]any{MIMEPNG: map[string]any{"width": b.Dx(), "height": b.Dy()}},
	}
}

func isNilPointer(v any) bool {
	rv := reflect.ValueOf(v)
	return rv.Kind() == reflect.Pointer && rv.IsNil()
}

func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string(bytes.ToValidUTF8([]byte(s), []byte("\uFFFD")))
}
