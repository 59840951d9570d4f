package notebook

import (
	"html"
	"strings"
	"unicode"
)

// mathML turns the TeX that notebooks use most into MathML, which browsers
// draw without a script. ok is false for anything it does not know; the source
// is shown then.
func mathML(source string, block bool) (out string, ok bool) {
	p := &mathParserState{rest: []rune(strings.TrimSpace(source))}
	body := p.row("")
	if p.failed || len(p.rest) > 0 {
		return "", false
	}
	display := "inline"
	if block {
		display = "block"
	}
	return `<math display="` + display + `">` + body + `</math>`, true
}

// mathSymbols are commands that stand for one sign. Letters become
// identifiers, all else operators.
var mathSymbols = map[string]string{
	"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
	"Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω", "ell": "ℓ", "infty": "∞", "partial": "∂", "nabla": "∇", "hbar": "ℏ", "top": "⊤", "intercal": "⊺",
	"cdot": "⋅", "times": "×", "pm": "±", "mp": "∓", "odot": "⊙", "otimes": "⊗", "oplus": "⊕", "circ": "∘", "ast": "∗", "div": "÷",
	"le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "sim": "∼", "equiv": "≡", "propto": "∝", "ll": "≪", "gg": "≫", "in": "∈", "notin": "∉", "subset": "⊂", "cup": "∪", "cap": "∩", "forall": "∀", "exists": "∃",
	"to": "→", "rightarrow": "→", "leftarrow": "←", "Rightarrow": "⇒", "Leftrightarrow": "⇔", "mapsto": "↦", "sum": "∑", "prod": "∏", "int": "∫", "mid": "∣", "vert": "|", "Vert": "‖", "|": "‖", "lVert": "‖", "rVert": "‖", "langle": "⟨", "rangle": "⟩", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉",
	"ldots": "…", "dots": "…", "cdots": "⋯", "vdots": "⋮", "prime": "′", "{": "{", "}": "}", "%": "%", "_": "_", "#": "#", "&": "&", "$": "$",
}

// mathFunctions are set upright.
var mathFunctions = map[string]bool{"exp": true, "log": true, "ln": true, "sin": true, "cos": true, "tan": true, "tanh": true, "max": true, "min": true, "arg": true, "det": true, "dim": true, "lim": true, "Pr": true, "gcd": true}

// mathSpaces are commands for white space, in em.
var mathSpaces = map[string]string{",": "0.17", ":": "0.22", ";": "0.28", "!": "-0.17", " ": "0.28", "quad": "1", "qquad": "2"}

var mathAccents = map[string]string{"hat": "^", "widehat": "^", "bar": "¯", "overline": "¯", "tilde": "~", "dot": "˙", "vec": "→"}

// mathStyles are commands that set the letters of their argument otherwise.
var mathStyles = map[string]string{"mathrm": "normal", "operatorname": "normal", "text": "normal", "textrm": "normal", "mathbf": "bold", "boldsymbol": "bold", "bm": "bold", "mathbb": "double", "mathcal": "script"}

const deepestMath = 40

type mathParserState struct {
	rest   []rune
	depth  int
	failed bool
}

func (p *mathParserState) fail() string {
	p.failed = true
	p.rest = nil
	return ""
}

// row reads up to the end or to the stop, "}" or "right", which it leaves.
func (p *mathParserState) row(stop string) string {
	if p.depth++; p.depth > deepestMath {
		return p.fail()
	}
	defer func() { p.depth-- }()
	var w strings.Builder
	for len(p.rest) > 0 && !p.failed {
		if stop == "}" && p.rest[0] == '}' || stop == "right" && p.peekCommand() == "right" {
			break
		}
		w.WriteString(p.scripted())
	}
	return "<mrow>" + w.String() + "</mrow>"
}

// scripted reads an atom with what stands above and below it.
func (p *mathParserState) scripted() string {
	base := p.atom()
	var sub, super string
	for len(p.rest) > 0 && !p.failed {
		p.skipSpace()
		if len(p.rest) == 0 {
			break
		}
		c := p.rest[0]
		switch {
		case c == '_' && sub == "":
			p.rest = p.rest[1:]
			sub = p.argument()
			continue
		case c == '^' && super == "":
			p.rest = p.rest[1:]
			super = p.argument()
			continue
		case c == '\'' && super == "":
			p.rest = p.rest[1:]
			super = "<mo>′</mo>"
			continue
		}
		break
	}
	large := strings.Contains(base, "∑") || strings.Contains(base, "∏") || base == "<mi>lim</mi>" || base == "<mi>max</mi>" || base == "<mi>min</mi>"
	switch {
	case sub != "" && super != "" && large:
		return "<munderover>" + base + sub + super + "</munderover>"
	case sub != "" && super != "":
		return "<msubsup>" + base + sub + super + "</msubsup>"
	case sub != "" && large:
		return "<munder>" + base + sub + "</munder>"
	case sub != "":
		return "<msub>" + base + sub + "</msub>"
	case super != "":
		return "<msup>" + base + super + "</msup>"
	}
	return base
}

func (p *mathParserState) skipSpace() {
	for len(p.rest) > 0 && unicode.IsSpace(p.rest[0]) {
		p.rest = p.rest[1:]
	}
}

// argument is a group in braces or a single atom.
func (p *mathParserState) argument() string {
	p.skipSpace()
	if len(p.rest) == 0 {
		return p.fail()
	}
	return p.atom()
}

