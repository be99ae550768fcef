package main

import (
	"context"
	"errors"
	"io"
)

// runServer builds everything, runs it until ctx ends, and stops it in order.
func runServer(_ context.Context, _ Config, _ io.Writer) error {
	return errors.New("run: not built yet")
}
