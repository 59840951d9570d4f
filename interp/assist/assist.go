// Package assist helps people who are writing a cell: source text and a cursor
// go in; completions, descriptions, or whether the cell is finished come out.
// It reads a [View] of the session and never changes the session; broken and
// unfinished code is its normal input.
//
// Cursors count code points, as in Jupyter's protocol. A cursor beyond the end
// counts UTF-16 units, which some front ends send.
package assist

import (
	"go/types"
	"unicode/utf16"
	"unicode/utf8"
)

// View is what there is to know about a session at one moment.
type View struct {
	// Package is the package of the cells. Only its path and name are used.
	Package *types.Package
	// Objects are the variables, constants, types and functions that cells
	// have declared, under their plain names.
	Objects []types.Object
	// Imports are the packages that cells have imported: name to path.
	Imports map[string]string
	// Definition finds where a cell declared an object; may be nil.
	Definition func(types.Object) (Definition, bool)
	// Value summarises the value of a variable; may be nil.
	Value func(name string) (text string, ok bool)
}

// Definition is the place where a cell declares something.
type Definition struct {
	Cell   string // "cell 3"
	Line   int
	Source string // of the whole declaration
	Doc    string // its doc comment, without comment signs
}

// Item is one completion. Type is one of function, method, field, variable,
// constant, struct, interface, class (other types), module, keyword, magic and
// path: the words that front ends have icons for.
type Item struct{ Text, Type, Signature string }

// Completion replaces the code points from Start to End by the text of an item.
type Completion struct {
	Start, End int
	Items      []Item // sorted by text, without repetitions
}

// byteOffset turns a cursor into an offset in bytes.
func byteOffset(code string, cursor int) int {
	if cursor <= 0 {
		return 0
	}
	if n := utf8.RuneCountInString(code); cursor > n {
		return utf16Offset(code, cursor)
	}
	for i := range code {
		if cursor == 0 {
			return i
		}
		cursor--
	}
	return len(code)
}

func utf16Offset(code string, units int) int {
	for i, r := range code {
		if units <= 0 {
			return i
		}
		units -= max(utf16.RuneLen(r), 1)
	}
	return len(code)
}

// cursorAt is the inverse of byteOffset, in code points.
func cursorAt(code string, offset int) int { return utf8.RuneCountInString(code[:offset]) }
