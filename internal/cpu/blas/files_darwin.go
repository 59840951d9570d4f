package blas

const libraryName = "Accelerate"

var files = []string{"/System/Library/Frameworks/Accelerate.framework/Accelerate"}
