// Package headers holds the messages that the host code sends against Apple's headers: every selector must exist on
// its class, take as many arguments, and be of the same types. methods.tsv is extracted from metal-cpp by extract.go.
package headers

import (
	_ "embed"
	"fmt"
	"strings"

	"loris/metal/objc"
)

//go:embed methods.tsv
var methods string

// inherits names the class where the headers declare what another inherits.
var inherits = map[string]string{"MTLComputeCommandEncoder": "MTLCommandEncoder", "MTLBlitCommandEncoder": "MTLCommandEncoder", "MTLBuffer": "MTLResource"}

// ofRuntime are NSObject's, which metal-cpp sends by templates of its own.
var ofRuntime = map[string]string{"+NSObject alloc": "@", "NSObject init": "@", "NSObject respondsToSelector:": "B:"}

// Check compares messages with the headers and returns what differs.
func Check(messages []*objc.Message) (problems []error) {
	table := map[string][][]string{}
	for _, line := range strings.Split(methods, "\n") {
		if f := strings.Split(line, "\t"); len(f) >= 3 {
			table[f[0]+" "+f[1]] = append(table[f[0]+" "+f[1]], f[2:])
		}
	}
	for _, m := range messages {
		key := m.Class + " " + m.Selector
		if want, ok := ofRuntime[key]; ok {
			if m.Types != want {
				problems = append(problems, fmt.Errorf("%s: declared %s, it is %s", key, m.Types, want))
			}
			continue
		}
		found := table[key]
		if parent := inherits[m.Class]; found == nil && parent != "" {
			found = table[parent+" "+m.Selector]
		}
		if found == nil {
			problems = append(problems, fmt.Errorf("%s: no such selector in Apple's headers", key))
			continue
		}
		if err := matches(m, found); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", key, err))
		}
	}
	return problems
}

// matches finds one overload of the headers that has the message's types.
func matches(m *objc.Message, overloads [][]string) error {
	declared := encodings(m.Types)
	if colons := strings.Count(m.Selector, ":"); len(declared) != colons+1 {
		return fmt.Errorf("declared with %d arguments, the selector has %d", len(declared)-1, colons)
	}
	var last error
	for _, types := range overloads {
		last = nil
		if len(types) != len(declared) {
			last = fmt.Errorf("declared with %d arguments, the headers have %d", len(declared)-1, len(types)-1)
			continue
		}
		for i, t := range types {
			if !compatible(declared[i], t) {
				last = fmt.Errorf("type %d is declared %s, the headers say %s", i, declared[i], t)
				break
			}
		}
		if last == nil {
			return nil
		}
	}
	return last
}

// encodings splits "v^@^Q{_NSRange=QQ}" into its parts.
func encodings(s string) []string {
	var parts []string
	for i := 0; i < len(s); {
		j := i
		for s[j] == '^' {
			j++
		}
		switch {
		case s[j] == '{':
			j += strings.IndexByte(s[j:], '}')
		case s[j] == '@' && j+1 < len(s) && s[j+1] == '?':
			j++
		}
		parts = append(parts, s[i:j+1])
		i = j + 1
	}
	return parts
}

// compatible says whether a C++ type of the headers has that encoding. Enumerations are integers of either sign.
func compatible(encoding, cpp string) bool {
	t := strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(cpp, "const ", ""), "class ", ""))
	pointers := strings.Count(t, "*") + strings.Count(t, "[]")
	base := strings.TrimRight(strings.NewReplacer("*", "", "[]", "", " const", "").Replace(t), " ")
	object := strings.HasPrefix(base, "NS::") || strings.HasPrefix(base, "MTL::") || base == "String" || base == "Object" || base == "_Object"
	switch encoding {
	case "v":
		return t == "void"
	case "@":
		return object && pointers == 1
	case "^@":
		// AutoreleasedComputePipelineReflection is itself a pointer to an object
		return object && pointers == 2 || strings.Contains(base, "Autoreleased") && pointers == 1
	case "@?":
		return t == "block"
	case "*":
		return base == "char" && pointers == 1
	case "^v":
		return base == "void" && pointers == 1
	case "^Q":
		return strings.HasSuffix(base, "UInteger") && pointers == 1
	case "B":
		return t == "bool"
	case "d":
		return t == "CFTimeInterval" || t == "double"
	case "{MTLSize=QQQ}":
		return t == "MTL::Size"
	case "{_NSRange=QQ}":
		return t == "NS::Range"
	case "Q", "q":
		return pointers == 0 && t != "void" && t != "bool" && t != "float" && t != "double" && t != "CFTimeInterval" && t != "MTL::Size" && t != "NS::Range"
	}
	return false
}
