//go:build !(amd64 || arm64) || noasm

package limit

import "loris/internal/cpu/feature"

var levels = map[feature.Level]loops{}
