package metal

// Ahead waits for what is compiled ahead of use.
func (d *Device) Ahead() {
	if gpu, err := d.open(); err == nil {
		gpu.Prepared()
	}
}