func (p *mathParserState) atom() string {
	p.skipSpace()
	if len(p.rest) == 0 {
		return ""
	}
	c := p.rest[0]
	switch {
	case c == '\\':
		return p.command(p.takeCommand())
	case c == '{':
		p.rest = p.rest[1:]
		body := p.row("}")
		if len(p.rest) == 0 {
			return p.fail()
		}
		p.rest = p.rest[1:]
		return body
	case strings.ContainsRune("}^_&#%~", c):
		return p.fail()
	case unicode.IsDigit(c):
		n := 1
		for n < len(p.rest) && (unicode.IsDigit(p.rest[n]) || p.rest[n] == '.' && n+1 < len(p.rest) && unicode.IsDigit(p.rest[n+1])) {
			n++
		}
		number := string(p.rest[:n])
		p.rest = p.rest[n:]
		return "<mn>" + number + "</mn>"
	}
	p.rest = p.rest[1:]
	if unicode.IsLetter(c) {
		return "<mi>" + html.EscapeString(string(c)) + "</mi>"
	}
	if c == '-' {
		c = '−'
	}
	return "<mo>" + html.EscapeString(string(c)) + "</mo>"
}

// peekCommand is the name of the command that comes next, without taking it.
func (p *mathParserState) peekCommand() string {
	if len(p.rest) < 2 || p.rest[0] != '\\' {
		return ""
	}
	n := 1
	for n < len(p.rest) && p.rest[n] < 0x80 && unicode.IsLetter(p.rest[n]) {
		n++
	}
	if n == 1 {
		n = 2
	}
	return string(p.rest[1:n])
}

func (p *mathParserState) takeCommand() string {
	name := p.peekCommand()
	p.rest = p.rest[min(1+len([]rune(name)), len(p.rest)):]
	return name
}

func (p *mathParserState) command(name string) string {
	if s, ok := mathSymbols[name]; ok {
		if r := []rune(s)[0]; unicode.IsLetter(r) || strings.Contains("∞⊤∂∇ℓ", s) {
			return "<mi>" + s + "</mi>"
		}
		return "<mo>" + html.EscapeString(s) + "</mo>"
	}
	if mathFunctions[name] {
		return "<mi>" + name + "</mi>"
	}
	if width, ok := mathSpaces[name]; ok {
		return `<mspace width="` + width + `em"></mspace>`
	}
	if accent, ok := mathAccents[name]; ok {
		return `<mover accent="true">` + p.argument() + "<mo>" + accent + "</mo></mover>"
	}
	if style, ok := mathStyles[name]; ok {
		return p.styled(style)
	}
	switch name {
	case "frac", "dfrac", "tfrac":
		return "<mfrac>" + p.argument() + p.argument() + "</mfrac>"
	case "sqrt":
		return "<msqrt>" + p.argument() + "</msqrt>"
	case "left":
		return p.fenced()
	case "displaystyle", "limits":
		return ""
	}
	return p.fail()
}

// fenced is \left( … \right).
func (p *mathParserState) fenced() string {
	open := p.delimiter()
	body := p.row("right")
	if p.takeCommand() != "right" {
		return p.fail()
	}
	return "<mrow>" + open + body + p.delimiter() + "</mrow>"
}

func (p *mathParserState) delimiter() string {
	p.skipSpace()
	if len(p.rest) > 0 && p.rest[0] == '.' {
		p.rest = p.rest[1:]
		return ""
	}
	if len(p.rest) == 0 || p.rest[0] == '{' {
		return p.fail()
	}
	return p.atom()
}

// styled is a group of plain letters in another style.
func (p *mathParserState) styled(style string) string {
	p.skipSpace()
	if len(p.rest) == 0 {
		return p.fail()
	}
	letters := p.rest[:1]
	if p.rest[0] == '{' {
		end := strings.IndexRune(string(p.rest), '}')
		if end < 0 {
			return p.fail()
		}
		letters = []rune(string(p.rest)[1:end])
		p.rest = []rune(string(p.rest)[end+1:])
	} else {
		p.rest = p.rest[1:]
	}
	if strings.ContainsAny(string(letters), `\{`) {
		return p.fail()
	}
	s := html.EscapeString(string(letters))
	switch style {
	case "bold":
		return `<mi style="font-weight:bold">` + s + "</mi>"
	case "double", "script":
		return "<mi>" + html.EscapeString(mathAlphabet(style, letters)) + "</mi>"
	}
	return `<mtext>` + s + "</mtext>"
}

// mathAlphabet maps capitals to the letterlike symbols of Unicode.
func mathAlphabet(style string, letters []rune) string {
	special := map[string]map[rune]rune{
		"double": {'C': 'ℂ', 'H': 'ℍ', 'N': 'ℕ', 'P': 'ℙ', 'Q': 'ℚ', 'R': 'ℝ', 'Z': 'ℤ'},
		"script": {'B': 'ℬ', 'E': 'ℰ', 'F': 'ℱ', 'H': 'ℋ', 'I': 'ℐ', 'L': 'ℒ', 'M': 'ℳ', 'R': 'ℛ'},
	}[style]
	first := map[string]rune{"double": '𝔸', "script": '𝒜'}[style]
	out := make([]rune, len(letters))
	for i, r := range letters {
		switch {
		case special[r] != 0:
			r = special[r]
		case r >= 'A' && r <= 'Z':
			r = first + r - 'A'
		}
		out[i] = r
	}
	return string(out)
}
