//go:build ignore

// Extract reads Apple's metal-cpp headers (https://developer.apple.com/metal/cpp) and prints the table methods.tsv:
// class, selector, result and argument types of the classes that compute needs.
//
//	go run extract.go path/to/metal-cpp > methods.tsv
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// classes are those whose methods are kept, by their C++ names.
var classes = map[string]string{
	"NS::String": "NSString", "NS::Error": "NSError", "NS::URL": "NSURL", "NS::Array": "NSArray", "NS::Object": "NSObject",
	"MTL::Device": "MTLDevice", "MTL::Architecture": "MTLArchitecture", "MTL::Buffer": "MTLBuffer", "MTL::Resource": "MTLResource", "MTL::Library": "MTLLibrary", "MTL::Function": "MTLFunction",
	"MTL::FunctionConstantValues": "MTLFunctionConstantValues", "MTL::CompileOptions": "MTLCompileOptions", "MTL::ComputePipelineDescriptor": "MTLComputePipelineDescriptor",
	"MTL::ComputePipelineState": "MTLComputePipelineState", "MTL::CommandQueue": "MTLCommandQueue", "MTL::CommandBuffer": "MTLCommandBuffer", "MTL::CommandEncoder": "MTLCommandEncoder",
	"MTL::ComputeCommandEncoder": "MTLComputeCommandEncoder", "MTL::BlitCommandEncoder": "MTLBlitCommandEncoder", "MTL::BinaryArchive": "MTLBinaryArchive",
	"MTL::BinaryArchiveDescriptor": "MTLBinaryArchiveDescriptor", "MTL::SharedEvent": "MTLSharedEvent", "MTL::Fence": "MTLFence", "MTL::Heap": "MTLHeap", "MTL::ResidencySet": "MTLResidencySet",
}

var (
	selectorDefinition = regexp.MustCompile(`_(?:MTL|NS)_PRIVATE_DEF_SEL\(\s*(\w+)\s*,\s*"([^"]+)"`)
	methodDefinition   = regexp.MustCompile(`(?s)_(?:MTL|NS)_INLINE\s+([^\n;{}()]*?)\s*([A-Za-z_0-9]+(?:::[A-Za-z_0-9]+)*)::([A-Za-z_0-9~]+)\(((?:[^(){}]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*)\)\s*(?:const)?\s*\{([^}]*)\}`)
	selectorUse        = regexp.MustCompile(`_(?:MTL|NS)_PRIVATE_SEL\(\s*(\w+)\s*\)`)
	argumentName       = regexp.MustCompile(`\s*\b\w+(\[\])?$`)
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run extract.go path/to/metal-cpp > methods.tsv")
	}
	var texts []string
	for _, folder := range []string{"Foundation", "Metal"} {
		files, err := filepath.Glob(filepath.Join(os.Args[1], folder, "*.hpp"))
		if err != nil || len(files) == 0 {
			log.Fatalf("no headers in %s/%s", os.Args[1], folder)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				log.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	selectors := map[string]string{}
	for _, text := range texts {
		for _, m := range selectorDefinition.FindAllStringSubmatch(text, -1) {
			selectors[m[1]] = m[2]
		}
	}
	rows := map[string]bool{}
	for _, text := range texts {
		for _, m := range methodDefinition.FindAllStringSubmatch(text, -1) {
			class, use := classes[m[2]], selectorUse.FindStringSubmatch(m[5])
			if class == "" || use == nil || selectors[use[1]] == "" {
				continue
			}
			if strings.Contains(m[5], "PRIVATE_CLS") {
				class = "+" + class
			}
			types := []string{strings.Join(strings.Fields(m[1]), " ")}
			for _, a := range split(m[4]) {
				types = append(types, argumentType(a))
			}
			rows[class+"\t"+selectors[use[1]]+"\t"+strings.Join(types, "\t")] = true
		}
	}
	var lines []string
	for r := range rows {
		lines = append(lines, r)
	}
	sort.Strings(lines)
	fmt.Println("# class, selector, result, arguments; from Apple's metal-cpp by extract.go")
	fmt.Println(strings.Join(lines, "\n"))
}

func argumentType(a string) string {
	if strings.Contains(a, "(^") {
		return "block"
	}
	array := strings.HasSuffix(a, "[]")
	a = strings.TrimSpace(argumentName.ReplaceAllString(a, ""))
	if array {
		a += "[]"
	}
	return a
}

func split(arguments string) []string {
	var out []string
	depth, start := 0, 0
	arguments = strings.Join(strings.Fields(arguments), " ")
	for i, c := range arguments + "," {
		switch {
		case c == '(' || c == '<':
			depth++
		case c == ')' || c == '>':
			depth--
		case c == ',' && depth == 0:
			if part := strings.TrimSpace(arguments[start:i]); part != "" {
				out = append(out, part)
			}
			start = i + 1
		}
	}
	return out
}
