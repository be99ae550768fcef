package main

import (
	"context"
	"errors"
	"io"
)

// runDemo shows a recovery on loopback.
func runDemo(_ context.Context, _ []string, _ io.Writer) error {
	return errors.New("demo: not built yet")
}
