// Package msl reads Metal Shading Language and writes C++ that clang compiles: for the CPU, where every GPU thread
// is a fiber, for NVPTX, or for the strict type check. It understands the plain subset that Loris writes and asks
// of user kernels: no templates, no classes with constructors.
package msl

import (
	"fmt"
	"strconv"
	"strings"
)

// ParamKind says how a kernel's parameter is bound.
type ParamKind int

const (
	Buffer ParamKind = iota
	Threadgroup
	Builtin
)

// Param is one parameter of a kernel.
type Param struct {
	Name     string
	Type     string // without address space, "const float*" or "uint2"
	Kind     ParamKind
	Index    int    // of [[buffer(i)]] or [[threadgroup(i)]]
	Builtin  string // "thread_position_in_grid", …
	ReadOnly bool   // const device or constant
}

// Kernel is one entry function.
type Kernel struct {
	Name       string
	Params     []Param
	MaxThreads int // of [[max_total_threads_per_threadgroup(n)]], 0 if absent
}

// Constant is one function constant.
type Constant struct {
	Name, Type string
	Index      int
}

// Program is preprocessed MSL, tokenized, with its entry functions and function constants found.
type Program struct {
	Kernels   []Kernel
	Constants []Constant
	tokens    []token
}

var builtins = map[string]bool{
	"thread_position_in_grid": true, "thread_position_in_threadgroup": true, "threadgroup_position_in_grid": true,
	"threads_per_threadgroup": true, "dispatch_threads_per_threadgroup": true, "threadgroups_per_grid": true,
	"threads_per_grid": true, "thread_index_in_threadgroup": true, "thread_index_in_simdgroup": true,
	"simdgroup_index_in_threadgroup": true, "simdgroups_per_threadgroup": true, "threads_per_simdgroup": true,
	"thread_execution_width": true,
}

var addressSpaces = map[string]bool{"device": true, "constant": true, "thread": true, "threadgroup": true}

// banned words are C++ that MSL does not have.
var banned = map[string]bool{"new": true, "delete": true, "throw": true, "try": true, "catch": true, "virtual": true,
	"dynamic_cast": true, "typeid": true, "goto": true, "double": true, "thread_local": true, "std": true}

// Parse reads preprocessed source (clang -E keeps the line markers that errors are told by).
func Parse(source string) (*Program, error) {
	ts, err := tokenize(source)
	if err != nil {
		return nil, err
	}
	p := &Program{tokens: ts}
	at := position{file: "program_source", line: 1}
	for i := 0; i < len(ts); i++ {
		t := ts[i]
		at.advance(t)
		switch {
		case t.kind == word && banned[t.text]:
			return nil, fmt.Errorf("%v: error: '%s' is not part of the Metal Shading Language", at, t.text)
		case t.kind == word && t.text == "template":
			return nil, fmt.Errorf("%v: error: templates are not supported here; write one function per type", at)
		case t.kind == word && t.text == "kernel", t.kind == attribute && has(t, "kernel"):
			k, err := parseKernel(ts[i:])
			if err != nil {
				return nil, fmt.Errorf("%v: error: %w", at, err)
			}
			p.Kernels = append(p.Kernels, k)
		case t.kind == attribute && has(t, "function_constant"):
			c, err := parseConstant(ts, i)
			if err != nil {
				return nil, fmt.Errorf("%v: error: %w", at, err)
			}
			p.Constants = append(p.Constants, c)
		}
	}
	return p, nil
}

func has(t token, name string) bool { _, ok := t.attributes[name]; return ok }

type position struct {
	file string
	line int
}

func (p position) String() string { return fmt.Sprintf("%s:%d:1", p.file, p.line) }

func (p *position) advance(t token) {
	if t.kind == line {
		var n int
		var file string
		if _, err := fmt.Sscanf(t.text, "# %d %q", &n, &file); err == nil {
			p.line, p.file = n, file
		}
		return
	}
	p.line += strings.Count(t.text, "\n")
}

func parseKernel(ts []token) (Kernel, error) {
	var k Kernel
	open := 0
	for open < len(ts) && ts[open].text != "(" {
		if n, ok := ts[open].attributes["max_total_threads_per_threadgroup"]; ok {
			k.MaxThreads, _ = strconv.Atoi(n)
		}
		if ts[open].kind == word {
			k.Name = ts[open].text
		}
		open++
	}
	if open == len(ts) {
		return k, fmt.Errorf("kernel without parameters")
	}
	end, err := matching(ts, open)
	if err != nil {
		return k, err
	}
	used := map[int]bool{}
	for _, part := range split(ts[open+1 : end]) {
		p, ok, err := parseParam(part, used)
		if err != nil {
			return k, fmt.Errorf("kernel %s: %w", k.Name, err)
		}
		if ok {
			k.Params = append(k.Params, p)
		}
	}
	return k, nil
}

func parseParam(ts []token, used map[int]bool) (Param, bool, error) {
	var p Param
	var words []string
	var declarator []token
	attributes := map[string]string{}
	for _, t := range ts {
		for name, argument := range t.attributes {
			attributes[name] = argument
		}
		if t.kind == word {
			words = append(words, t.text)
		}
		if t.significant() && t.kind != attribute && !addressSpaces[t.text] {
			declarator = append(declarator, t)
		}
	}
	if len(declarator) == 0 || len(words) == 1 && words[0] == "void" {
		return p, false, nil
	}
	p.Name = declarator[len(declarator)-1].text
	for _, t := range declarator[:len(declarator)-1] {
		if p.Type != "" && t.kind == word {
			p.Type += " "
		}
		p.Type += t.text
	}
	constant := contains(words, "constant")
	p.ReadOnly = constant || contains(words, "const")
	if constant && !strings.HasPrefix(p.Type, "const ") {
		p.Type = "const " + p.Type
	}
	for name, argument := range attributes {
		switch {
		case builtins[name]:
			p.Kind, p.Builtin = Builtin, name
			return p, true, nil
		case name == "buffer" || name == "threadgroup":
			n, err := strconv.Atoi(argument)
			if err != nil {
				return p, false, fmt.Errorf("parameter %s: [[%s(%s)]] needs a number", p.Name, name, argument)
			}
			p.Index = n
			if name == "threadgroup" {
				p.Kind = Threadgroup
			} else if used[n] {
				return p, false, fmt.Errorf("parameter %s: [[buffer(%d)]] is used twice", p.Name, n)
			} else {
				used[n] = true
			}
			return p, true, nil
		}
	}
	return p, false, fmt.Errorf("parameter %s has neither [[buffer(n)]], [[threadgroup(n)]] nor a known built-in attribute", p.Name)
}

func contains(words []string, w string) bool {
	for _, x := range words {
		if x == w {
			return true
		}
	}
	return false
}

// parseConstant reads `constant T name [[function_constant(i)]];` backwards from its attribute.
func parseConstant(ts []token, i int) (Constant, error) {
	var c Constant
	n, err := strconv.Atoi(ts[i].attributes["function_constant"])
	if err != nil {
		return c, fmt.Errorf("[[function_constant]] needs a number")
	}
	c.Index = n
	var words []string
	for j := i - 1; j >= 0 && ts[j].text != "constant"; j-- {
		if ts[j].kind == word {
			words = append(words, ts[j].text)
		}
	}
	if len(words) != 2 {
		return c, fmt.Errorf("a function constant is written `constant T name [[function_constant(n)]];`")
	}
	c.Name, c.Type = words[0], words[1]
	return c, nil
}
