package archive

import (
	"slices"
	"strings"
)

// EncodeDoc packs texts by symbol: "" is the package itself,
// "Builder" a symbol, "Builder.Len" a method or field.
func EncodeDoc(docs map[string]string) []byte {
	var names []string
	for n := range docs {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		b.WriteString(n)
		b.WriteByte(0)
		b.WriteString(docs[n])
		b.WriteByte(0)
	}
	return []byte(b.String())
}

// DecodeDoc is the inverse of EncodeDoc.
func DecodeDoc(data []byte) map[string]string {
	docs := map[string]string{}
	rest := string(data)
	for rest != "" {
		name, after, ok := strings.Cut(rest, "\x00")
		if !ok {
			break
		}
		doc, next, ok := strings.Cut(after, "\x00")
		if !ok {
			break
		}
		docs[name] = doc
		rest = next
	}
	return docs
}
