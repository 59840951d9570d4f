package std

import _ "embed"

// Delta holds what differs from the base platform.
//
//go:embed std_linux_arm64.bin
var Delta string
