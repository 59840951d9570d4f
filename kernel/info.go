package kernel

import "loris/kernel/wire"

// kernelInfo answers kernel_info_request on shell and control.
func (k *Kernel) kernelInfo(*request) []byte {
	i := k.cfg.Info
	links := make([]any, 0, len(i.HelpLinks))
	for _, l := range i.HelpLinks {
		links = append(links, map[string]any{"text": l.Text, "url": l.URL})
	}
	return encode(map[string]any{
		"status":                 "ok",
		"protocol_version":       wire.ProtocolVersion,
		"implementation":         i.Implementation,
		"implementation_version": i.Version,
		"language_info": map[string]any{
			"name":               "go",
			"version":            i.LanguageVersion,
			"mimetype":           "text/x-go",
			"file_extension":     ".go",
			"pygments_lexer":     "go",
			"codemirror_mode":    "go",
			"nbconvert_exporter": "script",
		},
		"banner":             i.Banner,
		"help_links":         links,
		"supported_features": []any{"kernel subshells"},
		"debugger":           false,
	})
}

// connect answers the deprecated connect_request.
func (k *Kernel) connect(*request) []byte {
	content := map[string]any{"status": "ok"}
	for _, ch := range wire.Channels {
		content[string(ch)+"_port"] = k.conn.Ports[ch]
	}
	return encode(content)
}
