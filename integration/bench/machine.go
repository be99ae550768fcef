package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// machine describes where figures come from.
type machine struct {
	date, cpu, kernel, golang, kamailio string
	cores                               int
}

func thisMachine() machine {
	m := machine{date: time.Now().Format(time.DateOnly), cores: runtime.NumCPU(), golang: strings.TrimPrefix(runtime.Version(), "go")}
	m.cpu = firstMatch(read("/proc/cpuinfo"), `model name\s*: (.*)`)
	m.kernel = strings.TrimSpace(read("/proc/sys/kernel/osrelease"))
	out, _ := exec.Command("kamailio", "-v").Output() //nolint:noctx // at once
	m.kamailio = firstMatch(string(out), `kamailio (\S+)`)
	return m
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %s, %d cores, Linux %s, Go %s, Kamailio %s", m.date, m.cpu, m.cores, m.kernel, m.golang, m.kamailio)
}

func read(file string) string {
	b, _ := os.ReadFile(file) //nolint:gosec // fixed names
	return string(b)
}

func firstMatch(s, pattern string) string {
	if f := regexp.MustCompile(pattern).FindStringSubmatch(s); f != nil {
		return f[1]
	}
	return "unknown"
}
