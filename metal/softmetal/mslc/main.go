// Command mslc compiles one file of Metal Shading Language for the software Metal and prints the path of the shared
// library. Errors go to standard error in the form of Apple's compiler.
package main

import (
	"flag"
	"fmt"
	"os"

	"loris/metal/softmetal"
)

func main() {
	arch := flag.String("arch", "", "GOARCH to compile for")
	check := flag.Bool("check", false, "check types strictly too")
	flag.Parse()
	path, err := compile(flag.Arg(0), *arch, *check)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(path)
}

func compile(file, arch string, check bool) (string, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	t, err := softmetal.NewToolchain(os.Getenv("SOFTMETAL_CACHE"))
	if err != nil {
		return "", err
	}
	if check {
		if err := t.TypeCheck(string(source)); err != nil {
			return "", err
		}
	}
	return t.CompileHost(string(source), softmetal.HostOptions{Arch: arch})
}
