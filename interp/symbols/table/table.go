// Package table holds the shape of a symbol table: what a generated file says
// about one Go package. A table is static data, so that linking hundreds of
// packages costs nothing when the program starts.
package table

// Package lists the non-generic exported symbols of one Go package. Constants
// and generic symbols are absent: their exact values and bodies come from the
// export data and from package symbols itself.
type Package struct {
	Path  string
	Name  string
	Funcs []Symbol // Value is the function
	Vars  []Symbol // Value is the address of the variable
	Types []Symbol // Value is a nil pointer to the type
}

// Symbol is one exported name. Within a list symbols are sorted by name.
type Symbol struct {
	Name  string
	Value any
}

// Instance is a generic type of the standard library as the exported API of
// some package instantiates it, for instance iter.Seq[string].
type Instance struct {
	Name  string // as go/types prints it with full paths
	Value any    // a nil pointer to the type
}
