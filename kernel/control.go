package kernel

import (
	"os"
	"runtime"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/process"

	"loris/kernel/wire"
)

// interrupt cancels the running cell; its error comes as the reply of the cell.
func (k *Kernel) interrupt(*request) []byte {
	k.worker.Interrupt()
	return []byte(`{"status":"ok"}`)
}

// shutdown answers shutdown_request; serve then stops the kernel. A restart is a
// shutdown as well: the client starts the new process.
func (k *Kernel) shutdown(r *request) []byte {
	var q struct {
		Restart bool `json:"restart"`
	}
	_ = wire.JSON.Unmarshal(r.Content, &q) // false if absent
	return encode(map[string]any{"status": "ok", "restart": q.Restart})
}

// usage answers usage_request, which resource monitors send. Figures of the
// kernel are those of the front and the worker together.
func (k *Kernel) usage(*request) []byte {
	hostname, _ := os.Hostname()
	content := map[string]any{"hostname": hostname, "pid": os.Getpid(), "cpu_count": runtime.NumCPU()}
	var cpuPercent float64
	var memory int64
	for _, pid := range []int{os.Getpid(), k.worker.PID()} {
		p, err := process.NewProcess(int32(pid))
		if err != nil {
			continue
		}
		if c, err := p.CPUPercent(); err == nil {
			cpuPercent += c
		}
		if m, err := p.MemoryInfo(); err == nil {
			memory += int64(m.RSS)
		}
	}
	content["kernel_cpu"], content["kernel_memory"] = cpuPercent, memory
	if c, err := cpu.Percent(0, false); err == nil && len(c) == 1 {
		content["host_cpu_percent"] = c[0]
	}
	if m, err := mem.VirtualMemory(); err == nil {
		content["host_virtual_memory"] = map[string]any{"total": int64(m.Total), "available": int64(m.Available),
			"percent": m.UsedPercent, "used": int64(m.Used), "free": int64(m.Free)}
	}
	return encode(content)
}

// debug answers debug_request, whose content is a request of the Debug Adapter
// Protocol. There is no debugger; what works without one is the list of
// variables.
func (k *Kernel) debug(r *request) []byte {
	var q struct {
		Seq     int    `json:"seq"`
		Command string `json:"command"`
	}
	if err := wire.JSON.Unmarshal(r.Content, &q); err != nil {
		return errorContent("BadRequest", err.Error(), nil)
	}
	answer := map[string]any{"type": "response", "seq": q.Seq, "request_seq": q.Seq, "command": q.Command, "success": true}
	switch q.Command {
	case "debugInfo":
		answer["body"] = map[string]any{"isStarted": false, "hashMethod": "Murmur2", "hashSeed": 0, "tmpFilePrefix": "", "tmpFileSuffix": "",
			"breakpoints": []any{}, "stoppedThreads": []any{}, "richRendering": false, "exceptionPaths": []any{}, "copyToGlobals": false}
	case "inspectVariables":
		list := []any{}
		for _, v := range k.worker.Variables() {
			list = append(list, map[string]any{"name": v.Name, "type": v.Type, "value": v.Summary, "evaluateName": v.Name, "variablesReference": 0})
		}
		answer["body"] = map[string]any{"variables": list}
	default:
		answer["success"] = false
		answer["message"] = "this kernel has no debugger"
	}
	return encode(answer)
}
