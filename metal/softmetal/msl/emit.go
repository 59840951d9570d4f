package msl

import (
	"fmt"
	"regexp"
	"strings"
)

// target is what the C++ is written for.
type target int

const (
	host  target = iota // address spaces erased, threadgroup variables in a per-group arena
	cuda                // the same with __shared__
	check               // clang's OpenCL C++: address spaces kept, so that mixing them is an error
)

var (
	vectorName  = regexp.MustCompile(`^(char|uchar|short|ushort|int|uint|long|ulong|half|float)([234])$`)
	plainFloat  = regexp.MustCompile(`^(\d+\.\d*|\.\d+|\d+(\.\d*)?[eE][+-]?\d+|\.\d+[eE][+-]?\d+)$`)
	suffixFloat = regexp.MustCompile(`^(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(h|H|bf|BF)$`)
)

var openCLSpace = map[string]string{"device": "__global", "constant": "__constant", "thread": "__private", "threadgroup": "__local"}

// rewrite turns the program's tokens into C++ for a target. Line breaks stay where they are.
func (p *Program) rewrite(to target, constants map[int]string) (string, error) {
	ts := p.tokens
	var out strings.Builder
	previous := ";" // the last significant text written
	put := func(s string) { out.WriteString(s) }
	variables := 0
	closers := map[int]bool{} // braces of `float4{…}` that became a call
	at := position{file: "program_source", line: 1}
	for i := 0; i < len(ts); i++ {
		t := ts[i]
		at.advance(t)
		if closers[i] {
			put(")")
			previous = ")"
			continue
		}
		switch {
		case t.kind == attribute:
			continue
		case t.kind == number:
			put(floatLiteral(t.text))
		case t.kind == word && t.text == "kernel":
			continue
		case t.kind == word && t.text == "constant" && p.isFunctionConstant(i):
			put(p.functionConstant(i, to, constants))
			i, previous = endOfStatement(ts, i), ";"
			continue
		case t.kind == word && t.text == "threadgroup" && startsStatement(previous):
			end, names, err := threadgroupVariable(ts, i)
			if err != nil {
				return "", fmt.Errorf("%v: error: %w", at, err)
			}
			if names == nil {
				put(spaceFor(t.text, to))
				break
			}
			for _, v := range names {
				variables++
				put(v.declare(to, variables))
			}
			i, previous = end, ";"
			continue
		case t.kind == word && addressSpaces[t.text]:
			put(spaceFor(t.text, to))
		case t.kind == word && vectorName.MatchString(t.text) && i+1 < len(ts):
			next := i + 1
			for next < len(ts) && !ts[next].significant() {
				next++
			}
			m := vectorName.FindStringSubmatch(t.text)
			if next < len(ts) && (ts[next].text == "(" || ts[next].text == "{") {
				put(fmt.Sprintf("::metal::make_vector<%s, %s>", m[1], m[2]))
				if ts[next].text == "{" {
					end, err := matching(ts, next)
					if err != nil {
						return "", fmt.Errorf("%v: error: %w", at, err)
					}
					closers[end] = true
					put("(")
					i = next
				}
			} else {
				put(t.text)
			}
		default:
			put(t.text)
		}
		if t.significant() {
			previous = t.text
		}
	}
	return out.String(), nil
}

func startsStatement(previous string) bool {
	return previous == ";" || previous == "{" || previous == "}" || previous == ")"
}

func spaceFor(space string, to target) string {
	switch {
	case to == check:
		return openCLSpace[space]
	case space == "constant":
		return "const"
	}
	return ""
}

// floatLiteral gives an unsuffixed literal MSL's type, float, and spells out half and bfloat ones.
func floatLiteral(s string) string {
	if m := suffixFloat.FindStringSubmatch(s); m != nil && !strings.HasPrefix(s, "0x") {
		kind := "half"
		if strings.EqualFold(m[3], "bf") {
			kind = "bfloat"
		}
		digits := m[1]
		if !strings.Contains(digits, ".") && m[2] == "" {
			digits += ".0"
		}
		return "((" + kind + ")" + digits + m[2] + "f)"
	}
	if plainFloat.MatchString(s) {
		return s + "f"
	}
	return s
}

