package main

import (
	// The tensor library and displays, for cells to import.
	_ "loris/interp/symbols/library"
)
