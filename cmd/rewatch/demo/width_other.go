//go:build !unix

package demo

import "io"

// terminalWidth is not known here; the ladder takes its smallest width.
func terminalWidth(io.Writer) int { return 0 }