func (p *Program) isFunctionConstant(i int) bool {
	for ; i < len(p.tokens) && p.tokens[i].text != ";"; i++ {
		if p.tokens[i].kind == attribute && has(p.tokens[i], "function_constant") {
			return endOfStatement(p.tokens, i) < len(p.tokens)
		}
	}
	return false
}

// endOfStatement is the index of the next semicolon, or the number of tokens.
func endOfStatement(ts []token, i int) int {
	for i < len(ts) && ts[i].text != ";" {
		i++
	}
	return i
}

func (p *Program) functionConstant(i int, to target, values map[int]string) string {
	for ; p.tokens[i].kind != attribute; i++ {
	}
	c, _ := parseConstant(p.tokens, i) // Parse has accepted it
	switch to {
	case cuda:
		value, ok := values[c.Index]
		if !ok {
			value = "0"
		}
		return fmt.Sprintf("static constexpr %s %s = %s;", c.Type, c.Name, value)
	case check:
		return fmt.Sprintf("__constant %s %s = {};", c.Type, c.Name)
	}
	return fmt.Sprintf("static %s %s;", c.Type, c.Name)
}

type variable struct{ element, name, dimensions string }

func (v variable) declare(to target, n int) string {
	switch to {
	case cuda:
		return fmt.Sprintf("__attribute__((shared)) %s %s%s;", v.element, v.name, v.dimensions)
	case check:
		return fmt.Sprintf("typedef %s threadgroup_type_%d%s; __local threadgroup_type_%d& %s = *(__local threadgroup_type_%d*)0;", v.element, n, v.dimensions, n, v.name, n)
	}
	return fmt.Sprintf("typedef %s threadgroup_type_%d%s; struct threadgroup_tag_%d {}; threadgroup_type_%d& %s = ::softmetal::threadgroup_variable<threadgroup_tag_%d, threadgroup_type_%d>();", v.element, n, v.dimensions, n, n, v.name, n, n)
}

// threadgroupVariable reads `threadgroup T a[N], b;`. It returns no variables for a pointer or reference.
func threadgroupVariable(ts []token, i int) (end int, vars []variable, err error) {
	for end = i; end < len(ts) && ts[end].text != ";"; end++ {
		switch ts[end].text {
		case "*", "&", "=":
			return 0, nil, nil
		case "(", "{":
			return 0, nil, fmt.Errorf("cannot read this threadgroup declaration")
		case "[": // skip the dimension, which may hold any expression
			if end, err = matching(ts, end); err != nil {
				return 0, nil, err
			}
		}
	}
	var element string
	for _, part := range split(ts[i+1 : end]) {
		bracket := len(part)
		for j, t := range part {
			if t.text == "[" {
				bracket = j
				break
			}
		}
		name := bracket - 1
		for name >= 0 && part[name].kind != word {
			name--
		}
		if name < 0 {
			return 0, nil, fmt.Errorf("threadgroup variable without a name")
		}
		if element == "" {
			element = strings.TrimSpace(join(part[:name]))
		}
		vars = append(vars, variable{element, part[name].text, join(part[bracket:])})
	}
	return end, vars, nil
}

