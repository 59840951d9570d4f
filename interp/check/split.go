// Package check keeps a session's scope: the source of a cell goes in, checked
// syntax with types comes out, or all that is wrong with it.
package check

import (
	"go/scanner"
	"go/token"
)

// chunk is a piece of a cell between two semicolons at the top level.
type chunk struct {
	start, end int // byte offsets
	decl       bool
	list       bool // several expressions: a, b
	pkg        bool // a package clause
}

type tok struct {
	tok token.Token
	lit string
	off int
}

// split divides the source of a cell into declarations (import, const, type,
// func) and statements. It looks at tokens only, so any input will do.
func split(src []byte) (chunks []chunk, ended bool) {
	var s scanner.Scanner
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	s.Init(file, src, func(token.Position, string) {}, 0)
	depth := 0
	var cur []tok
	last := 0
	flush := func(end int) {
		if len(cur) > 0 {
			c := chunk{cur[0].off, end, isDecl(cur), isList(cur), cur[0].tok == token.PACKAGE}
			if c.decl {
				c.start = last // with the comments before it
			}
			chunks = append(chunks, c)
		}
		cur = cur[:0]
		last = end
	}
	for {
		pos, t, lit := s.Scan()
		if t == token.EOF {
			break
		}
		off := file.Offset(pos)
		switch t {
		case token.LPAREN, token.LBRACE, token.LBRACK:
			depth++
		case token.RPAREN, token.RBRACE, token.RBRACK:
			depth--
		case token.SEMICOLON:
			// The semicolons of a for header are not at its end.
			if depth <= 0 && !(lit == ";" && inHeader(cur)) {
				end := off
				if lit == ";" {
					end++
				}
				ended = lit == ";"
				flush(end)
				depth = 0
				continue
			}
		}
		cur = append(cur, tok{t, lit, off})
	}
	if len(cur) > 0 {
		ended = false
	}
	flush(len(src))
	return chunks, ended
}

// inHeader reports whether a chunk so far is the beginning of a statement whose
// header may hold semicolons.
func inHeader(cur []tok) bool {
	i := 0
	for i+1 < len(cur) && cur[i].tok == token.IDENT && cur[i+1].tok == token.COLON {
		i += 2 // labels
	}
	if i >= len(cur) {
		return false
	}
	switch cur[i].tok {
	case token.FOR, token.IF, token.SWITCH:
		depth := 0
		for _, t := range cur[i:] {
			switch t.tok {
			case token.LBRACE:
				if depth == 0 {
					// A block has begun, unless it is a composite literal, which a
					// header cannot hold at this depth.
					return elseHeader(cur)
				}
				depth++
			case token.LPAREN, token.LBRACK:
				depth++
			case token.RPAREN, token.RBRACK, token.RBRACE:
				depth--
			}
		}
		return true
	}
	return false
}

// elseHeader reports whether the last words are "else if …" without a block.
func elseHeader(cur []tok) bool {
	for i := len(cur) - 1; i > 0; i-- {
		switch cur[i].tok {
		case token.LBRACE, token.RBRACE:
			return false
		case token.IF:
			return cur[i-1].tok == token.ELSE
		}
	}
	return false
}

// isDecl reports whether a chunk is a declaration other than var.
func isDecl(cur []tok) bool {
	switch cur[0].tok {
	case token.IMPORT, token.CONST, token.TYPE, token.PACKAGE:
		return true
	case token.FUNC:
		if len(cur) > 1 && cur[1].tok == token.IDENT {
			return true
		}
		// func (recv) name( is a method; else it is a literal.
		depth := 0
		for i, t := range cur[1:] {
			switch t.tok {
			case token.LPAREN:
				depth++
			case token.RPAREN:
				depth--
				if depth == 0 {
					rest := cur[i+2:]
					return len(rest) > 1 && rest[0].tok == token.IDENT && rest[1].tok == token.LPAREN
				}
			}
		}
	}
	return false
}

// isList reports whether a chunk is a list of expressions, which is no Go
// statement but shows several values at the end of a cell.
func isList(cur []tok) bool {
	if cur[0].tok.IsKeyword() && cur[0].tok != token.FUNC && cur[0].tok != token.MAP && cur[0].tok != token.STRUCT {
		return false
	}
	depth, comma := 0, false
	for _, t := range cur {
		switch t.tok {
		case token.LPAREN, token.LBRACE, token.LBRACK:
			depth++
		case token.RPAREN, token.RBRACE, token.RBRACK:
			depth--
		case token.COMMA:
			comma = comma || depth == 0
		case token.DEFINE, token.ASSIGN, token.COLON:
			if depth == 0 {
				return false
			}
		}
	}
	return comma && cur[len(cur)-1].tok != token.COMMA
}

// blanked returns the source with all but the chosen chunks turned to spaces,
// so that positions stay.
func blanked(src []byte, chunks []chunk, decl bool) []byte {
	out := make([]byte, len(src))
	for i, b := range src {
		if b == '\n' {
			out[i] = '\n'
		} else {
			out[i] = ' '
		}
	}
	for _, c := range chunks {
		if c.decl == decl {
			copy(out[c.start:c.end], src[c.start:c.end])
		}
	}
	return out
}
