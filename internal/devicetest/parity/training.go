package main

import lt "loris/tensorlib"

// Training describes a few steps of an optimiser.
type Training struct{}

func (c *Case) train() []*lt.Tensor { return nil }
