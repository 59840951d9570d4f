package assist

import (
	"errors"
	"go/parser"
	"go/scanner"
	"go/token"
	"strconv"
	"strings"

	"loris/interp/magic"
)

// IsComplete says for consoles whether a cell is ready to run: "complete",
// "incomplete" with the indentation of the next line, or "invalid" if no more
// text could make it right.
func IsComplete(code string) (status, indent string) {
	if strings.HasPrefix(strings.TrimLeft(code, " \t\r\n"), "%%") {
		return cellMagicComplete(code)
	}
	if _, err := magic.Parse(code); err != nil {
		return "complete", "" // running it gives the message
	}
	text := magic.Code(code)
	tokens := lex(text)
	depth, ok := nesting(tokens)
	if !ok {
		return "invalid", ""
	}
	if len(depth) > 0 {
		return "incomplete", strings.Repeat("\t", len(depth))
	}
	if unterminated(text, tokens) || openEnded(tokens) {
		return "incomplete", ""
	}
	switch atEnd, err := syntaxError(text); {
	case err == nil:
		return "complete", ""
	case atEnd:
		return "incomplete", ""
	}
	return "invalid", ""
}

// A cell magic takes lines until an empty one, as consoles have no other sign
// that the text is finished.
func cellMagicComplete(code string) (status, indent string) {
	lines := strings.Split(strings.TrimLeft(code, " \t\r\n"), "\n")
	word := strings.Fields(lines[0])[0]
	if m, ok := magic.Find(word); !ok || len(lines) > 1 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		return "complete", ""
	} else if m.Code && len(lines) > 1 {
		return IsComplete(strings.Join(lines[1:], "\n"))
	}
	return "incomplete", ""
}

// nesting returns the open brackets; ok is false if one closes that is not
// open.
func nesting(tokens []lexeme) (open []token.Token, ok bool) {
	closes := map[token.Token]token.Token{token.RPAREN: token.LPAREN, token.RBRACK: token.LBRACK, token.RBRACE: token.LBRACE}
	for _, l := range tokens {
		switch l.tok {
		case token.LPAREN, token.LBRACK, token.LBRACE:
			open = append(open, l.tok)
		case token.RPAREN, token.RBRACK, token.RBRACE:
			if len(open) == 0 || open[len(open)-1] != closes[l.tok] {
				return nil, false
			}
			open = open[:len(open)-1]
		}
	}
	return open, true
}

// unterminated reports whether the text ends inside a raw string or comment.
func unterminated(text string, tokens []lexeme) bool {
	if len(tokens) == 0 {
		return false
	}
	last := tokens[len(tokens)-1]
	if last.tok == token.SEMICOLON && last.lit == "\n" && len(tokens) > 1 {
		last = tokens[len(tokens)-2]
	}
	rest := text[last.start:]
	switch last.tok {
	case token.COMMENT:
		return strings.HasPrefix(rest, "/*") && !strings.Contains(rest[2:], "*/")
	case token.STRING:
		return strings.HasPrefix(rest, "`") && !strings.Contains(rest[1:], "`")
	}
	return false
}

// openEnded reports whether the last token asks for more.
func openEnded(tokens []lexeme) bool {
	for i := len(tokens) - 1; i >= 0; i-- {
		switch t := tokens[i].tok; t {
		case token.COMMENT:
			continue
		case token.SEMICOLON, token.IDENT, token.INC, token.DEC, token.ILLEGAL, token.RPAREN, token.RBRACK, token.RBRACE,
			token.BREAK, token.CONTINUE, token.FALLTHROUGH, token.RETURN, token.COLON:
			return false
		default:
			return t.IsOperator() || t.IsKeyword()
		}
	}
	return false
}

// syntaxError parses the cell as the session does, declarations apart from
// statements. atEnd says that the first error is where the text ends.
func syntaxError(text string) (atEnd bool, err error) {
	decls, stmts := split(text)
	end := len(bodyHead) + len(strings.TrimRight(text, " \t\r\n"))
	for _, src := range []string{declHead + decls, bodyHead + stmts + "\n}"} {
		if _, e := parser.ParseFile(token.NewFileSet(), "", src, parser.SkipObjectResolution); e != nil {
			var list scanner.ErrorList
			if errors.As(e, &list) && len(list) > 0 {
				return list[0].Pos.Offset >= end, e
			}
			return false, e
		}
	}
	return false, nil
}

func itoa(n int) string { return strconv.Itoa(n) }
