//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// A binary that is built with the tag "profile" writes what default.pgo is made
// of: SIGUSR1 begins a CPU profile in the file that REWATCH_PROFILE names, and
// ends it. Others have none of this.
func init() {
	name := os.Getenv("REWATCH_PROFILE")
	_ = os.Unsetenv("REWATCH_PROFILE") // it is no variable of the product
	turn := make(chan os.Signal, 1)
	signal.Notify(turn, syscall.SIGUSR1)
	go func() {
		for range turn {
			if err := profile(name, turn); err != nil {
				fmt.Fprintln(os.Stderr, "rewatch: profile:", err)
			}
		}
	}()
}

// profile records until the next turn.
func profile(name string, turn <-chan os.Signal) error {
	f, err := os.Create(name) //nolint:gosec // the caller's own choice
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	<-turn
	pprof.StopCPUProfile()
	return f.Close()
}
