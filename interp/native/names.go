package native

import (
	"go/types"
	"strconv"
	"strings"
	"sync"
)

// typeName spells a type as compiled Go's reflection does.
func typeName(t types.Type) string {
	var s spelling
	s.typ(t)
	return s.String()
}

// TypeArgName spells a type as a type argument: its packages go by their paths,
// unexported fields have theirs, and types that functions declare are numbered.
func TypeArgName(t types.Type) string {
	s := spelling{argument: true}
	s.typ(t)
	return s.String()
}

// spelling is the name of a type under way.
type spelling struct {
	strings.Builder
	argument bool
}

func (s *spelling) typ(t types.Type) {
	switch t := types.Unalias(t).(type) {
	case *types.Basic:
		if b := types.Typ[t.Kind()]; b != nil { // byte is uint8
			t = b
		}
		s.WriteString(t.String())
	case *types.Named:
		s.named(t)
	case *types.Pointer:
		s.of("*", t.Elem())
	case *types.Slice:
		s.of("[]", t.Elem())
	case *types.Array:
		s.of("["+strconv.FormatInt(t.Len(), 10)+"]", t.Elem())
	case *types.Map:
		s.of("map[", t.Key())
		s.of("]", t.Elem())
	case *types.Chan:
		s.channel(t)
	case *types.Signature:
		s.WriteString("func")
		s.signature(t)
	case *types.Struct:
		s.structure(t)
	case *types.Interface:
		s.iface(t)
	default:
		s.WriteString(t.String())
	}
}

func (s *spelling) of(prefix string, elem types.Type) {
	s.WriteString(prefix)
	s.typ(elem)
}

func (s *spelling) named(t *types.Named) {
	o := t.Obj()
	s.qualify(o)
	s.WriteString(o.Name())
	if args := t.TypeArgs(); args.Len() > 0 {
		a := spelling{argument: true}
		for i := range args.Len() {
			if i > 0 {
				a.WriteByte(',')
			}
			a.typ(args.At(i))
		}
		s.WriteString("[" + a.String() + "]")
	}
	if k := LocalNumber(o); s.argument && k > 0 {
		s.WriteString("·" + strconv.Itoa(k))
	}
}

func (s *spelling) qualify(o types.Object) {
	switch {
	case o.Pkg() == nil:
	case s.argument:
		s.WriteString(o.Pkg().Path() + ".")
	default:
		s.WriteString(o.Pkg().Name() + ".")
	}
}

func (s *spelling) channel(t *types.Chan) {
	prefix := map[types.ChanDir]string{types.SendRecv: "chan ", types.SendOnly: "chan<- ", types.RecvOnly: "<-chan "}[t.Dir()]
	if e, ok := types.Unalias(t.Elem()).(*types.Chan); ok && t.Dir() != types.SendOnly && e.Dir() == types.RecvOnly {
		s.of(prefix+"(", e)
		s.WriteByte(')')
		return
	}
	s.of(prefix, t.Elem())
}

func (s *spelling) signature(t *types.Signature) {
	s.WriteByte('(')
	n := t.Params().Len()
	for i := range n {
		if i > 0 {
			s.WriteString(", ")
		}
		p := t.Params().At(i).Type()
		if t.Variadic() && i == n-1 {
			s.of("...", p.(*types.Slice).Elem())
		} else {
			s.typ(p)
		}
	}
	s.WriteByte(')')
	switch n := t.Results().Len(); n {
	case 0:
	case 1:
		s.of(" ", t.Results().At(0).Type())
	default:
		for i := range n {
			prefix := ", "
			if i == 0 {
				prefix = " ("
			}
			s.of(prefix, t.Results().At(i).Type())
		}
		s.WriteByte(')')
	}
}

func (s *spelling) structure(t *types.Struct) {
	s.WriteString("struct {")
	for i := range t.NumFields() {
		if i > 0 {
			s.WriteByte(';')
		}
		s.WriteByte(' ')
		f := t.Field(i)
		if !f.Embedded() {
			if s.argument && !f.Exported() {
				s.qualify(f)
			}
			s.WriteString(f.Name() + " ")
		}
		s.typ(f.Type())
		if tag := t.Tag(i); tag != "" {
			s.WriteString(" " + strconv.Quote(tag))
		}
	}
	if t.NumFields() > 0 {
		s.WriteByte(' ')
	}
	s.WriteByte('}')
}

func (s *spelling) iface(t *types.Interface) {
	s.WriteString("interface {")
	for i, m := range ordered(types.NewMethodSet(t)) {
		if i > 0 {
			s.WriteByte(';')
		}
		s.WriteByte(' ')
		o := m.Obj()
		if !o.Exported() {
			s.qualify(o)
		}
		s.WriteString(o.Name())
		s.signature(o.Type().(*types.Signature))
	}
	if t.NumMethods() > 0 {
		s.WriteByte(' ')
	}
	s.WriteByte('}')
}

var localNumbers sync.Map // *types.TypeName -> int, of types made for an instance

// SameNumber makes a type that stands for a local one have its number.
func SameNumber(made, local *types.TypeName) { localNumbers.Store(made, LocalNumber(local)) }

// LocalNumber is the place of a type among those that functions of its file
// declare, counted from 1; it is 0 for types of packages.
func LocalNumber(o *types.TypeName) int {
	if k, ok := localNumbers.Load(o); ok {
		return k.(int)
	}
	if o.Pkg() == nil || o.Parent() == nil || o.Parent() == o.Pkg().Scope() || o.Parent() == types.Universe {
		return 0
	}
	file := o.Parent()
	for file.Parent() != nil && file.Parent() != o.Pkg().Scope() {
		file = file.Parent()
	}
	before := 1
	var count func(s *types.Scope)
	count = func(s *types.Scope) {
		for _, name := range s.Names() {
			if t, ok := s.Lookup(name).(*types.TypeName); ok && t.Pos() < o.Pos() && t.Pkg() == o.Pkg() {
				if _, param := t.Type().(*types.TypeParam); !param {
					before++
				}
			}
		}
		for c := range s.Children() {
			count(c)
		}
	}
	for c := range file.Children() {
		count(c)
	}
	return before
}
