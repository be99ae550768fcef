package main

import (
	"net"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"rewatch": main}) }

// TestScripts runs what a person types, and looks at what it is told. A script has free
// ports of this machine as $ADMIN, $SIP and $SERVER.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"ADMIN", "SIP", "SERVER"} {
				l, err := net.Listen("tcp4", "127.0.0.1:0")
				if err != nil {
					return err
				}
				e.Setenv(name, l.Addr().String())
				if err := l.Close(); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"listens": listens},
	})
}

// listens waits until somebody listens at an address.
func listens(ts *testscript.TestScript, _ bool, args []string) {
	for range 400 {
		if c, err := net.Dial("tcp4", args[0]); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	ts.Fatalf("nobody listens at %s", args[0])
}