// HostSource is C++ for the CPU runtime: the program, a table of its kernels, the table of its function constants.
func (p *Program) HostSource() (string, error) {
	body, err := p.rewrite(host, nil)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("#include \"msl_threads.h\"\n" + body + "\n# 1 \"softmetal_tables\"\n")
	for n, k := range p.Kernels {
		var call, table []string
		for _, a := range k.Params {
			call = append(call, a.argument())
			table = append(table, fmt.Sprintf("{%d, %d, %d}", a.Kind, a.Index, boolInt(a.ReadOnly)))
		}
		if len(table) == 0 {
			table = []string{"{softmetal_builtin, 0, 1}"}
		}
		fmt.Fprintf(&b, "static void softmetal_call_%d(const void* context) { (void)context; ::%s(%s); }\n", n, k.Name, strings.Join(call, ", "))
		fmt.Fprintf(&b, "static const SoftmetalArgument softmetal_arguments_%d[] = {%s};\n", n, strings.Join(table, ", "))
	}
	b.WriteString("static const SoftmetalKernel softmetal_kernels[] = {\n")
	for n, k := range p.Kernels {
		fmt.Fprintf(&b, "  {%q, softmetal_arguments_%d, %d, %d, softmetal_call_%d},\n", k.Name, n, max(1, len(k.Params)), k.MaxThreads, n)
	}
	fmt.Fprintf(&b, "  {}};\nstatic const int softmetal_kernel_count = %d;\nstatic const SoftmetalConstant softmetal_constants[] = {\n", len(p.Kernels))
	for _, c := range p.Constants {
		fmt.Fprintf(&b, "  {%d, %q, &%s, sizeof(%s)},\n", c.Index, c.Name, c.Name, c.Name)
	}
	fmt.Fprintf(&b, "  {}};\nstatic const int softmetal_constant_count = %d;\n#include \"library_main.h\"\n", len(p.Constants))
	return b.String(), nil
}

// argument is the C++ expression that a kernel's wrapper passes for the parameter.
func (a Param) argument() string {
	pointer := strings.HasSuffix(a.Type, "*")
	target := strings.TrimSuffix(strings.TrimSuffix(a.Type, "*"), "&")
	var from string
	switch a.Kind {
	case Builtin:
		return fmt.Sprintf("::softmetal::builtin<%s>(::softmetal::%s())", strings.TrimPrefix(a.Type, "const "), a.Builtin)
	case Threadgroup:
		from = fmt.Sprintf("::softmetal::threadgroup_argument(%d)", a.Index)
	default:
		from = fmt.Sprintf("::softmetal::buffer_argument(context, %d)", a.Index)
	}
	if pointer {
		return fmt.Sprintf("(%s*)%s", target, from)
	}
	return fmt.Sprintf("*(%s*)%s", target, from)
}

// CUDASource is C++ for clang's CUDA mode. Function constants are compile-time values, as after Metal's
// specialisation. Each kernel k becomes an entry `metal_k` that takes one struct of pointers.
func (p *Program) CUDASource(constants map[int]string) (string, error) {
	body, err := p.rewrite(cuda, constants)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("#include \"msl_cuda.h\"\n#pragma clang force_cuda_host_device begin\n" + body + "\n#pragma clang force_cuda_host_device end\n")
	for _, k := range p.Kernels {
		var call []string
		for _, a := range k.Params {
			call = append(call, a.argument())
		}
		bound := ""
		if k.MaxThreads > 0 {
			bound = fmt.Sprintf(", launch_bounds(%d)", k.MaxThreads)
		}
		fmt.Fprintf(&b, "extern \"C\" __attribute__((global%s)) void metal_%s(::softmetal::Arguments arguments) {\n  ::softmetal::Arguments* context = &arguments;\n  if (::softmetal::outside(arguments)) return;\n  ::%s(%s);\n}\n", bound, k.Name, k.Name, strings.Join(call, ", "))
	}
	return b.String(), nil
}

// CheckSource is clang's OpenCL C++ for the strict type check. The program stands in a namespace of its own, by
// which its declarations are found in the syntax tree.
func (p *Program) CheckSource() (string, error) {
	body, err := p.rewrite(check, nil)
	if err != nil {
		return "", err
	}
	return "namespace metal_program {\n" + body + "\n}\n", nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
