// Command mslc compiles one file of Metal Shading Language for the software Metal and prints the path of the shared
// library. Errors go to standard error in the form of Apple's compiler. With -library it builds the software Metal
// itself and prints the environment that programs find it by.
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
	library := flag.Bool("library", false, "build the software Metal and print its environment")
	flag.Parse()
	text, err := "", error(nil)
	if *library {
		text, err = environment()
	} else {
		text, err = compile(flag.Arg(0), *arch, *check)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(text)
}

func environment() (string, error) {
	if err := softmetal.Setup(); err != nil {
		return "", err
	}
	return fmt.Sprintf("export LORIS_METAL_LIBRARY='%s' SOFTMETAL_MSLC='%s'", os.Getenv("LORIS_METAL_LIBRARY"), os.Getenv("SOFTMETAL_MSLC")), nil
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
