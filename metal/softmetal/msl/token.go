package msl

import (
	"fmt"
	"strings"
)

type kind uint8

const (
	space     kind = iota // blanks and comments
	line                  // a `# 12 "file"` marker of the preprocessor
	word                  // identifier or keyword
	number                // numeric literal
	literal               // string or character literal
	punct                 // anything else, one token per operator
	attribute             // [[ … ]], folded into one token
)

// A token of preprocessed source. Attributes carry their names and arguments.
type token struct {
	kind       kind
	text       string
	attributes map[string]string
}

// operators longer than one character that matter to the rewriter; the rest may fall apart harmlessly.
var operators = []string{"<<=", ">>=", "::", "->", "++", "--", "&&", "||", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "==", "!=", "<=", ">=", "<<", ">>"}

// tokenize splits preprocessed source. Joining the texts gives the source back, but for comments and attributes.
func tokenize(source string) ([]token, error) {
	var out []token
	for i := 0; i < len(source); {
		rest := source[i:]
		c := rest[0]
		n := 1
		k := punct
		switch {
		case c == '#' && (i == 0 || source[i-1] == '\n'):
			k, n = line, lengthUntil(rest, "\n")
		case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
			k = space
			for n < len(rest) && strings.IndexByte(" \t\r\n\f\v", rest[n]) >= 0 && rest[n-1] != '\n' {
				n++
			}
		case strings.HasPrefix(rest, "//"):
			k, n = space, lengthUntil(rest, "\n")-1
		case strings.HasPrefix(rest, "/*"):
			k, n = space, lengthUntil(rest, "*/")
		case c == '"' || c == '\'':
			k = literal
			for n < len(rest) && rest[n] != c {
				if rest[n] == '\\' {
					n++
				}
				n++
			}
			n++
		case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
			k = number
			for n < len(rest) && (isWord(rest[n]) || rest[n] == '.' || (rest[n] == '+' || rest[n] == '-') && isExponent(rest[:n])) {
				n++
			}
		case isWord(c):
			k = word
			for n < len(rest) && isWord(rest[n]) {
				n++
			}
		default:
			for _, op := range operators {
				if strings.HasPrefix(rest, op) {
					n = len(op)
					break
				}
			}
		}
		if n > len(rest) {
			n = len(rest)
		}
		out = append(out, token{kind: k, text: rest[:n]})
		i += n
	}
	return foldAttributes(out)
}

func lengthUntil(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWord(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
func isExponent(number string) bool {
	last := number[len(number)-1]
	return (last == 'e' || last == 'E') && !strings.HasPrefix(number, "0x") && !strings.HasPrefix(number, "0X")
}

// foldAttributes turns each [[name(argument), …]] into one token.
func foldAttributes(in []token) ([]token, error) {
	var out []token
	for i := 0; i < len(in); i++ {
		if !(in[i].text == "[" && i+1 < len(in) && in[i+1].text == "[") {
			out = append(out, in[i])
			continue
		}
		end := i + 2
		for depth := 0; ; end++ {
			if end+1 >= len(in) {
				return nil, fmt.Errorf("attribute [[ without ]]")
			}
			switch in[end].text {
			case "(", "[":
				depth++
			case ")":
				depth--
			case "]":
				depth--
			}
			if depth < 0 {
				break
			}
		}
		out = append(out, token{kind: attribute, attributes: parseAttributes(in[i+2 : end])})
		i = end + 1
	}
	return out, nil
}

func parseAttributes(in []token) map[string]string {
	found := map[string]string{}
	name, argument, depth := "", "", 0
	for _, t := range in {
		switch {
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
		case depth > 0:
			argument += t.text
		case t.text == ",":
			found[name], name, argument = strings.TrimSpace(argument), "", ""
		case t.kind == word:
			name = t.text
		}
	}
	found[name] = strings.TrimSpace(argument)
	return found
}

func (t token) significant() bool { return t.kind != space && t.kind != line }

func join(ts []token) string {
	var b strings.Builder
	for _, t := range ts {
		b.WriteString(t.text)
	}
	return b.String()
}

// matching returns the index of the bracket that closes the one at i.
func matching(ts []token, i int) (int, error) {
	open := ts[i].text
	closing := map[string]string{"(": ")", "{": "}", "[": "]"}[open]
	depth := 0
	for j := i; j < len(ts); j++ {
		switch ts[j].text {
		case open:
			depth++
		case closing:
			if depth--; depth == 0 {
				return j, nil
			}
		}
	}
	return 0, fmt.Errorf("%q without %q", open, closing)
}

// split cuts at top-level commas.
func split(ts []token) [][]token {
	var parts [][]token
	depth, start := 0, 0
	for i, t := range ts {
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case ",":
			if depth == 0 {
				parts = append(parts, ts[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, ts[start:])
}
